"""Whether a document contains an eval item: every candidate aligned, weighed against the thresholds, with its evidence.

What counts is the best alignment (``curate.stages.decontaminate.alignment``) of a query with a part of the document, in
bits of surprise. An item that is found word by word needs NEEDED bits. Words that are missing must be made up for by
the words that are there, with up to MISSING bits: a half needs some 75 bits, which is five to ten uncommon words. The
position is evidence too: a match that begins with the item's first word where a sentence of the document begins needs
OPENING bits less, and one that also ends where a sentence ends, ISOLATED less. The four numbers were fitted on items
planted in eight ways and on clean documents (``benchmarks/decontamination.py``). ``review`` falls short of the
threshold by at most MARGIN bits, or concerns a context or an answer without its question.

A fixed share of n-grams, the usual rule, treats words alike: half of ``Which of the following is true of the author?``
is in every textbook, half of an item on German poets descended from Huguenots is in none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.matching.languages import ENGLISH
from curate.matching.words import Words
from curate.runtime.arrays import UInt64Array
from curate.stages.decontaminate.alignment import SIZE, Alignment, MatchedRun, align, find_runs
from curate.stages.decontaminate.evidence.contrast import ENDS, TextWords, holds_own_words, is_reworded, make_contrast
from curate.stages.decontaminate.evidence.quotations import asks_more_than_it_quotes, mark_quoted
from curate.stages.decontaminate.ngram_index import CandidateBatch, Candidates
from curate.stages.decontaminate.queries import LEAKS, EvalQueries
from curate.stages.decontaminate.thresholds import LEAST_COVERAGE, LEAST_SHARE, MARGIN, needed_bits

NEAR = 60
"""Words behind a match in which the answer is searched for."""
ANSWER_WORDS = 5
"""Of a longer answer, only the first words are searched for."""

CONTAMINATED, VARIANT, REVIEW = "contaminated", "variant", "review"
VERDICTS = (CONTAMINATED, VARIANT, REVIEW)
"""From the most to the least."""


@dataclass(frozen=True, slots=True)
class Match:
    """An eval item found in a document of a batch."""

    document: int
    """Index of the document in the batch."""
    item: int
    """Index of the eval item."""
    part: str
    """What of the item was found: ``EvalQuery.part``."""
    verdict: str
    """``contaminated``, ``variant`` (the item with other numbers) or ``review``."""
    rule: str
    """exact (all words, in a row), aligned (most words), partial (fewer than four fifths)."""
    bits: float
    coverage: float
    """Share of the query's words that were matched."""
    containment: float
    """Share of the query's distinct shingles that lie within the match."""
    longest: int
    """Words of the longest run."""
    answer_found: bool | None
    """Whether the answer stands in the match or shortly behind it; None where the item has no answer."""
    start: int
    """Characters of the document, from the first matched word to the end of the last one, that end excluded."""
    end: int
    text: str
    """The text of the query."""


@dataclass(frozen=True, slots=True)
class MatchLocation:
    """Where an alignment lies in its document."""

    first: int
    """Index of a word of the batch."""
    last: int
    """Index of a word of the batch, included."""
    opens: bool
    """The match begins with the item's first word, where a sentence begins."""
    closes: bool
    """It ends where a sentence ends."""


def judge_candidates(
    queries: EvalQueries, batch: CandidateBatch, texts: Sequence[str], candidates: Candidates
) -> list[Match]:
    """Return the matches among some candidates, in the order of ``keep_best_matches``; ``texts`` are the batch's."""
    matches: list[Match] = []
    columns = (candidates.queries, candidates.documents, candidates.firsts, candidates.lasts)
    for query, document, first, last in zip(*(column.tolist() for column in columns), strict=True):
        reach = int(queries.words.counts[query]) + SIZE
        low = max(int(batch.words.offsets[document]), first - reach)
        high = min(int(batch.words.offsets[document + 1]), last + reach)
        matches += find_matches(queries, batch, texts[document], query, document, low, high)
    return keep_best_matches(matches)


def keep_best_matches(matches: Sequence[Match]) -> list[Match]:
    """Return the best of the matches of one item that overlap in a document, ordered by document, then by bits."""
    kept: dict[tuple[int, int], list[Match]] = {}
    for match in sorted(matches, key=_rank_match, reverse=True):
        others = kept.setdefault((match.document, match.item), [])
        if all(match.end <= other.start or other.end <= match.start for other in others):
            others.append(match)
    flat = [match for group in kept.values() for match in group]
    return sorted(flat, key=lambda match: (match.document, -match.bits, match.item, match.start))


def _rank_match(match: Match) -> tuple[int, float, float, int]:
    """Return the key by which matches of one item are preferred; the greatest is best."""
    return -VERDICTS.index(match.verdict), match.bits, match.coverage, -match.start


def find_matches(
    queries: EvalQueries, batch: CandidateBatch, text: str, query: int, document: int, low: int, high: int
) -> list[Match]:
    """Return the matches of one query among the words from ``low`` to ``high``, the end excluded.

    The best alignment comes first; the words before it and behind it are searched again. ``text`` is the document's.
    """
    matches: list[Match] = []
    regions = [(low, high)]
    while regions:
        low, high = regions.pop()
        alignment = align_query(queries, batch, query, low, high)
        if alignment is None:
            continue
        location = locate(batch, text, document, low, alignment)
        match = weigh_alignment(queries, batch, text, query, document, alignment, location)
        if match is not None:
            matches.append(match)
            regions += [(low, location.first), (location.last + 1, high)]
    return matches


def align_query(queries: EvalQueries, batch: CandidateBatch, query: int, low: int, high: int) -> Alignment | None:
    """Return the best alignment of a query with some words of the batch, None where they share no shingle."""
    begin, length = int(queries.words.offsets[query]), int(queries.words.counts[query])
    if high - low < max(SIZE, LEAST_COVERAGE * length):
        return None
    shingles = queries.shingles[begin : begin + length - SIZE + 1]
    return align(find_runs(shingles, batch.shingles[low : high - SIZE + 1]), queries.surprise, begin)


def weigh_alignment(
    queries: EvalQueries,
    batch: CandidateBatch,
    text: str,
    query: int,
    document: int,
    alignment: Alignment,
    location: MatchLocation,
) -> Match | None:
    """Return the match that an alignment is, with its verdict and evidence; None where it is below the thresholds."""
    begin, length = int(queries.words.offsets[query]), int(queries.words.counts[query])
    verdict = decide_verdict(alignment, length, float(queries.bits[query]), location)
    if verdict is None:
        return None
    described = queries.queries[query]
    if described.part not in LEAKS or not is_core_found(queries, query, alignment):
        verdict = REVIEW
    if verdict == CONTAMINATED and alignment.words < length:
        verdict = contrast_verdict(queries, batch, text, query, document, alignment, location)
    shingles = np.unique(queries.shingles[begin : begin + length - SIZE + 1])
    answer = queries.answers[described.item]
    near = batch.words.hashes[location.first : min(int(batch.words.offsets[document + 1]), location.last + 1 + NEAR)]
    return Match(
        document=document,
        item=described.item,
        part=described.part,
        verdict=verdict,
        rule=name_rule(alignment, length),
        bits=alignment.bits,
        coverage=alignment.words / length,
        containment=float(np.isin(shingles, batch.shingles[location.first : location.last - SIZE + 2]).mean()),
        longest=alignment.longest,
        answer_found=contains_answer(near, answer) if len(answer) else None,
        start=int(batch.words.starts[location.first]),
        end=int(batch.words.ends[location.last]),
        text=described.text,
    )


def decide_verdict(alignment: Alignment, length: int, total_bits: float, location: MatchLocation) -> str | None:
    """Return ``contaminated``, ``review``, or None. The query has ``length`` words and ``total_bits``."""
    coverage = alignment.words / length
    if coverage < LEAST_COVERAGE or alignment.bits < LEAST_SHARE * total_bits:
        return None
    needed = needed_bits(coverage, location.opens, location.closes)
    if alignment.bits >= needed:
        return CONTAMINATED
    return REVIEW if alignment.bits >= needed - MARGIN else None


def contrast_verdict(
    queries: EvalQueries,
    batch: CandidateBatch,
    text: str,
    query: int,
    document: int,
    alignment: Alignment,
    location: MatchLocation,
) -> str:
    """Return the verdict on a match with enough bits that does not have all words of its item.

    It is a variant where numbers differ and nothing else does that matters, and for review where the words that the
    item does not share with others are other ones in the document (``evidence.contrast``). A sentence that is a frame
    and nothing else (``EvalQueries.frames``) is no item cut short.
    """
    if location.opens and location.closes:
        found = batch.words.hashes[location.first : location.last + 1]
        if found.tobytes() in queries.frames:
            return REVIEW
    begin, end = int(queries.words.offsets[query]), int(queries.words.offsets[query + 1])
    low, high = int(batch.words.offsets[document]), int(batch.words.offsets[document + 1])
    reach = end - begin + SIZE
    low, high = max(low, location.first - reach), min(high, location.last + 1 + reach)
    item = _take_words(queries.words, queries.queries[query].text, begin, end)
    base = location.first - low - alignment.runs[0].document
    runs = [MatchedRun(run.item, run.document + base, run.length) for run in alignment.runs]
    language = queries.tables[queries.queries[query].item]
    contrast = make_contrast(item, _take_words(batch.words, text, low, high), runs, language)
    own = queries.own[begin:end]
    if not asks_more_than_it_quotes(contrast.matched, mark_quoted(item.text, item.spans)):
        return REVIEW
    if contrast.has_other_numbers:
        return VARIANT if holds_own_words(contrast.without_numbers(), own) else REVIEW
    if language == ENGLISH and is_reworded(contrast, own):  # other tables do not know what words foretell
        return CONTAMINATED
    return CONTAMINATED if holds_own_words(contrast, own) else REVIEW


def _take_words(words: Words, text: str, first: int, last: int) -> TextWords:
    """Return the words of a text from ``first`` to ``last``, the end excluded."""
    spans = zip(words.starts[first:last].tolist(), words.ends[first:last].tolist(), strict=True)
    return TextWords(text, words.hashes[first:last].tolist(), list(spans))


def name_rule(alignment: Alignment, length: int) -> str:
    """Return ``Match.rule`` for a query of ``length`` words."""
    if alignment.words == length and len(alignment.runs) == 1:
        return "exact"
    return "aligned" if alignment.words >= 0.8 * length else "partial"


def locate(batch: CandidateBatch, text: str, document: int, low: int, alignment: Alignment) -> MatchLocation:
    """Return where an alignment lies in the batch, and whether sentences begin and end there.

    The runs of the alignment count the words of the document from ``low`` on.
    """
    first = low + alignment.runs[0].document
    last = low + alignment.runs[-1].document + alignment.runs[-1].length - 1
    begin, end = int(batch.words.offsets[document]), int(batch.words.offsets[document + 1])
    before = text[int(batch.words.ends[first - 1]) if first > begin else 0 : int(batch.words.starts[first])]
    after = text[int(batch.words.ends[last]) : int(batch.words.starts[last + 1]) if last + 1 < end else len(text)]
    opens = alignment.runs[0].item == 0 and (first == begin or not ENDS.isdisjoint(before))
    return MatchLocation(first, last, opens, last + 1 == end or not ENDS.isdisjoint(after))


def is_core_found(queries: EvalQueries, query: int, alignment: Alignment) -> bool:
    """Return whether at least half of the words behind the context were matched, True for a query without context."""
    core = queries.queries[query].core
    if not core:
        return True
    begin, end = int(queries.words.offsets[query]), int(queries.words.offsets[query + 1])
    behind = int(np.searchsorted(queries.words.starts[begin:end], core))
    matched = sum(max(0, run.item + run.length - max(run.item, behind)) for run in alignment.runs)
    return matched >= 0.5 * (end - begin - behind)


def contains_answer(hashes: UInt64Array, answer: UInt64Array) -> bool:
    """Return whether the first ANSWER_WORDS words of an answer stand in a row among some words."""
    answer = answer[:ANSWER_WORDS]
    if len(hashes) < len(answer):
        return False
    windows = np.lib.stride_tricks.sliding_window_view(hashes, len(answer))
    return bool((windows == answer).all(axis=1).any())
