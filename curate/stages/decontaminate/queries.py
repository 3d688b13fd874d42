"""What identifies an eval item, and how surprising its words are: the eval side of contamination.

An item is looked for by its **probes**. Its question, where that can prove something; where it is too short or too
common for that (``What is the purpose of the passage?``), the question together with its answer, with its choices, or
with its context. Contexts and answers by themselves are looked for too, for review: they are often public text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from curate.matching import words
from curate.matching.words import Words
from curate.stages.decontaminate.surprisal import WordModel, WordSurprisal, surprise

Array = np.ndarray[Any, np.dtype[Any]]

LEAST_WORDS = 5
LEAST_BITS = 30.0  # of a whole text, below which finding it proves nothing
LONG_PART = 20  # words from which a context or an answer is looked for by itself
SIZE = 3  # words of a shingle

LEAKS = ("question", "answered", "choices", "in_context")
REVIEWS = ("context", "answer")


class IndexedItem(Protocol):
    """What an eval item must have."""

    @property
    def set(self) -> str: ...
    @property
    def questions(self) -> tuple[str, ...]: ...
    @property
    def context(self) -> str: ...
    @property
    def choices(self) -> tuple[str, ...]: ...
    @property
    def answer(self) -> str: ...


@dataclass(frozen=True, slots=True)
class EvalQuery:
    """A text that an eval item is looked for by."""

    item: int
    part: str
    """One of LEAKS, which prove a leak, or of REVIEWS."""
    text: str
    core: int
    """Characters before the question, which must be found too: the context's in ``in_context``, else 0."""


@dataclass(frozen=True, slots=True, eq=False)
class EvalQueries:
    """All probes, their words one after the other."""

    items: Sequence[IndexedItem]
    probes: tuple[EvalQuery, ...]
    sets: Array
    """int64: the eval set of each probe, numbered as they come, twice: once for LEAKS, once for REVIEWS."""
    words: Words
    """A document here is a probe."""
    surprise: WordSurprisal
    bits: Array
    """float64: the bits of each whole probe."""
    shingles: Array
    """uint64, one for each word; those that reach into the next probe mean nothing (``valid``)."""
    valid: Array
    """bool, one for each word."""
    answers: tuple[Array, ...]
    """The words of each item's answer."""
    unmatchable: tuple[int, ...]
    """Items that no probe of theirs identifies: too short, or too common."""


def make_probes(items: Sequence[IndexedItem], background: WordModel) -> EvalQueries:
    """The probes of some eval items. An item whose words repeat an earlier item of its set shares that one's probe."""
    asked = [EvalQuery(number, "question", text, 0) for number, item in enumerate(items) for text in item.questions]
    strong = _strong(asked, background)
    proven = {probe.item for probe in strong}
    weak = [number for number in range(len(items)) if number not in proven]
    joined = _strong([probe for number in weak for probe in _join(number, items[number])], background)
    matched = proven | {probe.item for probe in joined}
    long = _strong(
        [probe for number, item in enumerate(items) for probe in _parts(number, item)], background, LONG_PART
    )
    chosen = sorted([*strong, *joined, *long], key=lambda probe: probe.item)
    answers = words.split_words([item.answer for item in items])
    return _flatten(
        items,
        chosen,
        background,
        tuple(answers.hashes[first:last] for first, last in zip(answers.offsets, answers.offsets[1:], strict=False)),
        tuple(number for number in range(len(items)) if number not in matched),
    )


def _join(number: int, item: IndexedItem) -> Iterator[EvalQuery]:
    """The question with something that stands beside it."""
    question = "\n".join(item.questions)
    if item.answer.strip():
        yield EvalQuery(number, "answered", f"{question}\n{item.answer}", 0)
    if item.choices:
        yield EvalQuery(number, "choices", "\n".join([question, *item.choices]), 0)
    if item.context.strip():
        yield EvalQuery(number, "in_context", f"{item.context}\n{question}", len(item.context))


def _parts(number: int, item: IndexedItem) -> Iterator[EvalQuery]:
    if item.context.strip():
        yield EvalQuery(number, "context", item.context, 0)
    if item.answer.strip():
        yield EvalQuery(number, "answer", item.answer, 0)


def _strong(probes: Sequence[EvalQuery], background: WordModel, least_words: int = LEAST_WORDS) -> list[EvalQuery]:
    """Those that are long and rare enough to prove something."""
    found = words.split_words([probe.text for probe in probes])
    bits = total_bits(found, surprise(found.hashes, _alone(probes, found), background))
    return [
        probe
        for probe, many, much in zip(probes, found.counts, bits, strict=True)
        if many >= least_words and much >= LEAST_BITS
    ]


def total_bits(found: Words, weights: WordSurprisal) -> Array:
    """The bits of each whole document of a batch: its first word out of context, the others after those before."""
    bits = np.zeros(len(found.offsets) - 1)
    sums = np.concatenate([[0.0], np.cumsum(weights.later)])
    first, last = found.offsets[:-1], found.offsets[1:]
    some, more = last - first >= 1, last - first >= 2
    bits[some] += weights.first[first[some]]
    bits[more] += weights.second[first[more] + 1] + sums[last[more]] - sums[first[more] + 2]
    return bits


def _alone(probes: Sequence[EvalQuery], found: Words) -> Array:
    """Which words are single characters of scripts without spaces."""
    alone = np.zeros(len(found), bool)
    table = words.folding().alone
    for number, probe in enumerate(probes):
        if not probe.text.isascii():
            places = slice(int(found.offsets[number]), int(found.offsets[number + 1]))
            alone[places] = [table[ord(probe.text[start])] for start in found.starts[places]]
    return alone


def _flatten(
    items: Sequence[IndexedItem],
    chosen: Sequence[EvalQuery],
    background: WordModel,
    answers: tuple[Array, ...],
    weak: tuple[int, ...],
) -> EvalQueries:
    """The words of the distinct probes, and their shingles."""
    found = words.split_words([probe.text for probe in chosen])
    known: dict[tuple[str, str, bytes], int] = {}
    for number, probe in enumerate(chosen):
        own = found.hashes[found.offsets[number] : found.offsets[number + 1]].tobytes()
        known.setdefault((items[probe.item].set, probe.part, own), number)
    distinct = [chosen[number] for number in sorted(known.values())]
    found = words.split_words([probe.text for probe in distinct])
    weights = surprise(found.hashes, _alone(distinct, found), background)
    shingles, valid = np.zeros(len(found), np.uint64), np.zeros(len(found), bool)
    runs = words.shingle(found.hashes, SIZE)
    shingles[: len(runs)] = runs
    valid[: len(runs)] = words.inner(found.offsets, SIZE, len(runs))
    bits = total_bits(found, weights)
    names = {name: number for number, name in enumerate(dict.fromkeys(item.set for item in items))}
    sets = np.array([2 * names[items[probe.item].set] + (probe.part in REVIEWS) for probe in distinct], np.int64)
    return EvalQueries(items, tuple(distinct), sets, found, weights, bits, shingles, valid, answers, weak)
