"""CSV: quotes, line ends, and records that have another number of fields."""

from helpers.corpora import read

from curate.corpus import open_corpus


def test_csv_rows_that_are_none_are_counted_and_the_others_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(
        b'\xef\xbb\xbfid,text,text\r\n1,one,x\r\n2\r\n\r\n3,"three\nlines, and a ""quote""",x\r\n'
        b'4,"bad"quote,x\r\n5,caf\xe9,x\r\n6,six,x\r\n7,"never closed,x\r\n'
    )
    found = read(open_corpus([str(path)]))
    assert [(row, status) for (_, row), (status, *_) in found.items()] == [
        (0, "ok"), (1, "unreadable"), (3, "ok"), (4, "unreadable"), (5, "unreadable"), (6, "ok"), (7, "unreadable"),
    ]  # fmt: skip
    assert found["a.csv", 3][1] == 'three\nlines, and a "quote"'
    assert "1 fields, but the header names 3" in found["a.csv", 1][2] and "record 2, byte 26" in found["a.csv", 1][2]
    (documents,) = open_corpus([str(path)]).slices(columns="all")
    assert documents.table.column_names == ["id", "text", "text_2"]
    assert documents.table.column("id").to_pylist()[0] == "1"
