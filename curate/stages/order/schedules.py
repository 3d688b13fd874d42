"""The schedules of ``curate order`` by name: which parameters each reads, with the published defaults.

A parameter that the schedule does not read is refused, so that no option is accepted and ignored.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from curate.errors import UsageError
from curate.stages.order import permutations
from curate.stages.order.permutations import Bits, Empty, Ranks

# schedule → its parameters; shares are of 1
DEFAULTS: dict[str, dict[str, Any]] = {
    "sort": {},
    "shuffle": {},
    "fold": {"folds": 3},
    "zigzag": {"folds": 5},
    "segment": {"segments": "10:10"},
    "stair": {"sections": 2, "band": 0.225, "folds": 3},
    "saw": {"sections": 3, "band": 0.075, "folds": 2},
    "competence": {"start": 0.01},
    "warmup": {"warmup_share": 0.2, "start": 0.01},
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule with all its parameters."""

    name: str
    parameters: Mapping[str, Any]

    def describe(self) -> str:
        """``fold, 3 folds``; ``warmup, 20 % of the tokens, start 1 %``."""
        words = {
            "folds": "{} folds",
            "segments": "segments {} %",
            "sections": "{} sections",
            "band": "band ±{:.3g} N",
            "warmup_share": "over {:.3g} of the tokens",
            "start": "from competence {:.3g}",
        }
        return ", ".join([self.name, *(words[key].format(value) for key, value in self.parameters.items())])


def schedule_of(name: str, options: Mapping[str, Any]) -> Schedule:
    """The schedule that the options ask for; UsageError for one that is not known, or reads no such parameter."""
    if name not in DEFAULTS:
        raise UsageError(f"--schedule {name} is not known", f"one of {', '.join(DEFAULTS)}")
    given = {key: value for key, value in options.items() if value is not None}
    for key in given:
        if key not in DEFAULTS[name]:
            readers = ", ".join(one for one, read in DEFAULTS.items() if key in read)
            option = f"--{key.replace('_', '-')}"
            raise UsageError(f"{option} says nothing with --schedule {name}", f"it is read by {readers}")
    found = Schedule(name, {**DEFAULTS[name], **given})
    _check(found)
    return found


def _check(schedule: Schedule) -> None:
    found = schedule.parameters
    for key in ("folds", "sections"):
        if found.get(key, 1) < 1:
            raise UsageError(f"--{key} {found[key]} is no number of {key}", f"--{key} {DEFAULTS[schedule.name][key]}")
    for key in ("warmup_share", "start"):
        if not 0 <= found.get(key, 0) <= 1:
            option = f"--{key.replace('_', '-')}"
            raise UsageError(f"{option} {found[key]} is no share: it goes from 0 to 1", f"{option} 0.2 is a fifth")
    if "band" in found:
        most = 1 / (2 * found["sections"])
        if not 0 <= found["band"] <= most:
            message = f"--band {found['band']}: bands around the borders of {found['sections']} sections would overlap"
            raise UsageError(message, f"a band goes from 0 to {most:.3g}")
    if "segments" in found:
        segments_of(found["segments"])


def segments_of(text: str) -> tuple[float, float]:
    """``10:10`` as the shares .1 and .1; UsageError for what is no two percentages, or more than 100 together."""
    hint = "the lowest and the highest percent of the tokens, as in --segments 10:10"
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError as error:
        raise UsageError(f"--segments {text} is no LOW:HIGH", hint) from error
    if not (math.isfinite(low + high) and low >= 0 and high >= 0 and low + high <= 100):
        raise UsageError(f"--segments {text}: both are 0 or more, and together at most 100", hint)
    return low / 100, high / 100


def arrange(schedule: Schedule, tokens: Ranks, bits: Bits, empty: Empty = permutations.in_memory) -> Ranks:
    """The order of documents of which the tokens are given by rank."""
    found, count = schedule.parameters, len(tokens)
    if schedule.name == "shuffle":
        return permutations.shuffle(count, bits, empty)
    if schedule.name == "fold":
        return permutations.fold(count, found["folds"], empty)
    if schedule.name == "zigzag":
        return permutations.zigzag(count, found["folds"], empty)
    if schedule.name == "segment":
        return permutations.segment(tokens, bits, *segments_of(found["segments"]), empty)
    if schedule.name in ("stair", "saw"):
        banded = permutations.stair if schedule.name == "stair" else permutations.saw
        return banded(count, found["sections"], found["band"], found["folds"], empty)
    if schedule.name == "competence":
        return permutations.pace(tokens, bits, found["start"], empty)
    if schedule.name == "warmup":
        return permutations.warm_up(tokens, bits, found["warmup_share"], found["start"], empty)
    return permutations.sort(count, empty)
