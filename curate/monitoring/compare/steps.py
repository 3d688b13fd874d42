"""The documents of one side as steps of time, by a column of theirs."""

import re
from collections.abc import Iterator

import numpy as np

from curate.errors import UsageError
from curate.monitoring.compare.documents import DocumentBatch, Grouping
from curate.monitoring.compare.pairing import SideUnits
from curate.monitoring.compare.sides import ComparedSide
from curate.monitoring.compare.totals import SideTotals
from curate.monitoring.compare.units import UnitSums

MOST_STEPS = 120
"""Steps of a series at most."""
DAY = re.compile(r"^(\d{4}-\d{2}-\d{2})[T ]\d")
"""A moment, of which the day is the step."""


def spell_day(value: str) -> str:
    """Return the day of a moment (2024-06-01T12:30:00 is 2024-06-01); other values as they are."""
    match = DAY.match(value)
    return match[1] if match else value


def read_steps(side: ComparedSide, grouping: Grouping) -> tuple[list[str], list[SideUnits], int]:
    """Return the steps in order, the units of each, and how many documents have no time.

    Steps are sorted as numbers where all are numbers, else as text, as dates sort. Raises UsageError for fewer than two
    steps, or too many.
    """
    if side.read is None:
        raise UsageError(f"{side.label} is a baseline, which keeps no column of time", "name a run directory")
    grouping.spell_step = spell_day
    found: dict[int, SideUnits] = {}
    without = 0
    for batch in side.read(grouping):
        without += int((batch.steps < 0).sum())
        if len(grouping.steps) > MOST_STEPS:
            message = f"--time-column {grouping.time} has more than {MOST_STEPS} values"
            raise UsageError(message, "name a column of days, weeks or months")
        for number, some in _split(batch):
            units = found.setdefault(number, SideUnits(UnitSums(4, side.num_documents), SideTotals()))
            units.totals.add(some)
            units.sums.add(some.groups, some.keys, [np.ones(len(some)), some.nats, some.tokens, some.bytes])
    if len(found) < 2:
        message = f"--time-column {grouping.time} has {len(found)} value{'' if len(found) == 1 else 's'} with documents"
        raise UsageError(message, "a series needs at least two steps")
    numbers = {number: name for name, number in grouping.steps.items() if number in found}
    order = sorted(numbers, key=lambda number: _sort_key(numbers[number], list(numbers.values())))
    return [numbers[number] for number in order], [found[number] for number in order], without


def _split(batch: DocumentBatch) -> Iterator[tuple[int, DocumentBatch]]:
    for number in np.unique(batch.steps).tolist():
        if number >= 0:
            yield number, batch.take(batch.steps == number)


def _sort_key(name: str, names: list[str]) -> tuple[float, str]:
    try:
        for one in names:
            float(one)
        return float(name), name
    except ValueError:
        return 0.0, name
