"""What a table was found to be when it was compared with its manifest, and who opens its parts after that: nobody."""

import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import curate
from curate.rundir import parquet
from curate.rundir.guards import manifests
from curate.rundir.run import open_run

WORDS = [f"word{number % 41} of{number % 13}" for number in range(6000)]
SLICE_BYTES = 2000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run with every table, of a file in some 20 parts and of small files that share parts."""
    folder = tmp_path_factory.mktemp("made")
    rows = [{"id": f"d{n}", "text": " ".join(WORDS[n * 30 : n * 30 + 30]), "domain": "ab"[n % 2]} for n in range(150)]
    lines = [json.dumps(row) + "\n" for row in rows]
    (folder / "corpus").mkdir()
    (folder / "corpus" / "a.jsonl").write_text("".join(lines[:120]))
    for number in range(12):
        (folder / "corpus" / f"b{number:02d}.jsonl").write_text("".join(lines[120 + number : 122 + number]))
    (folder / "corpus" / "c.jsonl").write_text(lines[140] + "{broken\n")
    items = [{"id": "e0", "question": rows[3]["text"], "answer": "x"}]
    (folder / "evals.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    make_run(folder, folder / "run")
    return folder


def make_run(folder, run):
    score(folder, run)
    curate.decontaminate(str(folder / "evals.jsonl"), run=str(run), canaries=3)
    curate.dedup(run=str(run))
    curate.filter(run=str(run), where="bytes > 0")
    curate.bucket(run=str(run), by="bytes")
    curate.order(run=str(run), by="bytes")


def score(folder, run, **options):
    given = {"model": "none", "slice_bytes": SLICE_BYTES, **options}
    return curate.score(str(folder / "corpus"), run=str(run), carry="domain", **given)


@pytest.fixture
def run(made, tmp_path):
    shutil.copytree(made / "run", tmp_path / "run")
    return tmp_path / "run"


VERBS = {
    "status": lambda made, run: curate.status(run=run),
    "explain": lambda made, run: curate.explain("d7", run=run),
    "filter": lambda made, run: curate.filter(run=run, where="bytes > 0", ledger="domain"),
    "bucket": lambda made, run: curate.bucket(run=run, by="bytes"),
    "order": lambda made, run: curate.order(run=run, by="bytes"),
    "report": lambda made, run: curate.report(run=run),
    "dedup": lambda made, run: curate.dedup(run=run),
    "decontaminate": lambda made, run: curate.decontaminate(str(made / "evals.jsonl"), run=run, canaries=3),
    "export": lambda made, run: curate.export(f"{run}-out", run=run),
    "export --no-order": lambda made, run: curate.export(f"{run}-plain", run=run, no_order=True, format="jsonl"),
    "score": lambda made, run: score(made, run),
}


@pytest.fixture
def opened(monkeypatch):
    """What is read, in order: footers alone, and columns."""
    events: list[tuple[str, Path]] = []

    def watch(where, name, what):
        real = getattr(where, name)

        def read(path, *rest, **options):
            events.append((what, Path(path)))
            return real(path, *rest, **options)

        monkeypatch.setattr(where, name, read)

    watch(pq, "read_schema", "footer")
    watch(manifests, "_read_footer", "footer")
    watch(parquet, "read_table", "columns")
    return events


def list_needless(run, opened):
    """Return the parts of tables of which a footer was read, but for the first and the last of each table.

    These say which columns a table has; what is read next of another part may be a column. Sketches have no manifest.
    """
    folders = [run / "scores", run / "hits", *(run / "carried").iterdir()]
    every = {folder: parquet.list_parts(folder) for folder in folders}
    assert all(len(parts) > 10 for parts in every.values())
    inner = {path for parts in every.values() for path in parts[1:-1]}
    following = [*opened[1:], ("end", run)]
    footers = [
        path
        for (what, path), then in zip(opened, following, strict=True)
        if what == "footer" and then != ("columns", path)
    ]
    return [path.relative_to(run) for path in footers if path in inner]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_over_a_finished_run_opens_no_part_for_its_metadata(made, run, opened, verb):
    VERBS[verb](made, str(run))
    assert list_needless(run, opened) == []


def forget_notes(run):
    """Make the manifests those of an earlier version, and ``run.json`` with them."""
    record = json.loads((run / "run.json").read_text())
    of_table = {"scores": record["score"], "hits": record["decontaminate"]}
    of_table |= {f"carried/{name}": column for name, column in record["carried"]["columns"].items()}
    for table, of_verb in of_table.items():
        path = manifests.locate_manifest(run, table)
        value = json.loads(path.read_text())
        del value["notes"]
        path.write_text(json.dumps(value))
        of_verb["manifest"] = manifests._fingerprint(value)
    del record["checksum"]
    (run / "run.json").write_text(json.dumps(record))


@pytest.mark.parametrize("verb", VERBS)
def test_a_run_of_a_version_whose_manifests_say_less_is_read_from_its_parts(made, run, opened, verb):
    forget_notes(run)
    VERBS[verb](made, str(run))
    if verb in ("status", "filter", "report", "export", "decontaminate", "score"):
        assert list_needless(run, opened)


def test_scoring_and_scanning_again_gives_a_run_of_an_earlier_version_the_bytes_of_this_one(made, run):
    before = hash_all(run)
    forget_notes(run)
    VERBS["score"](made, str(run))
    VERBS["decontaminate"](made, str(run))
    assert hash_all(run) == before


def hash_all(run):
    made_at_will = {"contamination.html", "canaries.jsonl"}
    paths = [path for path in run.rglob("*") if path.is_file() and path.name not in made_at_will]
    return {path.relative_to(run).as_posix(): manifests.hash_file(path)[0] for path in paths}


def test_a_run_has_the_same_bytes_whichever_way_it_was_made(made, tmp_path):
    expected = hash_all(made / "run")
    for part in ("1/3", "0/3", "2/3"):
        score(made, tmp_path / "parts", part=part)
    for _ in range(2):  # again, with nothing to do
        make_run(made, tmp_path / "parts")
        assert {name: at for name, at in hash_all(tmp_path / "parts").items() if name in expected} == expected
    for name in ("scores/00000-000004.parquet", "hits/00000-000002.parquet", "carried/domain/00001-000000.parquet"):
        (tmp_path / "parts" / name).unlink()
    make_run(made, tmp_path / "parts")
    assert {name: at for name, at in hash_all(tmp_path / "parts").items() if name in expected} == expected


def test_the_notes_of_a_checked_table_are_those_of_its_parts(run):
    opened = open_run(run)
    opened.finished_scores()
    paths = parquet.list_parts(run / "scores")
    notes = opened.list_known_notes(run / "scores")
    assert list(notes) == paths
    assert [json.dumps(note) for note in notes.values()] == [json.dumps(parquet.read_metadata(path)) for path in paths]
    assert any("slices" in note for note in notes.values()) and any("slice" in note for note in notes.values())


def test_a_part_that_was_replaced_since_is_opened_even_where_it_has_the_same_size_and_time(run, monkeypatch):
    opened = open_run(run)
    opened.finished_scores()
    path = parquet.list_parts(run / "scores")[2]
    note, times = opened.read_note(path), os.stat(path)
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert os.stat(path).st_size == times.st_size
    monkeypatch.setattr(parquet, "read_metadata", lambda path: {"read from": path})
    assert path not in opened.list_known_notes(run / "scores")
    assert opened.read_note(path) == {"read from": path} != note


def test_parts_without_rows_are_left_out_of_what_is_queried_once_that_is_known(run):
    opened, every = open_run(run), parquet.list_parts(run / "hits")
    assert opened.list_filled_parts(run / "hits") == every
    opened.check_manifest("hits", opened.stage("decontaminate"), "")
    filled = [path for path in every if pq.read_metadata(path).num_rows]
    assert 0 < len(filled) < len(every) and opened.list_filled_parts(run / "hits") == filled
    for path in filled:
        parquet.write_part(path, pq.read_table(path).slice(0, 0), parquet.read_metadata(path))
    opened = open_run(run)
    opened.check_manifest("hits", {"manifest": manifests.record_table(run, "hits")}, "")
    assert opened.list_filled_parts(run / "hits") == every[:1]


def test_the_manifest_of_many_parts_says_their_metadata_in_few_bytes(tmp_path):
    table = pa.table({"value": [1]})
    for number in range(300):
        mark = {
            "file": "part-0.jsonl",
            "number": number,
            "first_row": number * 21_000,
            "documents": 21_000 + number % 7,
        }
        parquet.write_part(
            tmp_path / "scores" / f"00000-{number:06d}.parquet", table, {"slice": mark, "made_from": "f"}
        )
    manifests.record_table(tmp_path, "scores")
    value = json.loads(manifests.locate_manifest(tmp_path, "scores").read_text())
    assert value["notes"]["shared"] == {"made_from": "f"}
    assert len(value["notes"]["zstd"]) < 300 * 15
