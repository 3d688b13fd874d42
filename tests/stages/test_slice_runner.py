"""The loop over slices: any dealing of the units leaves the same parts, and what is missing at the end is an error."""

from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pytest
from helpers.runs import write_lines

from curate.corpus import open_corpus
from curate.errors import Interrupted, StorageError, TableError
from curate.rundir import parquet
from curate.stages.slice_runner import ProcessedSlice, describe_part, name_part, run_slices, work_on_units

FILES = {"a": 7, "b": 0, "c": 1, "d": 12}
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


@dataclass
class Dealt:
    """An executor that deals the units out to calls, as a job array does."""

    calls: list

    def map(self, function, units):
        assert sorted(unit for call in self.calls for unit in call) == list(units)
        for call in self.calls:
            yield function(call)


DEALS = ([[0, 1, 2, 3]], [[0], [1], [2], [3]], [[3, 1], [2, 0]], [[2], [3, 0, 1]])


@pytest.mark.parametrize("calls", DEALS, ids=str)
def test_any_dealing_of_the_units_leaves_the_same_parts(tmp_path, corpus, calls):
    whole, dealt = CountWords(tmp_path / "whole"), CountWords(tmp_path / "dealt")
    local = run_slices(corpus, whole)
    assert (local.documents, local.resumed) == (sum(FILES.values()), 0)
    assert run_slices(corpus, dealt, executor=Dealt(calls)).documents == local.documents
    assert contents(dealt.folder) == contents(whole.folder) and len(contents(whole.folder)) > len(FILES)


def test_a_unit_that_runs_twice_changes_nothing(tmp_path, corpus):
    work = CountWords(tmp_path / "parts")
    work.folder.mkdir()
    counts = [work_on_units(corpus, work, {}, lambda **_: None, units) for units in ([0], [3], [0, 3])]
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
    (work.folder / name_part(3, 1)).unlink()
    assert run_slices(corpus, work).documents > 0
    assert contents(work.folder) == before


def test_a_foreign_part_is_an_error_and_so_are_units_that_no_executor_runs(tmp_path, corpus):
    run_slices(corpus, CountWords(tmp_path / "parts"))
    with pytest.raises(TableError, match="belongs to another run"):
        run_slices(corpus, CountWords(tmp_path / "parts", fingerprint="made otherwise"))

    class Lazy:
        def map(self, function, units):
            yield function(units[:2])

    with pytest.raises(TableError, match=r"end before the corpus does: c\.jsonl, d\.jsonl"):
        run_slices(corpus, CountWords(tmp_path / "new"), executor=Lazy())


def test_what_the_work_raises_is_raised_and_the_parts_before_it_stay(tmp_path, corpus):
    with pytest.raises(StorageError):
        run_slices(corpus, CountWords(tmp_path / "parts", fails="c0", error=StorageError("full")))
    assert {int(name[:5]) for name in contents(tmp_path / "parts")} == {0, 1}


def test_a_limit_counts_over_all_files(tmp_path, corpus):
    limited = replace(corpus, limit=9)
    assert run_slices(limited, CountWords(tmp_path / "parts")).documents == 9
    assert run_slices(limited, CountWords(tmp_path / "parts")).resumed == 9
