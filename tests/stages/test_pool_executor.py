"""Units in the workers of a pool: the parts of the plain loop, and every unit that fails is named."""

import pickle
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pytest
from helpers.runs import write_lines

from curate.corpus import open_corpus
from curate.errors import CorpusError, EngineError, RowError, UsageError
from curate.rundir import parquet
from curate.runtime import console
from curate.runtime.work.engines import EngineOptions
from curate.stages.pool_executor import PoolExecutor, find_pieces, work_on_unit
from curate.stages.slice_runner import ProcessedSlice, describe_part, name_part, run_slices

FILES = {"a": 7, "b": 0, "bb": 0, "c": 1, "d": 60}


@dataclass
class ListWords:
    """Lists the first word of each document. ``fails`` gives the error for a document by its text."""

    folder: Path
    fails: dict = field(default_factory=dict)
    fingerprint: str = "made so"
    columns: str = "text"
    label: str = "listing"
    done: str = "listed"

    def process(self, slices, advance):
        for documents in slices:
            for text in documents.texts:
                if text in self.fails:
                    raise self.fails[text]
            yield ProcessedSlice(documents, [text.split()[0] for text in documents.texts], documents.read_bytes)

    def write(self, path, processed):
        parquet.write_part(path, pa.table({"word": processed.result}), describe_part(self, processed.documents))


@dataclass
class PickledPool:
    """A pool whose workers get everything pickled; each item is done as it is submitted, ``order`` last first."""

    count: int = 2
    calls: list = field(default_factory=list)
    on_progress: object = None
    options: EngineOptions = field(default_factory=EngineOptions)

    def connect(self):
        """It has no thread to begin."""
        return self

    def keep(self, shared):
        return pickle.dumps(shared)

    def submit(self, function, kept, item):
        self.calls.append((function, item))
        future = Future()
        try:
            future.set_result(
                pickle.loads(pickle.dumps(function(pickle.loads(kept), pickle.loads(pickle.dumps(item)))))
            )
        except Exception as error:
            future.set_exception(error)
        return future

    def cancel(self):
        """Nothing waits."""

    def report_profiles(self):
        """Nothing was measured."""


@pytest.fixture
def corpus(tmp_path):
    for name, rows in FILES.items():
        write_lines(tmp_path / "corpus" / f"{name}.jsonl", [{"text": f"{name}{row} word"} for row in range(rows)])
    return replace(open_corpus([str(tmp_path / "corpus")], text_field="text"), slice_bytes=60)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")}


def test_the_parts_are_those_of_the_loop_here_and_a_large_file_is_dealt_in_pieces(tmp_path, corpus):
    run_slices(corpus, ListWords(tmp_path / "here"))
    pool = PickledPool()
    done = run_slices(corpus, ListWords(tmp_path / "there"), executor=PoolExecutor(pool))
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    assert done.documents == sum(FILES.values())
    pieces = [item.unit for function, item in pool.calls if function is work_on_unit and item.unit.pieces > 1]
    assert len({unit for unit in pieces if unit.first == 4}) > 3 and len(pieces) == len(set(pieces))
    assert sum(function is find_pieces for function, _ in pool.calls) == len({unit.first for unit in pieces})


def test_a_unit_that_was_begun_is_read_on_behind_its_parts(tmp_path, corpus):
    run_slices(corpus, ListWords(tmp_path / "here"))
    work = ListWords(tmp_path / "there")
    run_slices(corpus, work)
    kept = [name_part(4, 0), name_part(4, 1), name_part(0, 0)]
    for path in work.folder.iterdir():
        if path.name not in kept:
            path.unlink()
    before = {name: (work.folder / name).stat().st_mtime_ns for name in kept}
    done = run_slices(corpus, work, executor=PoolExecutor(PickledPool()))
    assert contents(work.folder) == contents(tmp_path / "here") and done.documents + done.resumed == sum(FILES.values())
    assert {name: (work.folder / name).stat().st_mtime_ns for name in kept} == before


def test_units_that_fail_are_named_with_their_errors_and_the_rest_is_done(tmp_path, corpus, monkeypatch):
    told = []
    monkeypatch.setattr(console, "warn", told.append)
    fails = {"a3 word": ZeroDivisionError("of a"), "c0 word": CorpusError("of c")}
    with pytest.raises(EngineError, match=r"2 of \d+ units failed, the rest is done: a\.jsonl.*, b\.jsonl … c\.jsonl"):
        run_slices(corpus, ListWords(tmp_path / "there", fails), executor=PoolExecutor(PickledPool()))
    assert [line.partition(" failed: ")[2] for line in told] == ["ZeroDivisionError: of a", "CorpusError: of c"]
    run_slices(corpus, ListWords(tmp_path / "here"))
    made, whole = contents(tmp_path / "there"), contents(tmp_path / "here")
    assert {name for name in whole if name.startswith("00004")} <= made.keys() < whole.keys()
    run_slices(corpus, ListWords(tmp_path / "there"), executor=PoolExecutor(PickledPool()))
    assert contents(tmp_path / "there") == whole


def test_errors_of_one_kind_that_a_user_can_mend_stay_as_they_are(tmp_path, corpus):
    fails = {f"{name}0 word": CorpusError("no such column", "--text-field NAME") for name in "ad"}
    with pytest.raises(CorpusError, match="no such column") as caught:
        run_slices(corpus, ListWords(tmp_path / "there", fails), executor=PoolExecutor(PickledPool()))
    assert caught.value.hint == "--text-field NAME"


def test_a_row_that_on_error_stop_stops_at_stops_the_others_too(tmp_path, corpus):
    fails = {"a0 word": RowError("row 0"), "d0 word": ZeroDivisionError()}
    with pytest.raises(RowError):
        run_slices(corpus, ListWords(tmp_path / "there", fails), executor=PoolExecutor(PickledPool()))


def test_a_limit_is_refused_since_it_counts_over_files(tmp_path, corpus):
    with pytest.raises(UsageError, match="a limit counts over all files"):
        run_slices(replace(corpus, limit=9), ListWords(tmp_path / "there"), executor=PoolExecutor(PickledPool()))
