"""Slices of Parquet that are read as tables: what the full reader gives, and None where that has to give reasons."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.corpora import number_records, write_records

from curate.corpus import open_corpus
from curate.corpus.readers.parquet_slices import ParquetSlices


def open_rich(path, **options):
    """Three kinds of columns of strings, a struct, and two row groups that slices cross."""
    rows = [{"id": n, "text": f"document {n} \u00e9", "tag": "ab"[n % 2], "meta": {"a": n}} for n in range(40)]
    table = pa.Table.from_pylist(rows)
    table = table.set_column(2, "tag", table["tag"].dictionary_encode())
    pq.write_table(table.append_column("view", table["text"].cast(pa.string_view())), path, row_group_size=17)
    return open_corpus([str(path)], slice_bytes=700, **options)


def list_documents(corpus):
    return list(corpus.slices(columns="all"))


@pytest.mark.parametrize("step", [1, 2])
def test_slices_read_as_tables_are_those_of_the_full_reader(tmp_path, step):
    """All of them, and every second one: then the reader enters the file anew."""
    corpus = open_rich(tmp_path / "a.parquet")
    slices, reader = list_documents(corpus), ParquetSlices(corpus, corpus.sources[0])
    assert len(slices) > 4
    for documents in slices[::step]:
        found = reader.read(documents.mark)
        assert found.table.equals(documents.table, check_metadata=True)
        assert found.texts.to_pylist() == documents.texts and found.num_bytes > 0
    reader.close()


def test_a_file_that_grew_is_left_to_the_full_reader(tmp_path):
    corpus = open_rich(tmp_path / "a.parquet")
    last = list_documents(corpus)[-1].mark
    assert ParquetSlices(corpus, corpus.sources[0]).read(last) is not None
    write_records(tmp_path / "a.parquet", number_records(41))
    assert ParquetSlices(corpus, corpus.sources[0]).read(last) is None
    write_records(tmp_path / "a.parquet", number_records(39))
    assert ParquetSlices(corpus, corpus.sources[0]).read(last) is None


def test_what_has_reasons_is_left_to_the_full_reader(tmp_path):
    path = tmp_path / "a.parquet"
    for texts in (
        pa.array(["a", None, "c"]),
        pa.array([b"a", b"\xff", b"c"]).view(pa.string()),
        pa.array([b"a", b"b", b"c"]),
        pa.array(["a", "b", "c"]).dictionary_encode(),
    ):
        pq.write_table(pa.table({"text": texts}), path)
        corpus = open_corpus([str(path)])
        (documents,) = list_documents(corpus)
        assert ParquetSlices(corpus, corpus.sources[0]).read(documents.mark) is None
    pq.write_table(pa.table({"text": ["a", "b"], "tag": pa.array([b"a", b"\xff"]).view(pa.string())}), path)
    corpus = open_corpus([str(path)])
    assert ParquetSlices(corpus, corpus.sources[0]).read(list_documents(corpus)[0].mark) is None


def test_a_sample_and_a_damaged_file_are_left_to_the_full_reader(tmp_path):
    corpus = open_rich(tmp_path / "a.parquet", sample=0.5)
    for documents in list_documents(corpus):
        assert ParquetSlices(corpus, corpus.sources[0]).read(documents.mark) is None
    corpus = open_rich(tmp_path / "a.parquet")
    mark = list_documents(corpus)[0].mark
    data = np.frombuffer((tmp_path / "a.parquet").read_bytes(), np.uint8).copy()
    data[4:400] = 255
    (tmp_path / "a.parquet").write_bytes(data.tobytes())
    assert ParquetSlices(corpus, corpus.sources[0]).read(mark) is None
