"""The options of ``curate decontaminate``, checked before the scan."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from curate.errors import GateError, UsageError

if TYPE_CHECKING:
    from curate.corpus import Corpus
    from curate.stages.decontaminate.detector import Detector
    from curate.stages.decontaminate.evalsets import EvalSet

ACTIONS = ("drop", "mark", "cut-span")


def check_counts(canaries: int, workers: int | None) -> None:
    if canaries < 1:
        raise UsageError(
            f"--canaries {canaries}: without a plant nothing is measured", "at least 1; the default is 100"
        )
    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be at least 1, not {workers}")


def check_action(action: str, corpus: "Corpus") -> None:
    """UsageError where a passage could not be cut out of the text."""
    if action == "cut-span" and (corpus.conversation or "." in corpus.text_field):
        what = "a conversation" if corpus.conversation else f"the nested column {corpus.text_field}"
        raise UsageError(f"--action cut-span cannot cut into {what}", "--action drop, or --action mark")


def open_export(path: str, options: Mapping[str, Any]) -> "Corpus":
    """A finished dataset, to be looked through again."""
    from curate.corpus import open_corpus

    return open_corpus([path], **options)


def describe_sets(sets: "Sequence[EvalSet]", locked: Any) -> tuple[str, ...]:
    """Say which sets were read and from which columns; warn where they are not those of the lock.  → the warnings"""
    from curate.runtime import console
    from curate.stages.decontaminate import evalsets

    for one in sets:
        console.say("eval set", one.describe())
        for problem in one.problems:
            console.warn(problem)
    notes = evalsets.check_lock(evalsets.read_lock(locked), sets) if locked.exists() else []
    for note in notes:
        console.warn(f"{locked}: {note}")
    return tuple(notes)


def check_apart(sets: "Sequence[EvalSet]", corpus: "Corpus") -> None:
    """UsageError where a file is both: every document would be contaminated by itself."""
    import os

    evals = {os.path.realpath(one.source) for one in sets}
    for source in corpus.sources:
        if os.path.realpath(source.path) in evals:
            raise UsageError(f"{source.path} is an eval set and in the corpus too", "take it out of one of the two")


def check_matchable(detector: "Detector", sets: "Sequence[EvalSet]") -> None:
    """GateError where no eval item at all can be looked for."""
    many = sum(len(one.items) for one in sets)
    if len(detector.probes.unmatchable) == many:
        message = f"all {many:,} eval items are too short or too common to be looked for"
        raise GateError(
            f"{message}, so a clean result would mean nothing",
            "name the columns with the questions: --eval-fields question=COLUMN",
        )
