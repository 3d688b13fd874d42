"""The texts that eval items are searched by, and how surprising their words are: the eval side of the search.

An item has one or more **queries**. Its question is one, where that can prove a leak. Where the question is too short
or too common for that (``What is the purpose of the passage?``), the question together with its answer, with its
choices, or with its context is one. A long context and a long answer are queries of their own too; what they match is
for review only, since they are often public text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import numpy as np

from curate.matching import words
from curate.matching.entities import open_entities
from curate.matching.languages import ENGLISH
from curate.matching.words import Words
from curate.runtime.arrays import BoolArray, Float64Array, Int64Array, UInt64Array
from curate.stages.decontaminate.alignment import SIZE
from curate.stages.decontaminate.surprisal import WordModel, WordSurprisal
from curate.stages.decontaminate.wordlists.frames import (
    QueryWords,
    discount_common_runs,
    predict_words,
    weigh_own_words,
)
from curate.stages.decontaminate.wordlists.languages import choose_tables, weigh_words

LEAST_WORDS = 5
"""Words of the shortest query."""
LEAST_BITS = 30.0
"""Bits of a query below which finding it proves nothing."""
LEAST_OWN = 8.0
"""Own bits of a question (``EvalQueries.own``) below which it is a frame and nothing else."""
LEAST_ALONE = 25.0
"""Bits of an English question, where its words are foretold as well as they can be, below which an item that has
nothing else is not searched for: 30 million words, 200 MB of text, have it by chance (``How are you doing today?``)."""
LONG_PART = 20
"""Words from which on a context or an answer is a query of its own."""

LEAKS = ("question", "answered", "choices", "in_context")
"""Parts of an item whose match can prove a leak."""
REVIEWS = ("context", "answer")
"""Parts of an item whose match is for review only."""


class IndexedItem(Protocol):
    """What the search uses of an eval item (``curate.stages.decontaminate.evalsets.EvalItem``)."""

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
    """A text that an eval item is searched by."""

    item: int
    """Index of the item."""
    part: str
    """One of LEAKS or of REVIEWS."""
    text: str
    core: int
    """Characters before the question, which must be found too: the context's in ``in_context``, else 0."""


@dataclass(frozen=True, slots=True, eq=False)
class EvalQueries:
    """All queries, their words one after the other. W words, Q queries, I items."""

    items: Sequence[IndexedItem]
    """I items."""
    queries: tuple[EvalQuery, ...]
    """Q queries, in the order of their items."""
    sets: Int64Array
    """Of shape (Q,): the number of each query's eval set, a different one for LEAKS and for REVIEWS."""
    words: Words
    """The words of the queries; each query is a document here."""
    surprise: WordSurprisal
    """Bits of the W words."""
    bits: Float64Array
    """Of shape (Q,): the bits of each complete query."""
    shingles: UInt64Array
    """Of shape (W,): the shingle that begins at each word."""
    valid: BoolArray
    """Of shape (W,): whether that shingle ends within the query. Other shingles must not be used."""
    answers: tuple[UInt64Array, ...]
    """For each of the I items the hashes of its answer's words."""
    unmatchable: tuple[int, ...]
    """Indices of the items that no query identifies: too short, or too common."""
    tables: tuple[str, ...]
    """For each of the I items the language whose table its words are weighed by (``wordlists.languages``)."""
    own: Float64Array
    """Of shape (W,): the bits of each word within its query, less what the frames that items share have of them."""
    frames: frozenset[bytes]
    """The hashes of the words, in a row, of questions that are not searched for alone, since they are frames."""


def adapt_queries(queries: EvalQueries, texts: Sequence[str]) -> EvalQueries:
    """Return queries whose own bits (``EvalQueries.own``) are lowered by what a sample of the corpus often says."""
    owners = np.repeat(np.arange(len(queries.queries)), queries.words.counts)
    query_words = QueryWords(queries.words.hashes, owners, queries.words.offsets)
    return replace(queries, own=discount_common_runs(queries.own, query_words, words.split_words(texts)))


def make_queries(items: Sequence[IndexedItem], word_model: WordModel) -> EvalQueries:
    """Return the queries of some eval items; ``word_model`` is that of English.

    An item whose words repeat those of an earlier item of its set shares that item's query.
    """
    tables = choose_tables([_join_texts(item) for item in items], [item.set for item in items], word_model)
    scale = WordScale(word_model, tables)
    questions = [EvalQuery(number, "question", text, 0) for number, item in enumerate(items) for text in item.questions]
    found = _select_strong(questions, scale)
    strong = _drop_frames(found, items, scale)
    kept = set(strong)
    frames = split_opened([query.text for query in found if query not in kept])
    proven = {query.item for query in strong}
    weak = [number for number in range(len(items)) if number not in proven]
    joined = _select_strong([query for number in weak for query in _join_parts(number, items[number])], scale)
    matched = proven | {query.item for query in joined}
    long = _select_strong(
        [query for number, item in enumerate(items) for query in _list_parts(number, item)], scale, LONG_PART
    )
    chosen = sorted([*strong, *joined, *long], key=lambda query: query.item)
    answers = split_opened([item.answer for item in items])
    return _flatten(
        items,
        chosen,
        scale,
        tuple(answers.hashes[first:last] for first, last in zip(answers.offsets, answers.offsets[1:], strict=False)),
        tuple(number for number in range(len(items)) if number not in matched),
        frozenset(frames.hashes[first:last].tobytes() for first, last in pairwise(frames.offsets.tolist())),
    )


@dataclass(frozen=True, slots=True)
class WordScale:
    """What the words of queries are weighed by."""

    english: WordModel
    tables: Sequence[str]
    """For each item the language of its table (``choose_tables``)."""

    def weigh(self, queries: Sequence[EvalQuery], split: Words) -> WordSurprisal:
        """Return the bits of the words of some queries, whose words are ``split``."""
        texts = [query.text for query in queries]
        codes = [self.tables[query.item] for query in queries]
        return weigh_words(split, texts, _mark_alone(queries, split), codes, self.english)


def _join_texts(item: IndexedItem) -> str:
    """Return the texts of an item by which its language is identified."""
    return "\n".join([*item.questions, item.answer, *item.choices, item.context])


def _join_parts(number: int, item: IndexedItem) -> Iterator[EvalQuery]:
    """Yield the question joined with its answer, its choices and its context, where the item has them."""
    question = "\n".join(item.questions)
    if item.answer.strip():
        yield EvalQuery(number, "answered", f"{question}\n{item.answer}", 0)
    if item.choices:
        yield EvalQuery(number, "choices", "\n".join([question, *item.choices]), 0)
    if item.context.strip():
        yield EvalQuery(number, "in_context", f"{item.context}\n{question}", len(item.context))


def _list_parts(number: int, item: IndexedItem) -> Iterator[EvalQuery]:
    if item.context.strip():
        yield EvalQuery(number, "context", item.context, 0)
    if item.answer.strip():
        yield EvalQuery(number, "answer", item.answer, 0)


def _select_strong(queries: Sequence[EvalQuery], scale: WordScale, least_words: int = LEAST_WORDS) -> list[EvalQuery]:
    """Return the queries that are long and rare enough to prove something."""
    split = split_opened([query.text for query in queries])
    bits = total_bits(split, scale.weigh(queries, split))
    return [
        query
        for query, num_words, num_bits in zip(queries, split.counts, bits, strict=True)
        if num_words >= least_words and num_bits >= LEAST_BITS
    ]


def _drop_frames(queries: Sequence[EvalQuery], items: Sequence[IndexedItem], scale: WordScale) -> list[EvalQuery]:
    """Return the questions that are more than a frame (``Which of these is true?``), and more than anybody may ask.

    An item that has nothing else is searched for by its frame, if it has LEAST_ALONE bits.
    """
    keys = [(items[query.item].set, query.text) for query in queries]
    distinct = [queries[number] for number in {key: number for number, key in enumerate(keys)}.values()]
    if not distinct:
        return []
    split = split_opened([query.text for query in distinct])
    names = {name: number for number, name in enumerate(dict.fromkeys(item.set for item in items))}
    scopes = np.array([names[items[query.item].set] for query in distinct], np.int64)
    owners = np.repeat(np.arange(len(distinct)), split.counts)
    words_of, surprise = QueryWords(split.hashes, owners, split.offsets), scale.weigh(distinct, split)
    firsts = [distinct[owner].text[start] for owner, start in zip(owners.tolist(), split.starts.tolist(), strict=True)]
    digits = np.array([char.isdigit() for char in firsts], bool)
    foretold = np.where(digits, surprise.later, predict_words(surprise, words_of))  # nothing foretells numbers
    own, alone = (
        np.bincount(owners, bits, len(distinct)).tolist()
        for bits in (weigh_own_words(surprise, words_of, scopes), foretold)
    )
    bits_of = {
        (items[query.item].set, query.text): pair
        for query, pair in zip(distinct, zip(own, alone, strict=True), strict=True)
    }
    return [query for query, key in zip(queries, keys, strict=True) if _is_telling(query, items, scale, *bits_of[key])]


def _is_telling(
    query: EvalQuery, items: Sequence[IndexedItem], scale: WordScale, own_bits: float, alone_bits: float
) -> bool:
    """Return whether a question proves something, by its own bits, or by all its bits where its item has nothing else.

    Only the English table knows what words foretell.
    """
    if any(_join_parts(query.item, items[query.item])):
        return own_bits >= LEAST_OWN
    return alone_bits >= LEAST_ALONE or scale.tables[query.item] != ENGLISH


def split_opened(texts: Sequence[str]) -> Words:
    """Return the words of some texts as documents are searched: without entities of HTML."""
    return words.split_words([open_entities(text) for text in texts])


def total_bits(split: Words, surprise: WordSurprisal) -> Float64Array:
    """Return the bits of each complete document of a batch, of shape (documents,); 0 for one without words.

    The first word of a document counts without context, each other one after the words before it.
    """
    bits = np.zeros(len(split.offsets) - 1)
    sums = np.concatenate([[0.0], np.cumsum(surprise.later)])
    first, last = split.offsets[:-1], split.offsets[1:]
    some, more = last - first >= 1, last - first >= 2
    bits[some] += surprise.first[first[some]]
    bits[more] += surprise.second[first[more] + 1] + sums[last[more]] - sums[first[more] + 2]
    return bits


def _mark_alone(queries: Sequence[EvalQuery], split: Words) -> BoolArray:
    """Return for each word whether it is a single character of a script without spaces."""
    alone = np.zeros(len(split), bool)
    table = words.load_folding().alone
    for number, query in enumerate(queries):
        if not query.text.isascii():
            of_query = slice(int(split.offsets[number]), int(split.offsets[number + 1]))
            alone[of_query] = [table[ord(query.text[start])] for start in split.starts[of_query]]
    return alone


def _flatten(
    items: Sequence[IndexedItem],
    chosen: Sequence[EvalQuery],
    scale: WordScale,
    answers: tuple[UInt64Array, ...],
    unmatchable: tuple[int, ...],
    frames: frozenset[bytes],
) -> EvalQueries:
    """Return the words of the distinct queries with their shingles."""
    split = split_opened([query.text for query in chosen])
    known: dict[tuple[str, str, bytes], int] = {}
    for number, query in enumerate(chosen):
        hashes = split.hashes[split.offsets[number] : split.offsets[number + 1]].tobytes()
        known.setdefault((items[query.item].set, query.part, hashes), number)
    distinct = [chosen[number] for number in sorted(known.values())]
    split = split_opened([query.text for query in distinct])
    bits_of_words = scale.weigh(distinct, split)
    shingles, valid = np.zeros(len(split), np.uint64), np.zeros(len(split), bool)
    runs = words.hash_shingles(split.hashes, SIZE)
    shingles[: len(runs)] = runs
    valid[: len(runs)] = words.mark_inner_shingles(split.offsets, SIZE, len(runs))
    names = {name: number for number, name in enumerate(dict.fromkeys(item.set for item in items))}
    sets = np.array([2 * names[items[query.item].set] + (query.part in REVIEWS) for query in distinct], np.int64)
    owners = np.repeat(np.arange(len(distinct)), split.counts)
    asks = np.flatnonzero(sets % 2 == 0)
    own = bits_of_words.later.copy()
    rows = np.flatnonzero(sets[owners] % 2 == 0)
    own[rows] = weigh_own_words(
        WordSurprisal(bits_of_words.first[rows], bits_of_words.second[rows], bits_of_words.later[rows]),
        QueryWords(
            split.hashes[rows],
            np.repeat(np.arange(len(asks)), split.counts[asks]),
            np.concatenate([[0], np.cumsum(split.counts[asks])]),
        ),
        sets[asks],
    )
    bits = total_bits(split, bits_of_words)
    return EvalQueries(
        items, tuple(distinct), sets, split, bits_of_words, bits, shingles, valid, answers, unmatchable,
        tuple(scale.tables), own, frames,
    )  # fmt: skip
