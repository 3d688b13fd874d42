"""The words that a document and an eval item share, marked in both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from curate.matching.words import Words
    from curate.runtime.arrays import UInt64Array
    from curate.stages.decontaminate.alignment import MatchedRun

Span = tuple[int, int]

WORDS = 1_500  # of either text that are compared, so that no text is slow
EVEN_BITS = 10.0  # of every word when marks are looked for: three outweigh a gap


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A stretch of a text that is shown."""

    kind: str
    """mark (in both texts), text, aside (around the match) or cut (``text`` says how much is left out)."""
    text: str


def find_marks(document: str, item: str) -> tuple[list[Span], list[Span]]:
    """The words that two texts share, as places of characters in each, the end excluded.

    Runs of at least three words in the order of both texts, as the detector aligns them, except that every word is
    worth the same here. Of long texts the first 1,500 words are compared; texts that share nothing have no marks.
    """
    from curate.matching import words

    found = words.split_words([document, item])
    middle = int(found.offsets[1])
    shared = find_shared(found.hashes[:middle][:WORDS], found.hashes[middle:][:WORDS])
    return (
        [find_span(found, run.document, run.length) for run in shared],
        [find_span(found, middle + run.item, run.length) for run in shared],
    )


def find_shared(document: "UInt64Array", item: "UInt64Array") -> "tuple[MatchedRun, ...]":
    """The runs of words in the best alignment of two texts, given the hashes of their words."""
    import numpy as np

    from curate.matching import words
    from curate.stages.decontaminate import alignment
    from curate.stages.decontaminate.surprisal import WordSurprisal

    runs = alignment.find_runs(words.shingle(item, alignment.SIZE), words.shingle(document, alignment.SIZE))
    even = np.full(len(item), EVEN_BITS)
    found = alignment.align(runs, WordSurprisal(even, even, even), 0)
    return found.runs if found else ()


def find_span(words: "Words", first: int, length: int) -> Span:
    """The characters of some words in a row."""
    return int(words.starts[first]), int(words.ends[first + length - 1])


def split_marked(text: str, spans: Sequence[Span], begin: int, end: int) -> Iterator[TextPiece]:
    """The pieces of a text from ``begin`` to ``end``, empty ones left out."""
    place = begin
    for first, last in [*spans, (end, end)]:
        first, last = min(max(first, place), end), min(max(last, place), end)
        pieces = (TextPiece("text", text[place:first]), TextPiece("mark", text[first:last]))
        yield from (piece for piece in pieces if piece.text)
        place = last
