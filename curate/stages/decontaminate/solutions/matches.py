"""Whether a document contains a solution: each candidate aligned token by token, with its names, and weighed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from curate.matching import words
from curate.matching.code_tokens import NAME, OPERATOR, CodeTokens
from curate.runtime.arrays import Int64Array
from curate.stages.decontaminate.alignment import SIZE, Alignment, align, find_runs
from curate.stages.decontaminate.matches import CONTAMINATED, REVIEW, Match
from curate.stages.decontaminate.solutions.candidates import CodeCandidates
from curate.stages.decontaminate.solutions.naming import NamingEvidence, weigh_naming
from curate.stages.decontaminate.solutions.queries import CodeQueries
from curate.stages.decontaminate.solutions.thresholds import (
    CONSISTENT,
    LEAST_COVERAGE,
    MARGIN,
    needed_code_bits,
)

PART = "solution"
"""What was found, as ``Match.part``."""
FAR = 1 << 40
"""Tokens up to an end that is none of the text."""
SHORT_GAP = 4
"""The most tokens that one gap may have in which tokens are compared one by one."""


@dataclass(frozen=True, slots=True)
class CodeMatch:
    """A solution aligned with a part of a document."""

    alignment: Alignment
    """Runs count the query's tokens from its first on, and the batch's from ``low`` on."""
    low: int
    naming: NamingEvidence
    changed: int
    """Tokens other than names in whose place another one of their kind stands."""
    gaps: int
    """Places in which tokens of the query are missing; an end that the document may have cut off is none."""
    lost: int
    """Tokens that are missing there."""
    coverage: float
    """Share of the query's tokens that were matched."""

    @property
    def bits(self) -> float:
        """Bits of the structure and of the names."""
        return self.alignment.bits + self.naming.bits


def judge_code(
    queries: CodeQueries, batch: CodeTokens, candidates: CodeCandidates, edges: Sequence[tuple[bool, bool]]
) -> list[Match]:
    """Return the matches among some candidates.

    ``edges`` says of each document of the batch whether its text begins and ends with it: what is missing there may
    have been cut off.
    """
    matches = []
    columns = (candidates.queries, candidates.documents, candidates.firsts, candidates.lasts)
    for query, document, first, last in zip(*(column.tolist() for column in columns), strict=True):
        found = align_code(queries, batch, query, document, first, last, edges[document])
        match = None if found is None else make_match(queries, batch, query, document, found)
        if match is not None:
            matches.append(match)
    return matches


def align_code(
    queries: CodeQueries,
    batch: CodeTokens,
    query: int,
    document: int,
    first: int,
    last: int,
    edges: tuple[bool, bool],
) -> CodeMatch | None:
    """Return the best alignment of a solution around some tokens of the batch, None where they share no run."""
    begin, end = int(queries.tokens.offsets[query]), int(queries.tokens.offsets[query + 1])
    reach = end - begin + SIZE
    low = max(int(batch.offsets[document]), first - reach)
    high = min(int(batch.offsets[document + 1]), last + reach)
    ours, theirs = queries.tokens.hashes[begin:end], batch.hashes[low:high]
    if min(len(ours), len(theirs)) < SIZE:
        return None
    runs = find_runs(words.hash_shingles(ours, SIZE), words.hash_shingles(theirs, SIZE))
    alignment = align(runs, queries.surprise, begin)
    if alignment is None:
        return None
    item, place = list_pairs(alignment)
    naming = weigh_naming(queries.tokens.names[begin + item], batch.names[low + place], queries.name_bits[begin + item])
    changed = count_changed(queries.tokens, batch, alignment, begin, end, low, high)
    ends = (
        int(batch.offsets[document]) - low if edges[0] else -FAR,
        int(batch.offsets[document + 1]) - low if edges[1] else FAR,
    )
    gaps = list_gaps(alignment, end - begin, *ends)
    return CodeMatch(alignment, low, naming, changed, len(gaps), sum(gaps), alignment.words / (end - begin))


def list_gaps(alignment: Alignment, length: int, document_begin: int, document_end: int) -> list[int]:
    """Return how many tokens of the query are missing in each place where some are.

    The query has ``length`` tokens; the document begins and ends at the given tokens, as the runs count them. What is
    missing where the document begins or ends may have been cut off, and is left out.
    """
    runs = alignment.runs
    gaps = [after.item - before.item - before.length for before, after in pairwise(runs)]
    if runs[0].document - document_begin > SHORT_GAP:
        gaps.append(runs[0].item)
    if document_end - runs[-1].document - runs[-1].length > SHORT_GAP:
        gaps.append(length - runs[-1].item - runs[-1].length)
    return [gap for gap in gaps if gap]


def list_pairs(alignment: Alignment) -> tuple[Int64Array, Int64Array]:
    """Return the matched tokens, of the query and of the document, as the runs count them."""
    item = np.concatenate([np.arange(run.item, run.item + run.length) for run in alignment.runs])
    document = np.concatenate([np.arange(run.document, run.document + run.length) for run in alignment.runs])
    return item, document


def count_changed(
    ours: CodeTokens, theirs: CodeTokens, alignment: Alignment, begin: int, end: int, low: int, high: int
) -> int:
    """Return in how many places an operator, a number, a string or a keyword stands for another one.

    Short gaps of equal length are compared token by token, and so are the first and the last tokens of the query where
    the runs do not reach them; of other short gaps the operators are compared. The query has the tokens from ``begin``
    to ``end``, the document those from ``low`` to ``high``, the ends excluded.
    """
    first, last = alignment.runs[0], alignment.runs[-1]
    head = min(first.item, first.document, SHORT_GAP) if first.item <= SHORT_GAP else 0
    item_end, document_end = last.item + last.length, last.document + last.length
    rest = end - begin - item_end
    tail = min(rest, high - low - document_end) if rest <= SHORT_GAP else 0
    gaps = [(first.item - head, first.document - head, head, head), (item_end, document_end, tail, tail)]
    for before, after in pairwise(alignment.runs):
        item, document = before.item + before.length, before.document + before.length
        if max(after.item - item, after.document - document) <= SHORT_GAP:
            gaps.append((item, document, after.item - item, after.document - document))
    changed = 0
    for item, document, ours_lost, theirs_lost in gaps:
        one, other = slice(begin + item, begin + item + ours_lost), slice(low + document, low + document + theirs_lost)
        kinds, others = ours.kinds[one], theirs.kinds[other]
        if ours_lost == theirs_lost:
            same_kind = (kinds == others) & (kinds != NAME)
            changed += int((same_kind & (ours.hashes[one] != theirs.hashes[other])).sum())
        else:
            changed += not np.array_equal(
                np.sort(ours.hashes[one][kinds == OPERATOR]), np.sort(theirs.hashes[other][others == OPERATOR])
            )
    return changed


def make_match(
    queries: CodeQueries, batch: CodeTokens, query: int, document: int, code_match: CodeMatch
) -> Match | None:
    """Return the match with its verdict and evidence, None where it is below the thresholds."""
    verdict = decide_verdict(code_match)
    if verdict is None:
        return None
    first = code_match.low + code_match.alignment.runs[0].document
    last = code_match.low + code_match.alignment.runs[-1].document + code_match.alignment.runs[-1].length - 1
    return Match(
        document=document,
        item=int(queries.items[query]),
        part=PART,
        verdict=verdict,
        rule=name_rule(code_match),
        bits=code_match.bits,
        coverage=code_match.coverage,
        containment=code_match.coverage,
        longest=code_match.alignment.longest,
        answer_found=None,
        start=int(batch.starts[first]),
        end=int(batch.ends[last]),
        text=queries.texts[query],
    )


def decide_verdict(code_match: CodeMatch) -> str | None:
    """Return ``contaminated``, ``review``, or None.

    Another operator, number or keyword in the place of one makes another function: it is for review at most.
    """
    if code_match.coverage < LEAST_COVERAGE or code_match.naming.consistency < CONSISTENT:
        return None
    needed = needed_code_bits(code_match.gaps, code_match.lost)
    if code_match.bits < needed - MARGIN:
        return None
    return REVIEW if code_match.bits < needed or code_match.changed else CONTAMINATED


def name_rule(code_match: CodeMatch) -> str:
    """Return ``Match.rule``: ``renamed`` where most names are others, else as for words."""
    naming = code_match.naming
    if naming.equal < 0.5 * naming.distinct:
        return "renamed"
    if code_match.coverage == 1 and len(code_match.alignment.runs) == 1:
        return "exact"
    return "aligned" if code_match.coverage >= 0.8 else "partial"
