"""Shares of a corpus: which units each of several processes works on, dealt by size.

Every process deals for itself and comes to the same, so that nothing needs to be agreed: the deal depends on the names,
the order and the stored sizes of the files alone.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from curate.corpus.units import Unit, cut_unit, list_units

if TYPE_CHECKING:
    from curate.corpus.corpus import Corpus
    from curate.corpus.types import Source
    from curate.runtime.work.array_tasks import ArrayTask


def choose_share(corpus: Corpus, task: ArrayTask | None) -> list[Unit] | None:
    """Return the units of a corpus that a task of a job array works on; None, which means all, without a task.

    All tasks must have the corpus cut into slices of the same ``slice_bytes``.
    """
    return None if task is None else deal_units(corpus.sources, corpus.slice_bytes, task.count)[task.index]


def deal_units(sources: Sequence[Source], slice_bytes: int, count: int) -> list[list[Unit]]:
    """Return the units of a corpus (``list_units``) in ``count`` shares of about the same bytes as stored.

    A file that is larger than a share is cut into pieces of about one (``cut_unit``). A share has its units in the
    order of the corpus, and none where there are fewer units than shares. A file of unknown size counts as the largest
    that is known.
    """
    return [list(share) for share in _deal_units(tuple(sources), slice_bytes, count)]


@lru_cache(maxsize=4)
def _deal_units(sources: tuple[Source, ...], slice_bytes: int, count: int) -> tuple[tuple[Unit, ...], ...]:
    """Return what ``deal_units`` returns; cutting a Parquet file opens it, and a corpus may have a million files."""
    whole = list_units(sources, slice_bytes)
    unknown = max((source.size or 0 for source in sources), default=0)
    fair = sum(measure_unit(unit, sources, unknown) for unit in whole) / count
    units = [piece for unit in whole for piece in cut_unit(unit, sources, slice_bytes, fair)]
    shares = deal_by_size([measure_unit(unit, sources, unknown) for unit in units], count)
    return tuple(tuple(units[number] for number in share) for share in shares)


def deal_by_size(sizes: Sequence[int], count: int) -> list[list[int]]:
    """Return the indices of some sizes in ``count`` shares of about the same sum, ascending in each.

    The largest goes first, each to the share that has the least so far; of equals to the first.
    """
    shares: list[list[int]] = [[] for _ in range(count)]
    filled = [(0, index) for index in range(count)]
    for number in sorted(range(len(sizes)), key=lambda number: (-sizes[number], number)):
        size, index = heapq.heappop(filled)
        shares[index].append(number)
        heapq.heappush(filled, (size + sizes[number] + 1, index))
    return [sorted(share) for share in shares]


def measure_unit(unit: Unit, sources: Sequence[Source], unknown: int) -> int:
    """Return the bytes of a unit as stored; ``unknown`` are those of a file whose size is not known."""
    files = sources[unit.first : unit.stop]
    return sum(unknown if source.size is None else source.size for source in files) // unit.pieces
