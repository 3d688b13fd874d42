"""Strings are replaced at any depth of a column, and everything else stays."""

from datetime import datetime

import pyarrow as pa
import pytest

from curate.corpus.values.arrow_strings import replace_in_value, replace_strings
from curate.corpus.values.arrow_values import JSON_TYPE, encode_json, to_values

SWAP = {"a": "A", "b": "BBB", b"a": b"A"}
TIME = datetime(2024, 1, 2)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["a", None, "c"], pa.string(), ["A", None, "c"]),
        (["a", "b"], pa.string_view(), ["A", "BBB"]),
        ([b"a", b"c"], pa.binary(), [b"A", b"c"]),
        ([["a", None], None, []], pa.list_(pa.string()), [["A", None], None, []]),
        ([["a"], ["b"], None], pa.list_(pa.string(), 1), [["A"], ["BBB"], None]),
        (
            [[{"role": "a", "at": TIME}], None, [None]],
            pa.large_list(pa.struct({"role": pa.string(), "at": pa.timestamp("ns")})),
            [[{"role": "A", "at": TIME}], None, [None]],
        ),
        ([[("a", "a")], None], pa.map_(pa.string(), pa.string()), [[("A", "A")], None]),
        ([1, 2], pa.int64(), [1, 2]),
        ([None], pa.null(), [None]),
    ],
)
@pytest.mark.parametrize("sliced", [False, True])
def test_strings_are_replaced_and_the_type_stays(values, kind, expected, sliced):
    array = pa.array(values, kind)
    array = pa.concat_arrays([array, array]).slice(len(array)) if sliced else array
    found = replace_strings(pa.chunked_array([array, array]), SWAP)
    assert found.to_pylist() == expected * 2 and found.type == kind


def test_a_dictionary_becomes_its_values():
    found = replace_strings(pa.chunked_array([pa.array(["a", "c", "a", None]).dictionary_encode()]), SWAP)
    assert found.to_pylist() == ["A", "c", "A", None] and found.type == pa.string()


def test_json_is_replaced_in_its_strings_and_the_spelling_of_other_rows_stays():
    storage = pa.array(['{"a": ["a", 1.50]}', '{"x": 1.50}', None], pa.string())
    found = replace_strings(pa.chunked_array([pa.ExtensionArray.from_storage(JSON_TYPE, storage)]), SWAP)
    assert found.type == JSON_TYPE
    assert found.chunk(0).storage.to_pylist() == ['{"a":["A",1.5]}', '{"x": 1.50}', None]


def test_a_path_leads_to_what_is_replaced_and_what_lies_beside_it_stays():
    values = [{"in": {"t": "a", "n": "a"}, "t": "a"}, None, {"in": None, "t": "b"}]
    kind = pa.struct({"in": pa.struct({"t": pa.string(), "n": pa.string()}), "t": pa.string()})
    found = replace_strings(pa.chunked_array([pa.array(values, kind)]), SWAP, ("in", "t"))
    assert found.to_pylist() == [{"in": {"t": "A", "n": "a"}, "t": "a"}, None, {"in": None, "t": "b"}]
    of_json = replace_strings(pa.chunked_array([encode_json(values)]), SWAP, ("in", "t"))
    assert to_values(of_json) == found.to_pylist()
    assert [replace_in_value(value, SWAP, ("in", "t")) for value in values] == found.to_pylist()
