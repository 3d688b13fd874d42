"""The loop over slices: any dealing of the units leaves the same parts, and what is missing at the end is an error."""

import pickle
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pyarrow as pa
import pytest
from helpers.leftovers import name_leftover, name_living
from helpers.runs import write_lines

import curate
from curate.corpus import SliceMark, open_corpus
from curate.corpus.units import Unit
from curate.errors import Interrupted, StorageError, TableError
from curate.rundir import parquet
from curate.rundir.run import parse_source
from curate.runtime import console
from curate.stages import slice_runner
from curate.stages.slice_runner import (
    ProcessedSlice,
    describe_part,
    list_marks,
    name_part,
    read_notes,
    run_slices,
    work_on_units,
)

FILES = {"a": 7, "b": 0, "bb": 0, "c": 1, "d": 12}
"""Rows of each file of the corpus."""


@dataclass
class CountWords:
    """Counts the words of each document. ``fails`` names the document at which it raises ``error``."""

    folder: Path
    fingerprint: str = "made so"
    fails: str | None = None
    error: BaseException | None = None
    columns: str = "text"
    label: str = "counting"
    done: str = "counted"

    def process(self, slices, advance):
        for documents in slices:
            if self.fails in documents.texts:
                raise self.error or KeyboardInterrupt
            yield ProcessedSlice(documents, [len(text.split()) for text in documents.texts], documents.read_bytes)

    def write(self, path, processed):
        table = pa.table({"words": pa.array(processed.result, pa.int64())})
        parquet.write_part(path, table, describe_part(self, processed.documents))


@pytest.fixture
def corpus(tmp_path):
    for name, rows in FILES.items():
        texts = [{"text": " ".join([f"{name}{row}"] * (row + 1))} for row in range(rows)]
        write_lines(tmp_path / "corpus" / f"{name}.jsonl", texts)
    opened = open_corpus([str(tmp_path / "corpus")], text_field="text")
    return replace(opened, slice_bytes=60)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")}


def ignore(**_):
    """An ``advance`` that does nothing."""


@dataclass
class Dealt:
    """An executor that deals the units out to calls, as a job array does."""

    calls: list

    def map(self, function, units, advance):
        assert sorted(unit for call in self.calls for unit in call) == list(units)
        for call in self.calls:
            yield function(call, ignore)


class Pickled:
    """An executor that sends the function away for every unit, last unit first, as Ray does."""

    def map(self, function, units, advance):
        for unit in reversed(units):
            yield pickle.loads(pickle.dumps(function))([unit], ignore)


A, BC, D = Unit(0, 1), Unit(1, 4), Unit(4, 5)
"""The units: b and bb, which are empty, and c, of one row, are small enough to share one."""
DEALS = ([[A, BC, D]], [[A], [BC], [D]], [[D, BC], [A]], [[BC], [D, A]])


@pytest.mark.parametrize("calls", DEALS, ids=str)
def test_any_dealing_of_the_units_leaves_the_same_parts(tmp_path, corpus, calls):
    whole, dealt = CountWords(tmp_path / "whole"), CountWords(tmp_path / "dealt")
    local = run_slices(corpus, whole)
    assert (local.documents, local.resumed) == (sum(FILES.values()), 0)
    assert run_slices(corpus, dealt, executor=Dealt(calls)).documents == local.documents
    assert contents(dealt.folder) == contents(whole.folder) and len(contents(whole.folder)) > len(FILES)
    assert {name_part(1, 0), name_part(3, 0)} < contents(whole.folder).keys(), "b and bb share a part"
    assert name_part(2, 0) not in contents(whole.folder)


def test_a_unit_that_runs_twice_changes_nothing(tmp_path, corpus):
    work = CountWords(tmp_path / "parts")
    work.folder.mkdir()
    counts = [work_on_units(corpus, work, {}, units, ignore) for units in ([A], [D], [A, D])]
    assert counts == [7, 12, 19]
    before = contents(work.folder)
    assert run_slices(corpus, work).resumed == 19
    assert {name: contents(work.folder)[name] for name in before} == before


def test_a_run_that_was_interrupted_goes_on_behind_its_last_part(tmp_path, corpus):
    run_slices(corpus, CountWords(tmp_path / "whole"))
    with pytest.raises(Interrupted, match=r"stopped after \d+ documents") as caught:
        run_slices(corpus, CountWords(tmp_path / "parts", fails="d5 " * 5 + "d5"))
    assert caught.value.exit_code == 130 and 0 < len(contents(tmp_path / "parts")) < len(contents(tmp_path / "whole"))
    done = run_slices(corpus, CountWords(tmp_path / "parts"))
    assert done.resumed + done.documents == sum(FILES.values()) and done.resumed >= FILES["a"]
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    again = run_slices(corpus, CountWords(tmp_path / "parts"))
    assert (again.documents, again.resumed) == (0, sum(FILES.values()))


def test_a_part_within_a_file_that_is_missing_is_made_again(tmp_path, corpus):
    work = CountWords(tmp_path / "parts")
    run_slices(corpus, work)
    before = contents(work.folder)
    (work.folder / name_part(4, 1)).unlink()
    assert run_slices(corpus, work).documents > 0
    assert contents(work.folder) == before


def test_a_foreign_part_is_an_error_and_so_are_units_that_no_executor_runs(tmp_path, corpus):
    run_slices(corpus, CountWords(tmp_path / "parts"))
    with pytest.raises(TableError, match="belongs to another run"):
        run_slices(corpus, CountWords(tmp_path / "parts", fingerprint="made otherwise"))

    class Lazy:
        def map(self, function, units, advance):
            yield function(units[:1], advance)

    with pytest.raises(TableError, match=r"end before the corpus does: b\.jsonl, bb\.jsonl, c\.jsonl"):
        run_slices(corpus, CountWords(tmp_path / "new"), executor=Lazy())


def test_what_the_work_raises_is_raised_and_the_parts_before_it_stay(tmp_path, corpus):
    with pytest.raises(StorageError):
        run_slices(corpus, CountWords(tmp_path / "parts", fails="c0", error=StorageError("full")))
    assert {int(name[:5]) for name in contents(tmp_path / "parts")} == {0, 1}


def test_a_limit_counts_over_all_files(tmp_path, corpus):
    limited = replace(corpus, limit=9)
    assert run_slices(limited, CountWords(tmp_path / "parts")).documents == 9
    assert run_slices(limited, CountWords(tmp_path / "parts")).resumed == 9


def test_the_work_of_decontaminate_and_dedup_can_be_sent_to_other_processes(tmp_path, corpus, monkeypatch):
    question = "Who repaired the astronomical clock of Ghent in the year of the flood?"
    write_lines(tmp_path / "evals.jsonl", [{"question": question}])
    options = {"corpus": [str(tmp_path / "corpus")], "workers": 1}
    found = {}
    for name, executor in (("here", slice_runner.LocalExecutor), ("away", Pickled)):
        monkeypatch.setattr(slice_runner, "LocalExecutor", executor)
        run = tmp_path / name
        curate.decontaminate([str(tmp_path / "evals.jsonl")], run=str(run), canaries=1, **options)
        curate.dedup(run=str(run), **options)
        found[name] = contents(run / "hits"), (run / "duplicates.parquet").read_bytes()
    assert found["here"] == found["away"] and len(found["here"][0]) == 1, "small files share a part"


def test_the_metadata_of_a_part_are_read_once(tmp_path, corpus, monkeypatch):
    read, paths = parquet.read_metadata, []
    monkeypatch.setattr(parquet, "read_metadata", lambda path: paths.append(path) or read(path))
    made = run_slices(corpus, CountWords(tmp_path / "parts"))
    again = run_slices(corpus, CountWords(tmp_path / "parts"))
    names = sorted(contents(tmp_path / "parts"))
    assert [path.name for path in paths] == [*names, *names]
    assert made.notes == again.notes and [path.name for path in made.notes] == names
    assert made.read == again.read == again.resumed == sum(FILES.values())


def test_names_of_parts_sort_in_the_order_of_the_corpus_whatever_the_numbers():
    numbers = (0, 9, 10, 99_999, 100_000, 999_999, 1_000_000, 9_999_999, 10_000_000)
    names = [name_part(source, number) for source in numbers for number in numbers]
    assert names == sorted(names) and len(set(names)) == len(names)
    assert name_part(3, 12) == "00003-000012.parquet"
    assert [parse_source(name_part(source, 7)) for source in numbers] == list(numbers)


def write_mark(folder, file, number, first=None, last=False, made_from="mine"):
    """A part of one slice of two rows."""
    first = 2 * number if first is None else first
    note = {"made_from": made_from, "slice": asdict(SliceMark(file, number, first, first + 2, None, 2, last))}
    parquet.write_part(folder / f"{file}-{number:06d}.parquet", pa.table({"row": [0]}), note)


def test_parts_count_up_to_the_first_gap_and_where_one_begins_elsewhere(tmp_path):
    for file, number in (("a", 0), ("a", 1), ("a", 3), ("b", 1), ("c", 0)):
        write_mark(tmp_path, file, number)
    write_mark(tmp_path, "c", 1, first=3)
    write_mark(tmp_path, "d", 0, last=True)
    write_mark(tmp_path, "d", 1)
    marks = list_marks(read_notes(tmp_path, "mine"))
    assert {file: [mark.number for mark in of_file] for file, of_file in marks.items()} == {
        "a": [0, 1],
        "c": [0],
        "d": [0],
    }
    assert read_notes(tmp_path / "none", "mine") == {}


def test_a_part_behind_the_last_slice_of_its_file_is_an_error(tmp_path, corpus):
    work = CountWords(tmp_path / "parts")
    run_slices(corpus, work)
    write_mark(work.folder, "00003", 7, made_from=work.fingerprint)
    with pytest.raises(TableError, match=r"00003-000007\.parquet is the part of a slice that the corpus does not have"):
        run_slices(corpus, work)


def test_temporary_files_of_killed_writers_go_and_those_of_running_ones_stay(tmp_path, corpus):
    work = CountWords(tmp_path / "parts")
    work.folder.mkdir()
    dead, live = (work.folder / name("00000-000000.parquet") for name in (name_leftover, name_living))
    dead.touch()
    live.touch()
    run_slices(corpus, work)
    assert (dead.exists(), live.exists()) == (False, True)


def test_the_bar_of_a_resumed_run_begins_where_the_last_one_stopped_and_ends_full(tmp_path, corpus, monkeypatch):
    states, progress = [], console.progress

    @contextmanager
    def watch(*arguments):
        with progress(*arguments) as state:
            states.append(state)
            yield state

    monkeypatch.setattr(console, "progress", watch)
    with pytest.raises(Interrupted):
        run_slices(corpus, CountWords(tmp_path / "parts", fails="d5 " * 5 + "d5"))
    run_slices(corpus, CountWords(tmp_path / "parts"))
    first, second = states
    assert sum(source.size for source in corpus.sources[:3]) < second.resumed_bytes == first.done_bytes
    assert second.resumed_bytes + second.done_bytes == second.total_bytes == corpus.size
