"""Whether tokens come as often as a model's probabilities say: sums in bins of probability, and errors from them.

    logits of a position ──► the likely tokens (≥ 5 %, at most 20) ──► sums in 20 bins, a window ──► a text ──► a corpus

A *pair* is a scored position and a token. The bins have equal width: bin b holds probabilities from b/20 (included) to
(b+1)/20; the last one holds 1 as well. In each bin there are a number of pairs, the sum of their probabilities
(``confidence``), and the number of pairs whose token is the one that came (``hits``). All three are sums, so that
windows, texts and corpora add up.

    full    every pair: V of them at each position, V being the width of the head (Liu et al. 2024, arXiv 2406.11345).
            Only likely tokens need be looked at: all others are in bin 0, which follows from the totals, as a position
            has V pairs, probabilities of 1 in all and one hit
    top1    the pair of the likeliest token alone; its hits are those of a model that guesses

An error of calibration is 0 where the hits of each bin are as many as its probabilities add up to.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from curate.runtime.arrays import Array, Float32Array, Float64Array, Int64Array

NUM_BINS = 20
LOWEST = 0.0499
"""Tokens of this probability at least are looked at: a little less than 1/20, which float32 may miss."""
MOST_LIKELY = 20
"""So many tokens at most have a probability of ``LOWEST``."""
WIDTH = 2 + MOST_LIKELY
"""Numbers that are kept of a position (``forward_pass.likely_tokens``): the probability of its target, that of the
likeliest token, and those of the likely tokens, in any order; 0 where there are fewer."""
TOP1_HITS = "top1_hits"
SUMS = tuple(f"ece_{pairs}_{what}" for pairs in ("full", "top1") for what in ("pairs", "confidence", "hits"))
"""The names of the sums in bins, as columns of the scores: lists of ``NUM_BINS`` numbers."""


def calibration_error(confidence: ArrayLike, hits: ArrayLike, positions: float | None = None) -> float:
    """Return Σ over bins of \\|confidence − hits\\|, divided by the number of scored positions; NaN without one.

    ``confidence`` and ``hits`` are the sums of each bin. Of all pairs this is Full-ECE (formula 7 of arXiv 2406.11345:
    the bins' gaps weighted by pairs a position), from 0 to 2; of the likeliest tokens the usual ECE, from 0 to 1.
    ``positions`` defaults to the sum of ``hits``, which of all pairs is that number.
    """
    gaps = np.abs(np.asarray(confidence, np.float64) - np.asarray(hits, np.float64))
    count = float(np.sum(hits)) if positions is None else positions
    return float(gaps.sum() / count) if count > 0 else float("nan")


def full_ece(sums: Mapping[str, ArrayLike]) -> float:
    """Return Full-ECE of sums in bins by their names in ``SUMS``, of one text or added up over texts."""
    return calibration_error(sums["ece_full_confidence"], sums["ece_full_hits"])


def top1_ece(sums: Mapping[str, ArrayLike]) -> float:
    """Return the expected calibration error of the likeliest tokens, of sums in bins by their names in ``SUMS``."""
    return calibration_error(sums["ece_top1_confidence"], sums["ece_top1_hits"], float(np.sum(sums["ece_top1_pairs"])))


def top1_accuracy(sums: Mapping[str, ArrayLike]) -> float:
    """Return the share of positions whose likeliest token came; NaN without a position."""
    positions = float(np.sum(sums["ece_top1_pairs"]))
    return float(np.sum(sums["ece_top1_hits"])) / positions if positions > 0 else float("nan")


@dataclass(slots=True, eq=False)
class CalibrationBins:
    """The sums of each window of a batch but for bin 0 of all pairs: W windows, B bins."""

    positions_W: Int64Array
    full_WB3: Float64Array
    """Pairs, confidence and hits of all pairs that are likely."""
    top1_WB3: Float64Array
    vocabulary: int = 0
    """Tokens that have a probability at each position; 0: not known yet."""

    @classmethod
    def make(cls, windows: int) -> "CalibrationBins":
        """Return sums of so many windows, all 0."""
        return cls(np.zeros(windows, np.int64), np.zeros((windows, NUM_BINS, 3)), np.zeros((windows, NUM_BINS, 3)))

    def record(self, windows: Int64Array, counts: Int64Array, likely_NK: Float32Array, vocabulary: int) -> None:
        """Write the sums of some windows, none of which has any yet.

        ``likely_NK`` are ``WIDTH`` numbers of each of their positions, window by window, ``counts`` of each.
        """
        self.vocabulary = vocabulary
        self.positions_W[windows] = counts
        of_N = np.repeat(np.arange(len(windows)), counts)
        target_N, top_N = likely_NK[:, 0].astype(np.float64), likely_NK[:, 1].astype(np.float64)
        position, column = np.nonzero(likely_NK[:, 2:] >= np.float32(LOWEST))
        likely = likely_NK[position, column + 2].astype(np.float64)
        shape = len(windows), NUM_BINS, 3
        full, top1 = np.zeros(shape), np.zeros(shape)
        full[..., 0], full[..., 1] = _sum_in_bins(of_N[position], likely, shape)
        full[..., 2] = _sum_in_bins(of_N, target_N, shape)[0]
        full[:, 0] = 0
        top1[..., 0], top1[..., 1] = _sum_in_bins(of_N, top_N, shape)
        is_hit_N = target_N >= top_N
        top1[..., 2] = _sum_in_bins(of_N[is_hit_N], top_N[is_hit_N], shape)[0]
        self.full_WB3[windows], self.top1_WB3[windows] = full, top1

    def sum_texts(self, begins: Int64Array) -> dict[str, Float64Array]:
        """Return the sums of P texts by their names, P×B, ``top1_hits`` P; ``begins`` are their first windows."""
        positions = np.add.reduceat(self.positions_W, begins).astype(np.float64)
        full, top1 = np.add.reduceat(self.full_WB3, begins), np.add.reduceat(self.top1_WB3, begins)
        totals = np.stack([positions * self.vocabulary, positions, positions], 1)
        full[:, 0] = np.maximum(totals - full.sum(1), 0)
        sums: dict[str, Array] = {TOP1_HITS: top1[..., 2].sum(1)}
        return sums | {name: (full, top1)[at // 3][..., at % 3] for at, name in enumerate(SUMS)}


def _sum_in_bins(
    of_M: Int64Array, probabilities_M: Float64Array, shape: tuple[int, int, int]
) -> tuple[Float64Array, Float64Array]:
    """Return the number of probabilities and their sum, window by window and bin by bin, W×B each."""
    bins_M = np.clip((np.nan_to_num(probabilities_M) * NUM_BINS).astype(np.int64), 0, NUM_BINS - 1)
    flat_M, size = of_M * NUM_BINS + bins_M, shape[0] * NUM_BINS
    counts = np.bincount(flat_M, minlength=size).reshape(shape[:2]).astype(np.float64)
    return counts, np.bincount(flat_M, probabilities_M, size).astype(np.float64).reshape(shape[:2])
