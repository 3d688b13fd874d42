"""Signs that a model has seen its held-out text: the first side is text it was trained on, the second is held out.

Text that a model has not seen costs it as much as text that it was trained on, or more. So three signs are looked for:
held-out text that costs less, by more than the interval; held-out documents with almost no surprise; texts that both
sides hold.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from curate.monitoring.compare.pair import ComparedPair
from curate.monitoring.compare.totals import BINS, LOWEST, PER_OCTAVE, SideTotals
from curate.runtime.numbers import format_percent

KNOWN_BY_HEART = 1.1
"""The perplexity below which a text holds almost no surprise: its tokens have a probability of more than .9 (their
geometric mean)."""
SHARE = 0.001
"""The share of such documents that is no sign: empty forms and licences are known by heart, too."""


@dataclass(frozen=True, slots=True)
class LeakReport:
    """What was found of a leak."""

    training: str
    held_out: str
    alarms: tuple[str, ...]
    """A sentence for each sign."""
    lower: tuple[str, ...]
    """The groups whose held-out text costs less than that of the training, by more than the interval."""
    unsurprising: int
    """Held-out documents with a perplexity below ``KNOWN_BY_HEART``."""
    documents: int
    """Held-out documents."""
    shared: float | None
    """The share of the texts of the smaller side that both hold; None where it is not known."""


def find_leak(pair: ComparedPair, held_out: SideTotals | None) -> LeakReport:
    """Return the signs of a leak. ``pair`` compares training (before) with held-out text (after), as two samples."""
    lower = tuple(row.name for row in pair.rows if row.high < 0)
    unsurprising = 0 if held_out is None else count_unsurprising(held_out)
    documents = 0 if held_out is None else held_out.documents
    alarms: list[str] = []
    if lower:
        alarms.append(f"held-out text costs less than training text in {_join(lower)}")
    if documents and unsurprising > SHARE * documents:
        share = f"{unsurprising:,} of {documents:,} held-out documents"
        alarms.append(f"{share} have a perplexity below {KNOWN_BY_HEART:g}: they are known by heart")
    if pair.shared:
        alarms.append(f"{format_percent(pair.shared, 2)} of the texts of the smaller side are in both")
    return LeakReport(pair.before, pair.after, tuple(alarms), lower, unsurprising, documents, pair.shared)


def count_unsurprising(totals: SideTotals) -> int:
    """Return how many documents have a perplexity below ``KNOWN_BY_HEART``, to the width of a bin."""
    end = min(round((math.log2(KNOWN_BY_HEART) - LOWEST) * PER_OCTAVE), BINS)
    return int(totals.histograms["perplexity"][:, :end].sum()) if totals.histograms else 0


def _join(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
