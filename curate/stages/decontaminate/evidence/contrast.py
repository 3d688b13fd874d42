"""Where a match differs: which words of an item the document has, which it lacks, and for which it has others.

A text cut short lacks words; another question of the same kind has other words in their place: ``Which of the following
statements about photosynthesis is correct?`` with another subject. Words of the item that others stand for are
**opposed**. They are looked for between the runs of the alignment, and before and behind it up to the ends of the
document's sentence. A word that only bends (``permutation``, ``permutations``) and a number that is only written
otherwise (``seven``, ``7``) oppose nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

import numpy as np

from curate.matching.entities import FILLING
from curate.runtime.arrays import BoolArray, Float64Array
from curate.stages.decontaminate import thresholds
from curate.stages.decontaminate.alignment import MatchedRun
from curate.stages.decontaminate.evidence.numbers import read_values

ENDS = frozenset('.!?\n:;"“”»)]}>|。！？।؟؛')
"""Characters that separate sentences."""
WIDE = "  "
"""Two spaces, which separate sentences too."""
BEYOND = 3
"""Words of the document that are compared beyond the number that the item has there."""
TWICE = 2
"""Words of the item that each foreign word opposes, where only one side of them matches."""
STEM, STEM_SHARE = 4, 0.6
"""Letters, and share of the longer word, that two words must begin with to be forms of one."""


@dataclass(frozen=True, slots=True)
class TextWords:
    """The words of a text and the words as hashes, or of a stretch of it."""

    text: str
    hashes: Sequence[int]
    spans: Sequence[tuple[int, int]]
    """Characters of ``text``, the end excluded."""

    def spell(self, first: int, last: int) -> list[str]:
        """Return the words from ``first`` to ``last``, the end excluded, in small letters without soft hyphens."""
        return [self.text[begin:end].casefold().replace(FILLING, "") for begin, end in self.spans[first:last]]

    def ends_sentence(self, before: int) -> bool:
        """Return whether a sentence ends between the word of index ``before`` and the next; so do the text's ends."""
        if before < 0 or before + 1 >= len(self.spans):
            return True
        between = self.text[self.spans[before][1] : self.spans[before + 1][0]]
        return WIDE in between or not ENDS.isdisjoint(between)


@dataclass(frozen=True, slots=True, eq=False)
class Contrast:
    """What became of the L words of an item; arrays of shape (L,)."""

    matched: BoolArray
    """Whether the document has the word, or a form of it."""
    opposed: BoolArray
    """Whether it has others in its place."""
    numbers: BoolArray
    """Whether the word is of a number that the document has another number for."""
    names: BoolArray
    """Whether others stand in its place, and capitals of both texts say that it is a name."""

    @property
    def has_other_numbers(self) -> bool:
        """Whether some number of the item is another one in the document."""
        return bool(self.numbers.any())

    def without_numbers(self) -> "Contrast":
        """Return the contrast of all but the numbers and the names that changed."""
        return Contrast(self.matched, self.opposed & ~self.numbers & ~self.names, self.numbers & False, self.names)


def make_contrast(item: TextWords, document: TextWords, runs: Sequence[MatchedRun], language: str) -> Contrast:
    """Return the contrast of an item with a document; ``runs`` are those of the alignment, at least one.

    The runs count the words of ``document`` as they are there.
    """
    count = len(item.spans)
    runs = trim_runs(item, document, runs)
    contrast = Contrast(*(np.zeros(count, bool) for _ in range(4)))
    for run in runs:
        contrast.matched[run.item : run.item + run.length] = True
    for gap in list_gaps(item, document, runs):
        _compare(contrast, item, document, gap, language)
    return contrast


def trim_runs(item: TextWords, document: TextWords, runs: Sequence[MatchedRun]) -> list[MatchedRun]:
    """Return the runs without the words at their ends that only the document's next or last sentence has by chance.

    A text cut after ``… under a directory`` may stand before one that begins with ``And``, which the item has there.
    """
    first, last, trimmed = runs[0], runs[-1], list(runs)
    for more in range(1, min(BEYOND, last.length - 1)):
        end = last.length - more - 1
        if document.ends_sentence(last.document + end) and not item.ends_sentence(last.item + end):
            trimmed[-1] = MatchedRun(last.item, last.document, end + 1)
    first = trimmed[0]
    for more in range(1, min(BEYOND, first.length - 1)):
        if document.ends_sentence(first.document + more - 1) and not item.ends_sentence(first.item + more - 1):
            trimmed[0] = MatchedRun(first.item + more, first.document + more, first.length - more)
    return trimmed


def _compare(contrast: Contrast, item: TextWords, document: TextWords, gap: "TextGap", language: str) -> None:
    """Mark the words of the item in a gap: those that are there after all, and those that others stand for.

    Behind and before the match a text may be cut: of words there that the document has next to nothing for, only
    as many as TWICE that oppose, the nearest to the match. Words that are left out within the match count as opposed.
    """
    matcher = SequenceMatcher(None, item.hashes[gap.first : gap.last], document.hashes[gap.begin : gap.end], False)
    foreign = gap.end - gap.begin
    for kind, one, two, three, four in matcher.get_opcodes():
        here, there = slice(gap.first + one, gap.first + two), slice(gap.begin + three, gap.begin + four)
        if kind == "equal":
            contrast.matched[here] = True
            foreign -= four - three
        elif kind == "replace":
            _read_replaced(contrast, item, document, here, there, gap.side == INSIDE, language)
    missing = np.flatnonzero(~contrast.matched[gap.first : gap.last]) + gap.first
    if gap.side != INSIDE:
        most = TWICE * foreign
        missing = missing[:most] if gap.side == BEHIND else missing[max(len(missing) - most, 0) :]
    if foreign or gap.side == INSIDE:
        contrast.opposed[missing] = True


INSIDE, BEFORE, BEHIND = 0, -1, 1


@dataclass(frozen=True, slots=True)
class TextGap:
    """A stretch of the item, and one of the document in its place; the ends are excluded."""

    first: int
    last: int
    begin: int
    """Of the document."""
    end: int
    side: int
    """INSIDE: between two runs. BEFORE the first one, or BEHIND the last one."""


def list_gaps(item: TextWords, document: TextWords, runs: Sequence[MatchedRun]) -> Iterator[TextGap]:
    """Yield the stretches of both texts that the runs leave.

    Before the first run and behind the last one, the document's stretch ends with its sentence.
    """
    for run, later in pairwise(runs):
        if later.item > run.item + run.length:
            yield TextGap(run.item + run.length, later.item, run.document + run.length, later.document, INSIDE)
    head, begin = runs[0].item, runs[0].document
    low = begin
    while head and begin - low < head + BEYOND and not document.ends_sentence(low - 1):
        low -= 1
    if head:
        yield TextGap(0, head, low, begin, BEFORE)
    last, end = runs[-1].item + runs[-1].length, runs[-1].document + runs[-1].length
    rest, high = len(item.spans) - last, end
    while rest and high - end < rest + BEYOND and not document.ends_sentence(high - 1):
        high += 1
    if rest:
        yield TextGap(last, len(item.spans), end, high, BEHIND)


def _read_replaced(
    contrast: Contrast,
    item: TextWords,
    document: TextWords,
    here: slice,
    there: slice,
    inside: bool,
    language: str,
) -> None:
    """Mark the numbers, the names and the other forms among words of the item that others stand in the place of."""
    ours, theirs = item.spell(here.start, here.stop), document.spell(there.start, there.stop)
    values, others = read_values(ours, language), read_values(theirs, language)
    if values and others and (values == others or inside or len(ours) == len(theirs)):
        digits = np.array([bool(read_values([word], language)) for word in ours])
        marked = contrast.matched if values == others else contrast.numbers
        marked[here] |= digits
    contrast.matched[here] |= np.array([any(is_form(word, other) for other in theirs) for word in ours])
    if any(document.text[begin].isupper() for begin, _ in document.spans[there]):
        contrast.names[here] = np.array([item.text[begin].isupper() for begin, _ in item.spans[here]])


def is_form(word: str, other: str) -> bool:
    """Return whether two words begin alike for so long that they are taken for forms of one."""
    same = next((index for index, pair in enumerate(zip(word, other, strict=False)) if pair[0] != pair[1]), None)
    common = min(len(word), len(other)) if same is None else same
    return common >= STEM and common >= STEM_SHARE * max(len(word), len(other))


def holds_own_words(contrast: Contrast, own_bits: Float64Array) -> bool:
    """Return whether a match that differs from its item is of that item all the same.

    ``own_bits``, of shape (L,), are the bits of the item's words without what frames explain (``EvalQueries.own``).
    Nothing may be opposed, or little of it: few words, and not the rarest ones of the item, unless many others are
    there.
    """
    opposed, held = own_bits[contrast.opposed], own_bits[contrast.matched]
    if not len(opposed) or held.sum() >= thresholds.OWN_PASSAGE:
        return True
    if len(opposed) > max(1.0, thresholds.OPPOSED_WORDS * len(own_bits)):
        return False
    rarest = any(_is_rarest(contrast, own_bits, first, last) for first, last in list_runs(contrast.opposed))
    share = float((opposed**2).sum()) / max(float((own_bits**2).sum()), 1e-9)
    return not rarest or share <= thresholds.OPPOSED_SHARE or float(held.sum()) >= thresholds.OWN_ENOUGH


def is_reworded(contrast: Contrast, own_bits: Float64Array) -> bool:
    """Return whether a match is the whole item but for single words with others in their place.

    Such words may be the rarest ones of a short question. It is the same question where few words are opposed, no two
    in a row, all others are there, and telling words too: TELLING_RATIO for each telling word that is opposed, and that
    many at least. A frame has words for all subjects, and hardly a telling one.
    """
    marked = contrast.opposed
    if not (contrast.matched | marked).all() or contrast.has_other_numbers:
        return False
    if marked.sum() > max(1.0, thresholds.OPPOSED_WORDS * len(marked)) or (marked[1:] & marked[:-1]).any():
        return False
    telling = own_bits >= thresholds.TELLING
    asked = max(1, int((telling & marked).sum())) * thresholds.TELLING_RATIO
    return int((telling & contrast.matched).sum()) >= asked


def list_runs(marked: BoolArray) -> list[tuple[int, int]]:
    """Return the first and the last index, that excluded, of each stretch of marked words."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _is_rarest(contrast: Contrast, own_bits: Float64Array, first: int, last: int) -> bool:
    """Return whether a stretch of opposed words is rarer than nearly all stretches of so many words that are there."""
    held = np.where(contrast.matched, own_bits, 0.0)
    sums = np.convolve(held, np.ones(last - first), "valid")
    return float(own_bits[first:last].sum()) >= thresholds.OPPOSED_RARITY * float(sums.max(initial=0.0))
