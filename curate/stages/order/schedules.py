"""The schedules of ``curate order`` by name: the function of each, its parameters, and the published defaults.

A new schedule is a function in ``curate.stages.order.permutations`` and an entry of ``SCHEDULES``. A parameter that the
schedule does not read is refused, so that no option is accepted and ignored.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from curate.errors import UsageError
from curate.stages.order import permutations
from curate.stages.order.permutations import Bits, Empty, Ranks


@dataclass(frozen=True, slots=True)
class ScheduleRule:
    """How a schedule arranges documents, and which parameters it reads."""

    arrange: Callable[..., Ranks]
    """Called with the tokens of the documents by rank, random bits, ``empty`` (which makes large arrays), and the
    parameters as keyword arguments; returns a permutation of the ranks."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """The parameters with their published values; shares are of 1."""


SCHEDULES: Mapping[str, ScheduleRule] = {
    "sort": ScheduleRule(lambda tokens, bits, empty: permutations.sort(len(tokens), empty)),
    "shuffle": ScheduleRule(lambda tokens, bits, empty: permutations.shuffle(len(tokens), bits, empty)),
    "fold": ScheduleRule(
        lambda tokens, bits, empty, folds: permutations.fold(len(tokens), folds, empty),
        {"folds": 3},
    ),
    "zigzag": ScheduleRule(
        lambda tokens, bits, empty, folds: permutations.zigzag(len(tokens), folds, empty),
        {"folds": 5},
    ),
    "segment": ScheduleRule(
        lambda tokens, bits, empty, segments: permutations.segment(tokens, bits, *parse_segments(segments), empty),
        {"segments": "10:10"},
    ),
    "stair": ScheduleRule(
        lambda tokens, bits, empty, sections, band, folds: permutations.stair(
            len(tokens), sections, band, folds, empty
        ),
        {"sections": 2, "band": 0.225, "folds": 3},
    ),
    "saw": ScheduleRule(
        lambda tokens, bits, empty, sections, band, folds: permutations.saw(len(tokens), sections, band, folds, empty),
        {"sections": 3, "band": 0.075, "folds": 2},
    ),
    "competence": ScheduleRule(
        lambda tokens, bits, empty, start: permutations.pace(tokens, bits, start, empty),
        {"start": 0.01},
    ),
    "warmup": ScheduleRule(
        lambda tokens, bits, empty, warmup_share, start: permutations.warm_up(tokens, bits, warmup_share, start, empty),
        {"warmup_share": 0.2, "start": 0.01},
    ),
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule with all its parameters."""

    name: str
    parameters: Mapping[str, Any]

    def describe(self) -> str:
        """Return the schedule in words: ``fold, 3 folds``; ``warmup, over 0.2 of the tokens, from competence 0.01``."""
        return ", ".join([self.name, *(PARAMETERS[key].words.format(value) for key, value in self.parameters.items())])


def schedule_of(name: str, options: Mapping[str, Any]) -> Schedule:
    """Return the schedule with the defaults for the options that are None.

    Raises UsageError for a schedule that is not known, a parameter that it does not read, or a value that is not
    allowed.
    """
    if name not in SCHEDULES:
        raise UsageError(f"--schedule {name} is not known", f"one of {', '.join(SCHEDULES)}")
    defaults = SCHEDULES[name].defaults
    given = {key: value for key, value in options.items() if value is not None}
    for key in given:
        if key not in defaults:
            readers = ", ".join(reader for reader, rule in SCHEDULES.items() if key in rule.defaults)
            raise UsageError(f"{_option(key)} has no effect with --schedule {name}", f"it is read by {readers}")
    schedule = Schedule(name, {**defaults, **given})
    for key, parameter in PARAMETERS.items():
        if key in schedule.parameters:
            parameter.check(key, schedule)
    return schedule


def arrange(schedule: Schedule, tokens: Ranks, bits: Bits, empty: Empty = permutations.in_memory) -> Ranks:
    """Return the order of documents of which ``tokens`` are given by rank: a permutation of 0 … len(tokens) − 1."""
    return SCHEDULES[schedule.name].arrange(tokens, bits, empty, **schedule.parameters)


def parse_segments(text: str) -> tuple[float, float]:
    """Return ``10:10`` as the shares .1 and .1.

    Raises UsageError for anything but two percentages, and for more than 100 together.
    """
    hint = "the lowest and the highest percent of the tokens, as in --segments 10:10"
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError as error:
        raise UsageError(f"--segments must be LOW:HIGH, not {text}", hint) from error
    if not (math.isfinite(low + high) and low >= 0 and high >= 0 and low + high <= 100):
        raise UsageError(f"--segments {text}: both must be 0 or more, and together at most 100", hint)
    return low / 100, high / 100


def _option(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _check_count(key: str, schedule: Schedule) -> None:
    value = schedule.parameters[key]
    if value < 1:
        hint = f"{_option(key)} {SCHEDULES[schedule.name].defaults[key]}"
        raise UsageError(f"{_option(key)} must be at least 1, not {value}", hint)


def _check_share(key: str, schedule: Schedule) -> None:
    value = schedule.parameters[key]
    if not 0 <= value <= 1:
        raise UsageError(f"{_option(key)} must be a share from 0 to 1, not {value}", f"{_option(key)} 0.2 is a fifth")


def _check_band(key: str, schedule: Schedule) -> None:
    band, sections = schedule.parameters[key], schedule.parameters["sections"]
    most = 1 / (2 * sections)
    if not 0 <= band <= most:
        message = f"--band {band}: bands around the borders of {sections} sections would overlap"
        raise UsageError(message, f"a band goes from 0 to {most:.3g}")


def _check_segments(key: str, schedule: Schedule) -> None:
    parse_segments(schedule.parameters[key])


@dataclass(frozen=True, slots=True)
class ScheduleParameter:
    """A parameter of schedules: how it is described, and what it may be."""

    words: str
    """A format of the value, for ``Schedule.describe``."""
    check: Callable[[str, Schedule], None]
    """Raises UsageError where the schedule's value of the parameter is not allowed."""


PARAMETERS: Mapping[str, ScheduleParameter] = {
    "folds": ScheduleParameter("{} folds", _check_count),
    "sections": ScheduleParameter("{} sections", _check_count),
    "warmup_share": ScheduleParameter("over {:.3g} of the tokens", _check_share),
    "start": ScheduleParameter("from competence {:.3g}", _check_share),
    "band": ScheduleParameter("band ±{:.3g} N", _check_band),
    "segments": ScheduleParameter("segments {} %", _check_segments),
}
"""In the order in which they are checked: the sections before the band, which depends on them."""
