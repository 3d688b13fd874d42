"""A dataset as it was measured under one model and template, and what is wrong with it as a candidate.

A dataset that repeats its answers is set aside: a model can learn one sentence perfectly, and such a dataset teaches
little else, so that it has no rank, whatever its perplexity. Labels are another matter: the answers of classification
data are few by nature, short, each given more than once, and none to nearly all questions.
"""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.runtime.arrays import UInt64Array
from curate.runtime.numbers import format_percent
from curate.sft.ranking.languages import DatasetLanguages, LanguageTexts, sum_languages
from curate.sft.ranking.measures import SUMS, Sums

FEW = 30
"""Examples below which intervals are too narrow; see ``curate.sft.ranking.bootstrap``."""
DISTINCT = 0.5
"""The share of different answers below which a dataset is set aside."""
LABEL_BYTES = 48
"""Bytes up to which the median answer may be a label: some six words of Latin letters, three of Cyrillic ones."""
ALONE = 0.1
"""The share of the examples up to which answers may be given once where answers are labels."""
NEARLY_ALL = 0.9
"""The share of the examples above which one answer is repeated, and no label."""
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
    languages: DatasetLanguages = field(default_factory=DatasetLanguages)
    """What the base has for the languages of the examples."""


def collect_sums(name: str, responses: pa.Table, texts: LanguageTexts | None = None) -> MeasuredDataset:
    """Return the sums of a table of ``RESPONSES``, in the order of its rows; ``texts`` are those of known language."""
    ok = pc.equal(responses["status"], "ok")
    sums = {column: responses[column].cast(pa.float64()).to_numpy().astype(np.float64) for column in SUMS}
    languages = sum_languages(texts or {}, responses)
    return MeasuredDataset(name, sums, responses.filter(ok)["answered"].to_numpy(), languages)


def count_distinct(dataset: MeasuredDataset) -> int:
    """Return the number of different answers, ignoring case and white space."""
    return len(np.unique(dataset.answered))


def repeats_answers(dataset: MeasuredDataset) -> bool:
    """Return whether fewer than half of the answers are different."""
    count = len(dataset.answered)
    return count >= ENOUGH and count_distinct(dataset) < DISTINCT * count


def has_labels(dataset: MeasuredDataset) -> bool:
    """Return whether the answers are labels: short, given more than once each, and none to nearly all questions."""
    count = len(dataset.answered)
    times = np.unique(dataset.answered, return_counts=True)[1]
    if not count or times.max() > NEARLY_ALL * count or np.count_nonzero(times == 1) > ALONE * count:
        return False
    return float(np.nanmedian(dataset.sums["bytes"])) <= LABEL_BYTES


def is_set_aside(dataset: MeasuredDataset) -> bool:
    """Return whether a dataset repeats its answers so much that its perplexity does not show how well it fits."""
    return repeats_answers(dataset) and not has_labels(dataset)


def is_few(dataset: MeasuredDataset) -> bool:
    """Return whether the examples are too few to tell the dataset apart from another one."""
    return len(dataset.answered) < FEW


def find_flags(dataset: MeasuredDataset) -> tuple[str, ...]:
    """Return the warnings that a reader needs before trusting the dataset's rank."""
    count, flags = len(dataset.answered), []
    labels = repeats_answers(dataset) and has_labels(dataset)
    if labels:
        flags.append(f"its answers are labels: {count_distinct(dataset):,} different among {count:,}")
    elif repeats_answers(dataset):
        flags.append(f"repeats its answers: {count_distinct(dataset):,} different among {count:,}")
    if count < 2:
        flags.append("one example: nothing is known of how sure its numbers are" if count else "no example was scored")
    elif is_few(dataset):
        flags.append(f"only {count} examples: the intervals promise too much")
    tokens = dataset.sums["tokens"]
    share = float(np.nanmax(tokens) / np.nansum(tokens)) if count >= FEW else 0.0
    if share > max(HEAVY, OUTWEIGHS / max(count, 1)):
        flags.append(f"one example holds {format_percent(share, 0)} of its scored tokens")
    median = float(np.nanmedian(tokens)) if count else 0.0
    if count and median < SHORT and not labels:
        flags.append(f"very short answers: {median:.0f} tokens in the middle")
    return tuple(flags)
