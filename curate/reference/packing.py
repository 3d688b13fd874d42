"""Windows over long texts, and packs of windows: which token is predicted from what, and which windows share a pass.

A text is a sequence x_0 … x_{N-1}: the prefix token (if any), the context, the target. Position i ≥ 1 is predicted
from the positions before it that its window holds. Whatever the windows, every position from the first scored one on
is predicted exactly once; only the stride of the guide of transformers leaves some out.

Arrays: W windows. The lengths of windows are counted in inputs.
"""

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.runtime.arrays import Int64Array


@dataclass(frozen=True, slots=True)
class WindowPolicy:
    """How a text that is longer than the model reads is cut. Raises ValueError for numbers out of range."""

    window: int
    """Inputs of a window, at least 1."""
    overlap: int = 0
    """With 0, a later window begins with the last token that was predicted before it, which is lm-evaluation-harness'
    rolling rule; k re-reads k tokens more without scoring them. At most ``window`` - 1."""
    prefix_each: bool = False
    """Replace the first input of each later window by the prefix token."""
    fill_last: bool = False
    """Let the last window reach back until it is full, as lm-evaluation-harness does."""
    max_tokens: int | None = None
    """Keep so many tokens of the target, from its beginning; None: all."""
    stride: int | None = None
    """Begin a window every so many tokens, as the guide of transformers does (``cut_strided``); None: where the one
    before it ends."""

    def __post_init__(self) -> None:
        if self.window < 1:
            raise ValueError(f"window must be at least 1 (an input), not {self.window}")
        if not 0 <= self.overlap < self.window:
            raise ValueError(f"overlap must be from 0 to window - 1 = {self.window - 1}, not {self.overlap}")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {self.max_tokens}")
        if self.stride is not None and self.stride < 1:
            raise ValueError(f"stride must be at least 1, not {self.stride}")

    @classmethod
    def from_identity(cls, identity: Mapping[str, Any]) -> "WindowPolicy":
        """Return the policy that the identity of a reference model records."""
        return cls(
            window=identity["window"],
            overlap=identity["overlap"],
            prefix_each=identity["window_prefix"],
            fill_last=identity["fill_last"],
            max_tokens=identity["max_tokens"],
            stride=identity.get("stride"),  # earlier versions wrote none
        )


def cut_windows(length: int, policy: WindowPolicy, first_scored: int = 1) -> Int64Array:
    """Return the windows over x_0 … x_{length-1} as an array W×3: start, stop, score_from.

    A window reads x[start:stop-1] and predicts x[start+1:stop]; of those, x[score_from:stop] are scored. The scored
    ranges are disjoint and cover first_scored … length-1, but under a stride. A text without a position to predict has
    no window. Raises ValueError for ``first_scored`` below 1.
    """
    if first_scored < 1:
        raise ValueError("position 0 has nothing before it and cannot be predicted")
    if policy.stride is not None:
        return cut_strided(length, policy.window + 1, policy.stride, first_scored)
    rows: list[tuple[int, int, int]] = []
    start, scored = 0, 1
    stop = min(length, policy.window + 1)
    while scored < length:
        if stop > first_scored:
            rows.append((start, stop, max(scored, first_scored)))
        scored = stop
        start = stop - 1 - policy.overlap
        stop = min(length, stop + policy.window - policy.overlap)
        if stop == length and policy.fill_last:
            start = max(0, length - 1 - policy.window)
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def cut_strided(length: int, most: int, stride: int, first_scored: int = 1) -> Int64Array:
    """Return windows of ``most`` tokens that begin every ``stride`` tokens, as ``cut_windows`` does.

    A window scores what no window before it has read, but not its own first token, which has nothing before it: under
    a stride of at least ``most`` windows share no token, and between them tokens may be read by none.
    """
    rows: list[tuple[int, int, int]] = []
    read = 0
    for start in range(0, length, stride):
        stop = min(start + most, length)
        score_from = max(read, start + 1, first_scored)
        if score_from < stop:
            rows.append((start, stop, score_from))
        read = stop
        if stop == length:
            break
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def pack_windows(lengths: Int64Array, capacity: int) -> list[Int64Array]:
    """Distribute windows over packs of at most ``capacity`` inputs, best fit in order of falling length.

    Return one array of indices into ``lengths`` for each pack; each index is in exactly one pack. A window that is
    longer than the capacity has a pack to itself. The result depends on the lengths alone; no windows, no packs. Raises
    ValueError for a capacity below 1.
    """
    if capacity < 1:
        raise ValueError(f"the capacity of a pack must be at least 1 token, not {capacity}")
    order = np.argsort(-np.asarray(lengths), kind="stable")
    packs: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (free inputs, -pack), ascending: the tightest fit, the oldest pack last
    for index in order.tolist():
        need = int(lengths[index])
        slot = bisect_left(room, (need, -len(packs)))
        if slot == len(room):
            packs.append([index])
            free, number = capacity - need, len(packs) - 1
        else:
            free, negative = room.pop(slot)
            number = -negative
            packs[number].append(index)
            free -= need
        if free > 0:
            insort(room, (free, -number))
    return [np.array(indices, dtype=np.int64) for indices in packs]


def fit_size(used: int, sizes: Sequence[int]) -> int:
    """Return the positions of a pack of fixed size that holds ``used`` inputs: the smallest of ``sizes`` that does.

    ``sizes`` fall. What is longer than the largest takes a multiple of it.
    """
    if used > sizes[0]:
        return -(-used // sizes[0]) * sizes[0]
    return min(size for size in sizes if size >= used)


def pack_fixed(lengths: Int64Array, sizes: Sequence[int]) -> list[Int64Array]:
    """Distribute windows over packs that are filled up to one of a few falling ``sizes``.

    As ``pack_windows`` with the largest size as capacity, except that what would leave a large pack mostly empty goes
    into several of a smaller size where those have fewer positions in total. Return one array of indices into
    ``lengths`` for each pack; each index is in exactly one pack.

    Raises ValueError for sizes that do not fall or are not positive.
    """
    if not sizes or any(size < 1 for size in sizes) or list(sizes) != sorted(set(sizes), reverse=True):
        raise ValueError(f"sizes of packs must be positive and fall, not {tuple(sizes)}")
    lengths = np.asarray(lengths, dtype=np.int64)
    return [part for windows in pack_windows(lengths, sizes[0]) for part in _divide(windows, lengths, sizes)]


def _divide(windows: Int64Array, lengths: Int64Array, sizes: Sequence[int]) -> list[Int64Array]:
    """Return one pack, or the same windows in packs of the next smaller size where that costs fewer positions."""
    used = int(lengths[windows].sum())
    if len(sizes) == 1 or used > sizes[0] - sizes[1]:
        return [windows]
    smaller = pack_windows(lengths[windows], sizes[1])
    parts = [part for indices in smaller for part in _divide(windows[indices], lengths, sizes[1:])]
    positions = sum(fit_size(int(lengths[part].sum()), sizes) for part in parts)
    return parts if positions < fit_size(used, sizes) or len(parts) == 1 else [windows]


def batch_windows(lengths: Int64Array, capacity: int, equal: bool) -> list[Int64Array]:
    """Distribute windows over rectangular batches of at most ``capacity`` positions, neighbours in length together.

    Return one array of indices into ``lengths`` for each batch, in order of falling length. With ``equal`` all rows of
    a batch have one length and nothing is padded; otherwise shorter rows are padded on the right, so that a batch costs
    its rows × the length of its first. A window that is longer than the capacity has a batch to itself.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    batches: list[list[int]] = []
    for index in order.tolist():
        longest = int(lengths[batches[-1][0]]) if batches else 0
        fits = batches and longest * (len(batches[-1]) + 1) <= capacity
        if fits and not (equal and lengths[index] != longest):
            batches[-1].append(index)
        else:
            batches.append([index])
    return [np.array(indices, dtype=np.int64) for indices in batches]
