"""A folder of small files: they share parts, the numbers are those of any layout, and only what changed is read."""

import contextlib
import json
import os
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from helpers.growing import IN_LAST_DIGITS, tiny_model
from helpers.small_files import (
    list_bytes,
    list_parts,
    make_text,
    one_part_a_file,
    read_carried,
    read_scores,
    write_mixed,
    write_texts,
)

import curate
from curate.reference import causal
from curate.reference.checkpoints.no_model import NoModel
from curate.rundir import parquet

__all__ = ["one_part_a_file", "tiny_model"]

OPTIONS = {"text_field": "text", "slice_bytes": 4000}


@pytest.fixture
def texts(tmp_path):
    """Ten text files."""
    write_texts(tmp_path / "corpus", 0, 10)
    return tmp_path / "corpus"


@pytest.fixture
def mixed(tmp_path):
    write_mixed(tmp_path / "corpus")
    return tmp_path / "corpus"


@pytest.fixture
def given(monkeypatch):
    """The texts that were given to the model, which is none."""
    seen, real = [], NoModel.score

    def watch(self, passages, advance=None, measures=()):
        def listen():
            for batch in passages:
                seen.extend(passage.target for passage in batch)
                yield batch

        return real(self, listen(), advance, measures)

    monkeypatch.setattr(NoModel, "score", watch)
    return seen


def score(corpus, run, **options):
    return curate.score([str(corpus)], run=str(run), **{"model": "none", **options})


def drop_names(rows, *names):
    return [{name: value for name, value in row.items() if name not in ("file", "row", *names)} for row in rows]


@pytest.mark.parametrize("model", ["none", "tiny"])
def test_a_document_has_the_numbers_that_it_has_in_one_large_file(tmp_path, texts, tiny_model, model):
    model = tiny_model if model == "tiny" else model
    (tmp_path / "one").mkdir()
    rows = [{"text": path.read_text()} for path in sorted(texts.iterdir())]
    (tmp_path / "one" / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    score(texts, tmp_path / "many run", model=model)
    score(tmp_path / "one", tmp_path / "one run", model=model)
    many, one = (read_scores(tmp_path / f"{name} run") for name in ("many", "one"))
    assert drop_names(many, *IN_LAST_DIGITS) == drop_names(one, *IN_LAST_DIGITS)
    for name in IN_LAST_DIGITS if model == tiny_model else ():
        assert [row[name] for row in many] == pytest.approx([row[name] for row in one], rel=1e-5), name
    assert [(row["file"], row["row"]) for row in many] == [(f"d{number:03d}.txt", 0) for number in range(10)]
    assert list_parts(tmp_path / "many run") == ["00000-000000.parquet"]


def test_packs_of_a_model_fill_across_small_files(tmp_path, texts, tiny_model, one_part_a_file, monkeypatch):
    packs, real = [], causal.CausalReference.count
    monkeypatch.setattr(causal.CausalReference, "count", lambda self, pack: (packs.append(pack), real(self, pack)))
    score(texts, tmp_path / "shared", model=tiny_model)
    shared = len(packs)
    one_part_a_file()
    score(texts, tmp_path / "alone", model=tiny_model)
    assert 0 < shared < 5 and len(packs) - shared == 10


@pytest.mark.parametrize(
    "options", [{}, {"limit": 9}, {"limit": 40}, {"sample": 0.5, "seed": 3}, {"carry": "domain,n"}], ids=str
)
def test_whatever_the_layout_the_table_is_the_same(tmp_path, mixed, one_part_a_file, options):
    score(mixed, tmp_path / "shared", **OPTIONS, **options)
    one_part_a_file()
    score(mixed, tmp_path / "alone", **OPTIONS, **options)
    assert read_scores(tmp_path / "shared") == read_scores(tmp_path / "alone")
    assert len(list_parts(tmp_path / "shared")) < len(list_parts(tmp_path / "alone")) / 2
    for name in ("domain", "n") if "carry" in options else ():
        assert read_carried(tmp_path / "shared", name) == read_carried(tmp_path / "alone", name)
    files_of = [
        {name: (tmp_path / run / name).read_bytes() for name in ("unreadable.jsonl",)} for run in ("shared", "alone")
    ]
    assert files_of[0] == files_of[1]
    records = [json.loads((tmp_path / run / "run.json").read_text())["score"] for run in ("shared", "alone")]
    assert [record.pop("manifest") is not None for record in records] == [True, True]
    assert records[0] == records[1], "but for the names of the parts"


def run_all_verbs(corpus, run, out):
    evals = out / "evals.jsonl"
    out.mkdir()
    evals.write_text("".join(json.dumps({"question": make_text(number)}) + "\n" for number in (1, 4, 7, 25, 40, 60)))
    score(corpus, run, **OPTIONS)
    curate.decontaminate([str(evals)], run=str(run), canaries=2, action="cut-span")
    curate.dedup(run=str(run))
    curate.filter(run=str(run), min_zlib=0.1, where="doc.n IS NULL OR doc.n <> '22'")
    curate.bucket(run=str(run), by="zlib_ratio", within="none")
    curate.export(str(out / "plain"), run=str(run), format="jsonl")
    curate.order(run=str(run), schedule="sort", by="bytes")
    curate.export(str(out / "ordered"), run=str(run), format="jsonl")
    curate.export(str(out / "tables"), run=str(run), format="parquet")


def test_whatever_the_layout_all_verbs_do_the_same(tmp_path, mixed, one_part_a_file):
    (mixed / "y.txt").write_text(make_text(4) + " " + make_text(5))
    run_all_verbs(mixed, tmp_path / "shared", tmp_path / "shared out")
    one_part_a_file()
    run_all_verbs(mixed, tmp_path / "alone", tmp_path / "alone out")
    one_part_a_file(False)
    assert len(list_parts(tmp_path / "shared", "hits")) < len(list_parts(tmp_path / "alone", "hits"))
    tables = [list_bytes(tmp_path / run) for run in ("shared", "alone")]
    for name in ("duplicates.parquet", "canaries.jsonl"):
        assert tables[0][name] == tables[1][name], name
    for name in ("filter.parquet", "buckets.parquet", "order.parquet"):  # row groups and dictionaries by part
        rows = [pq.read_table(tmp_path / run / name) for run in ("shared", "alone")]
        assert rows[0].to_pylist() == rows[1].to_pylist(), name
    hits = [
        [row for path in parquet.list_parts(tmp_path / run / "hits") for row in pq.read_table(path).to_pylist()]
        for run in ("shared", "alone")
    ]
    assert hits[0] == hits[1] and len({hit["file"] for hit in hits[0]}) > 3
    outs = [list_bytes(tmp_path / f"{run} out") for run in ("shared", "alone")]
    data = [
        {name: value for name, value in out.items() if "/data" in name or name.endswith((".jsonl", ".parquet"))}
        for out in outs
    ]
    assert data[0] == data[1] and len(data[0]) > 3
    for file, row in (("z/d007.txt", 0), ("b.jsonl", 2), ("f.jsonl", 1), ("j.jsonl", 30), ("a/d003.txt", 0)):
        found = [curate.explain(f"{file}:{row}", run=str(tmp_path / run)) for run in ("shared", "alone")]
        assert found[0] == found[1]
    runs = [str(tmp_path / run) for run in ("shared", "alone")]
    shown = [curate.filter(run=run, min_zlib=0.7, show=True, dry_run=True).as_dict() for run in runs]
    assert shown[0] == {**shown[1], "run": shown[0]["run"]} and "boundaries" in shown[0]
    for run in runs:
        curate.filter(run=run, keep="low", by="zlib_ratio", rate=0.5, temperature=5.0, seed=7)
    drawn = [pq.read_table(f"{run}/filter.parquet").to_pylist() for run in runs]
    assert drawn[0] == drawn[1], "a draw depends on the seed and on the documents, not on the layout"


def replace_text(root, name, number):
    (root / f"{name}.txt").write_text(make_text(number))


CHANGES = {
    "nothing": (lambda root: None, []),
    "the first is gone": (lambda root: (root / "d000.txt").unlink(), []),
    "one within is gone": (lambda root: (root / "d004.txt").unlink(), []),
    "the last is gone": (lambda root: (root / "d009.txt").unlink(), []),
    "one within changed": (lambda root: replace_text(root, "d004", 50), [50]),
    "two changed": (lambda root: (replace_text(root, "d000", 50), replace_text(root, "d009", 51)), [50, 51]),
    "one before": (lambda root: replace_text(root, "a", 50), [50]),
    "one between": (lambda root: replace_text(root, "d004b", 50), [50]),
    "one behind": (lambda root: replace_text(root, "e", 50), [50]),
    "one renamed in place": (lambda root: (root / "d004.txt").rename(root / "d004b.txt"), []),
    "one renamed to the end": (lambda root: (root / "d004.txt").rename(root / "z.txt"), []),
    "all in another folder": (lambda root: move_all(root), []),
    "a swap": (lambda root: swap(root / "d002.txt", root / "d007.txt"), []),
    "most at once": (
        lambda root: (
            (root / "d001.txt").unlink(), replace_text(root, "d003", 51), replace_text(root, "a", 50),
            (root / "d005.txt").rename(root / "d0055.txt"), (root / "d006.txt").rename(root / "x.txt"),
        ),
        [50, 51],
    ),
}  # fmt: skip


def move_all(root):
    (root / "x").mkdir()
    for path in sorted(root.glob("*.txt")):
        path.rename(root / "x" / path.name)


def swap(one, other):
    first, second = one.read_text(), other.read_text()
    one.write_text(second)
    other.write_text(first)


@pytest.mark.parametrize("name", CHANGES)
def test_only_files_that_changed_are_scored_and_the_rows_are_those_of_one_go(tmp_path, texts, given, name):
    change, numbers = CHANGES[name]
    run = tmp_path / "run"
    score(texts, run)
    assert len(given) == 10 and len(list_parts(run)) == 1
    given.clear()
    change(texts)
    score(texts, run)
    assert given == [make_text(number) for number in numbers]
    score(texts, tmp_path / "fresh")
    assert read_scores(run) == read_scores(tmp_path / "fresh")
    given.clear()
    before = list_bytes(run)
    score(texts, run)
    assert given == [] and list_bytes(run) == before
    curate.dedup(run=str(run))
    curate.export(str(tmp_path / "out"), run=str(run), format="jsonl")
    curate.export(str(tmp_path / "fresh out"), run=str(tmp_path / "fresh"), format="jsonl")
    exported = [sorted((tmp_path / out).rglob("*.jsonl*")) for out in ("out", "fresh out")]
    assert [path.read_bytes() for path in exported[0]] == [path.read_bytes() for path in exported[1]]


def test_small_files_of_lines_that_grow_are_read_on_and_keep_their_columns(tmp_path, given):
    root, run = tmp_path / "corpus", tmp_path / "run"
    root.mkdir()

    def write(name, first, stop, mode="w"):
        rows = [{"text": make_text(number), "domain": f"k{number}"} for number in range(first, stop)]
        with open(root / f"{name}.jsonl", mode) as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows))

    for number, name in enumerate("abcde"):
        write(name, 10 * number, 10 * number + 3)
    score(root, run)
    assert len(list_parts(run)) == 1
    given.clear()
    write("b", 13, 15, "a")
    write("e", 43, 44, "a")
    write("c", 60, 63)
    score(root, run)
    assert given == [make_text(number) for number in (13, 14, 60, 61, 62, 43)]
    score(root, tmp_path / "fresh")
    assert read_scores(run) == read_scores(tmp_path / "fresh")
    assert read_carried(run, "domain") == read_carried(tmp_path / "fresh", "domain")
    given.clear()
    score(root, run, id_field="domain")
    assert given == [] and [row["id"] for row in read_scores(run)] == read_carried(run, "domain")


def test_a_limit_that_is_raised_goes_on_within_shared_parts(tmp_path, texts, given):
    run = tmp_path / "run"
    for limit, numbers in ((4, range(4)), (7, range(4, 7)), (None, range(7, 10))):
        given.clear()
        found = score(texts, run, limit=limit)
        assert given == [make_text(number) for number in numbers] and found.documents == (limit or 10)
    score(texts, tmp_path / "fresh")
    assert read_scores(run) == read_scores(tmp_path / "fresh")


def test_what_is_gone_is_kept_aside_and_comes_back_unread(tmp_path, texts, given):
    run = tmp_path / "run"
    score(texts, run)
    shutil.copytree(texts, tmp_path / "copy")
    for number in (2, 3, 7):
        (texts / f"d00{number}.txt").unlink()
    replace_text(texts, "d005", 50)
    given.clear()
    score(texts, run)
    assert given == [make_text(50)] and len(list_parts(run, "aside")) == 3
    shutil.rmtree(texts)
    (tmp_path / "copy").rename(texts)
    given.clear()
    score(texts, run)
    assert given == []
    score(texts, tmp_path / "fresh")
    assert read_scores(run) == read_scores(tmp_path / "fresh")


def test_a_run_of_an_earlier_version_keeps_its_parts_and_goes_on(tmp_path, texts, given, one_part_a_file):
    run = tmp_path / "run"
    one_part_a_file()
    score(texts, run)
    one_part_a_file(False)
    names = list_parts(run)
    assert len(names) == 10
    given.clear()
    before = list_bytes(run)
    score(texts, run)
    assert given == [] and list_bytes(run) == before
    write_texts(texts, 10, 14)
    score(texts, run)
    assert given == [make_text(number) for number in range(10, 14)]
    assert list_parts(run) == [*names, "00010-000000.parquet"]
    score(texts, tmp_path / "fresh")
    assert read_scores(run) == read_scores(tmp_path / "fresh")


def test_runs_that_share_parts_are_merged(tmp_path, given):
    for name, first, stop in (("one", 0, 5), ("two", 5, 9), ("three", 3, 5)):
        write_texts(tmp_path / name, first, stop)
        score(tmp_path / name, tmp_path / f"run {name}")
    runs = [str(tmp_path / f"run {name}") for name in ("one", "two", "three")]
    given.clear()
    found = curate.merge(runs, into=str(tmp_path / "merged"))
    assert given == [] and found.read == 11 and found.files == 11
    rows = {(row["file"], row["hash"]) for row in read_scores(tmp_path / "merged")}
    assert len(rows) == 11 and len({digest for _, digest in rows}) == 9
    curate.dedup(run=str(tmp_path / "merged"))


class KilledError(BaseException):
    """As a SIGKILL would end the process."""


def kill_at(patch, moment):
    """End the process, so to speak, at the ``moment``-th change of the disk; return a list that fills with changes."""
    changes = []
    for owner, name in ((os, "replace"), (Path, "unlink")):
        patch.setattr(owner, name, watch(getattr(owner, name), changes, moment))
    return changes


def watch(real, changes, moment):
    def change(*arguments, **options):
        if str(arguments[0]).endswith(".tmp") and real.__name__ == "unlink":
            return real(*arguments, **options)
        changes.append(arguments[0])
        if len(changes) > moment:
            raise KilledError
        return real(*arguments, **options)

    return change


def kill_everywhere(corpus, run, before, expected, **options):
    """Kill ``score`` at every change of the disk, go on, and compare the bytes; return the number of kills."""
    moment = 0
    while True:
        shutil.rmtree(run, ignore_errors=True)
        if before is not None:
            shutil.copytree(before, run)
        with pytest.MonkeyPatch.context() as patch:
            changes = kill_at(patch, moment)
            with contextlib.suppress(KilledError):
                score(corpus, run, **options)
        if len(changes) <= moment:
            return moment
        score(corpus, run, **options)
        assert list_bytes(run) == expected, moment
        moment += 1


def test_a_kill_at_any_change_of_the_disk_ends_in_the_same_bytes(tmp_path, mixed):
    options = {**OPTIONS, "carry": "domain"}
    score(mixed, tmp_path / "whole", **options)
    kills = kill_everywhere(mixed, tmp_path / "run", None, list_bytes(tmp_path / "whole"), **options)
    assert kills > 8


@pytest.mark.parametrize("name", ["most at once", "one renamed to the end", "one within is gone"])
def test_a_kill_while_a_shared_part_is_taken_apart_loses_nothing(tmp_path, texts, name):
    run = tmp_path / "run"
    score(texts, run)
    shutil.copytree(run, tmp_path / "before")
    CHANGES[name][0](texts)
    score(texts, run)
    expected = list_bytes(run)
    assert kill_everywhere(texts, run, tmp_path / "before", expected) > 5


def test_unreadable_rows_stop_by_file_and_row(tmp_path, mixed):
    with pytest.raises(curate.errors.RowError, match=r"f\.jsonl, row 1"):
        score(mixed, tmp_path / "run", on_error="stop", **OPTIONS)


def test_a_missing_shared_part_is_made_again_with_the_same_bytes(tmp_path, mixed, given):
    run = tmp_path / "run"
    score(mixed, run, **OPTIONS)
    before = list_bytes(run)
    for name in list_parts(run):
        given.clear()
        (run / "scores" / name).unlink()
        score(mixed, run, **OPTIONS)
        assert list_bytes(run) == before and len(given) < 60, name
