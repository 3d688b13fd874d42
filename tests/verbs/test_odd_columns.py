"""Columns of odd types and of one name, from the score to what ``datasets`` loads."""

import decimal

import pyarrow as pa
import pytest
from helpers.corpora import write_columns
from helpers.exports import FORMATS, load, original

from curate.corpus.values.arrow_values import encode_json
from curate.errors import CorpusError
from curate.verbs.explain import explain
from curate.verbs.export import export
from curate.verbs.score import score

pytestmark = pytest.mark.usefixtures("own_cache")
TWICE = decimal.Decimal("12.50")
UUID = "01234567-89ab-cdef-0123-456789abcdef"
OCTETS = bytes.fromhex(UUID.replace("-", ""))
ODD = {
    "string view": (pa.array(["a", None], pa.string_view()), ["a", None]),
    "list view": (pa.array([[1, 2], None], pa.list_view(pa.int64())), [[1, 2], None]),
    "large list view": (pa.array([["a"], []], pa.large_list_view(pa.string_view())), [["a"], []]),
    "run end": (pa.RunEndEncodedArray.from_arrays([1, 2], [5, None]), [5, None]),
    "map": (pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())), [[{"key": "k", "value": 1}], None]),
    "uuid": (
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([OCTETS, None], pa.binary(16))),
        [UUID, None],
    ),
    "bool8": (pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0], pa.int8())), [True, False]),
    "interval": (
        pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
        [{"months": 1, "days": 2, "nanoseconds": 3}, None],
    ),
    "dictionary": (pa.DictionaryArray.from_arrays(pa.array([0, None], pa.int8()), pa.array([[1]])), [[1], None]),
    "in a struct": (
        pa.StructArray.from_arrays([pa.array([["a"], None], pa.list_view(pa.string_view()))], ["x"]),
        [{"x": ["a"]}, {"x": None}],
    ),
    "nothing": (pa.nulls(2), [None, None]),
}  # fmt: skip
BYTES = {
    "binary view": (pa.array([b"\xff", None], pa.binary_view()), [b"\xff", None]),
    "decimal": (pa.array([TWICE, None], pa.decimal32(5, 2)), [TWICE, None]),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_scored_is_exported_and_loads(tmp_path, kind):
    columns = ODD if kind == "jsonl" else {**ODD, **BYTES}
    table = pa.table({"text": ["one", "two"], **{name: column for name, (column, _) in columns.items()}})
    write_columns(tmp_path / "odd.arrow", table, 1)
    score(str(tmp_path / "odd.arrow"), model="none", run=str(tmp_path / "run"), carry="map,uuid,interval,string view")
    export(str(tmp_path / "out"), str(tmp_path / "run"), format=kind)
    expected = [
        {"text": text, **{name: values[row] for name, (_, values) in columns.items()}}
        for row, text in enumerate(("one", "two"))
    ]
    assert [original(row) for row in load(tmp_path / "out")] == expected


@pytest.mark.parametrize("name", ["a.parquet", "file.arrow", "stream.arrow", "a.feather"])
@pytest.mark.parametrize("kind", FORMATS)
def test_columns_of_one_name_are_all_exported(tmp_path, kind, name):
    """Feather files have one column of a name."""
    names = ["value", "text", "value", "id", "text", "id"]
    columns = [[1, 2], ["one", "two"], ["x", None], ["i", "j"], ["three", "four"], [7, 8]]
    if name == "a.feather":
        names = ["value", "text", "value_2", "id", "text_2", "id_2"]
    write_columns(tmp_path / name, pa.table(list(map(pa.array, columns)), names), 1)
    score(str(tmp_path / name), model="none", run=str(tmp_path / "run"), carry="value_2,value")
    (document,) = explain("j", str(tmp_path / "run")).documents
    assert document.text == "two"
    export(str(tmp_path / "out"), str(tmp_path / "run"), format=kind)
    assert [original(row) for row in load(tmp_path / "out")] == [
        {"value": 1, "text": "one", "value_2": "x", "id": "i", "text_2": "three", "id_2": 7},
        {"value": 2, "text": "two", "value_2": None, "id": "j", "text_2": "four", "id_2": 8},
    ]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_text_of_json_values_is_exported_as_text(tmp_path, kind):
    texts = ["one", ["two"], None, 'a "third"', {"text": "no"}]
    write_columns(
        tmp_path / "a.parquet", pa.table({"text": encode_json(texts), "id": encode_json([1, "x", None, 2, 3])}), 2
    )
    summary = score(str(tmp_path / "a.parquet"), model="none", run=str(tmp_path / "run"))
    assert (summary.documents, summary.not_scored) == (2, {"unreadable": 3})
    (document,) = explain("x", str(tmp_path / "run")).documents
    assert document.decision == "unreadable" and 'row 1: "text" is a list, not a string' in document.reason
    export(str(tmp_path / "out"), str(tmp_path / "run"), format=kind)
    assert [row["text"] for row in load(tmp_path / "out")] == ["one", 'a "third"']


def test_a_type_that_no_export_holds_is_refused_before_anything_is_scored(tmp_path):
    schema = pa.schema([("text", pa.string()), ("price", pa.struct([("sum", pa.decimal256(76, -5))]))])
    with pa.ipc.new_stream(str(tmp_path / "a.arrow"), schema) as writer:
        del writer
    with pytest.raises(CorpusError, match=r'a.arrow: column "price" has the Arrow type decimal256\(76, -5\)'):
        score(str(tmp_path / "a.arrow"), model="none", run=str(tmp_path / "run"))
