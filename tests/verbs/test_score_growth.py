"""A corpus that grew or changed is scored where it is new; the table is that of scoring it in one go."""

import gzip
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.growing import (
    assert_same_scores,
    given,
    lines,
    list_bytes,
    make_row,
    read,
    read_carried,
    score_again,
    texts,
    tiny_model,
)

import curate
from curate.errors import DamageError, TableError
from curate.rundir import parquet
from curate.rundir.run import open_run

__all__ = ["given", "tiny_model"]


@pytest.fixture
def corpus(tmp_path):
    root = tmp_path / "corpus"
    root.mkdir()
    (root / "a.jsonl").write_text(lines(0, 20))
    (root / "c.jsonl").write_text(lines(20, 40))
    return root


def grow(path, first, stop):
    with open(path, "a") as file:
        file.write(lines(first, stop))


def write_archive(path, first, stop):
    path.write_bytes(gzip.compress(lines(first, stop).encode()))


def write_table(path, first, stop):
    pq.write_table(pa.Table.from_pylist([make_row(number) for number in range(first, stop)]), path)


CHANGES = {
    "a file behind": (lambda root: (root / "d.jsonl").write_text(lines(50, 57)), range(50, 57)),
    "a file in front": (lambda root: (root / "0.jsonl").write_text(lines(50, 57)), range(50, 57)),
    "a file between": (lambda root: (root / "b.jsonl").write_text(lines(50, 57)), range(50, 57)),
    "lines behind the first": (lambda root: grow(root / "a.jsonl", 50, 57), range(50, 57)),
    "lines behind the last": (lambda root: grow(root / "c.jsonl", 50, 57), range(50, 57)),
    "a renamed file": (lambda root: (root / "a.jsonl").rename(root / "z.jsonl"), ()),
    "a file that moved": (lambda root: ((root / "x").mkdir(), (root / "a.jsonl").rename(root / "x" / "a.jsonl")), ()),
    "a file that is gone": (lambda root: (root / "a.jsonl").unlink(), ()),
    "a file that changed": (lambda root: (root / "a.jsonl").write_text(lines(50, 60)), range(50, 60)),
    "a swap": (
        lambda root: (
            (root / "a.jsonl").rename(root / "x"), (root / "c.jsonl").rename(root / "a.jsonl"),
            (root / "x").rename(root / "c.jsonl"),
        ),
        (),
    ),
    "all at once": (
        lambda root: (
            (root / "a.jsonl").rename(root / "m.jsonl"), grow(root / "c.jsonl", 50, 55),
            (root / "0.jsonl").write_text(lines(55, 60)), write_table(root / "p.parquet", 60, 65),
        ),
        (*range(55, 60), *range(50, 55), *range(60, 65)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_only_what_is_new_is_scored_and_the_table_is_that_of_one_go(corpus, tiny_model, tmp_path, given, name):
    change, numbers = CHANGES[name]
    run = tmp_path / "run"
    score_again(corpus, run, tiny_model)
    assert given == texts(0, 40)
    given.clear()
    change(corpus)
    found = score_again(corpus, run, tiny_model)
    assert given == [make_row(number)["text"] for number in numbers]
    score_again(corpus, tmp_path / "fresh", tiny_model)
    assert_same_scores(run, tmp_path / "fresh")
    assert read_carried(run) == read_carried(tmp_path / "fresh") and found.documents == read(run).num_rows
    record = open_run(run).stage("score")
    assert record["complete"] and record["counts"] == open_run(tmp_path / "fresh").stage("score")["counts"]
    given.clear()
    before = list_bytes(run)
    score_again(corpus, run, tiny_model)
    assert given == [] and list_bytes(run) == before


@pytest.mark.parametrize("write", [write_archive, write_table], ids=["gz", "parquet"])
def test_an_archive_or_a_table_that_grew_is_a_changed_file(corpus, tiny_model, tmp_path, given, write):
    path = corpus / ("b.jsonl.gz" if write is write_archive else "b.parquet")
    write(path, 50, 55)
    score_again(corpus, tmp_path / "run", tiny_model)
    given.clear()
    write(path, 50, 58)
    score_again(corpus, tmp_path / "run", tiny_model)
    assert given == texts(50, 58)
    score_again(corpus, tmp_path / "fresh", tiny_model)
    assert_same_scores(tmp_path / "run", tmp_path / "fresh")


def test_what_is_gone_is_said_and_comes_back_without_a_model(corpus, tiny_model, tmp_path, given, capsys):
    from curate.runtime import console

    console.enable()
    run = tmp_path / "run"
    score_again(corpus, run, tiny_model)
    away = (corpus / "c.jsonl").rename(tmp_path / "c.jsonl")
    (corpus / "a.jsonl").write_text(lines(60, 70))
    given.clear()
    capsys.readouterr()
    score_again(corpus, run, tiny_model)
    said = capsys.readouterr().err
    assert "1 changed, 1 gone" in said and "changed: a.jsonl" in said and "gone: c.jsonl" in said
    assert "40 scores are put aside" in said and given == texts(60, 70)
    given.clear()
    away.rename(corpus / "c.jsonl")
    (corpus / "a.jsonl").write_text(lines(0, 20))
    score_again(corpus, run, tiny_model)
    assert given == []
    score_again(corpus, tmp_path / "fresh", tiny_model)
    assert_same_scores(run, tmp_path / "fresh")


ENDS = {
    "a line end": (lines(0, 5), lines(5, 9), range(5, 9)),
    "no line end, then one": (lines(0, 5)[:-1], "\n" + lines(5, 9), range(5, 9)),
    "no line end, then two": (lines(0, 5)[:-1], "\r\n" + lines(5, 9), range(5, 9)),
    "blank lines": (lines(0, 5) + "\n\n", "\n" + lines(5, 9), range(5, 9)),
    "half a line": (lines(0, 5)[:-9], lines(0, 5)[-9:] + lines(5, 9), range(9)),
    "an unreadable line": (lines(0, 5) + "{oops\n", lines(5, 9), range(5, 9)),
}


@pytest.mark.parametrize("name", ENDS)
def test_reading_goes_on_behind_the_last_complete_line(tiny_model, tmp_path, given, name):
    before, behind, numbers = ENDS[name]
    path = tmp_path / "a.jsonl"
    path.write_bytes(before.encode())
    score_again(path, tmp_path / "run", tiny_model, slice_bytes=10**6)
    given.clear()
    path.write_bytes((before + behind).encode())
    score_again(path, tmp_path / "run", tiny_model, slice_bytes=10**6)
    assert given == [make_row(number)["text"] for number in numbers]
    score_again(path, tmp_path / "fresh", tiny_model)
    assert_same_scores(tmp_path / "run", tmp_path / "fresh")


@pytest.mark.parametrize(("suffix", "mark"), [("csv", ","), ("tsv", "\t")])
def test_separated_files_grow_too_unless_a_quote_may_go_on(tiny_model, tmp_path, given, suffix, mark):
    def table(numbers):
        return "".join(f'd{number}{mark}"{make_row(number)["text"]}"\n' for number in numbers)

    path = tmp_path / f"a.{suffix}"
    path.write_text(f"id{mark}text\n" + table(range(6)))
    score_again(path, tmp_path / "run", tiny_model)
    given.clear()
    with open(path, "a") as file:
        file.write(table(range(6, 9)))
    score_again(path, tmp_path / "run", tiny_model)
    assert given == texts(6, 9)
    score_again(path, tmp_path / "fresh", tiny_model)
    assert_same_scores(tmp_path / "run", tmp_path / "fresh")


def test_a_file_grows_again_and_again(corpus, tiny_model, tmp_path, given):
    run = tmp_path / "run"
    for first in range(40, 64, 4):
        score_again(corpus, run, tiny_model)
        given.clear()
        grow(corpus / "a.jsonl", first, first + 4)
    score_again(corpus, run, tiny_model)
    assert given == texts(60, 64)
    score_again(corpus, tmp_path / "fresh", tiny_model)
    assert_same_scores(run, tmp_path / "fresh")


def test_a_corpus_that_moved_costs_nothing_and_is_read_where_it_is(corpus, tiny_model, tmp_path, given):
    run, out = tmp_path / "run", tmp_path / "out"
    score_again(corpus, run, tiny_model)
    curate.filter(run=str(run), max_ppl=1e9)
    before = {path.name: path.stat().st_mtime_ns for path in parquet.list_parts(run / "scores")}
    moved = corpus.rename(tmp_path / "moved corpus")
    with pytest.raises(curate.errors.CorpusError, match="is not where it was") as caught:
        curate.export(str(out), run=str(run))
    assert f"curate score CORPUS --model {tiny_model}" in caught.value.hint and "--exact" in caught.value.hint
    given.clear()
    score_again(moved, run, tiny_model)
    assert given == [] and before == {path.name: path.stat().st_mtime_ns for path in parquet.list_parts(run / "scores")}
    assert curate.export(str(out), run=str(run)).documents == 40, "the filter is not stale"


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("a.jsonl", ['[{"text": "one"},\n', '{"text": "two"},\n', '{"text": "three"}]\n']),
        ("a.jsonl", ['{"data": [{"text": "one two three"}]}\n', '{"text": "four"}\n']),
        ("a.tsv", ['id\ttext\n1\t"stray\n', '2\t"two\n\tlines\n\n\tmore"\n']),
        ("a.tsv", ['id\ttext\n1\t"two\nlines"\n', '2\t"x\n3\t"y\n4\t"z\n']),
    ],
)
def test_rows_that_are_read_otherwise_now_are_scored_again(tmp_path, tiny_model, name, pieces):
    (tmp_path / "corpus").mkdir()
    for number, _ in enumerate(pieces):
        (tmp_path / "corpus" / name).write_text("".join(pieces[: number + 1]))
        score_again(tmp_path / "corpus", tmp_path / "run", tiny_model)
    score_again(tmp_path / "corpus", tmp_path / "fresh", tiny_model)
    assert_same_scores(tmp_path / "run", tmp_path / "fresh")


def test_another_corpus_in_the_same_run_is_refused_and_nothing_is_lost(corpus, tiny_model, tmp_path):
    run = tmp_path / "run"
    score_again(corpus, run, tiny_model)
    before = list_bytes(run)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.jsonl").write_text(lines(80, 90))
    with pytest.raises(TableError, match=r"of which .*other has no file") as caught:
        score_again(tmp_path / "other", run, tiny_model)
    assert "--restart" in caught.value.hint and list_bytes(run) == before
    assert f"{corpus} {tmp_path / 'other'}" in caught.value.hint
    corpus.rename(tmp_path / "away")
    with pytest.raises(TableError) as caught:
        score_again(tmp_path / "other", run, tiny_model)
    assert str(corpus) not in caught.value.hint, "nothing can be read there"
    score_again(tmp_path / "other", run, tiny_model, restart=True)
    assert read(run).num_rows == 10 and not (run / "aside").exists()


def test_tables_downstream_are_stale_and_named(corpus, tiny_model, tmp_path, capsys):
    from curate.runtime import console

    run = tmp_path / "run"
    score_again(corpus, run, tiny_model)
    curate.dedup(run=str(run))
    curate.filter(run=str(run), max_ppl=1e9)
    curate.order(run=str(run))
    grow(corpus / "a.jsonl", 50, 57)
    console.enable()
    score_again(corpus, run, tiny_model)
    said = capsys.readouterr().err
    for verb in ("dedup", "filter …", "order …"):
        assert f"curate {verb} --run {run}" in said
    with pytest.raises(TableError, match="stale"):
        curate.export(str(tmp_path / "out"), run=str(run))
    capsys.readouterr()
    curate.dedup(run=str(run))
    curate.filter(run=str(run), max_ppl=1e9)
    curate.order(run=str(run))
    score_again(corpus, run, tiny_model)
    assert "stale" not in capsys.readouterr().err


@pytest.mark.parametrize("options", [{}, {"order": True}, {"format": "jsonl"}], ids=["plain", "ordered", "jsonl"])
def test_a_grown_run_is_exported_explained_and_grouped_like_any_other(corpus, tiny_model, tmp_path, options):
    run, ordered = tmp_path / "run", options.pop("order", False) if options else False
    score_again(corpus, run, tiny_model)
    grow(corpus / "a.jsonl", 50, 57)
    (corpus / "0.jsonl").write_text(lines(60, 63))
    score_again(corpus, run, tiny_model)
    curate.filter(run=str(run), keep="0:100", within="domain", show=True)
    if ordered:
        curate.order(run=str(run))
    done = curate.export(str(tmp_path / "out"), run=str(run), **(options or {}))
    assert done.documents == 50 and curate.verify(str(tmp_path / "out")).exit_code in (0, 4)
    assert curate.explain("d52", run=str(run)).as_dict()["documents"][0]["text"] == make_row(52)["text"]
    assert curate.status(str(run)).read == 50
    curate.filter(run=str(run), where="id <> ''")
    shutil.rmtree(run / "carried")
    with pytest.raises(DamageError, match=r"carried/domain/.* is missing"):
        curate.filter(run=str(run), within="domain", keep="0:50")
    score_again(corpus, run, tiny_model)
    curate.filter(run=str(run), within="domain", keep="0:50")


def test_a_limit_that_is_raised_goes_on_where_it_ended(corpus, tiny_model, tmp_path, given):
    run = tmp_path / "run"
    score_again(corpus, run, tiny_model, limit=5)
    given.clear()
    score_again(corpus, run, tiny_model, limit=25)
    assert given == texts(5, 25) and read(run).num_rows == 25
    with pytest.raises(TableError, match="--limit 7: these scores were made with --limit 25"):
        score_again(corpus, run, tiny_model, limit=7)
    given.clear()
    score_again(corpus, run, tiny_model)
    assert given == texts(25, 40)
    score_again(corpus, tmp_path / "fresh", tiny_model)
    assert_same_scores(run, tmp_path / "fresh")


@pytest.mark.parametrize("name", ["a file behind", "a file in front", "lines behind the first", "a file that is gone"])
@pytest.mark.parametrize("limit", [13, 20, 27, 40, 44])
def test_a_limit_counts_over_the_files_of_the_grown_corpus(corpus, tiny_model, tmp_path, name, limit):
    run = tmp_path / "run"
    score_again(corpus, run, "none", limit=limit)
    CHANGES[name][0](corpus)
    score_again(corpus, run, "none", limit=limit)
    score_again(corpus, tmp_path / "fresh", "none", limit=limit)
    assert_same_scores(run, tmp_path / "fresh")
    score_again(corpus, run, "none", limit=limit + 9)
    score_again(corpus, tmp_path / "more", "none", limit=limit + 9)
    assert_same_scores(run, tmp_path / "more")


def test_in_a_sample_a_renamed_file_is_another_file(corpus, tiny_model, tmp_path, given):
    run = tmp_path / "run"
    score_again(corpus, run, tiny_model, sample=0.5)
    (corpus / "a.jsonl").rename(corpus / "b.jsonl")
    grow(corpus / "c.jsonl", 50, 60)
    given.clear()
    score_again(corpus, run, tiny_model, sample=0.5)
    assert 0 < len(given) < read(run).num_rows and not set(given) & set(texts(20, 40)), "c.jsonl goes on"
    score_again(corpus, tmp_path / "fresh", tiny_model, sample=0.5)
    assert_same_scores(run, tmp_path / "fresh")


def test_copies_of_a_file_keep_their_own_scores(corpus, tiny_model, tmp_path, given):
    shutil.copy(corpus / "a.jsonl", corpus / "b.jsonl")
    run = tmp_path / "run"
    score_again(corpus, run, tiny_model)
    given.clear()
    (corpus / "a.jsonl").rename(corpus / "x.jsonl")
    (corpus / "b.jsonl").rename(corpus / "y.jsonl")
    score_again(corpus, run, tiny_model)
    assert given == []
    score_again(corpus, tmp_path / "fresh", tiny_model)
    assert_same_scores(run, tmp_path / "fresh")
