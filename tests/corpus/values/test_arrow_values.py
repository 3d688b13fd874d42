"""Arrow values become Python values, and back, without loss: JSON, dates beyond Python's, nanoseconds, equal names."""

import datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.corpus.values.arrow_values import (
    JSON_TYPE,
    encode_json,
    flatten_lists,
    from_values,
    holds_far_times,
    holds_json,
    is_json,
    number_duplicates,
    parse_json,
    parse_json_or_text,
    spell_json,
    to_values,
)
from curate.corpus.values.json_records import BadRowError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
DEEP = [
    (JSON_TYPE, [{"a": [1, None, "é"]}, None, "text", 7, [], {}]),
    (pa.list_(JSON_TYPE), [[{"a": 1}, None, "x"], None, [], [2**70]]),
    (pa.large_list(pa.list_(JSON_TYPE)), [[[1], None, ["b"]], None, []]),
    (pa.list_(JSON_TYPE, 2), [["x", 1], None, [None, {"y": []}]]),
    (
        pa.struct([("calls", pa.list_(JSON_TYPE)), ("day", pa.date32())]),
        [{"calls": [{"b": [1]}], "day": datetime.date(2020, 1, 1)}, None, {"calls": None, "day": None}],
    ),
]


def days(*numbers):
    return pa.array(numbers, pa.int32()).cast(pa.date32())


def ticks(kind, *numbers):
    return pa.array(numbers, pa.int64()).cast(kind)


@settings(max_examples=60, deadline=None)
@given(st.lists(json_values, max_size=5))
def test_any_json_survives_as_a_column(values):
    column = encode_json(values)
    assert is_json(column.type) and to_values(column) == values
    assert repr(to_values(column)) == repr(values)


@pytest.mark.parametrize(("kind", "values"), DEEP)
def test_json_within_lists_and_structs_goes_both_ways_and_in_slices(kind, values):
    column = from_values(values, kind)
    column.validate(full=True)
    assert column.type == kind and holds_json(kind) and not holds_json(pa.list_(pa.string()))
    assert to_values(column) == values and to_values(column.slice(1, 2)) == values[1:3]
    assert to_values(pa.chunked_array([column, column.slice(2)])) == values + values[2:]


def test_a_lone_surrogate_is_escaped_and_other_letters_are_not():
    assert spell_json({"a": "é\U0001f642"}) == '{"a":"é\U0001f642"}'
    assert spell_json("\ud800é") == '"\\ud800\\u00e9"' and to_values(encode_json(["\ud800é"])) == ["\ud800é"]


@pytest.mark.parametrize("text", ["", "{", "text", "[" * 600 + "]" * 600, "[" * 99_999])
def test_what_is_no_json_is_said_or_stays_a_text(text):
    with pytest.raises(BadRowError):
        parse_json(text)
    assert parse_json_or_text(text) == text


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (days(0, 2932896, 2932897), [datetime.date(1970, 1, 1), datetime.date(9999, 12, 31), "10000-01-01"]),
        (days(-719162, -719163, 10**8), [datetime.date(1, 1, 1), "0000-12-31", "275760-09-13"]),
        (days(-(10**6)), ["-0768-02-04"]),
        (ticks(pa.date64(), 2**50), ["37648-05-06"]),
        (ticks(pa.timestamp("s"), 2**40, None), ["36812-02-20T00:36:16", None]),
        (ticks(pa.timestamp("us"), 2**62), ["148108-07-06T14:00:27.387904"]),
        (ticks(pa.timestamp("ms", "Mars/Olympus"), 5), ["1970-01-01T00:00:00.005+00:00"]),
        (ticks(pa.timestamp("ns"), 1), ["1970-01-01T00:00:00.000000001"]),
        (ticks(pa.timestamp("ns"), 5000), [datetime.datetime(1970, 1, 1, 0, 0, 0, 5)]),
        (ticks(pa.timestamp("ns", "UTC"), -1), ["1969-12-31T23:59:59.999999999+00:00"]),
        (ticks(pa.time64("ns"), 1, 5000), ["00:00:00.000000001", datetime.time(0, 0, 0, 5)]),
        (ticks(pa.duration("s"), 2**62, 5), ["4611686018427387904 s", datetime.timedelta(seconds=5)]),
        (ticks(pa.duration("ns"), -1, 2000), ["-1 ns", datetime.timedelta(microseconds=2)]),
    ],
)  # fmt: skip
def test_times_that_python_cannot_hold_are_texts_at_any_depth(column, expected):
    assert to_values(column) == expected
    count = len(column)
    assert to_values(pa.ListArray.from_arrays([0, count], column)) == [expected]
    assert to_values(pa.StructArray.from_arrays([column], ["at"])) == [{"at": value} for value in expected]
    assert to_values(column.dictionary_encode()) == expected


@pytest.mark.parametrize(
    ("column", "is_far"),
    [
        (days(0, None, 2932896, -719162), False),
        (days(0, 2932897), True),
        (days(0, -719163), True),
        (days(None, None), False),
        (ticks(pa.timestamp("s", "Mars/Olympus"), 0, None), False),
        (ticks(pa.timestamp("us", "UTC"), 2**62), True),
        (ticks(pa.timestamp("ns"), 2**63 - 1, -(2**63)), False),
        (ticks(pa.timestamp("ms"), -(2**62)), True),
        (ticks(pa.date64(), 2**50), True),
    ],
)
def test_far_dates_are_found(column, is_far):
    assert holds_far_times(column) == is_far and not holds_far_times(column.slice(0, 0))


def test_times_may_be_read_in_another_way_at_any_depth():
    column = pa.StructArray.from_arrays(
        [pa.ListArray.from_arrays([0, 2], days(0, 10**8)), encode_json([1])], ["at", "x"]
    )
    assert to_values(column, str, lambda time, kind: f"{time} {kind}") == [
        {"at": ["1970-01-01 date32[day]", "275760-09-13 date32[day]"], "x": "1"}
    ]


def test_fields_of_one_name_are_kept_apart():
    column = pa.StructArray.from_arrays([pa.array([1]), pa.array(["x"]), pa.array([True])], ["a", "a", "a_2"])
    assert to_values(column) == [{"a": 1, "a_3": "x", "a_2": True}]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "b"], ["a", "b"]),
        (["a", "a", "a"], ["a", "a_2", "a_3"]),
        (["a", "a", "a_2"], ["a", "a_3", "a_2"]),
        (["a_2", "a", "a", "a_2"], ["a_2", "a", "a_3", "a_2_2"]),
        (["", "", "A", "a"], ["", "_2", "A", "a"]),
    ],
)
def test_a_number_is_never_the_name_of_another(names, expected):
    assert number_duplicates(names) == expected


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.int64()), pa.large_list(pa.int64()), pa.list_view(pa.int64()), pa.large_list_view(pa.int64())],
)
def test_items_of_lists_are_those_of_the_rows_of_a_slice(kind):
    column = pa.array([[9], [1, 2], None, [], [3], [8]], kind).slice(1, 4)
    items, lengths = flatten_lists(column)
    assert items.to_pylist() == [1, 2, 3] and lengths.tolist() == [2, 0, 0, 1]


def test_items_of_a_null_list_are_left_out():
    hidden = pa.ListArray.from_arrays([0, 2, 3], pa.array([1, 2, 3]), mask=pa.array([True, False]))
    assert flatten_lists(hidden)[0].to_pylist() == [3] and to_values(hidden) == [None, [3]]
    views = pa.ListViewArray.from_arrays([1, 0], [2, 1], encode_json(["a", "b", "c"]))
    assert flatten_lists(views)[0].to_pylist() == ['"b"', '"c"', '"a"']
    fixed = pa.array([[1, 2], None, [5, 6]], pa.list_(pa.int64(), 2))
    assert flatten_lists(fixed.slice(1))[0].to_pylist() == [5, 6]
