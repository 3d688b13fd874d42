"""Quantities as people write and read them."""

import math
import re

import pytest
from helpers.paths import ROOT

from curate.errors import UsageError
from curate.runtime import numbers
from curate.runtime.numbers import (
    format_change,
    format_figure,
    format_percent,
    format_share,
    format_whole_percent,
    parse_size,
)


def test_sizes_are_read_as_people_write_them():
    sizes = {"500MB": 5 * 10**8, "2GiB": 2**31, "1.5 kb": 1500, "700": 700, "10B": 10, "1.5TB": 15 * 10**11}
    for text, octets in (sizes | {"1 TiB": 2**40, "3KiB": 3072}).items():
        assert parse_size(text, "--shard-size") == octets


@pytest.mark.parametrize("text", ["", "many", "-5MB", "0", "nan", "inf", "5XB", "MB", "1e30", "80%"])
def test_a_size_that_is_none_is_refused_under_the_name_of_its_option(text):
    with pytest.raises(UsageError, match=f"^--memory-limit must be a size .*, not {text}$") as caught:
        parse_size(text, "--memory-limit")
    assert caught.value.hint == "--memory-limit 1GB"


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
    assert [numbers.format_figure(value) for value in (4.1349, 38.94, 413.2, 90_210.0, 0.0001234, 0)] == [
        "4.13", "38.9", "413", "90200", "0.000123", "0"
    ]  # fmt: skip


def test_what_json_does_not_have_is_null_at_any_depth():
    value = {"a": [1.5, math.nan, (math.inf, "x")], "b": {"c": -math.inf, "d": None}}
    assert numbers.make_jsonable(value) == {"a": [1.5, None, [None, "x"]], "b": {"c": None, "d": None}}


def test_a_character_that_utf_8_cannot_encode_is_an_escape_in_json():
    """As in the name of a file that is not UTF-8 on the disk."""
    assert numbers.make_jsonable({"run": "r\udcff", "text": "é\n"}) == {"run": "r\\udcff", "text": "é\n"}


FIGURES = {
    4.126: "4.13", 38.94: "38.9", 413.2: "413", 90_249.0: "90200", 0.5: "0.5", 48.0: "48", -3.14159: "-3.14",
    0.000421: "0.000421", 0.0000421: "4.21e-05", 9.99e9: "9990000000", 1.5e12: "1.5e+12", 0.0: "0",
}  # fmt: skip


@pytest.mark.parametrize(("value", "text"), FIGURES.items())
def test_a_figure_has_three_significant_digits(value, text):
    assert format_figure(value) == text


def test_a_percentage_has_one_decimal_and_a_space_before_the_sign():
    assert (format_share(1, 8), format_share(0, 8), format_share(8, 8), format_share(3, 0)) == (
        "12.5 %",
        "0.0 %",
        "100.0 %",
        "",
    )
    assert (format_percent(0.375, 0), format_percent(1.5), format_percent(0.12345, 2)) == ("38 %", "150.0 %", "12.35 %")


def test_only_all_is_a_hundred_percent():
    assert [format_whole_percent(share) for share in (0.0, 0.94, 0.999, 1.0)] == ["0 %", "94 %", "99 %", "100 %"]


def test_a_change_has_a_sign_unless_it_rounds_to_nothing():
    changes = (0.12, -0.4, 0.004, -0.004, 0.0, 2.5)
    assert [format_change(change) for change in changes] == ["+12 %", "−40 %", "0 %", "0 %", "0 %", "+250 %"]


def test_no_other_file_writes_a_percent_sign_by_hand():
    """A percentage with a space before its sign comes from ``runtime/numbers.py``; axes of charts have their ticks."""
    by_hand = re.compile(r"""replace\((["'])%\1""")
    paths = [path for path in (ROOT / "curate").rglob("*.py") if path.name != "numbers.py"]
    assert [str(path) for path in paths if by_hand.search(path.read_text())] == []


def test_a_noun_is_counted_as_people_write_it():
    assert [numbers.count_noun(number, "row") for number in (0, 1, 1200)] == ["0 rows", "1 row", "1,200 rows"]
