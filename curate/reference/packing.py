"""Windows over long texts, and packs of windows: which token is predicted from what, and with whom it travels.

A text is a sequence x_0 … x_{N-1}: the prefix token (if any), the context, the target. Position i ≥ 1 is predicted
from the positions before it that its window holds. Whatever the windows, every position from the first scored one on
is predicted exactly once.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class WindowPolicy:
    """How a text that is longer than the model reads is cut.

    A window has ``window`` inputs. With ``overlap`` 0 a later window begins with the last token that was predicted
    before it, which is lm-evaluation-harness' rolling rule; ``overlap`` k re-reads k tokens more without scoring
    them. ``prefix_each`` puts the prefix token in the place of that first input. ``fill_last`` lets the last window
    reach back until it is full (what lm-evaluation-harness does). ``max_tokens`` keeps the first so many text tokens.
    """

    window: int
    overlap: int = 0
    prefix_each: bool = False
    fill_last: bool = False
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.window < 1:
            raise ValueError(f"a window needs at least one input, not {self.window}")
        if not 0 <= self.overlap < self.window:
            raise ValueError(f"overlap must be from 0 to window - 1 = {self.window - 1}, not {self.overlap}")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {self.max_tokens}")


def cut_windows(length: int, policy: WindowPolicy, first_scored: int = 1) -> NDArray[np.int64]:
    """Cut x_0 … x_{length-1} into windows.  → W×3: start, stop, score_from

    A window reads x[start:stop-1] and predicts x[start+1:stop]; of those, x[score_from:stop] are scored. The scored
    ranges are disjoint and cover first_scored … length-1. No window for a text without a position to predict.
    """
    if first_scored < 1:
        raise ValueError("position 0 has nothing before it and cannot be predicted")
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


def pack(lengths: NDArray[np.int64], capacity: int) -> list[NDArray[np.int64]]:
    """Share windows out over packs of at most ``capacity`` inputs, best fit in order of falling length.

    → indices into ``lengths``, one array a pack; each index stands in exactly one pack. A window that is longer than
    the capacity has a pack to itself. The result depends on the lengths alone.
    """
    if capacity < 1:
        raise ValueError(f"a pack needs room for at least one token, not {capacity}")
    order = np.argsort(-np.asarray(lengths), kind="stable")
    packs: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (free inputs, -pack), ascending: the tightest fit, the oldest pack last
    for index in order.tolist():
        need = int(lengths[index])
        place = bisect_left(room, (need, -len(packs)))
        if place == len(room):
            packs.append([index])
            free, number = capacity - need, len(packs) - 1
        else:
            free, negative = room.pop(place)
            number = -negative
            packs[number].append(index)
            free -= need
        if free > 0:
            insort(room, (free, -number))
    return [np.array(found, dtype=np.int64) for found in packs]


def fit_size(used: int, sizes: Sequence[int]) -> int:
    """The places of a pack of fixed size that holds ``used`` inputs: the smallest of the falling ``sizes`` that does.

    What is longer than the largest takes whole multiples of it.
    """
    if used > sizes[0]:
        return -(-used // sizes[0]) * sizes[0]
    return min(size for size in sizes if size >= used)


def pack_fixed(lengths: NDArray[np.int64], sizes: Sequence[int]) -> list[NDArray[np.int64]]:
    """Share windows out over packs that are filled up to one of a few ``sizes``, the largest first.

    As ``pack`` with the largest capacity; what would leave a large pack mostly empty goes into several of a smaller
    size where they have fewer places together. → indices into ``lengths``, each in exactly one pack.
    """
    if not sizes or any(size < 1 for size in sizes) or list(sizes) != sorted(set(sizes), reverse=True):
        raise ValueError(f"sizes of packs must be positive and fall, not {tuple(sizes)}")
    whole = np.asarray(lengths, dtype=np.int64)
    return [part for found in pack(whole, sizes[0]) for part in _divide(found, whole, sizes)]


def _divide(windows: NDArray[np.int64], lengths: NDArray[np.int64], sizes: Sequence[int]) -> list[NDArray[np.int64]]:
    """One pack, or the same windows in packs of the next smaller size where that costs fewer places."""
    used = int(lengths[windows].sum())
    if len(sizes) == 1 or used > sizes[0] - sizes[1]:
        return [windows]
    parts = [part for found in pack(lengths[windows], sizes[1]) for part in _divide(windows[found], lengths, sizes[1:])]
    places = sum(fit_size(int(lengths[part].sum()), sizes) for part in parts)
    return parts if places < fit_size(used, sizes) or len(parts) == 1 else [windows]


def batch(lengths: NDArray[np.int64], capacity: int, equal: bool) -> list[NDArray[np.int64]]:
    """Share windows out over rectangular batches of at most ``capacity`` places, neighbours in length together.

    With ``equal`` all rows of a batch have one length and no place is padded; otherwise shorter rows are padded on
    the right, so that a batch of falling lengths costs rows × its first.
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
    return [np.array(found, dtype=np.int64) for found in batches]
