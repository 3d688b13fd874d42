"""For each thing that a person can get wrong: what `curate score` says, its exit code, and that nothing is lost."""

import gzip
import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from helpers import models
from typer.testing import CliRunner

from curate.cli import app
from curate.rundir import parquet

GOOD = [{"id": f"d{n}", "text": f"a plain document number {n}"} for n in range(5)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return models.save(tmp_path_factory.mktemp("models") / "llama", "llama")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(path, rows=GOOD):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def score(*words, model):
    found = CliRunner().invoke(app, ["score", *map(str, words), "--model", str(model)])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found


def rows():
    return [row for part in parquet.list_parts(Path("curated/scores")) for row in pq.read_table(part).to_pylist()]


def by_status():
    found = {}
    for row in rows():
        found.setdefault(row["status"], []).append(row)
    return found


BAD_LINES = {
    "invalid JSON": ('{"id": "x", "text": "cut', "JSON"),
    "no text field": ('{"id": "x", "body": "b"}', "text"),
    "null text": ('{"id": "x", "text": null}', "null"),
    "text is a number": ('{"id": "x", "text": 5}', "text"),
    "text is a list": ('{"id": "x", "text": ["a"]}', "text"),
    "not an object": ("[1, 2]", "object"),
    "lone surrogate": ('{"id": "x", "text": "\\ud800"}', "surrogate"),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_bad_line_is_a_row_with_a_place_and_a_reason_and_the_rest_is_scored(case, model):
    line, says = BAD_LINES[case]
    good = [json.dumps(row) for row in GOOD]
    Path("a.jsonl").write_text("\n".join([*good[:2], line, *good[2:]]) + "\n")
    found = score("a.jsonl", model=model)
    assert found.exit_code == 3
    status = by_status()
    assert len(status["ok"]) == 5 and len(status["unreadable"]) == 1
    (bad,) = status["unreadable"]
    assert bad["row"] == 2 and says in bad["reason"], bad["reason"]
    assert "1 unreadable (curated/unreadable.jsonl)" in found.stdout
    (listed,) = map(json.loads, Path("curated/unreadable.jsonl").read_text().splitlines())
    assert listed == {"file": "a.jsonl", "row": 2, "reason": bad["reason"]}


def test_invalid_utf8_is_a_row_with_its_byte(model):
    good = [json.dumps(row).encode() for row in GOOD]
    Path("a.jsonl").write_bytes(b"\n".join([*good, b'{"text": "caf\xe9"}', b""]))
    assert score("a.jsonl", model=model).exit_code == 3
    (bad,) = by_status()["unreadable"]
    assert bad["row"] == 5 and "UTF-8" in bad["reason"]


def test_on_error_stop_stops_at_the_first_bad_row_and_names_it(model):
    Path("a.jsonl").write_text(json.dumps(GOOD[0]) + "\n{oops\n" + json.dumps(GOOD[1]) + "\n")
    found = score("a.jsonl", "--on-error", "stop", model=model)
    assert found.exit_code == 1
    assert found.stderr.count("error: ") == 1 and "a.jsonl" in found.stderr and "row 1" in found.stderr
    assert "hint:" in found.stderr


def test_an_empty_document_is_never_given_a_score(model):
    write("a.jsonl", [*GOOD, {"id": "void", "text": ""}, {"id": "blank", "text": " \n\t"}])
    assert score("a.jsonl", model=model).exit_code == 0
    empty = by_status()["empty"]
    assert [row["id"] for row in empty] == ["void", "blank"]
    assert all(row["perplexity"] is None and row["nats"] is None for row in empty)


def test_a_truncated_gzip_gives_what_can_be_read_and_says_where_it_breaks_off(model):
    many = [{"id": f"d{n}", "text": f"document {n} " + os.urandom(40).hex()} for n in range(200)]
    whole = gzip.compress("".join(json.dumps(row) + "\n" for row in many).encode())
    Path("a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    assert score("a.jsonl.gz", model=model).exit_code == 3
    status = by_status()
    assert 20 < len(status["ok"]) < 200 and len(status["unreadable"]) == 1
    assert "breaks off" in status["unreadable"][0]["reason"]


def test_a_corrupt_parquet_in_a_folder_is_one_row_and_its_neighbours_are_scored(model):
    write("c/a.jsonl")
    Path("c/b.parquet").write_bytes(b"PAR1 this is not parquet PAR1")
    assert score("c", model=model).exit_code == 3
    status = by_status()
    assert len(status["ok"]) == 5 and [row["file"] for row in status["unreadable"]] == ["b.parquet"]


def test_a_document_of_fifty_megabytes_on_one_line_is_scored_or_refused_but_never_lost(model):
    long = "word and word again, " * 2_400_000
    assert len(long) > 50_000_000
    write("a.jsonl", [GOOD[0], {"id": "long", "text": long}, GOOD[1]])
    found = score("a.jsonl", "--truncate", 50, model=model)
    assert found.exit_code == 0
    assert [(row["id"], row["status"], row["truncated"]) for row in rows()] == [
        ("d0", "ok", False),
        ("long", "ok", True),
        ("d1", "ok", False),
    ]
    assert rows()[1]["scored_tokens"] == 50 and rows()[1]["bytes"] == len(long)
    assert rows()[1]["tokens"] > 20_000_000, "all of it is counted"


def test_duplicate_ids_are_two_documents(model):
    write("a.jsonl", [{"id": "same", "text": "one"}, {"id": "same", "text": "another"}])
    assert score("a.jsonl", model=model).exit_code == 0
    assert [(row["id"], row["row"]) for row in rows()] == [("same", 0), ("same", 1)]


def test_the_same_file_name_in_two_folders_is_two_files(model):
    write("c/x/a.jsonl")
    write("c/y/a.jsonl", GOOD[:2])
    assert score("c", model=model).exit_code == 0
    assert sorted({row["file"] for row in rows()}) == ["x/a.jsonl", "y/a.jsonl"] and len(rows()) == 7


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_ends_the_run_and_is_read_when_it_has(model):
    write("c/a.jsonl")
    write("c/b.jsonl")
    Path("c/b.jsonl").chmod(0)
    one_error(score("c", model=model), "b.jsonl", "Permission denied")
    Path("c/b.jsonl").chmod(0o600)
    assert score("c", model=model).exit_code == 0


def one_error(found, *says):
    """The run failed with one line `error:` and one line `hint:` that say these things, and no traceback."""
    assert found.exit_code in (1, 2), found.stdout
    lines = found.stderr.splitlines()
    assert sum(line.startswith("error: ") for line in lines) == 1
    assert sum(line.startswith("hint:  ") for line in lines) == 1, found.stderr
    for word in says:
        assert word in found.stderr, found.stderr


def test_a_missing_file_names_what_is_there(model):
    write("corpus.jsonl")
    one_error(score("corpsu.jsonl", model=model), "corpsu.jsonl", "corpus.jsonl")


def test_a_folder_with_nothing_readable_says_what_it_holds(model):
    Path("c").mkdir()
    Path("c/picture.png").write_bytes(b"\x89PNG")
    one_error(score("c", model=model), "c", "picture.png")


def test_a_corpus_without_an_obvious_text_column_lists_the_columns(model):
    write("a.jsonl", [{"title": "t", "lang": "en", "summary": "s"}])
    one_error(score("a.jsonl", model=model), "title", "lang", "summary", "--text-field")


def test_a_wrong_text_field_is_no_million_unreadable_rows(model):
    write("a.jsonl")
    one_error(score("a.jsonl", "--text-field", "body", model=model), "body", "text")


def test_a_hub_name_without_a_hub_is_one_line(model):
    one_error(score("nobody/no-such-dataset:train", model=model))


def test_a_model_folder_without_a_tokenizer(model, tmp_path):
    write("a.jsonl")
    models.build("llama").save_pretrained(tmp_path / "bare")
    one_error(score("a.jsonl", model=tmp_path / "bare"), "no tokenizer", "tokenizer.json")


def test_a_run_directory_that_is_a_file(model):
    write("a.jsonl")
    one_error(score("a.jsonl", "--run", "a.jsonl", model=model), "a.jsonl is a file")


def test_an_option_that_does_not_exist_is_usage(model):
    found = score("a.jsonl", "--max-tokns", "3", model=model)
    assert found.exit_code == 2 and "--max-tokns" in found.stderr and "Traceback" not in found.stderr


@pytest.mark.parametrize("words", [["filter", "--max-ppl", "9"], ["status"], ["export", "out"], ["explain", "x"]])
def test_a_verb_without_scores_names_the_command_that_makes_them(words):
    found = CliRunner().invoke(app, words)
    one_error(found, "curate score")
