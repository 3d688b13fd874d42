"""Windows of documents, and packs of windows: which token is predicted from what, and which windows share a pass.

A document is cut into windows of ``context`` inputs, each predicting as many tokens; a later window sees the last
token before it. These are the windows of the scorer. A pass over the corpus puts them end to end in a shuffled order
and reads ``batch_tokens`` of them in a step; the windows of a step are distributed over packs.

Shapes: T tokens of a pack, W windows, G groups.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from curate.reference.training.token_cache import EncodedCorpus
from curate.reference.training.tokenizer import END
from curate.runtime.arrays import Array, Int64Array

BLOCK = 64
"""Windows are rounded up to a multiple of so many tokens, and packs are of one size: the matrix library compiles code
for each shape, so there should be few, and attention has no ragged ends."""

MOST_REPEATS = 4
"""How often a window may occur in one pass. Up to so many times, repeated data teaches nearly as much as new data
(Muennighoff et al. 2023, arXiv 2305.16264)."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Ranges ``begin … end`` of the ids, ``end`` included as a target only: ``end - begin`` tokens are predicted."""

    begins: Int64Array
    """W: index of the first input."""
    ends: Int64Array
    """W: index of the last target."""

    @property
    def tokens(self) -> int:
        """Tokens to predict."""
        return int((self.ends - self.begins).sum())

    @property
    def num_positions(self) -> int:
        """Tokens, and the padding of each window to complete blocks."""
        return int(round_to_blocks(self.ends - self.begins).sum())


@dataclass(frozen=True, slots=True)
class TrainingPack:
    """Windows one after another, each padded to complete blocks. The tensors are T in int64."""

    inputs: Tensor
    targets: Tensor
    """The token after each input; -1 for padding."""
    positions: Tensor
    """Position in the window, from 0."""
    lengths: list[int]
    """Length of each window, padding included."""

    @property
    def tokens(self) -> int:
        """Tokens to predict."""
        return int((self.targets >= 0).sum())


def round_to_blocks(lengths: Int64Array) -> Int64Array:
    """Return lengths rounded up to multiples of ``BLOCK``."""
    return -(-lengths // BLOCK) * BLOCK


def cut_windows(encoded: EncodedCorpus, documents: Int64Array, context: int) -> Windows:
    """Return all windows of these documents (indices), in order: they predict each token once, but a document's first.

    There is at least one document.
    """
    begins, ends = [], []
    for document in documents:
        first, last = int(encoded.starts[document]), int(encoded.starts[document + 1]) - 1
        cuts = np.arange(first, last, context)
        begins.append(cuts)
        ends.append(np.minimum(cuts + context, last))
    return Windows(np.concatenate(begins), np.concatenate(ends))


def balance_windows(windows: Windows, groups_W: Array, seed: int) -> Windows:
    """Return the windows with those of small groups several times, so that shares follow the roots of their tokens.

    A group g with n_g tokens, the largest having n, occurs ``sqrt(n / n_g)`` times, at most ``MOST_REPEATS`` times: its
    share of a pass grows with the square root of its share of the text, as multilingual models sample languages
    (Conneau et al. 2020, arXiv 1911.02116, with an exponent of 0.3). A fractional number of times is rounded up for
    windows drawn by the seed, so that it holds on average. ``groups_W`` are small integers from 0. No window is left
    out.
    """
    tokens_G = np.bincount(groups_W, weights=windows.ends - windows.begins)
    times_G = np.minimum(np.sqrt(tokens_G.max() / np.maximum(tokens_G, 1)), MOST_REPEATS)
    drawn_W = np.random.default_rng((seed, len(groups_W))).random(len(groups_W))
    times_W = np.floor(times_G[groups_W] + drawn_W).astype(np.int64)
    return Windows(np.repeat(windows.begins, times_W), np.repeat(windows.ends, times_W))


@lru_cache(maxsize=2)
def shuffle_order(count: int, seed: int, epoch: int) -> Int64Array:
    """Return the order of one pass: a permutation of 0 … count - 1 that depends on seed and epoch alone."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def take_spans(windows: Windows, order: Int64Array, first: int, last: int) -> tuple[Int64Array, Int64Array]:
    """Return begins and ends of positions ``first`` to ``last`` (excluded) of the windows, end to end in this order.

    A window counts in complete blocks. One at the edge is cut, and goes on in the next step after the token that it
    ended with.
    """
    begins, ends = windows.begins[order], windows.ends[order]
    lengths = round_to_blocks(ends - begins)
    after = np.cumsum(lengths)
    low, high = np.searchsorted(after, first, side="right"), np.searchsorted(after, last, side="left") + 1
    begins, ends, before = begins[low:high], ends[low:high], (after - lengths)[low:high]
    return begins + np.maximum(first - before, 0), np.minimum(begins + last - before, ends)


def make_packs(ids: Array, begins: Int64Array, ends: Int64Array, count: int, device: str) -> list[TrainingPack]:
    """Return the windows in up to ``count`` packs of about one size: the longest first, each to the lightest pack."""
    lengths, weights = round_to_blocks(ends - begins), [0] * count
    chosen: list[list[int]] = [[] for _ in range(count)]
    for window in np.argsort(-lengths, kind="stable").tolist():
        lightest = weights.index(min(weights))
        chosen[lightest].append(window)
        weights[lightest] += int(lengths[window])
    return [make_pack(ids, begins[windows], ends[windows], device) for windows in chosen if windows]


def make_pack(ids: Array, begins: Int64Array, ends: Int64Array, device: str) -> TrainingPack:
    """Return the windows ``begin … end`` of ``ids`` as one row of tokens; each window counts from position 0."""
    lengths = round_to_blocks(ends - begins)
    inputs, targets = np.full(lengths.sum(), END), np.full(lengths.sum(), -1)
    for start, begin, end in zip(np.cumsum(lengths) - lengths, begins, ends, strict=True):
        inputs[start : start + end - begin] = ids[begin:end]
        targets[start : start + end - begin] = ids[begin + 1 : end + 1]
    positions = np.concatenate([np.arange(length) for length in lengths])
    rows = [torch.from_numpy(array.astype(np.int64)).to(device) for array in (inputs, targets, positions)]
    return TrainingPack(rows[0], rows[1], rows[2], lengths.tolist())
