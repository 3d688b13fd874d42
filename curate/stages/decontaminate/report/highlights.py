"""The words that a document and an eval item share, marked in both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from curate.matching.code_tokens import CodeTokens
    from curate.matching.words import Words
    from curate.runtime.arrays import UInt64Array
    from curate.stages.decontaminate.alignment import MatchedRun

Span = tuple[int, int]

SOLUTION = "solution"
"""The part of an item that is found as code (``curate.stages.decontaminate.solutions``)."""
WORDS = 1_500
"""Words of either text that are compared, so that no text is slow."""
EVEN_BITS = 10.0
"""Bits of every word when marks are searched for: three words outweigh a gap."""


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A stretch of a text that is shown."""

    kind: str
    """mark (in both texts), text, aside (around the match) or cut (``text`` states how much is left out)."""
    text: str


def find_marks(document: str, item: str, part: str = "") -> tuple[list[Span], list[Span]]:
    """Return the spans of characters that two texts share, of ``document`` and of ``item``, the ends excluded.

    ``part`` is that of the hit: of a solution in code, tokens are compared whatever their names, else words.

    Runs of at least three words in the order of both texts, as the detector aligns them, except that every word is
    worth the same here. Of longer texts the first WORDS words are compared; texts that share nothing have no marks.
    """
    from curate.matching import words

    marks = find_code_marks(document, item) if part == SOLUTION else ([], [])
    if marks[0]:
        return marks
    split = words.split_words([document, item])
    middle = int(split.offsets[1])
    shared = find_shared(split.hashes[:middle][:WORDS], split.hashes[middle:][:WORDS])
    return (
        [find_span(split, run.document, run.length) for run in shared],
        [find_span(split, middle + run.item, run.length) for run in shared],
    )


def find_code_marks(document: str, item: str) -> tuple[list[Span], list[Span]]:
    """Return the spans of characters of the code that two texts share, as ``find_marks`` does."""
    from curate.matching.code_tokens import split_code

    split = split_code([document, item])
    middle = int(split.offsets[1])
    shared = find_shared(split.hashes[:middle][:WORDS], split.hashes[middle:][:WORDS])
    return (
        [find_span(split, run.document, run.length) for run in shared],
        [find_span(split, middle + run.item, run.length) for run in shared],
    )


def find_shared(document: "UInt64Array", item: "UInt64Array") -> "tuple[MatchedRun, ...]":
    """Return the runs of words in the best alignment of two texts, given the hashes of their words in order."""
    import numpy as np

    from curate.matching import words
    from curate.stages.decontaminate import alignment
    from curate.stages.decontaminate.surprisal import WordSurprisal

    runs = alignment.find_runs(words.hash_shingles(item, alignment.SIZE), words.hash_shingles(document, alignment.SIZE))
    even = np.full(len(item), EVEN_BITS)
    best = alignment.align(runs, WordSurprisal(even, even, even), 0)
    return best.runs if best else ()


def find_span(words: "Words | CodeTokens", first: int, length: int) -> Span:
    """Return the span of characters of ``length`` words in a row, ``first`` being the index of the first."""
    return int(words.starts[first]), int(words.ends[first + length - 1])


def split_marked(text: str, spans: Sequence[Span], begin: int, end: int) -> Iterator[TextPiece]:
    """Yield the pieces of a text from ``begin`` to ``end``, the end excluded; empty ones are left out."""
    done = begin
    for first, last in [*spans, (end, end)]:
        first, last = min(max(first, done), end), min(max(last, done), end)
        pieces = (TextPiece("text", text[done:first]), TextPiece("mark", text[first:last]))
        yield from (piece for piece in pieces if piece.text)
        done = last
