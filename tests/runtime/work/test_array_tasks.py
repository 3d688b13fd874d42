"""``--part``: as typed, or as the schedulers say it; what is none is named."""

import pytest

from curate.errors import UsageError
from curate.runtime.work.array_tasks import ArrayTask, parse_part

SLURM = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "1"}


@pytest.mark.parametrize(
    ("text", "environment", "task"),
    [
        ("0/1", {}, (0, 1)),
        ("2/64", {"RANK": "5", "WORLD_SIZE": "9"}, (2, 64)),
        ("auto", {**SLURM, "SLURM_ARRAY_TASK_STEP": "2"}, (3, 4)),
        ("auto", {"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "64"}, (0, 64)),
        ("auto", {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_PROCID": "0"}, (3, 4)),
        ("auto/8", {"JOB_COMPLETION_INDEX": "7"}, (7, 8)),
        ("auto/64", {**SLURM, "SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "3"}, (7, 64)),
        ("auto", {"RANK": "1", "WORLD_SIZE": "2"}, (1, 2)),
        ("auto", {"SKYPILOT_JOB_RANK": "2", "SKYPILOT_NUM_JOBS": "3"}, (2, 3)),
    ],
)
def test_a_part_is_read_as_typed_or_from_the_scheduler(text, environment, task):
    assert parse_part(text, environment) == ArrayTask(*task)


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("4/4", {}, r"parts count from 0: 0/4 to 3/4, not 4/4"),
        ("-1/4", {}, "not -1/4"),
        ("1/0", {}, "expected 1 to"),
        ("3", {}, "expected i/n"),
        ("a/b", {}, "expected i/n"),
        ("auto", {}, "none of SLURM_ARRAY_TASK_ID"),
        (
            "auto",
            {"JOB_COMPLETION_INDEX": "7"},
            "says that this is task 7, and nothing of how many",
        ),
        ("auto/x", {"RANK": "1"}, "expected a number of parts"),
        ("auto", SLURM, "parts count from 0"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "x"}, "SLURM_ARRAY_TASK_ID is 'x', which is no number"),
    ],
)
def test_what_is_no_part_is_refused_with_what_was_found(text, environment, message):
    with pytest.raises(UsageError, match=message):
        parse_part(text, environment)
