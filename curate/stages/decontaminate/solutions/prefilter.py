"""Where in a text a solution may be at all, told at a tenth of the cost of reading it as ``split_code`` does.

A text is split into tokens with its strings, comments and headers (``code_tokens.split_uncovered``). Runs of RUN tokens
within the bodies of a solution survive that, whatever the names and the layout. A solution can be in a stretch of text
only where enough of its runs are: as many as leave it the bits that a match needs (``thresholds``), with those of its
names that stand there, less what its wrapping may have cost.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from curate.matching import numba_kernels, numba_postings, words
from curate.matching.code_cleaning import IMPORTS, SIGNATURE
from curate.matching.code_tokens import CodeTokens, split_uncovered
from curate.runtime.arrays import BoolArray, Float64Array, Int64Array, UInt64Array
from curate.stages.decontaminate.alignment import GAP_BITS, SIZE
from curate.stages.decontaminate.ngram_index import BloomFilter, find_starts, look_up, make_bloom_filter
from curate.stages.decontaminate.solutions import thresholds
from curate.stages.decontaminate.solutions.candidates import LEAST_SHARE, POSTINGS, RUN, mark_rarest
from curate.stages.decontaminate.solutions.model import CodeModel
from curate.stages.decontaminate.solutions.naming import SPELLED
from curate.stages.decontaminate.solutions.queries import CodeQueries, hash_runs, weigh_solutions, weigh_tokens

WRAPPED = 0.8
"""Share of the bits of its runs that a solution keeps in any wrapping, as it is read here."""
UNIT = 1 << 20
"""The weight of all runs of a solution: whole numbers add up alike in any order."""
SPARE_TOKENS = 96
"""Tokens of a block beside three times those of the solution; half a block may lie anywhere."""
EDGE = 16
"""Tokens from an end of the text within which a run tells that what is missing may have been cut off."""
PLACE_BITS = GAP_BITS + 2.0
"""What an alignment loses at least where the text has a token more or less."""
DOCSTRING = re.compile(r"\s*[rRuU]?(\"\"\"|''').*?\1", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CodeStretch:
    """Where a solution may be."""

    text: int
    """Index of the text."""
    query: int
    begin: int
    """Characters of the text, the end excluded."""
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Prefilter:
    """What texts are told by. G distinct runs, P postings, Q queries, N names."""

    grams: UInt64Array
    """Of shape (G,), ascending."""
    bloom: BloomFilter
    """Of ``grams``."""
    postings: tuple[Int64Array, Int64Array, Int64Array]
    """Offsets of shape (G + 1,), and of shape (P,) the query and the weight of each posting."""
    rule: tuple[Int64Array, Int64Array, Int64Array]
    """Of shape (Q,): tokens of a block, weight that is needed in one, and in one at an end of the text."""
    bits: Float64Array
    """Of shape (Q,): the bits of each query without those of the spelling of its names."""
    lengths: Int64Array
    """Of shape (Q,): the tokens of each query."""
    names: tuple[UInt64Array, Float64Array, Int64Array]
    """The distinct names of each query, the bits that one of the same spelling gives, and offsets of shape (Q + 1,)."""
    triples: tuple[UInt64Array, Int64Array, Int64Array]
    """The runs of SIZE tokens in the bodies of each query, their first tokens, and offsets of shape (Q + 1,)."""
    body_lengths: Int64Array
    """Of shape (Q,): the tokens of each query's bodies."""

    def select(self, texts: Sequence[str]) -> list[CodeStretch]:
        """Return where solutions may be in some texts, in order of the texts."""
        batch = split_uncovered(texts)
        runs, positions = hash_runs(batch, RUN)
        hits, slots = look_up(runs, None, self.grams, self.bloom)
        positions = positions[hits]
        documents = np.searchsorted(batch.offsets, positions, side="right") - 1
        found = (positions, slots, documents, batch.offsets[:-1], batch.offsets[1:])
        compiled = numba_kernels.is_numba_available()
        blocks = (numba_postings.sum_blocks if compiled else sum_blocks)(found, self.postings, self.rule, EDGE + RUN)
        return list(self.judge_blocks(batch, blocks[np.lexsort(blocks.T[2::-1])]))

    def judge_blocks(self, batch: CodeTokens, blocks: Int64Array) -> Iterator[CodeStretch]:
        """Yield the blocks (``sum_blocks``) in which a query can have the bits of a match, as stretches of their texts.

        At an edge of the text tokens may be missing, but not the names.
        """
        documents, queries, firsts, weights, at_edge = blocks.T.copy()
        begins, ends = batch.offsets[documents], batch.offsets[documents + 1]
        lows, highs = begins + np.maximum(firsts, 0), np.minimum(begins + firsts + self.rule[0][queries], ends)
        compiled = numba_kernels.is_numba_available()
        add_up, cover = (
            (numba_postings.sum_names, numba_postings.count_covered) if compiled else (sum_names, count_covered)
        )
        bits = self.bits[queries] + add_up(lows, highs, queries, batch.names, self.names)
        enough = bits >= thresholds.NEEDED - thresholds.MARGIN
        enough &= (at_edge > 0) | (weights >= UNIT * share_needed(bits, self.lengths[queries]))
        rows = np.flatnonzero(enough)
        runs, asked = words.hash_shingles(batch.hashes, SIZE), queries[rows]
        covered = cover(lows[rows], highs[rows], asked, runs, self.triples, SIZE)
        least = self.body_lengths[asked] - count_spare(bits[rows], self.lengths[asked])
        for row in rows[(at_edge[rows] > 0) | (covered >= WRAPPED * least)]:
            begin, end = int(batch.starts[lows[row]]), int(batch.ends[highs[row] - 1])
            yield CodeStretch(int(documents[row]), int(queries[row]), begin, end)


def make_prefilter(queries: CodeQueries, model: CodeModel) -> Prefilter:
    """Return the prefilter of some solutions."""
    split, numbers = split_bodies(queries)
    runs, owners, bits = list_runs(split, numbers, model)
    kept = np.flatnonzero(mark_rare(runs) | mark_rarest(owners, bits))
    runs, owners, bits = runs[kept], owners[kept], bits[kept]
    grams, inverse = np.unique(runs, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    weights = np.round(UNIT * bits / np.bincount(owners, bits, len(queries))[owners]).astype(np.int64)
    lengths, whole = np.diff(queries.tokens.offsets), weigh_solutions(queries.tokens, model)
    names = list_names(queries)
    spelled = np.add.reduceat(np.append(names[1], 0.0), names[2][:-1]) * (np.diff(names[2]) > 0)
    inside = (UNIT * share_needed(whole, lengths)).astype(np.int64)
    edge = np.full(len(queries), int(UNIT * WRAPPED * LEAST_SHARE))
    triples, positions = hash_runs(split, SIZE)
    of_triples = numbers[np.searchsorted(split.offsets, positions, side="right") - 1]
    return Prefilter(
        grams,
        make_bloom_filter(grams),
        (np.concatenate([[0], np.cumsum(np.bincount(inverse, minlength=len(grams)))]), owners[order], weights[order]),
        (3 * lengths + SPARE_TOKENS, inside, edge),
        whole - spelled,
        lengths,
        names,
        (triples, positions, np.searchsorted(of_triples, np.arange(len(queries) + 1))),
        np.bincount(numbers, np.diff(split.offsets), len(queries)).astype(np.int64),
    )


def split_bodies(queries: CodeQueries) -> tuple[CodeTokens, Int64Array]:
    """Return the tokens of the bodies of all queries, each a document, and the query of each, ascending.

    Of a query without a body of RUN tokens, the whole text is one.
    """
    bodies = [[body for body in list_bodies(text) if len(split_uncovered([body])) >= RUN] for text in queries.texts]
    parts = [(number, part) for number, text in enumerate(queries.texts) for part in bodies[number] or [text]]
    return split_uncovered([part for _, part in parts]), np.array([number for number, _ in parts], np.int64)


def list_runs(split: CodeTokens, numbers: Int64Array, model: CodeModel) -> tuple[UInt64Array, Int64Array, Float64Array]:
    """Return the runs within the bodies of the queries (``split_bodies``), the query of each, and its bits."""
    runs, positions = hash_runs(split, RUN)
    owners = numbers[np.searchsorted(split.offsets, positions, side="right") - 1]
    sums = np.concatenate([[0.0], np.cumsum(weigh_tokens(split.hashes, model).later)])
    return runs, owners, sums[positions + RUN] - sums[positions] + 0.1


def mark_rare(runs: UInt64Array) -> BoolArray:
    """Return whether each run is one of POSTINGS equal ones at most."""
    _, inverse, counts = np.unique(runs, return_inverse=True, return_counts=True)
    rare: BoolArray = counts[inverse] <= POSTINGS
    return rare


def share_needed(bits: Float64Array, lengths: Int64Array) -> Float64Array:
    """Return the share of its runs that solutions of so many bits and tokens need in a block within a text.

    Each place in which a copy differs costs PLACE_BITS at least, and the RUN − 1 runs over it.
    """
    places = np.maximum(bits - (thresholds.NEEDED - thresholds.MARGIN), 0.0) / PLACE_BITS
    lost = (RUN - 1) * places / np.maximum(lengths - RUN + 1, 1)
    share: Float64Array = WRAPPED * np.maximum(1.0 - lost, LEAST_SHARE)
    return share


def count_spare(bits: Float64Array, lengths: Int64Array) -> Float64Array:
    """Return how many tokens solutions of so many bits and tokens can lack within a text, in one place."""
    spare = bits - (thresholds.NEEDED - thresholds.MARGIN + thresholds.GAP)
    tokens: Float64Array = np.maximum(spare, 0.0) / (thresholds.TOKEN + bits / lengths)
    return tokens


def list_bodies(text: str) -> Iterator[str]:
    """Yield the parts of a solution between headers of functions, docstrings and imports, which wrappings change."""
    headers = [match.span() for match in SIGNATURE.finditer(text)]
    begins = [0, *(end for _, end in headers)]
    for begin, end in zip(begins, [*(first for first, _ in headers), len(text)], strict=True):
        docstring = DOCSTRING.match(text, begin, end) if begin else None
        yield from IMPORTS.split(text[docstring.end() if docstring else begin : end])


def list_names(queries: CodeQueries) -> tuple[UInt64Array, Float64Array, Int64Array]:
    """Return the distinct names of each query, their bits where they are spelled alike, and where each query's begin.

    The last array is of shape (Q + 1,).
    """
    tokens = np.flatnonzero(queries.tokens.names)
    owners = np.searchsorted(queries.tokens.offsets, tokens, side="right") - 1
    names = queries.tokens.names[tokens]
    order = np.lexsort((names, owners))
    first = order[find_starts(owners[order], names[order])]
    offsets = np.searchsorted(owners[first], np.arange(len(queries) + 1))
    return names[first], SPELLED * queries.name_bits[tokens[first]], offsets


def sum_blocks(
    hits: tuple[Int64Array, ...], postings: tuple[Int64Array, ...], rule: tuple[Int64Array, ...], reach: int
) -> Int64Array:
    """Return the blocks that have enough weight: their document, query, first token, weight, and whether at an edge.

    ``hits`` are the tokens at which known runs begin, ascending, the index of each run and of its document, and for
    each document its first token and the one behind its last. ``postings`` and ``rule`` are those of ``Prefilter``.
    A posting counts once in a block. Blocks overlap by half; the first token of one may be below 0. A block is at an
    edge where a run of its query begins within ``reach`` tokens of an end of the document.
    """
    positions, slots, documents, begins, ends = hits
    offsets, owners, weights = postings
    sizes, needed, edges = rule
    counts = offsets[slots + 1] - offsets[slots]
    rows = np.repeat(np.arange(len(slots)), counts)
    chosen = offsets[slots][rows] + np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    query, document = owners[chosen], documents[rows]
    inside = (positions - begins[documents])[rows]
    is_edge = (inside < reach) | (inside >= (ends - begins)[document] - reach)
    found = [np.zeros((0, 5), np.int64)]
    for half in range(2 if len(rows) else 0):
        size, shift = sizes[query], half * (sizes[query] // 2)
        block = (inside + shift) // size
        order = np.lexsort((chosen, block, query, document))
        fresh = find_starts(document[order], block[order], chosen[order])
        worth = np.zeros(len(order), np.int64)
        worth[fresh] = weights[chosen[order[fresh]]]
        starts = find_starts(document[order], query[order], block[order])
        sums = np.add.reduceat(worth, starts)
        edge, first = np.logical_or.reduceat(is_edge[order], starts), order[starts]
        enough = sums >= np.where(edge, edges[query[first]], needed[query[first]])
        first = first[enough]
        columns = (document[first], query[first], block[first] * size[first] - shift[first], sums[enough], edge[enough])
        found.append(np.stack(columns, axis=1))
    return np.concatenate(found)


def sum_names(
    lows: Int64Array,
    highs: Int64Array,
    queries: Int64Array,
    tokens: UInt64Array,
    known: tuple[UInt64Array, Float64Array, Int64Array],
) -> Float64Array:
    """Return for each row the bits of its query's names that are among the tokens from ``lows`` to ``highs``.

    The end is excluded. ``tokens`` has the name of each token or 0; ``known`` are the names, their bits, and where
    those of each query begin (``list_names``).
    """
    names, bits, offsets = known
    sums = np.zeros(len(lows))
    for row, (low, high, query) in enumerate(zip(lows.tolist(), highs.tolist(), queries.tolist(), strict=True)):
        own = slice(int(offsets[query]), int(offsets[query + 1]))
        for one in bits[own][np.isin(names[own], tokens[low:high])].tolist():
            sums[row] += one
    return sums


def count_covered(
    lows: Int64Array,
    highs: Int64Array,
    queries: Int64Array,
    runs: UInt64Array,
    known: tuple[UInt64Array, Int64Array, Int64Array],
    size: int,
) -> Int64Array:
    """Return for each row how many tokens of its query are in some run of it that begins from ``lows`` to ``highs``.

    Runs of ``size`` tokens that end beyond ``highs`` do not count. ``runs`` has that which begins at each token;
    ``known`` are those of the queries, the tokens at which they begin, and where those of each query begin.
    """
    hashes, positions, offsets = known
    counts = np.zeros(len(lows), np.int64)
    for row, (low, high, query) in enumerate(zip(lows.tolist(), highs.tolist(), queries.tolist(), strict=True)):
        own = slice(int(offsets[query]), int(offsets[query + 1]))
        found = positions[own][np.isin(hashes[own], runs[low : max(high - size + 1, low)])]
        counts[row] = int(np.minimum(np.diff(found), size).sum()) + size if len(found) else 0
    return counts
