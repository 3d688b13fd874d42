"""Quantities as people write and read them."""

import math

import pytest
import typer

from curate.errors import UsageError
from curate.runtime import numbers
from curate.runtime.numbers import parse_size


def test_sizes_are_read_as_people_write_them():
    for text, octets in {"500MB": 5 * 10**8, "2GiB": 2**31, "1.5 kb": 1500, "700": 700, "10B": 10}.items():
        assert parse_size(text) == octets
    for text in ("", "many", "-5MB", "0", "nan", "inf", "5XB", "MB", "1e30"):
        with pytest.raises(UsageError):
            parse_size(text)


def test_a_memory_limit_that_is_no_size_names_its_option():
    assert numbers.parse_memory("1GB") == 10**9
    with pytest.raises(UsageError, match="--memory-limit much"):
        numbers.parse_memory("much")


def test_one_number_is_a_float_and_several_are_a_tuple():
    assert numbers.parse_numbers("50") == 50.0
    assert numbers.parse_numbers("20,30.5, 50") == (20.0, 30.5, 50.0)
    for text in ("", "x", "1,,2"):
        with pytest.raises(typer.BadParameter):
            numbers.parse_numbers(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [("2B", 2 * 10**9), ("500m", 5 * 10**8), ("1.5 k", 1500), ("1_000", 1000), ("123,456", 123_456), (7, 7),
     ("0.1T", 10**11), ("2.675k", 2675)],
)  # fmt: skip
def test_tokens_are_read_exactly(text, number):
    assert numbers.parse_tokens(text) == number


@pytest.mark.parametrize("text", ["", "many", "-2B", "0", "0.0001k", "1e9", "2X", "nan"])
def test_what_is_no_number_of_tokens_is_refused(text):
    with pytest.raises(UsageError, match="--tokens"):
        numbers.parse_tokens(text)


def test_tokens_are_spelled_as_short_as_they_are_exact():
    spelled = {2 * 10**9: "2B", 1_500_000: "1.5M", 123_456: "123,456", 1_234_567: "1,234,567", 10**12: "1T", 0: "0"}
    for number, text in spelled.items():
        assert numbers.spell_tokens(number) == text
        assert number == 0 or numbers.parse_tokens(text) == number


def test_figures_have_three_digits():
    assert [numbers.figure(value) for value in (4.1349, 38.94, 413.2, 90_210.0, 0.0001234, 0)] == [
        "4.13", "38.9", "413", "90200", "0.000123", "0"
    ]  # fmt: skip


def test_what_json_does_not_have_is_null_at_any_depth():
    value = {"a": [1.5, math.nan, (math.inf, "x")], "b": {"c": -math.inf, "d": None}}
    assert numbers.finite(value) == {"a": [1.5, None, [None, "x"]], "b": {"c": None, "d": None}}
