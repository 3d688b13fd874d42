"""Nats and bytes of a text by kind of text (``text_kinds``), of that which was scored alone.

A token's nats are shared by its bytes, each the same part, and count for the kinds of these. So the nats of the kinds
add up to the nats of the text, and their bytes to its scored bytes. Of windows that count in part, as under the guide
of transformers, so do their nats, and the bytes of the kinds are cut down to the scored bytes in proportion.

Shapes: S scored tokens of a text, B scored bytes, K kinds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.reference.measures.text_kinds import KINDS
from curate.runtime.arrays import Float64Array, Int64Array, UInt8Array

NATS = tuple(f"kind_nats_{kind}" for kind in KINDS)
"""The names of the sums of nats, in the order of ``KINDS``."""
BYTES = tuple(f"kind_bytes_{kind}" for kind in KINDS)


@dataclass(frozen=True, slots=True, eq=False)
class ScoredKinds:
    """The kinds of the bytes of a text that scored tokens spell."""

    kinds_B: UInt8Array
    begins_S: Int64Array
    """Where each scored token begins among them, from 0, rising; tokens that begin at one byte share their bytes."""
    at_S: Int64Array
    """Index of each scored token among the tokens of the text."""


def cut_scored(
    kinds: UInt8Array, begins: Int64Array, tokens: Sequence[tuple[int, int]], octets: Sequence[tuple[int, int]]
) -> ScoredKinds:
    """Return what is scored of a text, of which ``tokens`` are the ranges of tokens and ``octets`` those of bytes.

    ``kinds`` are those of all bytes, ``begins`` the bytes at which its tokens begin. Some byte is scored.
    """
    parts, places, base = [], [], 0
    for (first, last), (low, high) in zip(tokens, octets, strict=True):
        local = np.clip(begins[first:last], low, high) - low
        local[:1] = 0
        parts.append(local + base)
        places.append(np.arange(first, last))
        base += high - low
    begins_S = np.concatenate(parts)
    inside = begins_S[begins_S < base]
    begins_S = np.minimum(begins_S, inside[-1])  # a token at the end that spells nothing shares with the one before it
    return ScoredKinds(np.concatenate([kinds[low:high] for low, high in octets]), begins_S, np.concatenate(places))


def sum_nats(scored: ScoredKinds, nats_S: Float64Array) -> Float64Array:
    """Return the nats of each kind, K; their sum is that of ``nats_S``."""
    firsts = np.flatnonzero(np.diff(scored.begins_S, prepend=-1))
    lengths = np.diff(scored.begins_S[firsts], append=len(scored.kinds_B))
    share_B = np.repeat(np.add.reduceat(nats_S, firsts) / lengths, lengths)
    return np.bincount(scored.kinds_B, share_B, len(KINDS)).astype(np.float64)


def count_bytes_by_kind(scored: ScoredKinds, total: int) -> Int64Array:
    """Return the bytes of each kind, K, cut down in proportion to add up to ``total``."""
    counts = np.bincount(scored.kinds_B, minlength=len(KINDS)).astype(np.int64)
    if total == len(scored.kinds_B):
        return counts
    quotas = counts * (total / len(scored.kinds_B))
    cut = np.floor(quotas).astype(np.int64)
    most_lacking = np.argsort(cut - quotas, kind="stable")
    cut[most_lacking[: total - int(cut.sum())]] += 1
    return np.asarray(cut)
