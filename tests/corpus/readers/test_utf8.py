"""Strings of Arrow and Parquet files whose bytes are not UTF-8 cost their own values, at any depth."""

import datetime

import pyarrow as pa
import pytest
from helpers.corpora import as_value, number_records, write_columns, write_records

from curate.corpus import open_corpus, open_records
from curate.corpus.readers.utf8 import is_sound, replace_invalid
from curate.runtime import console

OCTETS = pa.array([b"fine", b"caf\xe9", None, b""])
STRINGS = OCTETS.view(pa.string())
OFFSETS = pa.array([0, 1, 2, 2, 4], pa.int32())
STRUCTS = pa.StructArray.from_arrays([STRINGS, pa.array([1, 2, 3, 4])], ["name", "n"])
STRUCT_VALUES = [
    {"name": "fine", "n": 1},
    {"name": "caf\ufffd", "n": 2},
    {"name": None, "n": 3},
    {"name": "", "n": 4},
]
BROKEN = {
    "string": (STRINGS, ["fine", "caf\ufffd", None, ""]),
    "large": (OCTETS.cast(pa.large_binary()).view(pa.large_string()), ["fine", "caf\ufffd", None, ""]),
    "view": (OCTETS.cast(pa.binary_view()).view(pa.string_view()), ["fine", "caf\ufffd", None, ""]),
    "struct": (STRUCTS, STRUCT_VALUES),
    "list": (pa.ListArray.from_arrays(OFFSETS, STRINGS), [["fine"], ["caf\ufffd"], [], [None, ""]]),
    "fixed": (pa.FixedSizeListArray.from_arrays(STRINGS, 1), [["fine"], ["caf\ufffd"], [None], [""]]),
    "json": (
        pa.ExtensionArray.from_storage(pa.json_(), STRINGS),
        ["fine", "caf\ufffd", None, ""],
    ),
    "list of json": (
        pa.ListArray.from_arrays(OFFSETS, pa.ExtensionArray.from_storage(pa.json_(), STRINGS)),
        [["fine"], ["caf\ufffd"], [], [None, ""]],
    ),
    "deep": (
        pa.ListArray.from_arrays(OFFSETS, STRUCTS),
        [STRUCT_VALUES[:1], STRUCT_VALUES[1:2], [], STRUCT_VALUES[2:]],
    ),
    "dictionary": (
        pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 2], pa.int8()), STRINGS.take(pa.array([0, 1, 3]))),
        ["fine", "caf\ufffd", None, ""],
    ),
}  # fmt: skip
STORED = {
    **BROKEN,
    # What the readers make plain before a value is mended.
    "map": (
        pa.MapArray.from_arrays(OFFSETS, pa.array(["a", "b", "c", "d"]), STRINGS),
        [
            [{"key": "a", "value": "fine"}],
            [{"key": "b", "value": "caf\ufffd"}],
            [],
            [{"key": "c", "value": None}, {"key": "d", "value": ""}],
        ],
    ),
    "list view": (
        pa.ListViewArray.from_arrays(OFFSETS[:-1], pa.array([1, 1, 0, 2], pa.int32()), STRINGS),
        [["fine"], ["caf\ufffd"], [], [None, ""]],
    ),
}
FILES = ("a.parquet", "file.arrow", "stream.arrow")
each_kind = pytest.mark.parametrize("kind", BROKEN)
each_file = pytest.mark.parametrize("name", FILES)
# Arrow refuses a dictionary column of Parquet with invalid UTF-8: its row group cannot be decoded.
READ = [(kind, name) for kind in STORED for name in FILES if (kind, name) != ("dictionary", "a.parquet")]


@each_kind
def test_invalid_bytes_are_replaced_in_strings_at_any_depth(kind):
    broken, expected = BROKEN[kind]
    assert is_sound(broken)
    with pytest.raises(UnicodeDecodeError):
        broken.to_pylist()
    mended = replace_invalid(broken)
    mended.validate(full=True)
    assert mended.type == broken.type and mended.to_pylist() == expected
    assert replace_invalid(mended) is mended


def test_the_values_next_to_a_broken_string_stay_as_they_are():
    values = {
        "second": pa.array([datetime.datetime(1, 1, 1, 0, 0, 0, 1)] * 4, pa.timestamp("us")),
        "half": pa.array([0.1, float("nan"), float("-inf"), None], pa.float32()),
        "octets": OCTETS,
    }
    broken = pa.StructArray.from_arrays([STRINGS, *values.values()], ["name", *values])
    mended = replace_invalid(broken)
    for name, column in values.items():
        found = mended.field(name)
        assert found.type == column.type and repr(found.to_pylist()) == repr(column.to_pylist())


def test_dates_that_python_cannot_hold_stay_next_to_a_broken_string():
    years = pa.array([1 << 40] * 4, pa.int64()).view(pa.timestamp("s"))
    broken = pa.StructArray.from_arrays([STRINGS, years], ["name", "at"])
    assert is_sound(broken)
    mended = replace_invalid(broken)
    assert mended.type == broken.type and mended.field("at").equals(years)
    assert mended.field("name").to_pylist() == ["fine", "caf\ufffd", None, ""]


def test_offsets_that_point_nowhere_are_unsound_at_any_depth():
    offsets = pa.array([0, 4, 2_000_000_000, 12], pa.int32()).buffers()[1]
    bad = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"caf\xe9" * 3)])
    outer = pa.Array.from_buffers(pa.struct([("name", pa.string())]), 3, [None], children=[bad])
    assert not is_sound(bad) and not is_sound(outer)


@pytest.mark.parametrize(("kind", "name"), READ)
def test_a_broken_value_beside_the_text_leaves_the_row_readable(tmp_path, kind, name, capsys):
    broken, expected = STORED[kind]
    table = pa.table({"text": ["one", "two", "three", "four"], "id": STRINGS, "other": broken})
    write_columns(tmp_path / name, table, 2)
    corpus = open_corpus([str(tmp_path)], text_field="text")
    console.enable()
    try:
        text, whole, some = (list(corpus.slices(columns=columns)) for columns in ("text", "all", ("other",)))
    finally:
        console.enable(False)
    (texts,), (documents,), (carried,) = text, whole, some
    assert texts.statuses == ["ok"] * 4 and texts.ids == ["fine", "caf\ufffd", None, ""]
    assert as_value(texts)[:-1] == as_value(documents)[:-1] == as_value(carried)[:-1]
    for found in (documents, carried):
        found.table.validate(full=True)
        assert found.table.column("other").to_pylist() == expected
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 3 and all(line.startswith(f"warning: {name}, rows 0 to 1: ") for line in warnings)
    assert "U+FFFD" in warnings[0] and '"other"' in warnings[1]


@pytest.mark.parametrize(
    ("kind", "name"), [pair for pair in READ if pair[0] in ("string", "large", "view", "dictionary")]
)
def test_a_broken_text_costs_its_row_whatever_the_type_of_the_column(tmp_path, kind, name, capsys):
    write_columns(tmp_path / name, pa.table({"text": BROKEN[kind][0], "n": [1, 2, 3, 4]}), 4)
    console.enable()
    try:
        (documents,) = open_corpus([str(tmp_path)]).slices(columns="all")
    finally:
        console.enable(False)
    assert documents.statuses == ["ok", "unreadable", "unreadable", "empty"]
    assert "invalid UTF-8 at byte 3" in documents.reasons[1]
    documents.table.validate(full=True)
    assert documents.table.column("n").to_pylist() == [1, None, None, 4]
    assert capsys.readouterr().err == ""


@each_file
def test_a_broken_string_in_a_conversation_costs_its_row_alone(tmp_path, name):
    messages = [[{"role": "user", "content": text}] for text in ("one", "XXXX", "three")]
    write_columns(tmp_path / name, pa.table({"messages": messages}), 3)
    path = tmp_path / name
    if name == "a.parquet":
        path = write_columns_plain(path, pa.table({"messages": messages}))
    path.write_bytes(path.read_bytes().replace(b"XXXX", b"caf\xe9"))
    (documents,) = open_corpus([str(tmp_path)], text_field="@messages").slices(columns="all")
    assert documents.texts == ["one", None, "three"] and "invalid UTF-8" in documents.reasons[1]
    assert [row.record is None for row in open_records([str(tmp_path)]).records()] == [False, True, False]


def write_columns_plain(path, table):
    pa.parquet.write_table(table, path, compression="none", use_dictionary=False, write_statistics=False)
    return path


@pytest.mark.parametrize("name", ["file.arrow", "stream.arrow"])
def test_a_damaged_byte_in_another_column_leaves_the_rows_readable(tmp_path, name):
    """The input that made the test of damage anywhere fail now and then."""
    path = write_records(tmp_path / name, number_records(6))
    data = path.read_bytes()
    assert data.count(b"aba") == 1
    path.write_bytes(data.replace(b"aba", b"\xffba"))
    corpus = open_corpus([str(tmp_path)], text_field="text")
    (text,), (whole,) = list(corpus.slices()), list(corpus.slices(columns="all"))
    assert as_value(text)[:-1] == as_value(whole)[:-1] and set(whole.statuses) == {"ok"}
    assert whole.table.column("tag").to_pylist() == ["\ufffd", "b", "a", "b", "a", "b"]


def test_a_sample_holds_the_mended_values_of_its_own_rows(tmp_path):
    texts = [f"text {n}" for n in range(40)]
    tags = pa.array([f"{n}\xff".encode("latin-1") for n in range(40)]).view(pa.string())
    write_columns(tmp_path / "a.parquet", pa.table({"text": texts, "tag": tags}), 40)
    (documents,) = open_corpus([str(tmp_path)], sample=0.5).slices(columns="all")
    assert 10 < len(documents) < 30
    assert documents.table.column("tag").to_pylist() == [f"{row}\ufffd" for row in documents.rows]
