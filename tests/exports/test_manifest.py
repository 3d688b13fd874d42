"""``manifest.json`` number by number and name by name, and what an export adds to the rows."""

import hashlib
import json
from types import SimpleNamespace

import pyarrow as pa
import pytest
from helpers.exports import LEAKY, leaky_run, plain_run, read_in_order, shuffled
from helpers.runs import write_buckets, write_hits

from curate.corpus import Corpus
from curate.corpus.readers import raw_jsonl
from curate.errors import CorpusError, TableError
from curate.exports import joined_slices
from curate.exports.counts import ExportCounts
from curate.exports.manifest import list_counts
from curate.exports.ordered import tasks
from curate.rundir import parquet
from curate.rundir.decision_table import DecisionReader
from curate.rundir.run import Run
from curate.verbs.export import export
from curate.verbs.filter import filter as choose


def manifest_of(out):
    return json.loads((out / "manifest.json").read_text())


@pytest.mark.parametrize("rejected", [False, True])
def test_a_manifest_says_what_is_in_the_folder_and_of_what_it_was_made(tmp_path, rejected):
    run, rows = plain_run(tmp_path, 30)
    chosen = choose(str(run.path), max_tokens=12)
    export(str(tmp_path / "out"), str(run.path), format="jsonl", rejected=rejected)
    found, held = manifest_of(tmp_path / "out"), read_in_order(tmp_path / "out")
    record, scores = json.loads((run.path / "run.json").read_text())["filter"], run.finished_scores()
    kept = sum(len(row["text"].split()) <= 12 for row in rows)
    assert 0 < kept < 30 and chosen.kept.documents == kept
    assert len(held) == found["rows"] == (30 - kept if rejected else kept)
    files = found.pop("files")
    columns = found.pop("columns")
    assert list(columns) == list(held[0])
    added = [name for name in held[0] if name.startswith("curate_")]
    identity = found.pop("fingerprint")
    assert found == {
        "made_by": "curate export",
        "format": "jsonl",
        "documents": "rejected" if rejected else "kept",
        "rows": len(held),
        "tokens": sum(row["curate_tokens"] for row in held),
        "text_field": "text",
        "counts": {"read": 30, "kept": kept, "rejected": 30 - kept, "unreadable": 0},
        "rejected": record["counts"]["rejected"],
        "made_from": {
            "scores": scores["made_from"],
            "filter": {key: record[key] for key in ("fingerprint", "parameters", "counts") if key in record},
            "decontaminate": None,
            "dedup": None,
        },
        "added": added,
        "json": [],
        "turned_to_text": [],
    }
    for file in files:
        octets = (tmp_path / "out" / file["path"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(octets), hashlib.sha256(octets).hexdigest())
    assert sum(file["rows"] for file in files) == len(held) and identity in (tmp_path / "out" / "README.md").read_text()


def test_a_manifest_says_how_many_tokens_of_a_document_were_counted(tmp_path, monkeypatch):
    run, _ = plain_run(tmp_path, 5)
    monkeypatch.setattr(Run, "counted_tokens", lambda _run: 7)
    export(str(tmp_path / "out"), str(run.path), format="jsonl")
    assert manifest_of(tmp_path / "out")["tokens_counted"] == 7


def test_the_manifest_of_an_order_by_bucket_describes_both(tmp_path):
    run, _ = plain_run(tmp_path, 30)
    write_buckets(run, ["head" if n % 3 else "tail" for n in range(30)])
    shuffled(run, list(range(30)), 30)
    export(str(tmp_path / "out"), str(run.path), format="jsonl", by_bucket=True)
    found, record = manifest_of(tmp_path / "out"), json.loads((run.path / "run.json").read_text())
    assert "tokens_counted" not in found
    assert found["ordered"] is True and found["order"] == record["order"]["parameters"]
    assert found["buckets"] == {
        "parameters": record["bucket"]["parameters"],
        "folders": {"head": "head", "tail": "tail"},
    }
    order = found["files"][-1]
    octets = (tmp_path / "out" / "order.parquet").read_bytes()
    sha256 = hashlib.sha256(octets).hexdigest()
    assert order == {"path": "order.parquet", "rows": 30, "bytes": len(octets), "sha256": sha256}


def test_the_counts_are_named_as_they_add_up():
    assert list_counts(ExportCounts(7, 4, 2, 1, 99)) == {"read": 7, "kept": 4, "rejected": 2, "unreadable": 1}


def test_an_export_adds_the_eval_sets_and_the_characters_that_were_cut(tmp_path):
    run = leaky_run(tmp_path, [{"text": text} for text in LEAKY])
    export(str(tmp_path / "out"), str(run.path), format="jsonl")
    for row in read_in_order(tmp_path / "out"):
        leaks = row["curate_row"] % 5 == 0
        assert row["curate_cut_characters"] == (len("Which lake drains westward, 日本 💥?") if leaks else 0)
        assert len(row["text"]) == len(LEAKY[row["curate_row"]]) - row["curate_cut_characters"] + leaks
    assert manifest_of(tmp_path / "out")["added"][-1] == "curate_cut_characters"


def test_an_export_that_marks_leaks_names_their_eval_sets_and_changes_no_text(tmp_path):
    run, rows = plain_run(tmp_path, 12)
    write_hits(
        run, [{"row": 3, "start": 0, "end": 4}, {"row": 3, "start": 0, "end": 2, "eval_set": "arc"}], action="mark"
    )
    export(str(tmp_path / "out"), str(run.path), format="jsonl")
    held = {row["curate_row"]: row for row in read_in_order(tmp_path / "out")}
    assert [row for row, one in held.items() if one["curate_eval_sets"] is not None] == [3]
    assert held[3]["curate_eval_sets"].startswith("arc, ") and held[3]["text"] == rows[3]["text"]


def job_of(run, *names):
    return SimpleNamespace(names={name: f"curate_{name}" for name in names}, run=run)


def test_a_column_of_the_corpus_that_is_added_too_is_named(tmp_path):
    job = job_of(None, "row", "file")
    joined_slices.check_names(["text", "row", "curate_rows"], job)
    with pytest.raises(joined_slices.NameTakenError, match="curate_file"):
        joined_slices.check_names(["curate_row", "text", "curate_file"], job)


def test_a_table_of_other_rows_than_the_scores_is_named_by_its_verb(tmp_path):
    for column, verb in (("keep", "filter"), ("position", "order"), ("bucket", "bucket")):
        error = joined_slices.foreign_rows_error(column, Run(tmp_path))
        assert (
            isinstance(error, TableError) and error.message == f"the table of curate {verb} does not follow the scores"
        )
        assert error.hint == f"curate {verb} … --run {tmp_path}"


@pytest.mark.parametrize("ordered", [True, False])
def test_a_corpus_of_more_or_fewer_slices_than_were_scored_is_refused(tmp_path, monkeypatch, ordered):
    run, _ = plain_run(tmp_path, 60)
    if ordered:
        shuffled(run, list(range(60)), 60)
    parts = parquet.list_parts(run.scores)
    last = parquet.read_metadata(parts[-1])["slice"]["first_row"]
    assert len(parts) > 1 and last > 0
    monkeypatch.setattr(tasks, "parquet", SimpleNamespace(list_parts=lambda path: parts[:-1]))
    with pytest.raises(CorpusError, match=rf"a\.jsonl, row {last}: it has more documents than were scored"):
        export(str(tmp_path / "out"), str(run.path), format="jsonl")
    monkeypatch.undo()
    slices_of = Corpus.slices_of
    monkeypatch.setattr(raw_jsonl, "read_bytes", lambda *_: None)
    monkeypatch.setattr(Corpus, "slices_of", lambda *args: iter(list(slices_of(*args))[:-1]))
    with pytest.raises(CorpusError, match=rf"a\.jsonl, row {last}: the documents lie elsewhere"):
        export(str(tmp_path / "out"), str(run.path), format="jsonl")


@pytest.mark.parametrize(("key", "change"), [("row", 1), ("file", "x")])
def test_a_decision_on_another_row_than_that_of_the_scores_is_refused(tmp_path, monkeypatch, key, change):
    run, _ = plain_run(tmp_path, 20)
    choose(str(run.path), max_ppl=70)
    reader = DecisionReader(run.filter)

    def take(count):
        rows = reader.take(count)
        values = [*rows[key].to_pylist()[:-1], rows[key][count - 1].as_py() + change]
        return rows.set_column(rows.column_names.index(key), key, pa.array(values, rows[key].type))

    monkeypatch.setattr(tasks, "DecisionReader", lambda path: SimpleNamespace(take=take))
    with pytest.raises(TableError, match="the table of curate filter does not follow the scores"):
        export(str(tmp_path / "out"), str(run.path), format="jsonl")
