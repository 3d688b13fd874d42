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
        {"width": 0},
        {"heads": 0},
        {"layers": 0},
        {"context": 0},
        {"document_tokens": 0},
        {"matrix_rate": 0.0},
        {"vector_rate": -1.0},
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
    with pytest.raises(UsageError) as caught:
        replace(TINY, **wrong)  # type: ignore[arg-type]
    assert caught.value.hint
