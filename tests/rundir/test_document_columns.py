"""What documents carry is read from the corpus once and then stands beside their scores."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.document_columns import make, rows_of, values_of
from helpers.runs import make_run, write_lines

from curate.corpus import open_corpus
from curate.errors import CorpusError, TableError, UsageError
from curate.rundir import document_columns
from curate.rundir.run import open_run


def test_a_column_is_read_from_the_corpus_once_and_then_stands_beside_the_scores(tmp_path):
    run = make(tmp_path, rows_of(40), slice_bytes=500)
    assert len(list(run.scores.iterdir())) > 3
    assert values_of(run, "domain") == ["a", "b"] * 20
    corpus = tmp_path / "corpus" / "a.jsonl"
    corpus.rename(tmp_path / "away")  # a second reading would fail
    again = open_run(run.path)
    assert values_of(again, "domain") == ["a", "b"] * 20 and document_columns.default_domain(again) == "domain"


def test_parts_of_one_column_have_one_type_though_their_slices_differ(tmp_path):
    rows = [{"text": f"document {n} word", "n": n, "mixed": n} for n in range(9)]
    rows += [{"text": f"document {n} word", "n": n + 0.5, "mixed": ["x", n]} for n in range(9)]
    run = make(tmp_path, [*rows, {"text": "document 1 last"}], slice_bytes=300)
    assert document_columns.carry_columns(run, ["n", "mixed"]) == {"n": pa.float64(), "mixed": pa.large_string()}
    assert values_of(run, "n") == [*range(9), *(n + 0.5 for n in range(9)), None]
    assert values_of(run, "mixed")[8:10] == ["8", '["x", 0]'] and values_of(run, "mixed")[-1] is None


def test_a_field_within_a_column_is_asked_for_by_its_path_in_every_format(tmp_path):
    rows = [{"text": f"document {n} word", "meta": {"language": "en" if n else None}} for n in range(3)]
    write_lines(tmp_path / "one" / "a.jsonl", rows)
    pq.write_table(pa.Table.from_pylist(rows), (tmp_path / "two.parquet"))
    for number, path in enumerate((tmp_path / "one", tmp_path / "two.parquet")):
        run = make_run(tmp_path / f"run{number}", [path])
        assert values_of(run, "meta.language") == [None, "en", "en"]


def test_an_unreadable_row_carries_nothing_and_keeps_its_place(tmp_path):
    rows = [*rows_of(2), b"{broken", *rows_of(1)]
    run = make(tmp_path, rows)
    assert values_of(run, "domain") == ["a", "b", None, "a"]


def test_a_damaged_column_costs_no_document_its_text(tmp_path):
    """The text alone is read where another column of a row group cannot be."""
    path = tmp_path / "a.parquet"
    texts = [f"document {n} word" for n in range(300)]
    table = pa.table({"text": texts, "domain": [f"domain {n} of many" for n in range(300)]})
    pq.write_table(table, path, compression="none", use_dictionary=False)
    octets = bytearray(path.read_bytes())
    place = octets.rfind(b"domain 7 of many")
    octets[place - 4 : place] = b"\xff\xff\xff\x7f"
    path.write_bytes(octets)
    (documents,) = open_corpus([str(path)]).slices(columns=("domain",))
    assert documents.texts == texts and documents.table["domain"].null_count > 0


def test_an_unknown_column_is_answered_with_the_nearest(tmp_path):
    run = make(tmp_path, rows_of(2))
    with pytest.raises(UsageError) as caught:
        document_columns.carry_columns(run, ["domian"])
    assert "did you mean domain?" in caught.value.hint and "text" in caught.value.hint


def test_columns_of_another_corpus_are_never_taken(tmp_path):
    run = make(tmp_path, rows_of(4))
    assert values_of(run, "domain") == ["a", "b", "a", "b"]
    other = make(tmp_path / "other", [{**row, "domain": "z"} for row in rows_of(4)])
    record = json.loads((other.path / "run.json").read_text())
    record["carried"] = json.loads((run.path / "run.json").read_text())["carried"]
    (other.path / "run.json").write_text(json.dumps(record))
    run.carried.rename(other.carried)
    assert values_of(open_run(other.path), "domain") == ["z"] * 4


def test_no_column_name_leaves_the_run_directory(tmp_path):
    run = make(tmp_path, [])
    for name in ("..", "../x", "/etc/passwd", ".", "a\0b", "c:d"):
        place = document_columns.locate_column(run, name)
        assert place.parent == run.carried and place.name not in ("..", ".", "")


def test_columns_are_chosen_by_well_known_names_by_name_or_not_at_all(tmp_path):
    write_lines(tmp_path / "a.jsonl", [{"text": "x", "source": "s", "metadata": {"lang": "de"}, "n": 1}])
    corpus = open_corpus([str(tmp_path / "a.jsonl")])
    assert document_columns.choose_carried(corpus, "auto") == ("source", "metadata.lang")
    assert document_columns.choose_carried(corpus, "none") == () and document_columns.choose_carried(
        corpus, "n, source,n"
    ) == (
        "n",
        "source",
    )
    with pytest.raises(UsageError):
        document_columns.choose_carried(corpus, "sauce")


def test_a_part_that_is_missing_of_a_carried_column_is_read_again(tmp_path):
    run = make(tmp_path, rows_of(30), slice_bytes=500)
    assert values_of(run, "domain") == ["a", "b"] * 15
    next(iter(document_columns.locate_column(run, "domain").iterdir())).unlink()
    assert values_of(run, "domain") == ["a", "b"] * 15


def test_a_corpus_that_changed_is_not_read_for_columns(tmp_path):
    run = make(tmp_path, rows_of(4))
    Path(tmp_path / "corpus" / "a.jsonl").write_text('{"text": "other", "domain": "q"}\n')
    with pytest.raises((TableError, CorpusError)):
        document_columns.carry_columns(run, ["domain"])
