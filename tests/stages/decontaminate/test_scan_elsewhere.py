"""The work of ``decontaminate`` goes to other processes as a pickle, and leaves there what it leaves here."""

import json
import operator
import pickle
import shutil
from functools import partial

import pytest
from helpers import small_files

import curate
from curate.corpus.units import list_units
from curate.errors import CorpusError
from curate.rundir import parquet
from curate.runtime.console import Progress
from curate.runtime.work.processes import start_workers
from curate.stages.decontaminate import scan
from curate.stages.slice_runner import run_slices, work_on_units

QUESTION = "How many herring gulls nested on the slate roofs of the harbour before the council sent its ladders?"
CODE = (
    "def add_words(words):\n    total = 0\n    for word in words:\n        total += len(word) * 2\n    return total\n"
)


ADVANCE = Progress("elsewhere", None).advance


@pytest.fixture
def captured(tmp_path, monkeypatch):
    """The work and the check of one call, whose hits are in the folder ``here``.  → corpus, work, check, folder"""
    (tmp_path / "corpus").mkdir()
    small_files.write_mixed(tmp_path / "corpus")
    (tmp_path / "corpus/q.txt").write_text(f"{small_files.make_text(1)} {QUESTION}\n{CODE}")
    rows = [
        {"id": "q", "question": QUESTION, "answer": "4"},
        {"id": "c", "question": "Add.", "canonical_solution": CODE},
    ]
    (tmp_path / "quiz.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    curate.score(str(tmp_path / "corpus"), run=str(tmp_path / "run"), model="none", slice_bytes=700)
    calls = []

    def keep(corpus, work, *rest, check=None, **named):
        calls.append((corpus, work, check))
        return run_slices(corpus, work, *rest, check=check, **named)

    monkeypatch.setattr(scan, "run_slices", keep)
    curate.decontaminate(str(tmp_path / "quiz.jsonl"), run=str(tmp_path / "run"), canaries=2, workers=1)
    ((corpus, work, check),) = calls
    shutil.move(tmp_path / "run/hits", tmp_path / "here")
    (tmp_path / "run/hits").mkdir()
    return corpus, work, check, tmp_path / "here"


def read_hits(folder):
    return {path.name: path.read_bytes() for path in parquet.list_parts(folder)}


def test_a_copy_finds_the_same_and_writes_the_same_bytes(captured):
    corpus, work, check, here = captured
    assert work.job.run.claim is not None
    copied, copy, copied_check = pickle.loads(pickle.dumps((corpus, work, check)))
    assert copy.job.run.claim is None and copy.fingerprint == work.fingerprint
    for unit in reversed(list_units(copied.sources, copied.slice_bytes)):
        work_on_units(copied, copy, {}, [unit], ADVANCE, copied_check)
    assert read_hits(work.folder) == read_hits(here) and any(parquet.read_metadata(p)["sets"] for p in here.iterdir())


def test_processes_that_get_units_in_any_order_leave_the_same_bytes(captured):
    corpus, work, check, here = captured
    function = partial(work_on_units, corpus, work, {}, advance=ADVANCE, check=check)
    units = list_units(corpus.sources, corpus.slice_bytes)
    with start_workers(operator.call, function, 2) as call:
        for unit in [*units[1::2], *units[::2][::-1]]:
            call([unit])
    assert read_hits(work.folder) == read_hits(here)


def test_a_copy_notices_a_text_that_is_not_the_one_that_was_scored(captured):
    corpus, work, check, _ = captured
    path = parquet.list_parts(work.job.run.scores)[2]
    note, table = parquet.read_metadata(path), parquet.read_table(path)
    column = table.schema.get_field_index("hash")
    hashes = table.column("hash").combine_chunks()
    assert len(hashes) > 1
    parquet.write_part(path, table.set_column(column, table.schema.field(column), hashes[::-1]), note)
    copied, copy, copied_check = pickle.loads(pickle.dumps((corpus, work, check)))
    units = list_units(copied.sources, copied.slice_bytes)
    with pytest.raises(CorpusError, match="its text is another one"):
        work_on_units(copied, copy, {}, units, ADVANCE, copied_check)
