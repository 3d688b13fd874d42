"""Numbers have values: digits of any script, in groups, and spelled."""

import pytest

from curate.stages.decontaminate.evidence.numbers import read_values


@pytest.mark.parametrize(
    ("words", "language", "values"),
    [
        (["120", "000"], "en", [120_000]),
        (["120000"], "de", [120_000]),
        (["seven", "apples", "7"], "en", [7, 7]),
        (["sieben"], "de", [7]),
        (["sieben"], "en", []),
        (["семь", "двадцать"], "ru", [7, 20]),
        (["४५"], "hi", [45]),
        (["٤٥"], "ar", [45]),
        (["三"], "zh", [3]),
        (["34개를", "5kg"], "ko", [34, 5]),
        (["5kg2", "kg5"], "en", []),
        (["x2", "two-fold", ""], "en", []),
        (["9" * 50], "en", []),
        (["²"], "en", []),
    ],
)
def test_numbers_are_read_by_their_values(words, language, values):
    assert read_values(words, language) == values
