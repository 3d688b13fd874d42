"""Whether documents come in their reading order, and if not, at which step they first do not. Pure.

A document is its position: 0, 1, 2 … in reading order, and ``UNKNOWN`` for one that is not in the export. A step is
what one optimizer step reads: one batch on every rank. All of it goes into one gradient, so the order inside a step
does not matter: a step is in order when it has the next documents and no others. The law of a kept order is that the
steps, one after the other, are 0 … N−1, each document in one step, apart from two things that trainers do:

- packed sequences cut documents, so that one may end a step and begin the next (``packed``);
- the last step of several ranks is filled up with documents of the beginning (accelerate's ``even_batches``, torch's
  ``DistributedSampler``). They are counted, and are no departure.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from curate.runtime.arrays import Int64Array

UNKNOWN = -1
"""The position of a document that is not in the export."""
Positions = Int64Array
"""Positions of documents in the reading order, from 0."""


@dataclass(frozen=True, slots=True)
class Departure:
    """Where the documents first leave their order."""

    step: int
    """Counted from 1, as trainers do."""
    expected: int
    """The position that was next and did not come; where a document came twice, the one it came instead of."""
    received: int | None
    """The position that came instead, ``UNKNOWN`` for a foreign document; None where the documents ended."""
    repeated: bool = False
    """Whether what came instead had come before."""


@dataclass(frozen=True, slots=True)
class OrderProgress:
    """How far documents kept their order."""

    steps: int
    """Steps that were compared."""
    documents: int
    """Documents that came in order."""
    departure: Departure | None
    """None where the order was kept."""
    filled: int = 0
    """Documents of the beginning that came again to fill the last step."""

    @property
    def kept(self) -> bool:
        return self.departure is None


def follow_order(
    steps: Iterable[Positions], total: int, packed: bool = False, most: int | None = None
) -> OrderProgress:
    """Compare steps with the order 0 … ``total`` − 1, until the first departure, the last document, or ``most`` steps.

    With ``packed`` a document may end one step and begin the next. Documents that never come are a departure too,
    unless ``most`` ended the comparison. What comes after the last document (a second epoch) is not read.
    """
    taken = upcoming = 0
    for positions in steps:
        if taken == most:
            return OrderProgress(taken, upcoming, None)
        taken += 1
        begun = _find_begun(positions, upcoming) if packed else positions
        expected = np.arange(upcoming, upcoming + len(begun))
        if upcoming + len(begun) <= total and np.array_equal(np.sort(begun), expected):
            upcoming += len(begun)
        elif (filled := _count_filling(begun, upcoming, total)) is not None:
            return OrderProgress(taken, total, None, filled)
        else:
            return OrderProgress(taken, upcoming, _find_departure(taken, begun, expected, total))
        if upcoming == total:
            return OrderProgress(taken, total, None)
    if upcoming < total and taken != most:
        return OrderProgress(taken, upcoming, Departure(taken + 1, upcoming, None))
    return OrderProgress(taken, upcoming, None)


def _find_begun(positions: Positions, upcoming: int) -> Positions:
    """Return the documents that begin in a packed step: each run of tokens once, without the rest of the last one."""
    runs = positions[np.flatnonzero(np.diff(positions, prepend=UNKNOWN - 1))]
    return runs[1:] if len(runs) and upcoming and runs[0] == upcoming - 1 else runs


def _count_filling(step: Positions, upcoming: int, total: int) -> int | None:
    """Return how many documents of the beginning fill up a last step; None where it is no such step."""
    fresh = np.unique(step[step >= upcoming])
    if not np.array_equal(fresh, np.arange(upcoming, total)):
        return None
    _values, first = np.unique(step, return_index=True)
    again = np.setdiff1d(np.arange(len(step)), first[step[first] >= upcoming])
    used = np.unique(step[again])
    return len(again) if np.array_equal(used, np.arange(len(used))) else None


def _find_departure(step: int, received: Positions, expected: Positions, total: int) -> Departure:
    """Return the first position that did not come, and the first document that came instead of another."""
    missing = np.setdiff1d(expected[expected < total], received)
    _values, first = np.unique(received, return_index=True)
    twice = np.setdiff1d(np.arange(len(received)), first)
    at = np.union1d(np.flatnonzero(~np.isin(received, expected)), twice)[0]
    came = int(received[at])
    lost = int(missing[0]) if len(missing) else int(expected[0])
    return Departure(step, lost, came, bool(at in twice or 0 <= came < expected[0]))
