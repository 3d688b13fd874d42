"""Whether documents come in their reading order, and if not, at which step they first do not. Pure.

A document is its position: 0, 1, 2 … in reading order, and ``UNKNOWN`` for one that is not of the export. A step is
what one optimizer step sees: one batch on every rank. All of it goes into one gradient, so that the order inside a step
means nothing: a step is in order when it holds the next documents and no others. The law of a kept order is that the
steps, one after the other, are 0 … N−1, each document in one step, but for two things that trainers do:

- packed sequences cut documents, so that one may end a step and begin the next (``packed``);
- the last step of several ranks is filled up with documents of the beginning (accelerate's ``even_batches``, torch's
  ``DistributedSampler``). They are counted, and are no departure.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -1

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Departure:
    """Where the documents first leave their order."""

    step: int
    """Counted from 1, as trainers do."""
    expected: int
    """The position that was next and did not come (or, of a document that came twice, what it took the place of)."""
    found: int | None
    """The position that came instead, ``UNKNOWN`` for a foreign document; None where the documents ended."""
    repeated: bool = False
    """What came instead had come before."""


@dataclass(frozen=True, slots=True)
class OrderProgress:
    """How far documents kept their order."""

    steps: int
    documents: int
    """Documents that came in order."""
    departure: Departure | None
    filled: int = 0
    """Documents of the beginning that came again to fill the last step."""

    @property
    def kept(self) -> bool:
        return self.departure is None


def follow(steps: Iterable[Positions], total: int, packed: bool = False, most: int | None = None) -> OrderProgress:
    """Compare steps with the order 0 … ``total`` − 1, until the first departure, the last document, or ``most`` steps.

    Where ``most`` did not end it, documents that never come are a departure, too. What comes after the last document
    (a second epoch) is not looked at.
    """
    taken = upcoming = 0
    for positions in steps:
        if taken == most:
            return OrderProgress(taken, upcoming, None)
        taken += 1
        own = _take_off_rest(positions, upcoming) if packed else positions
        wanted = np.arange(upcoming, upcoming + len(own))
        if upcoming + len(own) <= total and np.array_equal(np.sort(own), wanted):
            upcoming += len(own)
        elif (filled := _count_filling(own, upcoming, total)) is not None:
            return OrderProgress(taken, total, None, filled)
        else:
            return OrderProgress(taken, upcoming, _differ(taken, own, wanted, total))
        if upcoming == total:
            return OrderProgress(taken, total, None)
    if upcoming < total and taken != most:
        return OrderProgress(taken, upcoming, Departure(taken + 1, upcoming, None))
    return OrderProgress(taken, upcoming, None)


def _take_off_rest(positions: Positions, upcoming: int) -> Positions:
    """The documents that a packed step begins: runs of tokens made one, without the rest of the document before."""
    own = positions[np.flatnonzero(np.diff(positions, prepend=UNKNOWN - 1))]
    return own[1:] if len(own) and upcoming and own[0] == upcoming - 1 else own


def _count_filling(own: Positions, upcoming: int, total: int) -> int | None:
    """How many documents of the beginning fill up a last step; None where it is no such step."""
    fresh = np.unique(own[own >= upcoming])
    if not np.array_equal(fresh, np.arange(upcoming, total)):
        return None
    _values, first = np.unique(own, return_index=True)
    again = np.setdiff1d(np.arange(len(own)), first[own[first] >= upcoming])
    used = np.unique(own[again])
    return len(again) if np.array_equal(used, np.arange(len(used))) else None


def _differ(step: int, own: Positions, wanted: Positions, total: int) -> Departure:
    """The first position that did not come, and the first document that came in the place of another."""
    missing = np.setdiff1d(wanted[wanted < total], own)
    _values, first = np.unique(own, return_index=True)
    twice = np.setdiff1d(np.arange(len(own)), first)
    place = np.union1d(np.flatnonzero(~np.isin(own, wanted)), twice)[0]
    expected = int(missing[0]) if len(missing) else int(wanted[0])
    found = int(own[place])
    return Departure(step, expected, found, bool(place in twice or 0 <= found < wanted[0]))
