"""How often words occur in some forty languages: tables in the package, of which one is read when an item needs it.

``languages.npz`` has the words that make up at least a 260,000th of a language, from the lists of wordfreq
(``recipes/count-words.py``), and of Chinese and Japanese, where every character is a word, the pairs of characters
within words too. English has a table of its own, with pairs and triples (``curate.stages.decontaminate.surprisal``).
"""

from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from curate.runtime.arrays import Array, Float64Array, UInt32Array, UInt64Array
from curate.stages.decontaminate.surprisal import STEPS, WordModel

TABLES = Path(__file__).parent / "languages.npz"
TOTAL = 2.0**30
"""The words that shares are counts of."""
SPACELESS = ("ja", "zh")
"""Languages whose characters are words, so that pairs of them are counted."""
ALIASES = {"bs": "sh", "hr": "sh", "sr": "sh", "no": "nb", "nn": "nb", "tl": "fil"}
"""Languages that share the table of another code."""


@lru_cache(maxsize=1)
def list_languages() -> frozenset[str]:
    """Return the codes of the languages that have a table, English among them."""
    with np.load(TABLES) as stored:
        codes = {name.removeprefix("steps").rstrip("12") for name in stored.files if name.startswith("steps")}
    return frozenset({*codes, "en", *(alias for alias, code in ALIASES.items() if code in codes)})


@cache
def load_table(language: str) -> WordModel:
    """Return the counts of the words of a language other than English, in TOTAL words. KeyError for one without."""
    code = ALIASES.get(language, language)
    nothing = np.zeros(0, np.uint32), np.zeros(0)
    with np.load(TABLES) as stored:
        single = _unpack(stored[f"steps{code}1"], stored[f"logs{code}1"])
        pair = _unpack(stored[f"steps{code}2"], stored[f"logs{code}2"]) if code in SPACELESS else nothing
    keys, counts = (single[0], pair[0], nothing[0]), (single[1], pair[1], nothing[1])
    return WordModel(keys, counts, TOTAL, 2 if code in SPACELESS else 1)


def pack_shares(name: str, hashes: UInt64Array, shares: Float64Array, least: float) -> dict[str, Array]:
    """Return the arrays of the runs whose shares, summed by run, are at least ``least``.

    ``steps`` + name (uint32) are the differences of the ascending keys, ``logs`` + name (uint8) the bits of the shares,
    in parts of which STEPS are one.
    """
    keys, inverse = np.unique(hashes.astype(np.uint32), return_inverse=True)
    sums = np.bincount(inverse, shares)
    keys, sums = keys[sums >= least], sums[sums >= least]
    return {
        f"steps{name}": np.diff(keys, prepend=np.uint32(0)),
        f"logs{name}": np.round(-np.log2(np.minimum(sums, 1.0)) * STEPS).astype(np.uint8),
    }


def _unpack(steps: Array, logs: Array) -> tuple[UInt32Array, Float64Array]:
    return np.cumsum(steps, dtype=np.uint32), TOTAL * 2.0 ** (-logs.astype(np.float64) / STEPS)
