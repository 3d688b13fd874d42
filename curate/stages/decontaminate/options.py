"""The options of ``curate decontaminate``, checked before the scan."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from curate.errors import GateError, UsageError

if TYPE_CHECKING:
    from curate.corpus import Corpus
    from curate.runtime.work.array_tasks import ArrayTask
    from curate.stages.decontaminate.detector import Detector
    from curate.stages.decontaminate.evalsets import EvalSet

Method = Literal["ngram", "minhash"]
"""How candidates are found: exactly, or by MinHash windows."""
Action = Literal["drop", "mark", "cut-span"]
"""What becomes of a contaminated document."""
Variants = Literal["keep", "drop"]
"""What becomes of documents that have an item with other numbers, and nothing of an item itself."""
Turns = Literal["all", "user", "assistant"]
"""Which turns of conversations are searched."""


def check_canaries_and_workers(canaries: int, workers: int | None) -> None:
    """Raise UsageError where either is below 1."""
    if canaries < 1:
        raise UsageError(f"--canaries {canaries}: at least 1 must be planted to measure the recall", "--canaries 100")
    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be at least 1, not {workers}", "--workers 1")


def parse_part_option(
    part: str | None, corpus: Sequence[str], restart: bool, others: Mapping[str, object]
) -> "ArrayTask | None":
    """Return the task of ``--part``; None without it.

    ``others`` are the values, by name, of options that say nothing of a part. Raises UsageError for them, and for what
    else cannot hold for a part.
    """
    from curate.runtime.work.array_tasks import parse_part
    from curate.stages.share_summary import check_share_options

    if part is None:
        return None
    task = parse_part(part)
    check_share_options(corpus, None, restart)
    for name, value in others.items():
        if value:
            option = f"--{name.replace('_', '-')}"
            message = f"--part and {option}: a part writes hits alone; the same command without --part is the one"
            raise UsageError(message, f"leave {option} out here")
    return task


def check_dealt(corpus: "Corpus", task: "ArrayTask | None") -> None:
    """Raise UsageError where a corpus that was scored cannot be dealt in parts."""
    if task is not None and corpus.limit is not None:
        message = f"--part: the corpus was scored with --limit {corpus.limit}, which counts over all files"
        raise UsageError(message, "leave --part out")


def check_action(action: Action, corpus: "Corpus") -> None:
    """Raise UsageError for ``cut-span`` where a passage cannot be cut out of the text."""
    if action == "cut-span" and (corpus.conversation or "." in corpus.text_field):
        what = "a conversation" if corpus.conversation else f"the nested column {corpus.text_field}"
        raise UsageError(f"--action cut-span cannot cut into {what}", "--action drop")


def open_export(path: str, options: Mapping[str, Any]) -> "Corpus":
    """Return the corpus of an export that ``--verify`` names."""
    from curate.corpus import open_corpus

    return open_corpus([path], **options)


def describe_sets(sets: "Sequence[EvalSet]", locked: Path) -> tuple[str, ...]:
    """Show which sets were read and from which columns, and return the differences from the lock as notes.

    Warns of rows that are no items, and of each difference. ``locked`` is the path of the lock; it need not exist.
    """
    from curate.runtime import console
    from curate.stages.decontaminate import evalsets

    for eval_set in sets:
        console.say("eval set", eval_set.describe())
        for problem in eval_set.problems:
            console.warn(problem)
    notes = evalsets.check_lock(evalsets.read_lock(locked), sets) if locked.exists() else []
    for note in notes:
        console.warn(f"{locked}: {note}")
    return tuple(notes)


def check_not_in_corpus(sets: "Sequence[EvalSet]", corpus: "Corpus") -> None:
    """Raise UsageError where a file is an eval set and in the corpus: its documents would contaminate themselves."""
    evals = {os.path.realpath(eval_set.source) for eval_set in sets}
    for source in corpus.sources:
        if os.path.realpath(source.path) in evals:
            raise UsageError(f"{source.path} is both an eval set and in the corpus", "remove it from one of them")


def check_matchable(detector: "Detector", sets: "Sequence[EvalSet]") -> None:
    """Raise GateError where no eval item can be searched for."""
    num_items = sum(len(eval_set.items) for eval_set in sets)
    if len(detector.unmatchable) == num_items:
        message = f"all {num_items:,} eval items are too short or too common to be searched for"
        raise GateError(
            f"{message}, so a clean result proves nothing",
            "--eval-fields question=COLUMN",
        )
