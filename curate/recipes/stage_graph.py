"""Which verb reads what which other verb leaves: what a recipe may hold, in which order, and what a change reaches.

    score ─────────────┐
    decontaminate ──┐  ├─► filter ─► bucket, order ─► report, export ─► verify
          └► dedup ─┴──┘

``corpus`` stands for the documents themselves, whatever they were scored with.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
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

ONCE = frozenset(READS) - {"export", "report"}
"""Verbs that own a table, which a second step would only replace."""

IGNORED = {"no_order": "order", "no_buckets": "bucket"}
"""Flags of ``export`` by which it does not look at a stage."""


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
    by_perplexity = step.verb == "dedup" and step.values.get("keeper") == "lowest-ppl"
    found = READS.get(step.verb, ()) + (("score",) if by_perplexity else ())
    ignored = {stage for flag, stage in IGNORED.items() if step.values.get(flag)}
    # What was rejected has neither a bucket nor a place in an order.
    ignored |= set(IGNORED.values()) if step.values.get("rejected") else set()
    return tuple(stage for stage in found if stage not in ignored)


def follows(step: Step) -> tuple[str, ...]:
    """The verbs that must stand above a step, where the recipe has them."""
    if step.verb == "verify" or (step.looks and step.verb == "decontaminate"):
        return ("export",)
    if step.verb == "score":
        return ("train_reference",)
    found = reads(step)
    unnamed = "corpus" in found and not step.values.get("corpus")
    return (*found, "score") if unnamed else found


def depends(step: Step, other: Step) -> bool:
    """Whether a step reads what the other one writes; an export is read by who names its folder."""
    if other.looks or other.verb not in (*reads(step), *follows(step)):
        return False
    return other.verb != "export" or folder_of(step) == folder_of(other)


def folder_of(step: Step) -> str | None:
    """The folder or file that a step writes or, where it verifies, reads; None where it names none."""
    name = "verify" if step.verb == "decontaminate" else "out"
    return PurePath(str(step.values[name])).as_posix() if step.values.get(name) else None


def check_sequence(steps: Sequence[Step]) -> list[Problem]:
    """What is wrong with steps as a sequence: a verb twice, a folder twice, what is read before it is written."""
    return [*_find_repeated(steps), *_find_early(steps)]


def _find_repeated(steps: Sequence[Step]) -> Iterator[Problem]:
    for place, step in enumerate(steps):
        above = (one for one in steps[:place] if one.verb == step.verb and not one.looks)
        first = None if step.looks else next((one for one in above if _clashes(one, step)), None)
        if first is not None:
            yield f"line {step.line}", _say_repeated(first, step)


def _clashes(one: Step, other: Step) -> bool:
    """Whether the second of two steps of one verb undoes the first, or says it again."""
    if one.verb == "verify":
        return {**one.values, "out": folder_of(one)} == {**other.values, "out": folder_of(other)}
    return one.verb in ONCE or (one.verb in (*READS, "train_reference") and folder_of(one) == folder_of(other))


def _say_repeated(first: Step, step: Step) -> str:
    twice = f"{step.name} is named twice, here and in line {first.line}"
    if step.verb == "verify":
        return f"{twice}, with the same options; take one out"
    if step.verb in ONCE:
        return f"{twice}: it would replace its own table; take one out"
    if step.values.get("out"):
        return f"{step.name} writes {step.values['out']} as line {first.line} does; name another place"
    return f"{twice}: it would replace its own page; name another file with out"


def _find_early(steps: Sequence[Step]) -> list[Problem]:
    found = []
    for place, step in enumerate(steps):
        late = next((one for one in steps[place + 1 :] if one.verb in follows(step) and depends(step, one)), None)
        if late is not None:
            what = f"{step.name} stands above {late.name} (line {late.line}), and reads what that writes"
            found.append((f"line {step.line}", f"{what}; move it below"))
    return found
