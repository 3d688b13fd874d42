"""``--part``: which part of the work this process does, as typed or as the scheduler of a job array says it.

``2/64`` is the third of 64 parts, counted from 0. ``auto`` is what the environment says: a Slurm array, SkyPilot,
torchrun … ``auto/64`` takes the number of the task alone from there: where nothing says how many tasks there are, as in
Kubernetes, and where some tasks of an array of 64 are submitted again.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from curate.errors import UsageError


@dataclass(frozen=True, slots=True)
class ArrayTask:
    """One of the tasks of a job array."""

    index: int
    """0 … count - 1."""
    count: int


@dataclass(frozen=True, slots=True)
class _Scheduler:
    name: str
    index: str
    """The variable with the number of the task."""
    count: str | None
    """The variable with the number of tasks; None where there is none."""
    first: str | None = None
    """The variable with the number of the first task; None: 0."""
    step: str | None = None
    """The variable with the distance of the numbers of two tasks; None: 1."""


SCHEDULERS = (
    _Scheduler(
        "a Slurm array",
        "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP",
    ),
    _Scheduler("an indexed job of Kubernetes", "JOB_COMPLETION_INDEX", None),
    _Scheduler("SkyPilot", "SKYPILOT_JOB_RANK", "SKYPILOT_NUM_JOBS"),
    _Scheduler("torchrun or MPI", "RANK", "WORLD_SIZE"),
    _Scheduler("srun", "SLURM_PROCID", "SLURM_NTASKS"),
)  # fmt: skip
"""Where a number is looked for, in this order."""
MOST = 100_000
"""Parts at most."""


def parse_part(text: str, environment: Mapping[str, str] | None = None) -> ArrayTask:
    """Return the task of a ``--part``; ``environment`` is that of the process if None.

    Raises UsageError for what is no part, and for auto where the environment does not say it.
    """
    typed, slash, many = text.strip().partition("/")
    if typed == "auto":
        return _read_environment(os.environ if environment is None else environment, many if slash else None)
    try:
        index, count = int(typed), int(many)
    except ValueError:
        raise UsageError(f"--part {text}: expected i/n, as in 0/4, or auto", "--part 0/4") from None
    return _check(index, count, text)


def _read_environment(environment: Mapping[str, str], many: str | None) -> ArrayTask:
    for scheduler in SCHEDULERS:
        index = _read_number(environment, scheduler.index)
        if index is None:
            continue
        count = _read_number(environment, scheduler.count) if many is None else _parse_count(many)
        if count is None:
            message = f"--part auto: {scheduler.index} says that this is task {index}, and nothing of how many"
            raise UsageError(message, "say how many: --part auto/64")
        if many is None:  # an array may begin anywhere
            first, step = (_read_number(environment, name) for name in (scheduler.first, scheduler.step))
            index = (index - (first or 0)) // max(1, step or 1)
        return _check(index, count, f"auto ({scheduler.name})")
    strange = next((one.index for one in SCHEDULERS if one.index in environment), None)
    if strange is not None:
        message = f"--part auto: {strange} is {environment[strange]!r}, which is no number"
        raise UsageError(message, "say which: --part 0/4")
    names = ", ".join(scheduler.index for scheduler in SCHEDULERS)
    raise UsageError(f"--part auto: none of {names} is set", "say which: --part 0/4")


def _read_number(environment: Mapping[str, str], name: str | None) -> int | None:
    try:
        return None if name is None or name not in environment else int(environment[name])
    except ValueError:
        return None


def _parse_count(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"--part auto/{text}: expected a number of parts", "--part auto/64") from None


def _check(index: int, count: int, text: str) -> ArrayTask:
    if not 1 <= count <= MOST:
        raise UsageError(f"--part {text}: expected 1 to {MOST:,} parts, not {count:,}", "--part 0/4")
    if not 0 <= index < count:
        message = f"--part {text}: parts count from 0: 0/{count} to {count - 1}/{count}, not {index}/{count}"
        hint = "number the tasks from 0; for some tasks of an earlier array name its size, as in --part auto/64"
        raise UsageError(message, hint)
    return ArrayTask(index, count)
