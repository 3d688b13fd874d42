"""``curate dedup`` goes on after an interruption, and done again it gives the same bytes."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers.leftovers import name_leftover
from helpers.near_copies import edited, far, random_documents, rows_of, run_on, spelled, words_of
from helpers.runs import write_lines

from curate.corpus.files.run_marks import MARK
from curate.errors import Interrupted
from curate.rundir import parquet
from curate.rundir.run import open_run
from curate.runtime import console
from curate.stages.dedup import sketch_table
from curate.stages.dedup.pairs import near_copies
from curate.verbs.dedup import dedup


@pytest.fixture(scope="module")
def corpus_and_run(tmp_path_factory):
    """A corpus of two files, an unreadable row among them, and an uninterrupted run over it in many slices."""
    folder = tmp_path_factory.mktemp("many")
    documents = random_documents(25, 80)
    write_lines(folder / "corpus" / "a.jsonl", [*({"text": one} for one in documents[:40]), b"{"])
    write_lines(folder / "corpus" / "b.jsonl", [{"text": one} for one in documents[40:]])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sketch_table, "SLICE_BYTES", 4000)
        dedup(run=str(folder / "whole"), corpus=[str(folder / "corpus")])
    return folder / "corpus", folder / "whole"


@pytest.fixture
def many(corpus_and_run, tmp_path, monkeypatch):
    """The same corpus and slices for a run of one's own."""
    monkeypatch.setattr(sketch_table, "SLICE_BYTES", 4000)
    return Many(*corpus_and_run, tmp_path / "run")


@dataclass(frozen=True)
class Many:
    corpus: Path
    whole: Path
    run: Path

    @property
    def sketches(self):
        (folder,) = (self.run / "dedup" / "sketches").glob("000-*")
        return folder

    def dedup(self, **options):
        return dedup(run=str(self.run), corpus=[str(self.corpus)], **options)

    def interrupt(self, monkeypatch, parts):
        """Run until so many parts are written.  → the parts"""
        with monkeypatch.context() as patched:
            written = stop_after(patched, parts)
            with pytest.raises(Interrupted, match="sketches of") as caught:
                self.dedup()
        assert "same command" in caught.value.hint and caught.value.exit_code == 130
        return written

    def has_the_bytes_of_the_whole(self):
        names = ("duplicates.parquet", "run.json", "unreadable.jsonl")
        return all((self.whole / name).read_bytes() == (self.run / name).read_bytes() for name in names)


def stop_after(monkeypatch, parts):
    """Let Ctrl-C come when so many parts are written."""
    write, written = sketch_table.write_part, []

    def write_or_stop(*arguments):
        if len(written) == parts:
            raise KeyboardInterrupt
        write(*arguments)
        written.append(arguments[0])

    monkeypatch.setattr(sketch_table, "write_part", write_or_stop)
    return written


def test_an_interrupted_run_goes_on_and_ends_in_the_same_bytes(many, monkeypatch):
    written = [part for stops in (3, 4, 1) for part in many.interrupt(monkeypatch, stops)]
    assert len(parquet.list_parts(many.sketches)) == len(written) == 8
    rest = stop_after(monkeypatch, 10**6)
    many.dedup()
    names = [path.name for path in [*written, *rest]]
    assert len(names) == len(set(names)) > 9 and names == sorted(names)
    assert many.has_the_bytes_of_the_whole()
    left = sorted(path.name for path in many.run.iterdir() if path.name != MARK)
    assert left == ["duplicates.parquet", "manifests", "run.json", "unreadable.jsonl"]


def test_an_interruption_while_pairs_are_verified_keeps_the_sketches(many, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(near_copies, "verify_runs", stop)
        with pytest.raises(Interrupted, match="sketches of 81 documents"):
            many.dedup()
    written = stop_after(monkeypatch, 0)
    many.dedup()
    assert written == []
    assert many.has_the_bytes_of_the_whole()


def test_a_part_that_is_missing_costs_what_lies_behind_it_alone(many, monkeypatch):
    many.interrupt(monkeypatch, 9)
    parquet.list_parts(many.sketches)[4].unlink()
    (many.sketches / name_leftover("00000-000000.parquet")).write_text("left by a killed writer")
    written = stop_after(monkeypatch, 10**6)
    many.dedup()
    assert written[0].name.endswith("-000004.parquet")
    assert many.has_the_bytes_of_the_whole()


@pytest.mark.parametrize("change", [{"shingle": 4}, {"seed": 2}, {"exact_only": True}, {"restart": True}])
def test_what_was_sketched_otherwise_is_begun_anew(many, monkeypatch, change):
    many.interrupt(monkeypatch, 5)
    written = stop_after(monkeypatch, 10**6)
    many.dedup(**change)
    assert written[0].name == "00000-000000.parquet"


@pytest.mark.parametrize(("workers", "limit"), [(1, "1GB"), (3, "100MB")])
def test_neither_threads_nor_slices_nor_the_memory_limit_change_the_result(many, monkeypatch, workers, limit):
    monkeypatch.setattr(sketch_table, "SLICE_BYTES", 50_000)
    many.dedup(workers=workers, memory_limit=limit)
    assert many.has_the_bytes_of_the_whole()


def test_running_it_again_replaces_the_table(tmp_path):
    these = words_of(26)
    documents = [spelled(these), spelled(edited(these, *far(2)))]
    taken = []
    for threshold in (0.8, 0.9, 0.8):
        run_on(tmp_path, documents, threshold=threshold)
        record = open_run(tmp_path / "run").stage("dedup")
        taken.append((record, (tmp_path / "run" / "duplicates.parquet").read_bytes()))
        assert parquet.read_metadata(tmp_path / "run" / "duplicates.parquet")["fingerprint"] == record["fingerprint"]
    assert [record["counts"]["near"] for record, _ in taken] == [1, 0, 1]
    assert taken[0] == taken[2]


def test_the_record_names_what_the_table_was_made_from(tmp_path):
    run_on(tmp_path, ["one", "two", "One"], keeper="first")
    place = open_run(tmp_path / "run")
    record = place.stage("dedup")
    assert record["made_from"]["corpus"] == place.stage("corpus")["identity"]
    assert record["parameters"]["keep"] == "first" and record["parameters"]["bands"] == {"bands": 18, "rows": 7}
    assert (record["counts"]["read"], record["counts"]["kept"], record["counts"]["exact"]) == (3, 2, 1)


def test_a_damaged_sketch_is_said_and_made_again(many, monkeypatch):
    many.interrupt(monkeypatch, 5)
    part = parquet.list_parts(many.sketches)[2]
    part.write_bytes(part.read_bytes()[:-50])
    said = []
    monkeypatch.setattr(console, "say", lambda label, text: said.append((label, text)))
    written = stop_after(monkeypatch, 10**6)
    many.dedup()
    assert written[0].name == part.name
    assert any(label == "damaged" and text.startswith(f"{part} cannot be read") for label, text in said)
    assert many.has_the_bytes_of_the_whole()


def test_a_run_directory_with_a_hostile_name_works(tmp_path):
    folder = tmp_path / "it's [a] *run? {1}"
    found = run_on(folder, ["one", "ONE"], name="b'; DROP TABLE sketches; --.jsonl")
    assert found.exact == 1
    assert rows_of(folder)[0]["file"] == "b'; DROP TABLE sketches; --.jsonl"
