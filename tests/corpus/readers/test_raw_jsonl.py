"""Lines that an ordered export takes as they stand: never another content than if they were spelled anew."""

import json
from types import SimpleNamespace

import pytest
from helpers.runs import make_run, write_lines, write_order
from hypothesis import example, given
from hypothesis import strategies as st

from curate.corpus.readers import flat_jsonl, raw_jsonl
from curate.verbs.export import export

# Each with whether its own bytes may stand in the export.
LINES = {
    "compact": (b'{"text":"document 1","n":1}', True),
    "spaced": (b'{"text": "document 1", "n": 1}', True),
    "spaced inside": (b' { "text" : "document 1" , "n" : 1 }', True),
    "escaped key": (b'{"te\\u0078t":"document 1","n":1}', True),
    "escaped quotes": (b'{"text":"document \\"1\\": {\\"a\\":1}","n":1}', True),
    "braces": (b'{"text":"document }1{ }","n":1}', True),
    "escapes": (b'{"text":"document 1 \\u00e9\\n\\t\\/ \\ud83d\\ude00","n":1}', True),
    "numbers": (b'{"text":"document 1","a":1.50,"b":-0.0,"c":1E+2,"d":-0,"e":0.1e-7}', True),
    "int64": (b'{"text":"document 1","n":9223372036854775807}', True),
    "null": (b'{"text":"document 1","n":null,"yes":true}', True),
    "backslashes": (b'{"text": "document 1 \\\\\\"\\\\\\\\", "path": "C:\\\\", "\\\\\\"" :1}', True),
    "key twice": (b'{"text":"document 0","text":"document 1","n":1}', False),
    "key twice, spaced": (b'{"n" :1,"text":"document 1","n": 2}', False),
    "key twice, escaped": (b'{"text":"document 1","n":1,"\\u006e":2}', False),
    "key twice, hidden": (b'{"n":1,"n":2,"text":"document 1","a\\\\":3,"b\\\\":4}', False),
    "nested": (b'{"text":"document 1","meta":{"a":{"b":"}"}},"list":[{"x":1},2]}', True),
    "nested deeply": (b'{"text":"document 1","x":' + b"[" * 249 + b"]" * 249 + b"}", True),
    "nested twice": (b'{"text":"document 1","meta":{"a":1,"a":2}}', False),
    "trailing space": (b'{"text":"document 1","n":1} ', False),
    "carriage return": (b'{"text":"document 1","n":1}\r', False),
    "BOM": (b'\xef\xbb\xbf{"text":"document 1","n":1}', False),
    "NaN": (b'{"text":"document 1","n":NaN}', False),
    "huge": (b'{"text":"document 1","n":123456789012345678901234567890}', True),
    "uint64": (b'{"text":"document 1","n":18446744073709551615}', True),
    "many digits": (b'{"text":"document 1","n":1e400}', False),
    "lone surrogate": (b'{"text":"document 1","n":"\\ud800"}', False),
}


def unique(pairs):
    """An object of JSON; a key that comes twice is an error."""
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


def export_lines(folder, run):
    export(str(folder), str(run.path), format="jsonl", overwrite=True)
    return b"".join(path.read_bytes() for path in sorted((folder / "data").iterdir())).splitlines()


@pytest.mark.parametrize("name", LINES)
def test_an_unusual_line_has_the_same_content_spliced_or_not(tmp_path, monkeypatch, name):
    line, spliced = LINES[name]
    write_lines(tmp_path / "c" / "a.jsonl", [line, b'{"text":"document 2"}'])
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    write_order(run, [1, 0])
    lines = export_lines(tmp_path / "out", run)
    assert len(lines) == 2
    assert lines[1].startswith(line[:-1] + b",") is spliced
    monkeypatch.setattr(flat_jsonl, "read_flat_lines", lambda *_: None)
    assert export_lines(tmp_path / "out", run) == lines
    monkeypatch.setattr(raw_jsonl, "_cut_heads", lambda *_: None)
    anew = export_lines(tmp_path / "out", run)
    found = [[json.loads(line, object_pairs_hook=unique) for line in many] for many in (lines, anew)]
    assert repr(found[0]) == repr(found[1])
    monkeypatch.setattr(raw_jsonl, "read_bytes", lambda *_: None)
    slowly = [json.loads(line, object_pairs_hook=unique) for line in export_lines(tmp_path / "out", run)]
    for one, other in zip(found[0], slowly, strict=True):
        assert {key: value for key, value in other.items() if value is not None} == {
            key: value for key, value in one.items() if value is not None
        }


def test_a_slice_with_values_nested_too_deeply_is_left_to_the_full_reader():
    for depth, is_left in ((250, False), (251, True)):
        data = b'{"text":"document 1","x":%s1%s}\n' % (b"[" * depth, b"]" * depth)
        assert (raw_jsonl.parse_lines(data, 1, SimpleNamespace(text_field="text", schema=None)) is None) is is_left


def test_blank_lines_and_a_last_line_without_its_end_lose_no_document(tmp_path):
    lines = [b'{"text":"document %d"}' % number for number in range(40)]
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "a.jsonl").write_bytes(b"\n".join([*lines[:35], b"", b"  ", *lines[35:]]))
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=100)
    write_order(run, list(range(40))[::-1])
    found = export_lines(tmp_path / "out", run)
    assert [json.loads(line)["text"] for line in found] == [f"document {number}" for number in range(39, -1, -1)]
    assert found[0].startswith(lines[39][:-1] + b",") and found[-1].startswith(lines[0][:-1] + b",")


def test_a_key_named_like_a_column_that_is_added_moves_the_columns_and_stays(tmp_path):
    rows = [{"text": f"document {number}"} for number in range(30)]
    write_lines(tmp_path / "c" / "a.jsonl", [*rows, b'{"text":"document 30","curate_\\u0072ow":"mine"}'])
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=200)
    write_order(run, list(range(31)))
    last = json.loads(export_lines(tmp_path / "out", run)[-1], object_pairs_hook=unique)
    assert last["curate_row"] == "mine" and last["curate2_row"] == 30


def test_a_column_of_two_kinds_keeps_them_in_every_line_spliced_or_not(tmp_path):
    early = [b'{"text":"document %d","mixed":1.50}' % number for number in range(20)]
    late = [b'{"text":"document %d","mixed":"x"}' % number for number in range(20, 40)]
    write_lines(tmp_path / "c" / "a.jsonl", [*early, *late])
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=300)
    write_order(run, list(range(40)))
    assert {json.loads(line)["mixed"] for line in export_lines(tmp_path / "out", run)} == {1.5, "x"}


words = st.text(st.sampled_from('a"\\:,{}[] \u00e9\n'), max_size=6)
flat = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | words
values = flat | st.lists(flat, max_size=2) | st.dictionaries(words, flat, max_size=2)
pairs = st.lists(st.tuples(words, values), max_size=4)  # Keys may come twice.


def spell(record, spaced, ascii_only):
    separators = (" , ", " : ") if spaced else (",", ":")
    inner = [
        json.dumps(key, ensure_ascii=ascii_only)
        + separators[1]
        + json.dumps(value, ensure_ascii=ascii_only, separators=separators)
        for key, value in record
    ]
    return ("{" + separators[0].join(inner) + "}").encode() + b"\n"


@given(st.lists(pairs, min_size=1, max_size=4), st.booleans(), st.booleans())
@example([[("a", 1), ("a", 2), ("b\\", 3), ("c\\", 4)]], False, False)
@example([[("a", "x"), ("a", "x")]], False, False)
@example([[("a", 1)], [("a", "}"), ("b", '"')]], False, False)
def test_a_head_is_its_record_and_has_no_key_twice(records, spaced, ascii_only):
    records = [[("text", "t"), *record] for record in records]
    data = b"".join(spell(record, spaced, ascii_only) for record in records)
    found = raw_jsonl.parse_lines(data, len(records), SimpleNamespace(text_field="text", schema=None))
    if found is None or found.heads is None:
        return
    assert len(found.heads) == len(records)
    for head, record, given_ in zip(found.heads, found.records, records, strict=True):
        assert json.loads(head + b"}", object_pairs_hook=unique) == record == dict(given_)
