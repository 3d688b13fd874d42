"""An export reads each slice in the fastest way that will do: whichever that is, the rows are the same."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.exports import FORMATS, files_of, rows_of, shuffled
from helpers.runs import make_run, write_buckets, write_lines

from curate.corpus.readers import flat_jsonl, raw_jsonl
from curate.corpus.readers.parquet_slices import ParquetSlices
from curate.exports import write
from curate.exports.ordered import tasks
from curate.verbs.export import export
from curate.verbs.filter import filter as choose

ODD = [
    b'{"text":"document 1","n":1,"n":2}',
    b'{"text":"document 2","x":NaN}',
    b'{"text":"document 3","n":123456789012345678901234567890}',
    b'{"text":"document 4","id":"\\ud800"}',
    b'{"broken',
    b"",
    b'{"text":"document 5"}\r',
    b'{"text":"document 6","meta":{"a":[1]}}',
    b'{"text":5}',
    b' { "text" : "document 7" }',
]


def make_row(n):
    row = {"id": f"d{n}", "text": f"document {n} é", "n": -n, "x": n / 7, "yes": n % 2 == 0, "day": "2020-01-01"}
    return row if n % 3 else {**row, "day": None}


def make_odd_run(folder, kind):
    """A run over flat lines, over odd lines among them, over CRLF, or over Parquet with and without nulls."""
    rows, folder = [make_row(n) for n in range(120)], folder / "c"
    folder.mkdir()
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet", row_group_size=17)
    elif kind == "nulls":
        rows = [{**row, "text": None} if n % 40 == 7 else row for n, row in enumerate(rows)]
        pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet", row_group_size=50)
    elif kind == "CRLF":
        (folder / "a.jsonl").write_bytes(b"\r\n".join(json.dumps(row).encode() for row in rows))
    else:
        lines = [ODD[n // 12] if kind == "odd" and n % 12 == 5 else row for n, row in enumerate(rows)]
        write_lines(folder / "a.jsonl", lines)
    return make_run(folder.parent / "run", [folder], slice_bytes=1100)


def read_fully(monkeypatch):
    """Leave everything to the full reader."""
    monkeypatch.setattr(raw_jsonl, "read_bytes", lambda *_: None)
    monkeypatch.setattr(ParquetSlices, "read", lambda *_: None)


@pytest.mark.parametrize("rejected", [False, True])
@pytest.mark.parametrize("kind", ["flat", "odd", "CRLF", "parquet", "nulls"])
def test_whichever_way_a_slice_is_read_its_rows_are_the_same(tmp_path, monkeypatch, kind, rejected):
    run = make_odd_run(tmp_path, kind)
    choose(str(run.path), max_ppl=70)

    def export_all(name):
        for format in FORMATS:
            export(str(tmp_path / name / format), str(run.path), format=format, rejected=rejected, shard_size="4kB")

    export_all("fast")
    read_fully(monkeypatch)
    export_all("full")
    for format in ("parquet", "hf"):
        assert files_of(tmp_path / "fast" / format) == files_of(tmp_path / "full" / format)
    found, wanted = (read_lines(tmp_path / name / "jsonl") for name in ("fast", "full"))
    assert len(wanted) > 20
    assert list(map(repr, found)) == list(map(repr, wanted))


def read_lines(out):
    """The members of each row, in their order."""
    paths = sorted((out / "data").iterdir())
    return [json.loads(line, object_pairs_hook=list) for path in paths for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("format", FORMATS)
def test_threads_that_read_ahead_change_no_byte(tmp_path, monkeypatch, format):
    run = make_odd_run(tmp_path, "odd")
    write_buckets(run, [None if status != "ok" else "ab"[n % 2] for n, status in enumerate(list_statuses(run))])
    export(str(tmp_path / "one"), str(run.path), format=format, workers=1)
    monkeypatch.setattr(write, "STREAMED_BYTES", 1)
    export(str(tmp_path / "more"), str(run.path), format=format, workers=3)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "more")


def list_statuses(run):
    return [status for part in sorted(run.scores.iterdir()) for status in pq.read_table(part)["status"].to_pylist()]


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [("flat", 1, 1), ("odd", 0, 0), ("CRLF", 0, 0), ("parquet", 1, 1), ("nulls", 0, 0.99)],
)
def test_flat_lines_are_parsed_by_arrow_and_parquet_is_read_as_tables(tmp_path, monkeypatch, kind, least, most):
    """Else the tests above would compare the full reader with itself.

    A column of JSON leaves all lines to the parser, and behind a slice with a null text the full reader reads on.
    """
    run, fast, slices = make_odd_run(tmp_path, kind), [], []
    for owner, name in ((flat_jsonl, "read_flat_lines"), (ParquetSlices, "read")):
        read = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *args, read=read: fast.append(read(*args)) or fast[-1])
    make = tasks.PartitionSlice
    monkeypatch.setattr(tasks, "PartitionSlice", lambda *args: slices.append(make(*args)) or slices[-1])
    export(str(tmp_path / "out"), str(run.path), format="parquet", workers=1)
    share = sum(rows is not None for rows in fast) / len(slices)
    assert len(slices) > 5 and least <= share <= most


def test_an_order_and_the_corpus_have_the_same_lines(tmp_path):
    """Each line is copied as it stands, in both."""
    run = make_odd_run(tmp_path, "flat")
    shuffled(run, list(range(120)), 120)
    export(str(tmp_path / "ordered"), str(run.path), format="jsonl")
    export(str(tmp_path / "plain"), str(run.path), format="jsonl", no_order=True)
    (path,) = (tmp_path / "plain" / "data").iterdir()
    source = (tmp_path / "c" / "a.jsonl").read_bytes().splitlines()
    assert all(
        line.startswith(head[:-1] + b",") for line, head in zip(path.read_bytes().splitlines(), source, strict=True)
    )
    ordered = sorted(rows_of(*(tmp_path / "ordered" / "data").iterdir()), key=lambda row: row["curate_row"])
    assert [{name: row[name] for name in row if name != "curate_position"} for row in ordered] == rows_of(path)
