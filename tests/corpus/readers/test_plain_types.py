"""Arrow types that no dataset holds are read as plain types with the same values, or refused at the beginning."""

import decimal
import io

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from helpers.corpora import read, write_columns

from curate.corpus import open_corpus, open_records
from curate.corpus.readers.plain_types import INTERVAL, find_plain_type, make_plain
from curate.corpus.values.arrow_values import JSON_TYPE, encode_json, to_values
from curate.errors import CorpusError

UUID = "01234567-89ab-cdef-0123-456789abcdef"
TEN = decimal.Decimal(10)


def extend(kind, values):
    return pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))


def code(values):
    return pa.DictionaryArray.from_arrays(pa.array([0, None], pa.int8()), values)


ODD = {
    "an empty struct": (pa.array([{}, None], pa.struct([])), JSON_TYPE, [{}, None]),
    "a string view": (pa.array(["a", None], pa.string_view()), pa.large_string(), ["a", None]),
    "a binary view": (pa.array([b"\xff", None], pa.binary_view()), pa.large_binary(), [b"\xff", None]),
    "a list view": (pa.array([[1], None], pa.list_view(pa.int64())), pa.large_list(pa.int64()), [[1], None]),
    "a large list view": (
        pa.array([["a"], None], pa.large_list_view(pa.string_view())), pa.large_list(pa.large_string()), [["a"], None]
    ),
    "a list of none": (pa.array([[], None], pa.list_(pa.int8(), 0)), pa.large_list(pa.int8()), [[], None]),
    "run-end encoded": (pa.RunEndEncodedArray.from_arrays([1, 2], ["a", None]), pa.string(), ["a", None]),
    "a map": (
        pa.array([[("a", 1), ("b", None)], None], pa.map_(pa.string(), pa.int64())),
        pa.large_list(pa.struct([("key", pa.string()), ("value", pa.int64())])),
        [[{"key": "a", "value": 1}, {"key": "b", "value": None}], None],
    ),
    "a sparse union": (
        pa.UnionArray.from_sparse(pa.array([1, 0], pa.int8()), [pa.array([1, 2]), pa.array(["2", "b"])]),
        JSON_TYPE, ["2", 2],
    ),
    "a dense union": (
        pa.UnionArray.from_dense(
            pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()), [pa.array([1], pa.date32()), pa.array([b"ab"])]
        ),
        JSON_TYPE, ["1970-01-02", "YWI="],
    ),
    "json of large strings": (
        extend(pa.json_(pa.large_string()), ["[1]", None]), JSON_TYPE, [[1], None]
    ),
    "a uuid": (extend(pa.uuid(), [bytes.fromhex(UUID.replace("-", "")), None]), pa.large_string(), [UUID, None]),
    "a boolean of a byte": (extend(pa.bool8(), [5, 0]), pa.bool_(), [True, False]),
    "opaque": (extend(pa.opaque(pa.int8(), "geometry", "somebody"), [1, None]), pa.int8(), [1, None]),
    "a tensor": (extend(pa.fixed_shape_tensor(pa.int8(), [2]), [[1, 2], None]), pa.list_(pa.int8(), 2), [[1, 2], None]),
    "an interval": (
        pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
        INTERVAL, [{"months": 1, "days": 2, "nanoseconds": 3}, None],
    ),
    "a decimal of 32 bits": (pa.array([TEN, None], pa.decimal32(5, 2)), pa.decimal128(5, 2), [TEN, None]),
    "a decimal of 64 bits": (pa.array([TEN, None], pa.decimal64(9, 0)), pa.decimal128(9, 0), [TEN, None]),
    "a decimal of tens": (pa.array([TEN, None], pa.decimal128(37, -1)), pa.decimal128(38, 0), [TEN, None]),
    "a decimal of many tens": (pa.array([TEN, None], pa.decimal128(38, -1)), pa.decimal256(39, 0), [TEN, None]),
    "a dictionary of lists": (code(pa.array([[1]])), pa.list_(pa.int64()), [[1], None]),
    "a dictionary of structs": (code(pa.array([{"a": 1}])), pa.struct([("a", pa.int64())]), [{"a": 1}, None]),
    "a dictionary of nulls": (code(pa.nulls(1)), pa.null(), [None, None]),
    "fields of one name": (
        pa.StructArray.from_arrays([pa.array([1, 2]), pa.array(["a", "b"])], ["x", "x"]),
        pa.struct([("x", pa.int64()), ("x_2", pa.string())]), [{"x": 1, "x_2": "a"}, {"x": 2, "x_2": "b"}],
    ),
}  # fmt: skip
PLAIN = [
    pa.null(), pa.bool_(), pa.uint64(), pa.float16(), pa.date64(), pa.time64("ns"), pa.timestamp("ns", "Mars/Olympus"),
    pa.duration("s"), pa.binary(2), pa.string(), pa.large_binary(), pa.decimal128(5, 2), pa.decimal256(76, 76),
    pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int8(), pa.date32()), JSON_TYPE, pa.list_(JSON_TYPE),
    pa.list_(pa.int8(), 3), pa.struct([("a", pa.int8()), ("A", pa.list_(pa.string()))]),
]  # fmt: skip
FILES = ("file.arrow", "stream.arrow", "a.feather", "a.parquet")
each_kind = pytest.mark.parametrize("kind", ODD)


def nest(column):
    """The column of two values within lists, structs and maps, some of them null or sliced, each with its values."""
    first, second = to_values(make_plain(column, find_plain_type(column.type)))
    yield column, [first, second]
    yield column.slice(1), [second]
    yield pa.ListArray.from_arrays([0, 1, 1, 2], column, mask=pa.array([False, True, False])), [[first], None, [second]]
    yield pa.LargeListArray.from_arrays([0, 1, 2], column).slice(1), [[second]]
    yield pa.ListViewArray.from_arrays([1, 0, 0], [1, 0, 2], column), [[second], [], [first, second]]
    yield pa.FixedSizeListArray.from_arrays(column, 1).slice(1), [[second]]
    yield pa.StructArray.from_arrays([column], ["m"], mask=pa.array([True, False])), [None, {"m": second}]
    yield pa.MapArray.from_arrays([0, 1, 2], ["k", "l"], column).slice(1), [[{"key": "l", "value": second}]]


@each_kind
def test_a_type_becomes_plain_with_its_values_at_any_depth_and_in_slices(kind):
    column, plain, expected = ODD[kind]
    assert find_plain_type(column.type) == plain
    assert to_values(make_plain(column, plain)) == expected
    for nested, values in nest(column):
        found = make_plain(nested, find_plain_type(nested.type))
        found.validate(full=True)
        assert found.type == find_plain_type(nested.type) == find_plain_type(found.type)
        assert to_values(found) == values


@pytest.mark.parametrize("kind", PLAIN, ids=str)
def test_a_plain_type_stays(kind):
    assert find_plain_type(kind) == kind
    column = pa.nulls(2, kind)
    assert make_plain(column, kind) is column


def test_the_types_of_datasets_stay():
    datasets = pytest.importorskip("datasets")
    kind = datasets.Array2D((2, 2), "int32")()
    assert find_plain_type(kind) == kind


@pytest.mark.parametrize("name", FILES)
@each_kind
def test_columns_are_read_with_their_values(tmp_path, kind, name):
    column, plain, expected = ODD[kind]
    has_common_type = not plain.equals(JSON_TYPE)  # Else what is carried is for the verbs to settle.
    table = pa.table({"text": ["one", "two"], "odd": column})
    try:
        write_columns(tmp_path / name, table, 1)
    except (pa.ArrowException, OSError):
        pytest.skip("the format has no such type")
    if name == "a.parquet" and kind == "a list of none":
        pytest.skip("Arrow reads back nulls")
    corpus = open_corpus(str(tmp_path))
    documents = list(corpus.slices(columns="all"))
    carried = list(corpus.slices(columns=("odd",)))
    whole = pa.concat_tables([part.table for part in documents])
    whole.validate(full=True)
    assert [text for part in documents for text in part.texts] == ["one", "two"]
    assert to_values(whole.column("odd")) == expected
    assert find_plain_type(whole.schema.field("odd").type) == whole.schema.field("odd").type
    if has_common_type:
        assert to_values(pa.concat_tables([part.table for part in carried]).column("odd")) == expected
    assert [row.record["odd"] for row in open_records([str(tmp_path)]).records()] == expected


@pytest.mark.parametrize("kind", [pa.string_view(), pa.binary_view(), "run-end encoded"], ids=str)
def test_a_text_may_have_an_odd_type(tmp_path, kind):
    values = pa.array(["one", "two", "two", None, ""])
    column = pc.run_end_encode(values) if isinstance(kind, str) else values.cast(kind)
    write_columns(tmp_path / "a.feather", pa.table({"text": column, "id": encode_json([1, "x", None, [2], {}])}), 5)
    found = read(open_corpus(str(tmp_path)))
    assert [(status, text) for status, text, _, _ in found.values()] == [
        ("ok", "one"), ("ok", "two"), ("ok", "two"), ("unreadable", None), ("empty", "")
    ]  # fmt: skip
    assert [identifier for *_, identifier in found.values()] == ["1", "x", None, "[2]", "{}"]


def write_interval(unit):
    """An Arrow stream with a column of intervals that pyarrow has no arrays of: a schema with another unit in it."""
    column = pa.array([(1, 2, 3)], pa.month_day_nano_interval())
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, pa.schema([("text", pa.string()), ("odd", pa.list_(column.type))])) as writer:
        del writer
    for place in range(len(sink.getvalue()) - 1):
        data = bytearray(sink.getvalue())
        if data[place : place + 2] == b"\x02\x00":
            data[place] = unit
            try:
                kind = pa.ipc.open_stream(bytes(data)).schema.field("odd").type
            except (pa.ArrowException, KeyError):
                continue
            if "interval" in str(kind) and "nano" not in str(kind):
                return bytes(data)
    raise ValueError("the schema has another layout")


@pytest.mark.parametrize(("unit", "kind"), [(0, "month_interval"), (1, "day_time_interval")])
def test_a_type_that_nothing_can_hold_is_refused_when_the_corpus_is_opened(tmp_path, unit, kind):
    (tmp_path / "a.arrow").write_bytes(write_interval(unit))
    for opener in (open_corpus, open_records):
        with pytest.raises(CorpusError, match=f'a.arrow: column "odd" has the Arrow type {kind}') as error:
            opener([str(tmp_path)])
        assert "without this column" in error.value.hint
    precise = pa.schema([("text", pa.string()), ("odd", pa.decimal256(76, -5))])
    with pa.ipc.new_stream(str(tmp_path / "a.arrow"), precise) as writer:
        del writer
    with pytest.raises(CorpusError, match=r'column "odd" has the Arrow type decimal256\(76, -5\)'):
        open_corpus(str(tmp_path))
