"""What ``curate verify`` returns, and how it prints."""

import textwrap
from dataclasses import asdict, dataclass
from typing import Any

TO_SET = {
    "dataloader": "DataLoader(shuffle=False); over ranks DistributedSampler(shuffle=False)",
    "streaming": "no shuffle(), num_workers=0, one rank; else load the complete data set",
    "trainer": 'TrainingArguments(train_sampling_strategy="sequential")',
    "trl": 'SFTConfig(train_sampling_strategy="sequential")',
    "trl packed": 'SFTConfig(train_sampling_strategy="sequential", packing_strategy="wrapped")',
}
"""What to write so that each loader keeps the order."""
SKIPPED = "not replayed: "
WIDTH = 100
"""Columns of the screen."""


@dataclass(frozen=True, slots=True)
class Replay:
    """How far one loader kept the order."""

    loader: str
    """As in ``--loader``; ``trl packed`` for packing; ``yours`` for a loader of the user."""
    settings: str
    """default, recommended, or any where there is nothing to set."""
    shown: str
    """The settings, as a user writes them."""
    steps: int
    """Steps that were compared."""
    documents: int
    """Documents that came in their order."""
    total: int
    """Documents that the loader got."""
    kept: bool | None
    """Whether the order was kept; None where the loader could not be built."""
    departs_at_step: int | None
    """Counted from 1."""
    position: int | None
    """The position that was next and did not come."""
    expected: str | None
    """The document of that position, as file:row."""
    found: str | None
    """The document that came instead."""
    tokens_before: int | None
    """Tokens of the documents before the departure."""
    note: str | None
    """What a reader should know about this replay."""
    proves: bool = True
    """Whether another order would have been a departure; not where one step has all documents."""


@dataclass(frozen=True, slots=True)
class VerifySummary:
    """The checks and the replays of an export."""

    out: str
    format: str
    ordered: bool
    documents: int
    findings: tuple[Any, ...]
    """``integrity.IntegrityFinding``: one a check."""
    replays: tuple[Replay, ...]
    settings: str
    """As in ``--settings``."""
    steps_of: str
    """What one step is, for the head of the table."""
    versions: dict[str, str]
    """Of the libraries that were replayed."""
    note: str | None
    """Why no loader was to be replayed, where none was."""
    without_settings: tuple[str, ...] = ()
    """Loaders that were asked for and have no case under the settings."""

    @property
    def whole(self) -> bool:
        """Whether every check passed."""
        return all(finding.ok for finding in self.findings)

    @property
    def gated(self) -> list[Replay]:
        """The replays that have to keep the order: under ``both`` those of the recommended settings."""
        gating = ("any", "default" if self.settings == "default" else "recommended")
        return [replay for replay in self.replays if replay.settings in gating]

    @property
    def verified(self) -> list[Replay]:
        """The replays that have to keep the order, did, and could have lost it."""
        return [replay for replay in self.gated if replay.kept and replay.proves]

    @property
    def unverified(self) -> dict[str, list[str]]:
        """Why loaders that had to be replayed were not, or proved nothing: from the reason to their names."""
        reasons: dict[str, list[str]] = {}
        for replay in self.gated:
            if replay.kept is None or (replay.kept and not replay.proves):
                reasons.setdefault(str(replay.note), []).append(replay.loader)
        missing = {replay.loader for replay in self.replays} - {replay.loader for replay in self.gated}
        for loader in sorted(missing | set(self.without_settings)):
            reasons.setdefault("no settings keep the order here", []).append(loader)
        return reasons

    @property
    def exit_code(self) -> int:
        """4 where a check failed, a replay lost the order that had to keep it, or none could be made; else 0."""
        lost = any(replay.kept is False for replay in self.gated)
        none_made = self.note is None and not any(replay.kept for replay in self.gated)
        return 4 if not self.whole or lost or none_made else 0

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, and whether all is well, for ``--json``."""
        return {**asdict(self), "whole": self.whole, "ok": self.exit_code == 0}

    def render(self) -> str:
        """Return the screen: the checks, a table of the replays, and what to set."""
        order = "in order" if self.ordered else "without an order"
        lines = [f"{self.out}   {self.format}, {self.documents:,} documents, {order}"]
        for finding in self.findings:
            text = ("" if finding.ok else "WRONG: ") + finding.detail
            lines += textwrap.wrap(text, WIDTH, initial_indent=f"{finding.check:<14}", subsequent_indent=" " * 14)
        if self.replays:
            lines += ["", f"{'loader':<13} {'settings':<12}  {self.steps_of}"]
            lines += [line for replay in self.replays for line in _format_replay(replay)]
        lines += self._list_advice()
        return "\n".join(lines)

    def _list_advice(self) -> list[str]:
        """Return the note, the settings that keep the order, and whether it survives."""
        lines = [""] if self.replays else []
        if self.note:
            lines.append(self.note)
        lost = dict.fromkeys(replay.loader for replay in self.replays if replay.kept is False)
        if lost:
            lines.append("to keep the order:")
            lines += [f"  {loader:<11} {TO_SET[loader]}" for loader in lost]
            lines.append(f"  more: {self.out}/TRAINING.md")
        if self.verified and self.exit_code == 0:
            lines.append(self._claim())
        if self.whole:
            lines += [f"not verified: {reason}: {', '.join(names)}" for reason, names in self.unverified.items()]
        return lines

    def _claim(self) -> str:
        """Return the sentence that the order survives: which loaders where not all were replayed, and how far."""
        under = {"default": "under the default settings"}.get(self.settings, "under the settings of TRAINING.md")
        loaders = f" in {', '.join(replay.loader for replay in self.verified)}" if self.unverified else ""
        partly = [replay for replay in self.verified if replay.documents < self.documents]
        counts = ", ".join(f"{replay.loader} {replay.documents:,}" for replay in partly)
        end = f", as far as was compared (of {self.documents:,} documents: {counts})" if partly else ""
        return f"the order survives{loaders} {under}{end}"


def _format_replay(replay: Replay) -> list[str]:
    """Return a replay as a line of the table; where it departs, as three."""
    head = f"{replay.loader:<13} {replay.settings if replay.settings != 'any' else '':<12}  "
    if replay.kept is None:
        return [head + SKIPPED + str(replay.note)]
    note = [" " * len(head) + replay.note] if replay.note else []
    if replay.kept:
        many = "step" if replay.steps == 1 else "steps"
        return [f"{head}kept: {replay.documents:,} documents in {replay.steps:,} {many}", *note]
    indent, came = " " * len(head), "the documents end" if replay.found is None else f"{replay.found} comes"
    return [
        f"{head}departs at step {replay.departs_at_step:,}",
        f"{indent}{came} where {replay.expected}",
        f"{indent}(position {replay.position:,}, after {replay.tokens_before:,} tokens) is next",
        *note,
    ]
