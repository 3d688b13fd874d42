"""Slices of flat lines that Arrow parses: what it takes is what parsing every line gives, and the rest is left."""

import json
from types import SimpleNamespace

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curate.corpus.readers import flat_jsonl, raw_jsonl
from curate.corpus.values.arrow_types import tabulate

SCHEMA = pa.schema(
    [
        ("id", pa.large_string()),
        ("text", pa.large_string()),
        ("n", pa.int64()),
        ("x", pa.float64()),
        ("yes", pa.bool_()),
        ("none", pa.null()),
    ]
)
CORPUS = SimpleNamespace(text_field="text", schema=SCHEMA)
FIRST = b'{"text":"first"}\n'

TAKEN = {
    "compact": b'{"text":"t","n":1,"x":0.5,"yes":true,"none":null}',
    "spaced": b'{ "text" : "t" ,\t"n" : 1 }',
    "other order": b'{"x":1,"text":"t"}',
    "escaped key": b'{"te\\u0078t":"t"}',
    "escapes": b'{"text":"\\u00e9\\n\\/ \\ud83d\\ude00 \\u0000 \\"}{\\""}',
    "not ASCII": '{"text":"\u00e9\U0001f600"}'.encode(),
    "largest": b'{"text":"t","n":9223372036854775807,"x":9007199254740991}',
    "least": b'{"text":"t","n":-9223372036854775808,"x":-1.5e-300}',
    "zeros": b'{"text":"t","n":-0,"x":-0.0}',
    "a date": b'{"text":"t","id":"2020-01-01T00:00:00Z"}',
}
LEFT = {
    "a new key": b'{"text":"t","new":1}',
    "a key twice": b'{"text":"t","n":1,"n":1}',
    "a key twice, once null": b'{"text":"t","n":1,"n":null}',
    "a key twice, escaped": b'{"text":"t","n":1,"\\u006e":1}',
    "a list": b'{"text":"t","id":["a"]}',
    "an object": b'{"text":"t","id":{"a":1}}',
    "a fraction among whole numbers": b'{"text":"t","n":1.0}',
    "an exponent among whole numbers": b'{"text":"t","n":1e2}',
    "beyond int64": b'{"text":"t","n":9223372036854775808}',
    "beyond 2^53 among fractions": b'{"text":"t","x":9007199254740993}',
    "a large fraction": b'{"text":"t","x":1e300}',
    "beyond float64": b'{"text":"t","x":1e400}',
    "NaN": b'{"text":"t","x":NaN}',
    "an infinity": b'{"text":"t","x":-Infinity}',
    "a value where there was none": b'{"text":"t","none":1}',
    "a number as a string": b'{"text":"t","n":"1"}',
    "a string as a number": b'{"text":"t","id":1}',
    "no text": b'{"id":"a"}',
    "a text of null": b'{"text":null}',
    "a lone surrogate": b'{"text":"\\ud800"}',
    "a low surrogate": b'{"text":"\\udc00"}',
    "not UTF-8": b'{"text":"\xff"}',
    "not UTF-8 elsewhere": b'{"text":"t","id":"\xed\xa0\x80"}',
    "a control character": b'{"text":"a\tb"}',
    "a BOM": b'\xef\xbb\xbf{"text":"t"}',
    "space before": b' {"text":"t"}',
    "space behind": b'{"text":"t"} ',
    "a carriage return": b'{"text":"t"}\r',
    "two objects": b'{"text":"t"}{"text":"t"}',
    "an array": b"[1]",
    "nothing": b"",
    "broken": b'{"text":"t"',
    "a leading zero": b'{"text":"t","n":01}',
    "a trailing comma": b'{"text":"t",}',
}


def check_alike(data: bytes, documents: int, schema: pa.Schema) -> bool:
    """Return whether Arrow took the lines; if so, they must be what parsing them gives."""
    corpus = SimpleNamespace(text_field="text", schema=schema)
    found = flat_jsonl.read_flat_lines(data, documents, corpus)
    if found is None:
        return False
    wanted = raw_jsonl.parse_lines(data, documents, corpus)
    assert wanted is not None and found.heads.to_pylist() == wanted.heads
    assert {name: found.table.schema.field(name).type for name in wanted.columns} == wanted.columns
    assert found.table.equals(tabulate(wanted.records, schema))
    assert found.table.column("text").to_pylist() == wanted.texts
    return True


@pytest.mark.parametrize("name", TAKEN)
def test_flat_lines_are_taken_as_parsing_gives_them(name):
    assert check_alike(FIRST + TAKEN[name] + b"\n", 2, SCHEMA)


@pytest.mark.parametrize("name", LEFT)
def test_what_arrow_would_read_otherwise_is_left_to_the_parser(name):
    assert flat_jsonl.read_flat_lines(FIRST + LEFT[name] + b"\n", 2, CORPUS) is None


def test_as_many_objects_as_lines_are_not_always_one_a_line():
    data = b'{"text":"a"}{"text":"b"}\n{"text":\n"c"}\n'
    assert flat_jsonl.read_flat_lines(data, 3, CORPUS) is None
    assert flat_jsonl.read_flat_lines(b'{"text":"a"}\n\n{"text":"b"}\n', 3, CORPUS) is None
    assert flat_jsonl.read_flat_lines(b'{"text":"a"}\n{"text":"b"}\n', 3, CORPUS) is None
    assert flat_jsonl.read_flat_lines(b"", 0, CORPUS) is None


@pytest.mark.parametrize("kind", [pa.json_(), pa.large_list(pa.int64()), pa.uint64()])
def test_a_corpus_with_other_columns_is_left_to_the_parser(kind):
    corpus = SimpleNamespace(text_field="text", schema=SCHEMA.append(pa.field("other", kind)))
    assert flat_jsonl.read_flat_lines(FIRST, 1, corpus) is None


words = st.text(st.sampled_from('a"\\:,{}[] \u00e9\n'), max_size=6)
of_kind = {
    "id": words,
    "text": words,
    "n": st.integers(-(2**64), 2**64) | st.integers(-9, 9),
    "x": st.floats() | st.integers(-(2**54), 2**54),
    "yes": st.booleans(),
    "none": st.none(),
    "new": st.none(),
}
pairs = st.sampled_from(list(of_kind)).flatmap(lambda name: st.tuples(st.just(name), st.none() | of_kind[name]))


@given(st.lists(st.lists(pairs, max_size=4), min_size=1, max_size=4), st.booleans(), st.booleans())
@example([[("n", 1), ("x", 0.5)]], False, False)
@example([[("x", 2**53)]], False, False)
def test_whatever_is_taken_is_what_parsing_gives(records, spaced, ascii_only):
    separators = (" , ", " : ") if spaced else (",", ":")
    lines = []
    for record in records:
        members = [("text", "t"), *record]
        inner = (
            f"{json.dumps(key)}{separators[1]}{json.dumps(value, ensure_ascii=ascii_only)}" for key, value in members
        )
        lines.append("{" + separators[0].join(inner) + "}\n")
    check_alike("".join(lines).encode(), len(lines), SCHEMA)
