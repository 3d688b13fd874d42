"""Which table the words of an eval item are weighed by, and their bits by it.

An item is English where most of its words are. Any other is weighed by the table that makes it least surprising: that
of the language that it is taken for, that which most items of its set are taken for, or English. A language without a
table is judged by the lengths of its words: in every language short words are the common ones.

Only items are identified: what matches an item has its words, so the language of a document need not be known.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from curate.matching import languages, words
from curate.matching.words import Words
from curate.runtime.arrays import BoolArray, Float64Array, Int64Array, UInt64Array
from curate.stages.decontaminate.surprisal import CHARACTER, UNSEEN, WordModel, WordSurprisal, surprise
from curate.stages.decontaminate.wordlists.tables import SPACELESS, list_languages, load_table

BY_LENGTH = "length"
"""Stands for the table of a language that has none."""
BITS_BY_LENGTH = (6.8, 7.0, 8.9, 11.1, 12.7, 13.6, 14.4, 14.9, 15.4, 15.8, 16.0, 16.3, 16.5, 16.6, 16.9, 17.3)
"""Mean bits of words of 1, 2, … 16 letters and more in running text, of 24 languages with an alphabet (wordfreq)."""
ENGLISH_BITS = 12.5
"""Mean bits of a word by the English table up to which an item is taken to be English without a closer look."""
FITTING_SHARE = 0.5
"""Share of known words below which a table is not that of the language."""
MIXED = np.log2(10)
"""Bits that an English word costs more in a text of another language."""
PARTICLE = 3.0
"""Bits of each syllable behind a Korean word that the table knows."""
COUNTED_CHARACTER = 12.0
"""The most bits of a character of a language whose characters are counted."""
KOREAN = "ko"


def choose_tables(texts: Sequence[str], sets: Sequence[str], english: WordModel) -> list[str]:
    """Return for each text the code of the language whose table it is weighed by, or BY_LENGTH.

    ``sets``, along the texts, are the names of their eval sets.
    """
    split = words.split_words([text[: languages.CHARACTERS] for text in texts])
    sums = np.concatenate([[0.0], np.cumsum(_weigh_singles(split.hashes, english))])
    means = np.diff(sums[split.offsets]) / np.maximum(split.counts, 1)
    foreign = np.flatnonzero(means > ENGLISH_BITS).tolist()
    codes = {number: languages.identify_language(texts[number]).code for number in foreign}
    usual = _find_usual(codes, sets)
    chosen = [languages.ENGLISH] * len(texts)
    for number in foreign:
        part = slice(int(split.offsets[number]), int(split.offsets[number + 1]))
        names = [code for code in dict.fromkeys((codes[number], usual[sets[number]], languages.ENGLISH)) if code]
        chosen[number] = _choose_fitting(names, split.hashes[part], english)
    return chosen


def _find_usual(codes: dict[int, str], sets: Sequence[str]) -> dict[str, str]:
    """Return for each set the language that most of its items that are not English are taken for."""
    counts: dict[str, Counter[str]] = {}
    for number, code in codes.items():
        counts.setdefault(sets[number], Counter())[code] += 1
    return {name: min(found, key=lambda code: (-found[code], code)) for name, found in counts.items()}


def _choose_fitting(codes: Sequence[str], hashes: UInt64Array, english: WordModel) -> str:
    """Return the code whose table makes the words least surprising, BY_LENGTH where it knows too few of them."""
    best, most = BY_LENGTH, FITTING_SHARE * len(hashes)
    least = np.inf
    for code in codes:
        if code not in list_languages():
            continue
        table = english if code == languages.ENGLISH else load_table(code)
        bits = _weigh_singles(hashes, table)
        fits = code == KOREAN or np.count_nonzero(bits < UNSEEN) >= most
        if fits and float(bits.sum()) < least:
            best, least = code, float(bits.sum())
    return best


def _weigh_singles(hashes: UInt64Array, table: WordModel) -> Float64Array:
    """Return the bits of each word without the words before it."""
    shares = table.count(1, words.hash_shingles(hashes, 1)) / table.total
    return np.asarray(-np.log2(np.maximum(shares, 2.0**-UNSEEN)))


def weigh_words(
    split: Words, texts: Sequence[str], alone: BoolArray, codes: Sequence[str], english: WordModel
) -> WordSurprisal:
    """Return the bits of the words of some texts, each by the table of its code.

    ``split`` are the words of the texts, ``alone`` marks single characters of scripts without spaces.
    """
    bits = surprise(split.hashes, alone, english)
    owners = np.repeat(np.arange(len(texts)), split.counts)
    names = np.array(codes, dtype=object)
    for code in sorted({*codes} - {languages.ENGLISH}):
        rows = np.flatnonzero(np.isin(owners, np.flatnonzero(names == code)))
        of_code = _weigh_by(code, rows, split, texts, owners, alone)
        for array, other in zip((bits.first, bits.second, bits.later), of_code, strict=True):
            array[rows] = np.where(alone[rows], other, np.minimum(other, array[rows] + MIXED))
    return bits


def _weigh_by(
    code: str, rows: Int64Array, split: Words, texts: Sequence[str], owners: Int64Array, alone: BoolArray
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return the three arrays of bits (``WordSurprisal``) of the words of index ``rows``, which are of one language."""
    if code == BY_LENGTH:
        lengths = np.minimum(split.ends[rows] - split.starts[rows], len(BITS_BY_LENGTH))
        bits = np.where(alone[rows], CHARACTER, np.array(BITS_BY_LENGTH)[lengths - 1])
        return bits, bits, bits
    table = load_table(code)
    found = surprise(split.hashes[rows], alone[rows], table, COUNTED_CHARACTER if code in SPACELESS else CHARACTER)
    arrays = found.first, found.second, found.later
    if code == KOREAN:
        stems = _weigh_stems([texts[owners[row]][split.starts[row] : split.ends[row]] for row in rows], table)
        return tuple(np.minimum(one, stems) for one in arrays)  # type: ignore[return-value]
    return arrays


def _weigh_stems(spellings: Sequence[str], table: WordModel) -> Float64Array:
    """Return the bits of Korean words, which particles follow without a space, by the best of their beginnings."""
    cuts = [
        (number, word[:end], len(word) - end) for number, word in enumerate(spellings) for end in range(1, len(word))
    ]
    split = words.split_words([cut for _, cut, _ in cuts])
    bits = np.full(len(spellings), UNSEEN)
    counts = table.count(1, words.hash_shingles(split.hashes, 1))
    if len(split) != len(cuts):
        return bits
    shares = np.maximum(counts / table.total, 2.0**-UNSEEN)
    behind = np.array([rest for _, _, rest in cuts], np.float64)
    np.minimum.at(bits, np.array([number for number, _, _ in cuts], np.int64), PARTICLE * behind - np.log2(shares))
    return bits
