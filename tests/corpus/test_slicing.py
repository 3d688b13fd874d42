"""Slices: they tile the corpus, stay within their bytes, and a run cut anywhere goes on with the same ones."""

import tempfile
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

from helpers.corpora import as_value, each_format, file_name, number_records, read, write_lines, write_records
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.corpus import open_corpus


@each_format
@settings(max_examples=6, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=20),
    slice_bytes=st.integers(1, 900),
    limit=st.none() | st.integers(1, 25),
    sample=st.none() | st.floats(0.05, 1),
)
def test_a_run_cut_anywhere_goes_on_with_the_same_slices(format, lengths, slice_bytes, limit, sample):
    records = [{"id": f"d{row}", "text": "x" * length, "n": row} for row, length in enumerate(lengths)]
    with tempfile.TemporaryDirectory() as folder:
        write_records(Path(folder, file_name(format)), records)
        write_records(Path(folder, "z", file_name(format)), records[::-1])
        corpus = open_corpus([folder], slice_bytes=slice_bytes, limit=limit, sample=sample, text_field="text")
        whole = [as_value(documents) for documents in corpus.slices(columns="all")]
        assert [asdict(value[0]) for value in whole] == [asdict(d.mark) for d in corpus.slices()]
        for cut in range(len(whole) + 1):
            done = {}
            for value in whole[:cut]:
                done.setdefault(value[0].file, []).append(value[0])
            rest = [as_value(documents) for documents in corpus.slices(done, columns="all")]
            assert rest == whole[cut:]
    assert_tiled([value[0] for value in whole], [value[1] for value in whole], limit)


@each_format
@settings(max_examples=6, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=20),
    slice_bytes=st.integers(1, 900),
    others=st.integers(1, 900),
    limit=st.none() | st.integers(1, 25),
    sample=st.none() | st.floats(0.05, 1),
)
def test_slices_of_another_size_are_cut_again_along_their_marks(format, lengths, slice_bytes, others, limit, sample):
    records = [{"id": f"d{row}", "text": "x" * length, "n": row} for row, length in enumerate(lengths)]
    with tempfile.TemporaryDirectory() as folder:
        write_records(Path(folder, file_name(format)), records)
        write_records(Path(folder, "z", file_name(format)), records[::-1])
        corpus = open_corpus([folder], slice_bytes=slice_bytes, limit=limit, sample=sample, text_field="text")
        whole = [as_value(documents) for documents in corpus.slices(columns="all")]
        cuts = {}
        for value in whole:
            cuts.setdefault(value[0].file, []).append(value[0])
        along = replace(corpus, slice_bytes=others, cuts=lambda file: cuts[file])
        assert [as_value(documents)[:6] for documents in along.slices(columns="all")] == [value[:6] for value in whole]
        for cut in range(len(whole) + 1):
            done = {}
            for value in whole[:cut]:
                done.setdefault(value[0].file, []).append(value[0])
            rest = [as_value(documents) for documents in along.slices(done, columns="all")]
            compared = slice(None) if limit is None else slice(0, 6)  # the stored bytes behind a limit are not read
            assert [value[compared] for value in rest] == [value[compared] for value in whole[cut:]]


def assert_tiled(marks, rows, limit):
    """The slices of a file follow each other without a gap, and one of them, the last, says so."""
    for file in {mark.file for mark in marks}:
        own = [mark for mark in marks if mark.file == file]
        assert [mark.number for mark in own] == list(range(len(own)))
        assert [mark.last for mark in own] == [False] * (len(own) - 1) + [True]
        assert own[0].first_row == 0
        assert all(one.next_row == two.first_row for one, two in pairwise(own))
    for mark, held in zip(marks, rows, strict=True):
        assert mark.documents == len(held)
        assert all(mark.first_row <= row < mark.next_row for row in held)
    assert limit is None or sum(mark.documents for mark in marks) <= limit


@each_format
def test_a_slice_holds_no_more_than_its_bytes_unless_one_document_does(tmp_path, format):
    path = write_records(tmp_path / file_name(format), number_records(60, words=50))
    for documents in open_corpus([str(path)], slice_bytes=700).slices():
        size = sum(len(text.encode()) for text in documents.texts)
        assert size <= 700 or len(documents) == 1
    assert documents.mark.number > 5


@each_format
def test_the_bytes_read_add_up_to_the_file(tmp_path, format):
    path = write_records(tmp_path / file_name(format), number_records(40))
    corpus = open_corpus([str(path)], slice_bytes=500)
    assert sum(documents.read_bytes for documents in corpus.slices()) == corpus.size == path.stat().st_size


def test_marks_behind_a_gap_are_read_again(tmp_path):
    write_records(tmp_path / "a.jsonl", number_records(30))
    corpus = open_corpus([str(tmp_path)], slice_bytes=300)
    marks = [documents.mark for documents in corpus.slices()]
    assert [d.mark for d in corpus.slices({"a.jsonl": [marks[3], marks[0]]})] == marks[1:]


def test_a_limit_counts_documents_over_files_and_unreadable_ones_too(tmp_path):
    write_lines(tmp_path / "a.jsonl", [b'{"text": "1"}', b"bad", b"", b'{"text": "3"}'])
    write_records(tmp_path / "b.jsonl", [{"text": "4"}, {"text": "5"}])
    write_records(tmp_path / "c.jsonl", [{"text": "6"}])
    corpus = open_corpus([str(tmp_path)], limit=4)
    assert [text for _, text, _, _ in read(corpus).values()] == ["1", None, "3", "4"]
    assert {d.mark.file: d.mark.last for d in corpus.slices()} == {"a.jsonl": True, "b.jsonl": True, "c.jsonl": True}


def test_a_sample_is_a_share_chosen_by_place_and_seed(tmp_path):
    write_records(tmp_path / "a.jsonl", number_records(4000))
    write_records(tmp_path / "a.parquet", number_records(4000), rows_per_group=700)

    def sample(share, **options):
        return set(read(open_corpus([str(tmp_path)], sample=share, **options)))

    half = sample(0.5)
    assert abs(len(half) - 4000) < 4 * (8000 * 0.25) ** 0.5
    assert sample(0.5, slice_bytes=1000) == half and sample(0.5, seed=1) != half
    assert sample(0.2) < half and len(sample(1.0)) == 8000
    assert {row for file, row in half if file == "a.jsonl"} != {row for file, row in half if file == "a.parquet"}
