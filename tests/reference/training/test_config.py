"""A recipe of a training that means nothing is refused."""

from dataclasses import replace

import pytest
from helpers.training import TINY

from curate.errors import UsageError


@pytest.mark.parametrize(
    "wrong",
    [
        {"vocabulary": 256},
        {"width": 30, "heads": 4},
        {"tokens": None},
        {"tokens": 0},
        {"minutes": -1.0},
        {"batch_tokens": 100},
        {"weights": "int8"},
        {"compute": "fp8"},
        {"packs": 0},
    ],
)
def test_a_recipe_that_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        replace(TINY, **wrong)  # type: ignore[arg-type]
