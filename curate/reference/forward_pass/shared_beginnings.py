"""Windows of one pack that begin alike, so that what they have in common is read once. NumPy only; no device.

    A B C D         the pack reads    A B C D E F
    A B C E F       spread_E          0 1 2 3 0 1 2 4 5     (where each input of each window lies in the pack)

Conversations of a dataset begin with the same system turn and the same words of their template, paths of a tree with
the same messages, and some are the same. What a causal model has for a token depends on the tokens before it alone, so
one reading serves all windows. Only attention mixes tokens: it runs on the windows spread out, as if nothing were
shared, and the rest of the model on what the pack reads.

Shapes: W windows, T positions of a pack, E inputs of its windows, N scored predictions, each once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from curate.reference.forward_pass.batches import PreparedBatch, ScoringPack, SpreadIndex, build_pack
from curate.runtime.arrays import Int32Array, Int64Array

LEAST = 0.03
"""The share of its inputs from which a pack shares beginnings: spreading them costs attention some copies."""
MOST_SPREAD = 4
"""Inputs of the windows of a pack, in multiples of the positions that it may read: they are in memory in attention."""


@dataclass(frozen=True, slots=True)
class SortedWindows:
    """Windows in the order of their inputs, which brings those together that begin alike."""

    windows: Int64Array
    """W: indices in the ``PreparedBatch``."""
    inputs: Sequence[Int32Array]
    """Of each window."""
    common: Int64Array
    """W: inputs that each window has in common with the one before it; 0 for the first."""


def sort_windows(prepared: PreparedBatch, windows: Int64Array, prefix: int | None) -> SortedWindows:
    """Return windows sorted by their inputs; the prefix token replaces the first input where it does in the pack."""
    inputs = [_read_inputs(prepared, window, prefix) for window in windows.tolist()]
    order = sorted(range(len(inputs)), key=lambda at: inputs[at].astype(">i4").tobytes())
    ordered = [inputs[at] for at in order]
    common = [0, *(count_common(first, second) for first, second in pairwise(ordered))]
    return SortedWindows(windows[order], ordered, np.array(common[: len(order)], np.int64))


def _read_inputs(prepared: PreparedBatch, window: int, prefix: int | None) -> Int32Array:
    start = int(prepared.starts[window])
    inputs = prepared.ids[start : start + int(prepared.lengths[window])]
    if prefix is not None and prepared.replaced[window]:
        inputs = inputs.copy()
        inputs[0] = prefix
    return inputs


def count_common(first: Int32Array, second: Int32Array) -> int:
    """Return how many ids two sequences have in common from their beginnings on."""
    length = min(len(first), len(second))
    other = np.flatnonzero(first[:length] != second[:length])
    return int(other[0]) if len(other) else length


def split_sharing(prepared: PreparedBatch, windows: Int64Array, prefix: int | None, capacity: int) -> list[Int64Array]:
    """Distribute windows over packs that read at most ``capacity`` positions, those that begin alike together.

    Return one array of indices for each pack, in order of falling length; each window is in exactly one. A window that
    is longer than the capacity has a pack to itself.
    """
    ordered = sort_windows(prepared, windows, prefix)
    packs: list[list[int]] = []
    read = spread = 0
    for window, inputs, common in zip(ordered.windows.tolist(), ordered.inputs, ordered.common.tolist(), strict=True):
        fits = read + len(inputs) - common <= capacity and spread + len(inputs) <= MOST_SPREAD * capacity
        if packs and fits:
            packs[-1].append(window)
            read, spread = read + len(inputs) - common, spread + len(inputs)
        else:
            packs.append([window])
            read = spread = len(inputs)
    lengths = prepared.lengths
    return [np.array(sorted(pack, key=lambda window: -int(lengths[window])), np.int64) for pack in packs]


def build_sharing_pack(prepared: PreparedBatch, windows: Int64Array, prefix: int | None) -> ScoringPack:
    """Return the arrays of one packed forward pass in which beginnings that windows have in common stand once.

    A prediction that several windows score is computed once. The pack is that of ``build_pack`` where little is common.
    """
    pack = build_pack(prepared, windows, "packed", prefix)
    ordered = sort_windows(prepared, windows, prefix)
    if ordered.common.sum() < LEAST * pack.ids_BL.size or pack.edges is None:
        return pack
    begins = dict(zip(windows.tolist(), pack.edges[:-1].tolist(), strict=True))
    spread_E, kept = np.empty(pack.ids_BL.size, np.int64), list[Int64Array]()
    num_positions, before = 0, np.zeros(0, np.int64)
    for window, inputs, common in zip(ordered.windows.tolist(), ordered.inputs, ordered.common.tolist(), strict=True):
        begin, fresh = begins[window], len(inputs) - common
        before = np.concatenate([before[:common], np.arange(num_positions, num_positions + fresh)])
        spread_E[begin : begin + len(inputs)] = before
        kept.append(np.arange(begin + common, begin + len(inputs)))
        num_positions += fresh
    kept_T = np.concatenate(kept)
    pairs_N2, copies = np.unique(np.column_stack([spread_E[pack.rows_N], pack.targets_N]), axis=0, return_inverse=True)
    return replace(
        pack,
        ids_BL=pack.ids_BL[:, kept_T],
        positions_BL=pack.positions_BL[:, kept_T],
        rows_N=np.ascontiguousarray(pairs_N2[:, 0]),
        targets_N=np.ascontiguousarray(pairs_N2[:, 1]),
        spread=SpreadIndex(spread_E, kept_T, copies.reshape(-1)),
    )
