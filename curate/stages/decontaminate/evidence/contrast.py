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

import numpy as np

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
        """Return the words from ``first`` to ``last``, the end excluded, in small letters."""
        return [self.text[begin:end].casefold() for begin, end in self.spans[first:last]]

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
    """Whether the word is opposed, and capitals of both texts say that it is a name."""

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
    found = Contrast(*(np.zeros(count, bool) for _ in range(4)))
    for run in runs:
        found.matched[run.item : run.item + run.length] = True
    for first, last, begin, end, inside in list_gaps(item, document, runs):
        matcher = SequenceMatcher(None, item.hashes[first:last], document.hashes[begin:end], False)
        for kind, one, two, three, four in matcher.get_opcodes():
            here, there = (first + one, first + two), (begin + three, begin + four)
            if kind == "equal":
                found.matched[slice(*here)] = True
            elif kind == "replace":
                _oppose(found, item, document, here, there, inside, language)
    return found


def list_gaps(
    item: TextWords, document: TextWords, runs: Sequence[MatchedRun]
) -> Iterator[tuple[int, int, int, int, bool]]:
    """Yield the stretches of both texts that the runs leave, each with whether it lies between two runs.

    Before the first run and behind the last one, the document's stretch ends with its sentence.
    """
    for run, later in zip(runs, runs[1:], strict=False):
        if later.item > run.item + run.length:
            yield run.item + run.length, later.item, run.document + run.length, later.document, True
    head, begin = runs[0].item, runs[0].document
    low = begin
    while head and begin - low < head + BEYOND and not document.ends_sentence(low - 1):
        low -= 1
    if head:
        yield 0, head, low, begin, False
    last, end = runs[-1].item + runs[-1].length, runs[-1].document + runs[-1].length
    rest, high = len(item.spans) - last, end
    while rest and high - end < rest + BEYOND and not document.ends_sentence(high - 1):
        high += 1
    if rest:
        yield last, len(item.spans), end, high, False


def _oppose(
    found: Contrast,
    item: TextWords,
    document: TextWords,
    here: tuple[int, int],
    there: tuple[int, int],
    inside: bool,
    language: str,
) -> None:
    """Mark the words ``here`` of the item, for which the document has those ``there``."""
    ours, theirs = item.spell(*here), document.spell(*there)
    values, others = read_values(ours, language), read_values(theirs, language)
    if values and values == others:
        digits = [bool(read_values([word], language)) for word in ours]
        found.matched[slice(*here)] |= np.array(digits)
    elif values and others and (inside or len(ours) == len(theirs)):
        digits = [bool(read_values([word], language)) for word in ours]
        found.numbers[slice(*here)] = np.array(digits)
    bent = np.array([any(is_form(word, other) for other in theirs) for word in ours])
    found.matched[slice(*here)] |= bent
    found.opposed[slice(*here)] = ~found.matched[slice(*here)]
    capitals = any(document.text[begin].isupper() for begin, _ in document.spans[slice(*there)])
    names = [capitals and item.text[begin].isupper() for begin, _ in item.spans[slice(*here)]]
    found.names[slice(*here)] = found.opposed[slice(*here)] & np.array(names)


def is_form(word: str, other: str) -> bool:
    """Return whether two words begin alike for so long that they are taken for forms of one."""
    same = next((index for index, pair in enumerate(zip(word, other, strict=False)) if pair[0] != pair[1]), None)
    common = min(len(word), len(other)) if same is None else same
    return common >= STEM and common >= STEM_SHARE * max(len(word), len(other))


def holds_own_words(contrast: Contrast, own: Float64Array) -> bool:
    """Return whether a match that differs from its item is of that item all the same.

    ``own``, of shape (L,), are the bits of the item's words without what frames explain (``EvalQueries.own``). Nothing
    may be opposed, or little of it: few words, and not the rarest ones of the item, unless many others are there.
    """
    opposed, held = own[contrast.opposed], own[contrast.matched]
    if not len(opposed) or held.sum() >= thresholds.OWN_PASSAGE:
        return True
    if len(opposed) > thresholds.OPPOSED_WORDS * len(own):
        return False
    rarest = opposed.max() >= thresholds.OPPOSED_RARITY * held.max(initial=0.0)
    share = float((opposed**2).sum()) / max(float((own**2).sum()), 1e-9)
    return not rarest or share <= thresholds.OPPOSED_SHARE or float(held.sum()) >= thresholds.OWN_ENOUGH
