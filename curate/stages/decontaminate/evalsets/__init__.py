"""Eval sets: the benchmarks that a corpus must not contain, read from files, folders, the Hub or by their names.

    sets = open_evals(["evals/", "gsm8k", "TIGER-Lab/MMLU-Pro:test"])
    for item in sets[0].items:
        item.questions, item.context, item.choices, item.answer

Which column is the question, the passage, the options or the answer is detected by the names that benchmarks use
(``detect_columns``) and recorded in ``EvalSet.fields``; ``parse_fields`` reads what a user names instead. Every row is
an item, a duplicate, empty or unreadable, and a set without items is an error. ``evals.lock`` pins what was read.
"""

from curate.stages.decontaminate.evalsets.items import EvalItem, EvalSet, hash_item
from curate.stages.decontaminate.evalsets.known import known_names
from curate.stages.decontaminate.evalsets.layout import parse_fields
from curate.stages.decontaminate.evalsets.lockfile import LockedSet, check_lock, read_lock, write_lock
from curate.stages.decontaminate.evalsets.opening import open_evals

__all__ = [
    "EvalItem",
    "EvalSet",
    "LockedSet",
    "check_lock",
    "hash_item",
    "known_names",
    "open_evals",
    "parse_fields",
    "read_lock",
    "write_lock",
]
