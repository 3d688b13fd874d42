"""Windows of documents, and packs of windows: which token is predicted from what, and with whom it travels.

A document is cut into windows of ``context`` inputs, each predicting as many tokens; a later window sees the last
token before it. These are the windows of the scorer. A pass over the corpus lays them end to end in a shuffled order
and reads them a step's worth at a time; the windows of a step are shared out over packs.

Shapes: T tokens of a pack, W windows, G groups.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from curate.reference.training.token_cache import EncodedCorpus
from curate.reference.training.tokenizer import END

BLOCK = 64
"""Windows are rounded up to so many tokens, and packs are of one size, so that the matrix library, which compiles for
each shape that it meets, meets few, and attention has no ragged ends."""

MOST_REPEATS = 4
"""How often a window may come in one pass: up to so many times, data that is repeated teaches nearly as much as new
(Muennighoff et al. 2023, arXiv 2305.16264)."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Places of ``begin … end`` in the ids, ``end`` included as a target only: ``end - begin`` tokens are predicted."""

    begins: np.ndarray
    ends: np.ndarray

    @property
    def tokens(self) -> int:
        return int((self.ends - self.begins).sum())

    @property
    def places(self) -> int:
        """Tokens and what rounds each window up to whole blocks."""
        return int(whole_blocks(self.ends - self.begins).sum())


@dataclass(frozen=True, slots=True)
class TrainingPack:
    """Windows one after another, each rounded up to whole blocks; a target of -1 marks what was added. All ``[T]``."""

    inputs: Tensor
    targets: Tensor
    positions: Tensor
    lengths: list[int]

    @property
    def tokens(self) -> int:
        return int((self.targets >= 0).sum())


def whole_blocks(lengths: np.ndarray) -> np.ndarray:
    """Lengths rounded up to whole blocks."""
    return -(-lengths // BLOCK) * BLOCK


def cut_windows(encoded: EncodedCorpus, documents: np.ndarray, context: int) -> Windows:
    """All windows of these documents, in order; together they predict each token but a document's first, once."""
    begins, ends = [], []
    for document in documents:
        first, last = int(encoded.starts[document]), int(encoded.starts[document + 1]) - 1
        cuts = np.arange(first, last, context)
        begins.append(cuts)
        ends.append(np.minimum(cuts + context, last))
    return Windows(np.concatenate(begins), np.concatenate(ends))


def balance_windows(windows: Windows, groups_W: np.ndarray, seed: int) -> Windows:
    """The windows with those of small groups several times, so that groups are heard by the root of their tokens.

    A group g with n_g tokens, the largest having n, comes ``sqrt(n / n_g)`` times, at most ``MOST_REPEATS`` times: its
    share of a pass goes with the square root of its share of the text, as multilingual models draw their languages
    (Conneau et al. 2020, arXiv 1911.02116, with an exponent of 0.3). A broken number of times is rounded up for as many
    windows as make it true on average, drawn by the seed. ``groups_W`` are small whole numbers. Nothing is left out.
    """
    tokens_G = np.bincount(groups_W, weights=windows.ends - windows.begins)
    times_G = np.minimum(np.sqrt(tokens_G.max() / np.maximum(tokens_G, 1)), MOST_REPEATS)
    drawn_W = np.random.default_rng((seed, len(groups_W))).random(len(groups_W))
    times_W = np.floor(times_G[groups_W] + drawn_W).astype(np.int64)
    return Windows(np.repeat(windows.begins, times_W), np.repeat(windows.ends, times_W))


@lru_cache(maxsize=2)
def shuffled(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of one pass: a permutation that depends on seed and pass alone."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def take_spans(windows: Windows, order: np.ndarray, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Begins and ends of places ``first`` to ``last`` of the windows laid end to end in this order.

    A window counts in whole blocks; one at the edge is cut, and goes on in the next pack behind the
    token that it ended with.
    """
    begins, ends = windows.begins[order], windows.ends[order]
    lengths = whole_blocks(ends - begins)
    after = np.cumsum(lengths)
    low, high = np.searchsorted(after, first, side="right"), np.searchsorted(after, last, side="left") + 1
    begins, ends, before = begins[low:high], ends[low:high], (after - lengths)[low:high]
    return begins + np.maximum(first - before, 0), np.minimum(begins + last - before, ends)


def make_packs(ids: np.ndarray, begins: np.ndarray, ends: np.ndarray, count: int, device: str) -> list[TrainingPack]:
    """The windows in up to ``count`` packs of about one size: the longest first, each to the pack that is lightest."""
    lengths, weights = whole_blocks(ends - begins), [0] * count
    chosen: list[list[int]] = [[] for _ in range(count)]
    for window in np.argsort(-lengths, kind="stable").tolist():
        lightest = weights.index(min(weights))
        chosen[lightest].append(window)
        weights[lightest] += int(lengths[window])
    return [make_pack(ids, begins[windows], ends[windows], device) for windows in chosen if windows]


def make_pack(ids: np.ndarray, begins: np.ndarray, ends: np.ndarray, device: str) -> TrainingPack:
    """The windows ``begin … end`` of ``ids`` as one row of tokens, each counted from position 0."""
    lengths = whole_blocks(ends - begins)
    inputs, targets = np.full(lengths.sum(), END), np.full(lengths.sum(), -1)
    for place, begin, end in zip(np.cumsum(lengths) - lengths, begins, ends, strict=True):
        inputs[place : place + end - begin] = ids[begin:end]
        targets[place : place + end - begin] = ids[begin + 1 : end + 1]
    positions = np.concatenate([np.arange(length) for length in lengths])
    rows = [torch.from_numpy(array.astype(np.int64)).to(device) for array in (inputs, targets, positions)]
    return TrainingPack(rows[0], rows[1], rows[2], lengths.tolist())
