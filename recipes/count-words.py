"""Make curate/stages/decontaminate/wordlists/languages.npz: how often the commoner words of many languages occur.

    pip install wordfreq==3.1.1 num2words==0.5.14
    python recipes/count-words.py

The frequencies are those of wordfreq (Robyn Speer, doi:10.5281/zenodo.7199437): its code has the Apache licence, its
data CC BY-SA 4.0, and so has the file that is made. A word is written there as ``curate.matching.words`` splits and
folds it; where that gives several, each has the frequency of the whole. Of languages without spaces the pairs of
characters within words are counted too.

Beside it, evidence/numbers.json: the numbers that are one word, spelled by num2words and by hand, which are facts.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from curate.matching import words
from curate.stages.decontaminate.evidence import numbers
from curate.stages.decontaminate.wordlists import tables

LEAST = 2.0**-18  # of all words, the share from which on a word is kept
SPELLED = "cs da de en es fa fi fr he hu id it nl no pl pt ro ru sk sl sr sv tr uk vi ar"
VALUES = [*range(2, 21), *range(30, 100, 10), 100, 1000]
BY_HAND = {
    "hi": ["दो", "तीन", "चार", "पाँच", "छह", "सात", "आठ", "नौ", "दस"],
    "en": {"hundred": 100, "thousand": 1000, "twice": 2, "dozen": 12},
    "de": {"hundert": 100, "tausend": 1000},
    "ru": {"две": 2, "тысяча": 1000, "тысяч": 1000},
}
SPLIT = ("hr", "sr", "bs")  # wordfreq has one list, sh, for the three


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=tables.TABLES)
    options = parser.parse_args()
    from wordfreq import available_languages, get_frequency_dict

    packed = {}
    for language in sorted(available_languages("small")):
        if language != "en":
            shares = get_frequency_dict(language, "small")
            packed |= pack_language("sh" if language in SPLIT else language, shares)
    np.savez_compressed(options.out, **packed)
    spelled = {language: spell_numbers(language) for language in sorted({*SPELLED.split(), *BY_HAND})}
    numbers.SPELLED.write_text(json.dumps(spelled, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    print(f"{len(packed)} arrays, {options.out.stat().st_size:,} bytes", file=sys.stderr)


def pack_language(language, shares):
    """Return the arrays of one language: ``tables.pack_shares`` of its words and, in some, of its pairs."""
    texts = list(shares)
    split = words.split_words(texts)
    weights = np.repeat([shares[text] for text in texts], split.counts)
    total = weights.sum()
    packed = tables.pack_shares(f"{language}1", words.hash_shingles(split.hashes, 1), weights / total, LEAST)
    if language in tables.SPACELESS:
        pairs = words.hash_shingles(split.hashes, 2)
        inside = words.mark_inner_shingles(split.offsets, 2, len(pairs))
        packed |= tables.pack_shares(f"{language}2", pairs[inside], weights[:-1][inside] / total, LEAST)
    return packed


def spell_numbers(language):
    """Return the numbers of one language that are one word, by their spelling."""
    from num2words import num2words

    found = {num2words(value, lang=language): value for value in VALUES} if language in SPELLED.split() else {}
    by_hand = BY_HAND.get(language, {})
    found |= by_hand if isinstance(by_hand, dict) else {word: value for value, word in enumerate(by_hand, 2)}
    return {word.casefold(): value for word, value in found.items() if " " not in word}


if __name__ == "__main__":
    main()
