"""Which verb reads what which other verb leaves: what a recipe may hold, in which order, and what a change reaches.

    score ─────────────┐
    decontaminate ──┐  ├─► filter ─► bucket, order ─► report, export ─► verify
          └► dedup ─┴──┘

``corpus`` stands for the documents themselves, whatever they were scored with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Problem = tuple[str, str]
"""Where (``line 7``), and what is wrong there."""

_REJECTING = ("score", "decontaminate", "dedup")
_CHOOSING = (*_REJECTING, "filter")
_ARRANGING = (*_CHOOSING, "bucket", "order")

READS: Mapping[str, tuple[str, ...]] = {
    "score": (),
    "decontaminate": ("corpus",),
    "dedup": ("corpus", "decontaminate"),  # whoever is contaminated does not stay for its copies
    "filter": _REJECTING,
    "bucket": _CHOOSING,
    "order": _CHOOSING,
    "report": _ARRANGING,
    "export": _ARRANGING,
}
"""The stages of the run that a verb reads; a verb that is not named here leaves nothing that others read."""

ONCE = frozenset(READS) - {"export"}
"""Verbs that own a table, which a second step would only replace."""


@dataclass(frozen=True, slots=True)
class Step:
    """One verb with all its parameters but the run directory."""

    verb: str
    values: Mapping[str, Any]
    """By Python names, the defaults filled in."""
    line: int

    @property
    def name(self) -> str:
        """As it is typed."""
        return self.verb.replace("_", "-")

    @property
    def looks(self) -> bool:
        """Whether it only looks, and leaves the run as it is."""
        return bool(self.values.get("dry_run") or (self.verb == "decontaminate" and self.values.get("verify")))


def reads(step: Step) -> tuple[str, ...]:
    """The stages that a step reads, ``corpus`` among them."""
    by_perplexity = step.verb == "dedup" and step.values.get("keep") == "lowest-ppl"
    return READS.get(step.verb, ()) + (("score",) if by_perplexity else ())


def follows(step: Step) -> tuple[str, ...]:
    """The verbs that must stand above a step, where the recipe has them."""
    if step.verb == "verify" or (step.looks and step.verb == "decontaminate"):
        return ("export",)
    if step.verb == "score":
        return ("train_reference",)
    found = reads(step)
    unnamed = "corpus" in found and not step.values.get("corpus")
    return (*found, "score") if unnamed else found


def check_sequence(steps: Sequence[Step]) -> list[Problem]:
    """What is wrong with steps as a sequence: a verb twice, a folder twice, what is read before it is written."""
    return [*_find_repeated(steps), *_find_early(steps)]


def _find_repeated(steps: Sequence[Step]) -> list[Problem]:
    seen: dict[tuple[str, str | None], Step] = {}
    found = []
    for step in steps:
        if step.looks or (step.verb not in ONCE and "out" not in step.values):
            continue
        folder = None if step.verb in ONCE else str(step.values["out"])
        first = seen.setdefault((step.verb, folder), step)
        if first is not step and folder is None:
            what = f"{step.name} is named twice, here and in line {first.line}: it would replace its own table"
            found.append((f"line {step.line}", f"{what}; take one out"))
        elif first is not step:
            what = f"{step.name} writes {folder} as line {first.line} does; name another folder"
            found.append((f"line {step.line}", what))
    return found


def _find_early(steps: Sequence[Step]) -> list[Problem]:
    found = []
    for place, step in enumerate(steps):
        wanted = follows(step)
        late = next((one for one in steps[place + 1 :] if one.verb in wanted and not one.looks), None)
        if late is not None:
            what = f"{step.name} stands above {late.name} (line {late.line}), and reads what that writes"
            found.append((f"line {step.line}", f"{what}; move it below"))
    return found
