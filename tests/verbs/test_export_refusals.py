"""``curate export``: a corpus or table that changed is refused, and an export is whole or not at all."""

import errno
import json

import pyarrow.parquet as pq
import pytest
from helpers.exports import FORMATS, files_of, load
from helpers.leftovers import name_leftover
from helpers.runs import make_run, numbered_run, write_lines

from curate.errors import CorpusError, GateError, Interrupted, StorageError, TableError, UsageError
from curate.exports.formats import shards
from curate.rundir import parquet
from curate.verbs.export import export
from curate.verbs.filter import filter as choose

pytestmark = pytest.mark.usefixtures("own_cache")


def test_a_document_that_changed_after_scoring_is_refused_with_its_place(tmp_path, monkeypatch):
    """Even where the fingerprint does not see it: here the change lies between the ends of a large file."""
    rows = [{"text": f"document {n} " + "x" * 2000} for n in range(100)]
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    rows[50]["text"] = rows[50]["text"].replace("document 50", "Document 50")
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    with pytest.raises(CorpusError, match=r"a\.jsonl, row 50"):
        export(str(tmp_path / "out"), str(run.path))
    assert not (tmp_path / "out").exists()


def test_a_document_that_was_inserted_after_scoring_is_refused(tmp_path):
    """Its neighbours shrink by what it takes, so that size, start and end of the file are the old ones."""
    rows = [{"text": f"document {n} " + "x" * 2000} for n in range(100)]
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    octets = (tmp_path / "c" / "a.jsonl").stat().st_size
    rows[50]["text"] = rows[50]["text"][: -len('{"text": "new"}\n')]
    write_lines(tmp_path / "c" / "a.jsonl", [*rows[:50], {"text": "new"}, *rows[50:]])
    assert (tmp_path / "c" / "a.jsonl").stat().st_size == octets
    with pytest.raises(CorpusError, match="has changed"):
        export(str(tmp_path / "out"), str(run.path))


def test_a_part_that_covers_another_slice_is_refused(tmp_path):
    run = numbered_run(tmp_path, [{}, {}])
    (part,) = parquet.list_parts(run.scores)
    note = parquet.read_metadata(part)
    note["slice"]["next_row"] += 1
    parquet.write_part(part, pq.read_table(part), note)
    with pytest.raises(CorpusError, match="lie elsewhere"):
        export(str(tmp_path / "out"), str(run.path))


def test_a_part_of_another_run_is_refused(tmp_path):
    run = numbered_run(tmp_path, [{}, {}])
    (part,) = parquet.list_parts(run.scores)
    parquet.write_part(part, pq.read_table(part), {**parquet.read_metadata(part), "made_from": "elsewhere"})
    with pytest.raises(TableError, match="belongs to other scores"):
        export(str(tmp_path / "out"), str(run.path))


def test_a_file_of_another_size_is_refused_before_the_work(tmp_path):
    run = numbered_run(tmp_path, [{}, {}])
    write_lines(tmp_path / "corpus" / "a.jsonl", [{"id": "d0", "text": "document 0"}])
    with pytest.raises(TableError, match="has changed"):
        export(str(tmp_path / "out"), str(run.path))


def test_nothing_kept_is_an_error_and_no_empty_folder(tmp_path):
    run = numbered_run(tmp_path, [{"status": "too_long"}, {"status": "too_long"}])
    with pytest.raises(GateError, match="nothing was kept"):
        export(str(tmp_path / "out"), str(run.path))
    run = numbered_run(tmp_path / "all", [{"perplexity": 10.0}])
    choose(str(run.path), max_ppl=50)
    with pytest.raises(GateError, match="nothing was rejected"):
        export(str(tmp_path / "out"), str(run.path), rejected=True)
    assert not (tmp_path / "out").exists()


def test_a_stale_filter_is_refused(tmp_path):
    run = numbered_run(tmp_path, [{}, {}])
    choose(str(run.path), max_ppl=50)
    run.record = json.loads((run.path / "run.json").read_text())
    run.save("score", {**run.stage("score"), "fingerprint": "other"})
    with pytest.raises(TableError, match="stale"):
        export(str(tmp_path / "out"), str(run.path))


def test_a_folder_that_is_not_an_export_is_never_replaced(tmp_path):
    run = numbered_run(tmp_path, [{}])
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(UsageError):
            export(str(out), str(run.path), overwrite=overwrite)
        with pytest.raises(UsageError):
            export(str(tmp_path / "file"), str(run.path), overwrite=overwrite)
    assert (out / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("out", [".", "", "..", "/"])
def test_the_folder_that_one_is_in_is_refused_even_where_it_is_empty(tmp_path, monkeypatch, out):
    run = numbered_run(tmp_path, [{}])
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(UsageError) as caught:
        export(out, str(run.path))
    assert caught.value.hint == "name a new folder"


def test_an_earlier_export_is_replaced_only_when_asked(tmp_path):
    run = numbered_run(tmp_path, [{"perplexity": 10.0}, {"perplexity": 60.0}])
    out = tmp_path / "out"
    export(str(out), str(run.path), format="parquet")
    choose(str(run.path), max_ppl=50)
    with pytest.raises(UsageError, match="earlier export"):
        export(str(out), str(run.path))
    export(str(out), str(run.path), overwrite=True)
    assert not (out / "data").exists()
    assert len(load(out)) == 1
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), StorageError),
        (KeyboardInterrupt(), Interrupted),
        (ZeroDivisionError(), ZeroDivisionError),
    ],
)
@pytest.mark.parametrize("kind", FORMATS)
def test_an_export_that_breaks_off_leaves_nothing_and_keeps_the_old_one(tmp_path, monkeypatch, kind, failure, error):
    run = numbered_run(tmp_path, [{} for _ in range(60)], slice_bytes=800)
    out = tmp_path / "out"
    export(str(out), str(run.path))
    before = files_of(out)
    writer = {"hf": shards.ArrowShard, "parquet": shards.ParquetShard, "jsonl": shards.LinesShard}[kind]
    method = "write_bytes" if kind == "jsonl" else "write"
    whole, calls = getattr(writer, method), []

    def fail_at_third(self, rows):
        calls.append(1)
        if len(calls) == 3:
            raise failure
        whole(self, rows)

    monkeypatch.setattr(writer, method, fail_at_third)
    for place in (out, tmp_path / "new"):
        calls.clear()
        with pytest.raises(error):
            export(str(place), str(run.path), format=kind, shard_size="2kB", overwrite=True)
    assert len(calls) == 3
    assert files_of(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "out", "run"]


def test_what_a_killed_export_left_is_removed_by_the_next(tmp_path):
    run = numbered_run(tmp_path, [{}])
    left = tmp_path / name_leftover("out")
    (left / "train").mkdir(parents=True)
    (tmp_path / ".out.keep").mkdir()
    export(str(tmp_path / "out"), str(run.path))
    assert not left.exists()
    assert (tmp_path / ".out.keep").exists()


def test_options_that_mean_nothing_are_refused(tmp_path):
    run = numbered_run(tmp_path, [{}])
    for options in ({"format": "csv"}, {"shard_size": "huge"}, {"private": True}, {"push_to_hub": "a/b/c d"}):
        with pytest.raises(UsageError) as caught:
            export(str(tmp_path / "out"), str(run.path), **options)
        assert caught.value.hint
