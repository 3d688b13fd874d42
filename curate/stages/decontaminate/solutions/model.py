"""How surprising the tokens of code are among code in general, in bits, so that a common loop does not count as a leak.

``code.npz`` counts runs of one to ORDERS tokens (``curate.matching.code_tokens``) in public code of two kinds: programs
and libraries, and exercises, textbook algorithms among them. A token's probability after those before it is, in either,
the relative frequency of the longest run that was counted, times BACKOFF for each token of context that was counted too
and had to be given up, as for words (``curate.stages.decontaminate.surprisal``), but at most GIVEN_UP times, as rare
runs are not in the table. The greater of both probabilities counts. How often names are used is counted too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from curate.matching import words
from curate.matching.code_tokens import CodeTokens
from curate.runtime.arrays import Array, Float64Array, Int64Array, UInt64Array
from curate.stages.decontaminate.surprisal import STEPS, WordModel

TABLE = Path(__file__).parent / "code.npz"
VERSION = 2
"""Of the model and of the rule. Hits that another version found are made anew."""
ORDERS = 8
"""Tokens of the longest runs that are counted."""
BACKOFF = 0.4
GIVEN_UP = 2
"""Times that BACKOFF counts at most."""
UNSEEN = 14.0
"""Bits of a token or a name that was never counted."""
KINDS = ("program", "exercise")
NAMES = "name"


@dataclass(frozen=True, slots=True, eq=False)
class CodeModel:
    """Counts of runs of tokens for each of KINDS, and of names."""

    tokens: tuple[WordModel, ...]
    names: WordModel

    def weigh_tokens(self, hashes: UInt64Array) -> Float64Array:
        """Return the bits of each token where 0, 1, … ORDERS − 1 tokens before it are known: (ORDERS, tokens)."""
        shares = np.max([_estimate_shares(model, hashes) for model in self.tokens], axis=0)
        bits: Float64Array = np.clip(-np.log2(np.clip(shares, 1e-9, 1.0)), 0.0, UNSEEN)
        return bits

    def weigh_names(self, names: UInt64Array) -> Float64Array:
        """Return the bits of each name, at most UNSEEN."""
        counts = self.names.count(1, words.hash_shingles(names, 1))
        share = np.where(counts > 0, counts, 1.0) / max(self.names.total, 1.0)
        bits: Float64Array = np.minimum(-np.log2(share), UNSEEN)
        return bits


def _estimate_shares(model: WordModel, hashes: UInt64Array) -> Float64Array:
    """Return the probability of each token after 0, 1, … tokens before it, of shape (ORDERS, tokens)."""
    before, share = np.full(len(hashes), model.total), np.full(len(hashes), 2.0**-UNSEEN)
    shares, given_up = np.zeros((ORDERS, len(hashes))), np.zeros(len(hashes), np.int64)
    for order in range(1, ORDERS + 1):
        counts = np.zeros(len(hashes))
        counts[order - 1 :] = model.count(order, words.hash_shingles(hashes, order))
        seen, lost = counts > 0, (counts == 0) & (before > 0)
        share = np.where(seen, counts / np.maximum(before, 1.0), share)
        given_up = np.where(seen, 0, np.minimum(given_up + lost, GIVEN_UP))
        shares[order - 1] = share * BACKOFF**given_up
        before = np.concatenate([[0.0], counts[:-1]])[: len(hashes)]
    return shares


def list_runs(split: CodeTokens) -> Iterator[tuple[UInt64Array, Int64Array]]:
    """Yield the hashes of all runs of one to ORDERS tokens, then those of all names, each with their documents."""
    documents = np.repeat(np.arange(len(split.offsets) - 1), np.diff(split.offsets))
    for order in range(1, ORDERS + 1):
        hashes = words.hash_shingles(split.hashes, order)
        inner = words.mark_inner_shingles(split.offsets, order, len(hashes))
        yield hashes[inner], documents[: len(hashes)][inner]
    named = split.names != 0
    yield words.hash_shingles(split.names[named], 1), documents[named]


@lru_cache(maxsize=1)
def load_code_model() -> CodeModel:
    """Return the model in the package."""
    with np.load(TABLE) as stored:
        return CodeModel(tuple(_unpack(stored, kind, ORDERS) for kind in KINDS), _unpack(stored, NAMES, 1))


def _unpack(stored: Mapping[str, Array], kind: str, orders: int) -> WordModel:
    """Return the counts of one kind from the arrays of a model file (``surprisal.pack_counts``, prefixed)."""
    span = range(1, orders + 1)
    keys = tuple(np.cumsum(stored[f"{kind}_steps{order}"], dtype=np.uint32) for order in span)
    counts = tuple(2.0 ** (stored[f"{kind}_logs{order}"] / STEPS) for order in span)
    return WordModel(keys, counts, float(stored[f"{kind}_total"]))
