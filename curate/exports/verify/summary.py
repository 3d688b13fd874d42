"""What ``curate verify`` returns, and how it prints."""

from dataclasses import asdict, dataclass
from typing import Any

TO_SET = {
    "dataloader": "DataLoader(shuffle=False); over ranks DistributedSampler(shuffle=False)",
    "streaming": "no shuffle(), num_workers=0, one rank; else load the data set whole",
    "trainer": 'TrainingArguments(train_sampling_strategy="sequential")',
    "trl": 'SFTConfig(train_sampling_strategy="sequential")',
    "trl packed": 'SFTConfig(train_sampling_strategy="sequential", packing_strategy="wrapped")',
}
SKIPPED = "not replayed: "


@dataclass(frozen=True, slots=True)
class Replay:
    """What one loader made of the order."""

    loader: str
    settings: str
    shown: str
    steps: int
    documents: int
    """Documents that came in their order."""
    total: int
    """Documents that were given to the loader."""
    kept: bool | None
    """None where the loader could not be built."""
    departs_at_step: int | None
    position: int | None
    """The position that was next and did not come."""
    expected: str | None
    """The document of that position, as file:row."""
    found: str | None
    """The document that came instead."""
    tokens_before: int | None
    """Tokens of the documents before the departure."""
    note: str | None


@dataclass(frozen=True, slots=True)
class VerifySummary:
    """What was found of an export."""

    out: str
    format: str
    ordered: bool
    documents: int
    findings: tuple[Any, ...]
    replays: tuple[Replay, ...]
    settings: str
    steps_of: str
    versions: dict[str, str]
    note: str | None

    @property
    def whole(self) -> bool:
        return all(finding.ok for finding in self.findings)

    @property
    def gated(self) -> list[Replay]:
        """The replays that have to keep the order: under both, those of the recommended settings."""
        asked = ("any", "default" if self.settings == "default" else "recommended")
        return [replay for replay in self.replays if replay.settings in asked]

    @property
    def exit_code(self) -> int:
        return 4 if not self.whole or any(replay.kept is False for replay in self.gated) else 0

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "whole": self.whole, "ok": self.exit_code == 0}

    def render(self) -> str:
        import textwrap

        order = "in order" if self.ordered else "without an order"
        lines = [f"{self.out}   {self.format}, {self.documents:,} documents, {order}"]
        for finding in self.findings:
            text = ("" if finding.ok else "WRONG: ") + finding.detail
            lines += textwrap.wrap(text, 100, initial_indent=f"{finding.check:<14}", subsequent_indent=" " * 14)
        if self.replays:
            lines += ["", f"{'loader':<13} {'settings':<12}  {self.steps_of}"]
            lines += [line for replay in self.replays for line in _say(replay)]
        lines += self._advise()
        return "\n".join(lines)

    def _advise(self) -> list[str]:
        lines = [""] if self.replays else []
        if self.note:
            lines.append(self.note)
        lost = dict.fromkeys(replay.loader for replay in self.replays if replay.kept is False)
        if lost:
            lines.append("to keep the order:")
            lines += [f"  {loader:<11} {TO_SET[loader]}" for loader in lost]
            lines.append(f"  more: {self.out}/TRAINING.md")
        if self.whole and self.replays and self.exit_code == 0:
            said = {"default": "under the default settings"}.get(self.settings, "under the settings of TRAINING.md")
            lines.append(f"the order survives {said}")
        return lines


def _say(replay: Replay) -> list[str]:
    """A replay as a line of the table; where it departs, as three."""
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
