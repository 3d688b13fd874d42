"""The layout of JSON files: found in the file, whatever its suffix, and said where the suffix does not."""

import json

import pytest
from helpers.corpora import as_value, read, texts_of

from curate.corpus import SliceMark, open_corpus
from curate.errors import CorpusError

RECORDS = [{"text": f"document {number}"} for number in range(3)]
TEXTS = [record["text"] for record in RECORDS]


def write(path, body):
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    return path


@pytest.mark.parametrize("suffix", ["jsonl", "ndjson", "json"])
@pytest.mark.parametrize(
    "body",
    [
        json.dumps(RECORDS),
        json.dumps(RECORDS, indent=1),
        "\n".join(map(json.dumps, RECORDS)),
        "\n".join(json.dumps(record, indent=2) for record in RECORDS),
        "".join(map(json.dumps, RECORDS)),
        "\r".join(map(json.dumps, RECORDS)),
        "\u2028".join(map(json.dumps, RECORDS)),
        "".join(f"\x1e{json.dumps(record)}\n" for record in RECORDS),
        "".join(f"\x1e{json.dumps(record, indent=1)}\n" for record in RECORDS),
        "\ufeff" + "\n".join(map(json.dumps, RECORDS)),
        "".join("\ufeff" + json.dumps(record) + "\n" for record in RECORDS),
    ],
    ids=["array", "pretty array", "lines", "pretty", "joined", "cr", "u2028", "rs", "pretty rs", "bom", "boms"],
)
def test_what_a_file_holds_decides_and_not_its_suffix(tmp_path, suffix, body):
    assert texts_of(write(tmp_path / f"a.{suffix}", body)) == TEXTS


def test_a_bad_first_line_does_not_make_lines_something_else(tmp_path):
    lines = "\n".join(map(json.dumps, RECORDS))
    for first in ("[INFO] starting", '{"text": "broken', "// a comment", '["a", "list"]'):
        assert texts_of(write(tmp_path / "a.jsonl", f"{first}\n{lines}")) == [None, *TEXTS]


def test_lines_longer_than_what_is_looked_at_are_lines(tmp_path):
    records = [{"text": "x" * 100_000}, {"text": "y"}]
    body = "".join(json.dumps(record) + "\n" for record in records)
    for name in ("a.jsonl", "a.json"):
        assert texts_of(write(tmp_path / name, body)) == [record["text"] for record in records]


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("count", [1, 2000], ids=["small", "larger than what is looked at"])
@pytest.mark.parametrize("wrap", [lambda rows: {"version": "1.0", "data": rows}, lambda rows: {"m": {"rows": rows}}])
def test_one_line_around_a_list_of_records_is_no_row_whatever_the_suffix(tmp_path, wrap, count, end):
    records = [{"text": f"text {number} of the file, long enough"} for number in range(count)]
    path = write(tmp_path / "a.jsonl", json.dumps(wrap(records)) + end)
    assert texts_of(path) == [record["text"] for record in records]


def test_one_line_with_a_text_or_more_than_a_list_is_a_row(tmp_path):
    for row in ({"text": "x", "items": RECORDS}, {"body": "y" * 500, "items": RECORDS}):
        field = next(iter(row))
        path = write(tmp_path / "a.jsonl", json.dumps(row) + "\n")
        assert texts_of(path, text_field=field) == [row[field]]


def test_what_is_no_json_is_said_with_its_beginning(tmp_path):
    ((status, _, reason, _),) = read(open_corpus(write(tmp_path / "a.json", "<!DOCTYPE html><p>"))).values()
    assert status == "unreadable" and "not JSON: it begins with '<!DOCTYPE" in reason


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"version": "1.0", "data": RECORDS}, "data"),
        ({"data": RECORDS, "version": "1.0", "url": "http://x"}, "data"),
        ({"meta": {"version": "1.0"}, "dataset": {"name": "d", "rows": RECORDS}}, "dataset.rows"),
        ({"version": "1.0", "harbours": [{"text": "word " * 30}] * 20}, "harbours"),
        ({'a "quoted" key\\': "x", "dät\n": RECORDS * 20}, "dät\n"),
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_one_list_of_records_within_an_object_gives_the_records(tmp_path, value, path, indent):
    corpus = open_corpus(write(tmp_path / "a.json", json.dumps(value, indent=indent)))
    found = list(read(corpus).values())
    assert len(found) >= 3 and {status for status, *_ in found} == {"ok"} and corpus.text_field == "text"
    assert f'records under "{path}"' in corpus.describe()


@pytest.mark.parametrize(
    "value",
    [
        {"text": "a document", "links": RECORDS},
        {"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "I."}]},
        {"conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "I."}]},
        {"instruction": "Say it.", "output": "It.", "tags": [{"a": 1}] * 50},
    ],
)
def test_an_object_that_is_a_document_stays_one(tmp_path, value):
    assert len(texts_of(write(tmp_path / "a.json", json.dumps(value)))) == 1


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ({"train": RECORDS, "test": RECORDS[:2]}, ['"train" (3)', '"test" (2)']),
        ({"version": "1.0", "train": RECORDS, "test": RECORDS}, ['"train" (3)', '"test" (3)']),
        ({"data": {"a": RECORDS, "b": RECORDS}, "version": "1"}, ['"data.a" (3)', '"data.b" (3)']),
        ({"version": "1.0", "notes": ["long " * 50] * 3}, ["version, notes"]),
        ({"version": "1.0", "data": [{"title": "T", "paragraphs": [{"context": "c " * 100}]}]}, ["title, paragraphs"]),
    ],
)
def test_an_object_with_several_lists_or_a_little_string_is_no_corpus(tmp_path, value, names):
    with pytest.raises(CorpusError) as caught:
        open_corpus(write(tmp_path / "a.json", json.dumps(value)))
    assert all(name in caught.value.message for name in names) and caught.value.hint


def test_records_within_an_object_are_read_in_slices_and_resumed_at_each(tmp_path):
    records = [{"text": f'{number} [{{}}] \\" {"x" * 50}', "n": {"a": [number]}} for number in range(40)]
    value = {"version": "[1,2", "rows": records, "after": {"b": "]"}}
    for name in ("a.json", "a.json.gz"):
        body = json.dumps(value, indent=1).encode()
        if name.endswith("gz"):
            import gzip

            body = gzip.compress(body)
        corpus = open_corpus(write(tmp_path / name, body), slice_bytes=500)
        slices = list(corpus.slices(columns="all"))
        assert [text for one in slices for text in one.texts] == [record["text"] for record in records]
        for stop in range(1, len(slices)):
            done = {name: [SliceMark(**vars_of(one.mark)) for one in slices[:stop]]}
            assert list(map(as_value, corpus.slices(done, columns="all"))) == list(map(as_value, slices[stop:]))


def vars_of(mark):
    return {name: getattr(mark, name) for name in mark.__slots__}


def test_records_of_an_object_that_breaks_off_are_read_and_the_break_is_a_row(tmp_path):
    body = json.dumps({"version": "1.0", "data": RECORDS})
    found = texts_of(write(tmp_path / "a.json", body[:-15]))
    assert found == [*TEXTS[:2], None]
