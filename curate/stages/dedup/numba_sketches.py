"""Near sets of documents from their bytes, compiled by numba; imported only where that is installed (``fast``).

The twin of ``sketches.make_near_sets`` with the words, the hashes of sequences and the shingles that it builds on. A
test holds the two to each other.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from curate.matching import strict_words, words
from curate.matching.compiled.near_sets import POWERS, fill_near_sets
from curate.matching.compiled.signatures import fill_keys
from curate.matching.minhash import Bands
from curate.runtime.arrays import Array, Int64Array, UInt32Array, UInt64Array


def compute_keys(hashes: UInt64Array, offsets: Int64Array, table: UInt32Array, bands: Bands) -> UInt64Array:
    """Return the key of each set in each band, of shape (sets, bands), as ``minhash.band_keys`` of its signature."""
    keys = np.empty((len(offsets) - 1, bands.bands), np.uint64)
    fill_keys(hashes, offsets, np.ascontiguousarray(table[0]), np.ascontiguousarray(table[1]), bands.rows, keys)
    return keys


@lru_cache(maxsize=1)
def list_powers() -> UInt64Array:
    """Return the first POWERS powers of BASE."""
    return words.accumulate_product(words.BASE, int(POWERS))


def make_near_sets(
    texts: Sequence[str], size: int, strict_below: int
) -> tuple[Int64Array, Int64Array, UInt64Array, UInt64Array, Int64Array]:
    """Return bytes and strict words of each text, the halves of their hash, and its near set.

    The first two are of shape (texts,), halves (2, texts); the last two are what ``sketches.make_near_sets`` returns.
    """
    octets = [encode_text(text) for text in texts]
    prepared = map(strict_words.prepare_text, texts)
    strict_octets = [
        before if one is text else encode_text(one) for one, text, before in zip(prepared, texts, octets, strict=True)
    ]
    sizes, strict_sizes = list_sizes(octets), list_sizes(strict_octets)
    strictly, plainly = strict_words.load_strict_folding(), words.load_folding()
    counts, offsets = np.empty(len(texts), np.int64), np.zeros(len(texts) + 1, np.int64)
    halves = np.empty((2, len(texts)), np.uint64)
    hashes = fill_near_sets(
        np.frombuffer(b"".join(strict_octets), np.uint8), np.cumsum(strict_sizes),
        np.frombuffer(b"".join(octets), np.uint8), np.cumsum(sizes), (*list_tables(strictly.folding), strictly.kinds),
        (*list_tables(plainly), plainly.alone), list_powers(), size, strict_below, counts, halves, offsets,
    )  # fmt: skip
    return sizes, counts, halves, hashes, offsets


def encode_text(text: str) -> bytes:
    """Return the text in UTF-8."""
    return text.encode("utf-8", "surrogatepass")


def list_sizes(octets: Sequence[bytes]) -> Int64Array:
    """Return the number of bytes of each text, of shape (texts,)."""
    return np.fromiter(map(len, octets), np.int64, len(octets))


def list_tables(folding: words.Folding) -> tuple[Array, ...]:
    """Return the tables of a folding in the order in which the loops take them."""
    return folding.single, folding.first, folding.count, folding.spelled
