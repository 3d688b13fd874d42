"""The scores' columns, the documents' columns of the same names, and fields within columns can all be named."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.runs import make_run, write_duplicates, write_hits, write_lines
from helpers.typed_columns import count_kept, list_groups

import curate
from curate.errors import UsageError
from curate.rundir import document_columns
from curate.runtime import console

OURS = ("tokens", "perplexity", "status", "file", "row", "id", "reason", "hash", "truncated", "zlib_ratio")
LATER = ("contaminated", "eval_sets", "duplicate", "rejection", "part", "place", "keep", "position", "bucket", "value")


@pytest.fixture
def run(tmp_path):
    """Six documents that have a column with the name of each of ours: 0 in half of them, 1 in the others."""
    rows = [
        {
            **dict.fromkeys((*OURS, *LATER), number % 2),
            "text": f"document {number} of words",
            "Perplexity": number,
            "id": f"d{number}",
        }
        for number in range(6)
    ]
    write_lines(tmp_path / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "a.jsonl"])
    document_columns.record_clashes(run, run.corpus())  # as curate score does
    return run


@pytest.fixture
def said(capsys):
    console.enable()
    yield lambda: capsys.readouterr().err
    console.enable(False)


@pytest.mark.parametrize("name", [name for name in (*OURS, *LATER) if name != "id"])
def test_the_documents_column_can_be_named_whatever_its_name(run, name):
    assert count_kept(run, f"doc.{name} = 1") == count_kept(run, f'"doc.{name}" = 1') == 3
    assert list_groups(run, name) == list_groups(run, f"doc.{name}") == {"0": 3, "1": 3}
    by_it = curate.filter(str(run.path), keep="low", by=f"doc.{name}", rate=0.5, dry_run=True)
    assert by_it.kept.documents == 3
    assert len(curate.order(str(run.path), by="bytes", stratify=name, dry_run=True).strata) == 2
    assert set(curate.bucket(str(run.path), by=f"doc.{name}", within=name).groups) == {"0", "1"}


def test_a_bare_name_is_that_of_the_scores_and_the_clash_is_said(run, said):
    assert count_kept(run, "tokens > 1") == 6  # no document says more than 1
    assert "tokens is that of the scores; the documents' column is doc.tokens" in said()
    curate.order(str(run.path), by="tokens", dry_run=True)
    assert "the documents' column is doc.tokens" in said()
    assert count_kept(run, "tokens > 1 and doc.tokens = 1 and status = 'ok' and doc.status = 1") == 3


def test_a_spelling_that_only_the_documents_have_is_theirs(run, said):
    assert count_kept(run, "Perplexity < 5") == 5
    assert "Perplexity is the documents' column; perplexity is that of the scores" in said()
    assert count_kept(run, "perplexity < 2") == count_kept(run, "PERPLEXITY < 2") == 0
    assert count_kept(run, "Perplexity = doc.perplexity and perplexity > 1") == 2


def test_what_the_tables_reject_by_can_be_named_next_to_the_documents_own(run, said):
    assert count_kept(run, "duplicate = 1 and contaminated = 1") == 3  # the documents' own, as no table has them yet
    assert "duplicate is the documents' column; the scores have none" in said()
    write_hits(run, [{"row": 0}], action="mark")
    write_duplicates(run, [{1: "keeper", 2: "near"}])
    assert count_kept(run, "contaminated") == 1
    assert count_kept(run, "not duplicate and not contaminated and doc.duplicate = 1 and doc.contaminated = 1") == 3
    assert count_kept(run, "rejection = 1 and part = 1 and place = 1") == 3


def test_numbers_that_are_not_those_of_the_scores_are_not_ordered_by_in_silence(run):
    for name in ("row", "file", "status", "reason"):
        for ask in (curate.bucket, curate.order):
            with pytest.raises(UsageError, match=f"the column {name} of the scores holds no numbers") as caught:
                ask(str(run.path), by=name)
            assert f"--by doc.{name}" in caught.value.hint
        with pytest.raises(UsageError) as caught:
            curate.filter(str(run.path), keep="low", by=name)
        assert f"--by doc.{name}" in caught.value.hint


def test_a_signal_that_was_not_measured_is_not_replaced_by_the_documents_own(run):
    for ask in (curate.bucket, curate.order, lambda path, by: curate.filter(path, keep="low", by=by)):
        with pytest.raises(UsageError, match="the scores have no repeated_lines"):
            ask(str(run.path), by="repeated_lines")


def test_a_column_called_doc_has_fields_of_its_own(tmp_path):
    rows = [{"text": f"some words {n}", "tokens": n, "doc": {"tokens": 10 * n, "lang": "x"}} for n in range(6)]
    write_lines(tmp_path / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "a.jsonl"])
    kept = {"doc.doc.tokens > 20": 3, "doc.tokens > 4": 1, "doc.lang = 'x'": 6, "doc['lang'] = 'x'": 6}
    assert {where: count_kept(run, where) for where in kept} == kept
    assert set(list_groups(run, "doc.doc.tokens")) == {str(10 * n) for n in range(6)}
    assert set(list_groups(run, "doc.tokens")) == {str(n) for n in range(6)}
    assert list_groups(run, "doc.lang") == {"x": 6}


def make_csv(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("text", "meta.lang"), *((row["text"], row["meta"]["lang"]) for row in rows)])


def make_json_array(path, rows):
    path.write_text(json.dumps(rows))


def make_parquet(path, rows):
    pq.write_table(pa.Table.from_pylist(rows), path)


FORMATS = {"a.jsonl": write_lines, "a.json": make_json_array, "a.parquet": make_parquet, "a.csv": make_csv}


@pytest.mark.parametrize("name", FORMATS)
def test_a_field_is_named_alike_in_every_format(tmp_path, name):
    rows = [{"text": f"some words {n}", "meta": {"lang": "xy"[n % 2], "source": "s"}} for n in range(6)]
    FORMATS[name](tmp_path / name, rows)
    run = make_run(tmp_path / "run", [tmp_path / name])
    wheres = ("meta.lang = 'x'", "\"meta.lang\" = 'x'", "meta['lang'] = 'x'")
    assert [count_kept(run, where) for where in wheres] == [3, 3, 3]
    assert list_groups(run, "meta.lang") == {"x": 3, "y": 3}
    asks = (
        lambda: list_groups(run, "meta.lnag"),
        lambda: curate.filter(str(run.path), max_ppl=1, ledger="meta.lnag"),
        lambda: curate.filter(str(run.path), keep="low", by="meta.lnag"),
        lambda: curate.bucket(str(run.path), within="meta.lnag"),
        lambda: curate.order(str(run.path), stratify="meta.lnag"),
        lambda: document_columns.choose_carried(run.corpus(), "meta.lnag"),
        lambda: count_kept(run, "meta.lnag = 'x'"),
    )
    for ask in asks:
        with pytest.raises(UsageError) as caught:
            ask()
        assert caught.value.hint.startswith("did you mean meta.lang?")


def test_what_only_later_documents_have_is_found_or_refused_but_never_none_for_all(tmp_path):
    rows = [{"text": f"some words {n}", "meta": {"lang": "x"}} for n in range(150)]
    rows += [
        {"text": f"late words {n}", "meta": {"lang": "y", "rare": "z", "in": {"a": 1}}, "late": n} for n in range(9)
    ]
    write_lines(tmp_path / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "a.jsonl"], slice_bytes=900)
    assert list_groups(run, "meta.rare") == {"(none)": 150, "z": 9}
    assert [count_kept(run, where) for where in ("meta.rare = 'z'", "meta['rare'] = 'z'", "meta.in.a = 1")] == [9, 9, 9]
    with pytest.raises(UsageError, match="no column 'late'") as caught:
        list_groups(run, "late")
    assert "doc.late is looked for in all rows" in caught.value.hint
    assert count_kept(run, "doc.late >= 0") == 9
    assert count_kept(run, "late >= 0") == 9  # once it was found
    for name in ("meta.raer", "doc.laet"):
        with pytest.raises(UsageError, match="no column"):
            list_groups(run, name)
        assert document_columns.find_carried(run, name) is None


def test_a_field_that_the_first_rows_do_not_show_stops_the_scoring_before_it_begins(tmp_path):
    write_lines(tmp_path / "a.jsonl", [{"text": "some words", "meta": {"lang": "x"}}])
    with pytest.raises(UsageError) as caught:
        curate.score(str(tmp_path / "a.jsonl"), model="none", run=str(tmp_path / "run"), carry="meta.lnag")
    assert "did you mean meta.lang?" in caught.value.hint and not (tmp_path / "run").exists()


def test_the_text_is_not_stored_a_second_time(run):
    for where in ("text like '%1%'", "length(doc.text) > 3"):
        with pytest.raises(UsageError, match="text is the documents' text"):
            count_kept(run, where)


def test_a_name_with_a_comma_is_quoted_and_recorded_so(tmp_path):
    write_lines(tmp_path / "a.jsonl", [{"text": f"some words {n}", "a,b": n % 2, "c": 1} for n in range(4)])
    run = make_run(tmp_path / "run", [tmp_path / "a.jsonl"])
    summary = curate.filter(str(run.path), keep="low", by="bytes", within='"a,b",c')
    assert {line.name for line in summary.ledger} == {"0 / 1", "1 / 1"}
    assert summary.parameters["within"] == '"a,b",c'


def test_a_quoted_name_is_found_in_all_rows_and_in_every_option(tmp_path):
    rows = [{"text": f"document {number} of words", "My Col": number, 'q"u': number, "日本": number, "a.b": number,
             "a": {"b": 10 - number, "c d": number}} for number in range(6)]  # fmt: skip
    many = [{"text": f"filler {number} of words"} for number in range(20_000)]
    write_lines(tmp_path / "a.jsonl", [*rows, *many, *({"text": "late", "my score": n} for n in range(3))])
    run = make_run(tmp_path / "run", [tmp_path / "a.jsonl"])
    kept = {
        '"my score" > 0': 2,
        'doc."my score" > 0': 2,
        '"My Col" > 3': 2,
        '"my col" > 3': 2,
        'doc."My Col" > 3': 2,
        '"q""u" > 3': 2,
        '"日本" > 3': 2,
        '"a.b" > 4': 1,
        "a.b > 4": 6,
        "a['b'] > 4": 6,
        'a."c d" > 4': 1,
    }
    for where, count in kept.items():
        assert (where, count_kept(run, where)) == (where, count)
    with pytest.raises(UsageError, match="no column 'my scores'"):
        count_kept(run, '"my scores" > 0')
    for name in ('"My Col"', "My Col", 'doc."My Col"', '"doc.My Col"'):
        assert curate.filter(run=str(run.path), keep="high", rate=0.5, by=name, ledger="none").kept.documents == 3
        assert curate.bucket(run=str(run.path), by=name, quantiles=2, within="none").by.endswith("My Col")
        assert curate.order(run=str(run.path), by=name).by.endswith("My Col")
    for name in ('"My Col"', "My Col", 'doc."My Col"'):
        curate.filter(run=str(run.path), keep="0:100", by="bytes", within=name, dry_run=True)


@pytest.mark.parametrize("name", ["rejection", "part", "place", "Rejection", "PART", "said", "measured", "key"])
def test_a_name_of_ours_that_no_document_of_a_run_has_is_the_users(tmp_path, name):
    write_lines(tmp_path / "a.jsonl", [{"text": f"document {n} of words", name: f"v{n % 2}"} for n in range(6)])
    run = make_run(tmp_path / "run", [tmp_path / "a.jsonl"])
    write_hits(run, [])
    for spelled in (name, f'"{name}"', f"doc.{name}", name.lower()):
        assert count_kept(run, f"{spelled} = 'v1'") == 3
