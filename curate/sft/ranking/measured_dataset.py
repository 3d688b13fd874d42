"""A dataset as it was measured under one model and template, and what is wrong with it as a candidate.

A dataset that repeats its answers is set aside: a model can learn one sentence perfectly, and such a dataset teaches
little else, so that it has no rank, whatever its perplexity.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.runtime.arrays import UInt64Array
from curate.runtime.numbers import format_percent
from curate.sft.ranking.measures import SUMS, Sums

FEW = 30
"""Examples below which intervals are too narrow; see ``curate.sft.ranking.bootstrap``."""
DISTINCT = 0.5
"""The share of different answers below which a dataset is set aside."""
HEAVY, OUTWEIGHS = 0.05, 10
"""One example is flagged above this share of a dataset's tokens, and above so many times its fair share."""
SHORT = 5
"""Tokens of the median answer below which a dataset is flagged."""
ENOUGH = 5
"""Examples from which repeated answers are not an accident."""


@dataclass(frozen=True, slots=True)
class MeasuredDataset:
    """The sums of a dataset's drawn examples under one model and template."""

    name: str
    sums: Sums
    """N numbers for each of ``measures.SUMS``; NaN for examples without a score, so that models stay paired."""
    answered: UInt64Array
    """Hashes of the answers of the examples that were scored."""


def collect_sums(name: str, responses: pa.Table) -> MeasuredDataset:
    """Return the sums of a table of ``RESPONSES``, in the order of its rows."""
    ok = pc.equal(responses["status"], "ok")
    sums = {column: responses[column].cast(pa.float64()).to_numpy().astype(np.float64) for column in SUMS}
    return MeasuredDataset(name, sums, responses.filter(ok)["answered"].to_numpy())


def count_distinct(dataset: MeasuredDataset) -> int:
    """Return the number of different answers, ignoring case and white space."""
    return len(np.unique(dataset.answered))


def is_set_aside(dataset: MeasuredDataset) -> bool:
    """Return whether a dataset repeats its answers so much that its perplexity does not show how well it fits."""
    count = len(dataset.answered)
    return count >= ENOUGH and count_distinct(dataset) < DISTINCT * count


def find_flags(dataset: MeasuredDataset) -> tuple[str, ...]:
    """Return the warnings that a reader needs before trusting the dataset's rank."""
    count, flags = len(dataset.answered), []
    if is_set_aside(dataset):
        flags.append(f"repeats its answers: {count_distinct(dataset):,} different among {count:,}")
    if count < 2:
        flags.append("one example: nothing is known of how sure its numbers are" if count else "no example was scored")
    elif count < FEW:
        flags.append(f"only {count} examples: the intervals promise too much")
    tokens = dataset.sums["tokens"]
    share = float(np.nanmax(tokens) / np.nansum(tokens)) if count >= FEW else 0.0
    if share > max(HEAVY, OUTWEIGHS / max(count, 1)):
        flags.append(f"one example holds {format_percent(share, 0)} of its scored tokens")
    median = float(np.nanmedian(tokens)) if count else 0.0
    if count and median < SHORT:
        flags.append(f"very short answers: {median:.0f} tokens in the middle")
    return tuple(flags)
