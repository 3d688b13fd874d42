"""Small files share slices: the cuts depend on the corpus alone, lose nothing, and keep to the size of a slice."""

import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from helpers.small_files import write_mixed, write_texts
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.corpus import open_corpus, units
from curate.corpus.gathering import gather_along, read_gathered
from curate.corpus.types import Source
from curate.corpus.units import Unit, list_units


def sources_of(sizes):
    return [Source(f"{number}.txt", f"{number}.txt", "text", None, size) for number, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "units"),
    [
        ([], []),
        ([5], [(0, 1)]),
        ([500], [(0, 1)]),
        ([50, 50], [(0, 2)]),
        ([50, 51], [(0, 1), (1, 2)]),
        ([0, 0, 101, 0, 0], [(0, 2), (2, 3), (3, 5)]),
        ([1, None, 1], [(0, 1), (1, 2), (2, 3)]),
        ([100, 0, 0, 1], [(0, 3), (3, 4)]),
    ],
)
def test_units_are_files_of_a_slice_together_or_one_file(sizes, units):
    assert list_units(sources_of(sizes), 100) == [Unit(*unit) for unit in units]


def test_a_unit_has_a_bounded_number_of_files(monkeypatch):
    monkeypatch.setattr(units, "MOST_FILES", 3)
    assert list_units(sources_of([0] * 7), 100) == [Unit(0, 3), Unit(3, 6), Unit(6, 7)]


def spell(documents):
    rows = zip(documents.files, documents.rows.tolist(), documents.texts, documents.statuses, strict=True)
    return documents.marks, list(rows), documents.read_bytes


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.lists(st.integers(0, 60), max_size=8), min_size=1, max_size=12),
    slice_bytes=st.integers(1, 900),
    limit=st.none() | st.integers(1, 25),
    sample=st.none() | st.floats(0.05, 1),
)
def test_gathered_slices_are_those_of_the_corpus_and_the_same_wherever_reading_begins(
    lengths, slice_bytes, limit, sample
):
    with tempfile.TemporaryDirectory() as folder:
        for number, rows in enumerate(lengths):
            lines = "".join(f'{{"text": "{"x" * length}"}}\n' for length in rows)
            Path(folder, f"{number:02d}.jsonl").write_text(lines)
        corpus = open_corpus([folder], slice_bytes=slice_bytes, limit=limit, sample=sample, text_field="text")
        plain, whole = list(corpus.slices()), list(read_gathered(corpus))
        assert [mark for documents in whole for mark in documents.marks] == [one.mark for one in plain]
        assert [text for one in whole for text in one.texts] == [text for one in plain for text in one.texts]
        assert sum(one.read_bytes for one in whole) == sum(one.read_bytes for one in plain)
        for documents in whole:
            assert len(documents) == sum(mark.documents for mark in documents.marks)
            assert len(documents.marks) == 1 or documents.size <= slice_bytes
            assert len(documents.marks) == 1 or all(mark.number == 0 and mark.last for mark in documents.marks)
        for cut in range(len(whole) + 1):
            done = {}
            for mark in (mark for documents in whole[:cut] for mark in documents.marks):
                done.setdefault(mark.file, []).append(mark)
            rest = read_gathered(corpus, done)
            assert list(map(spell, rest)) == list(map(spell, whole[cut:]))
        if limit is None:
            one_by_one = [
                d for unit in list_units(corpus.sources, slice_bytes) for d in read_gathered(corpus, units=[unit])
            ]
            assert list(map(spell, one_by_one)) == list(map(spell, whole))


def test_a_file_that_is_done_parts_those_around_it(tmp_path):
    write_texts(tmp_path, 0, 5)
    corpus = open_corpus([str(tmp_path)])
    (whole,) = read_gathered(corpus)
    assert [mark.file for mark in whole.marks] == [f"d00{number}.txt" for number in range(5)]
    parts = list(read_gathered(corpus, {"d002.txt": [whole.marks[2]]}))
    assert [[mark.file for mark in one.marks] for one in parts] == [["d000.txt", "d001.txt"], ["d003.txt", "d004.txt"]]


def test_an_archive_that_is_larger_inside_is_cut_and_not_held_in_memory(tmp_path):
    import gzip

    for name in "ab":
        lines = "".join(f'{{"text": "{"x" * 90}"}}\n' for _ in range(100))
        (tmp_path / f"{name}.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    corpus = open_corpus([str(tmp_path)], slice_bytes=1000)
    assert list_units(corpus.sources, 1000) == [Unit(0, 2)]
    sizes = [(len(one.marks), one.size) for one in read_gathered(corpus)]
    assert len(sizes) > 10 and all(count == 1 and size <= 1000 for count, size in sizes)


def test_slices_are_gathered_along_parts_and_each_keeps_its_columns(tmp_path):
    write_mixed(tmp_path)
    corpus = replace(open_corpus([str(tmp_path)], text_field="text"), slice_bytes=4000)
    gathered = list(read_gathered(corpus, columns="all"))
    plain = list(corpus.slices(columns="all"))
    assert len(gathered) < len(plain) / 2
    tables = [one.table for documents in gathered for one in documents.slices]
    assert all(one.equals(other.table) for one, other in zip(tables, plain, strict=True))
    along = list(gather_along(corpus.slices(), [documents.marks for documents in gathered]))
    assert list(map(spell, along)) == list(map(spell, gathered))
    assert list(gather_along(iter(()), [gathered[0].marks])) == []


def test_the_one_mark_of_gathered_slices_is_an_error_not_the_first(tmp_path):
    write_texts(tmp_path, 0, 2)
    (whole,) = read_gathered(open_corpus([str(tmp_path)]))
    with pytest.raises(ValueError, match="too many values"):
        _ = whole.mark
    assert whole.files == ["d000.txt", "d001.txt"] and [len(one) for one in whole.slices] == [1, 1]
    for before, behind in pairwise(whole.slices):
        assert before.mark.file < behind.mark.file
