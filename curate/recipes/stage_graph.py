"""Which verb reads the tables of which other verb: the order that a recipe needs, and what a change affects.

    score ─────────────┐
    decontaminate ──┐  ├─► filter ─► bucket, order ─► report, publish, export ─► verify
          └► dedup ─┴──┘

``corpus`` is the documents, whatever model scored them. ``merge`` may stand in the place of ``score``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from curate.runtime.disk.object_store import is_store_url
from curate.runtime.options import as_list

Problem = tuple[str, str]
"""The position (``line 7``), and what is wrong there."""

_REJECTING = ("score", "decontaminate", "dedup")
_CHOOSING = (*_REJECTING, "filter")
_ARRANGING = (*_CHOOSING, "bucket", "order")

READS: Mapping[str, tuple[str, ...]] = {
    "score": (),
    "decontaminate": ("corpus",),
    "dedup": ("corpus", "decontaminate"),  # a contaminated document is no keeper of its copies
    "filter": _REJECTING,
    "bucket": _CHOOSING,
    "order": _CHOOSING,
    "report": _ARRANGING,
    "publish": _ARRANGING,
    "export": _ARRANGING,
}
"""The stages of the run that a verb reads. No verb reads what a verb that is not named here writes."""

ONCE = frozenset(READS) - {"export", "report", "publish"}
"""Verbs that own a table, which a second step would only replace."""

IGNORED = {"no_order": "order", "no_buckets": "bucket"}
"""Flags of ``export`` by which it ignores a stage."""


@dataclass(frozen=True, slots=True)
class Step:
    """One verb with all its parameters but the run directory."""

    verb: str
    values: Mapping[str, Any]
    """By Python names, the defaults filled in."""
    line: int
    """The line of the recipe, counted from 1."""

    @property
    def name(self) -> str:
        """The verb as it is typed."""
        return self.verb.replace("_", "-")

    @property
    def is_read_only(self) -> bool:
        """Whether the step leaves the run as it is: a dry run, or ``decontaminate`` with ``verify``."""
        return bool(self.values.get("dry_run") or (self.verb == "decontaminate" and self.values.get("verify")))


def list_stages_read(step: Step) -> tuple[str, ...]:
    """Return the stages that a step reads, ``corpus`` among them."""
    by_perplexity = step.verb == "dedup" and step.values.get("keeper") == "lowest-ppl"
    stages = READS.get(step.verb, ()) + (("score",) if by_perplexity else ())
    ignored = {stage for flag, stage in IGNORED.items() if step.values.get(flag)}
    # A rejected document has neither a bucket nor a position in an order.
    ignored |= set(IGNORED.values()) if step.values.get("rejected") else set()
    return tuple(stage for stage in stages if stage not in ignored)


def list_verbs_before(step: Step) -> tuple[str, ...]:
    """Return the verbs that must come before a step, where the recipe has them."""
    if step.verb == "verify" or (step.is_read_only and step.verb == "decontaminate"):
        return ("export",)
    if step.verb == "score":
        return ("train_reference",)
    stages = list_stages_read(step)
    of_run = "corpus" in stages and not step.values.get("corpus")
    before = (*stages, "score") if of_run else stages
    return (*before, "merge") if "score" in before else before


def depends_on(step: Step, other: Step) -> bool:
    """Return whether a step reads what the other one writes; a step reads an export whose folder it names."""
    if other.is_read_only or other.verb not in (*list_stages_read(step), *list_verbs_before(step)):
        return False
    return other.verb != "export" or folder_of(step) == folder_of(other)


def folder_of(step: Step) -> str | None:
    """Return the folder or file that a step writes or, where it verifies, reads; None where it names none."""
    name = "verify" if step.verb == "decontaminate" else "out"
    named = str(step.values.get(name) or "")
    if is_store_url(named):
        return named.rstrip("/")
    return PurePath(named).as_posix() if named else None


def check_sequence(steps: Sequence[Step]) -> list[Problem]:
    """Return the mistakes in the order of steps: a verb twice, a folder twice, a table read before it is written."""
    return [*_find_repeated(steps), *_find_early(steps)]


def _find_repeated(steps: Sequence[Step]) -> Iterator[Problem]:
    for index, step in enumerate(steps):
        before = (other for other in steps[:index] if other.verb == step.verb and not other.is_read_only)
        first = None if step.is_read_only else next((other for other in before if _clashes(other, step)), None)
        if first is not None:
            yield f"line {step.line}", _explain_repeated(first, step)


def _clashes(first: Step, second: Step) -> bool:
    """Return whether the second of two steps of one verb overwrites or repeats the first."""
    same_folder = folder_of(first) == folder_of(second)
    if first.verb == "verify":
        return same_folder and {**first.values, "out": None} == {**second.values, "out": None}
    if first.verb == "publish":
        return bool(set(as_list(first.values.get("to"))) & set(as_list(second.values.get("to"))))
    return first.verb in ONCE or (first.verb in (*READS, "train_reference") and same_folder)


def _explain_repeated(first: Step, step: Step) -> str:
    twice = f"{step.name} is named twice, here and in line {first.line}"
    if step.verb == "verify":
        return f"{twice}, with the same options; remove one"
    if step.verb == "publish":
        return f"{twice}, to the same target; name another one, or remove one"
    if step.verb in ONCE:
        return f"{twice}: the second would replace the table of the first; remove one"
    if step.values.get("out"):
        return f"{step.name} writes {step.values['out']} as line {first.line} does; name another folder"
    return f"{twice}: the second would replace the page of the first; name another file with out"


def _find_early(steps: Sequence[Step]) -> list[Problem]:
    problems = []
    for index, step in enumerate(steps):
        verbs = list_verbs_before(step)
        late = next((other for other in steps[index + 1 :] if other.verb in verbs and depends_on(step, other)), None)
        if late is not None:
            what = f"{step.name} comes before {late.name} (line {late.line}), whose output it reads"
            problems.append((f"line {step.line}", f"{what}; move it below"))
    return problems
