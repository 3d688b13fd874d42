"""``score --text``: the numbers of a sentence and what surprised the model, without a run directory."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers import models
from typer.testing import CliRunner

import curate
from curate.cli import app
from curate.errors import ModelError, UsageError
from curate.reference import causal
from curate.rundir import parquet

TEXTS = ["plain words, and naïve ones", "é", "a b c d e f g h " * 30]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(models.save(tmp_path_factory.mktemp("models") / "llama", "llama"))


OPTIONS = [
    {},
    {"prefix": "none"},
    {"truncate": 5},
    {"window": 16, "overlap": 4},
    {"window": 16, "window_prefix": True},
    {"convention": "hf-guide"},
    {"convention": "lm-eval"},
    {"dtype": "bf16"},
    {"devices": "cpu"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_text_has_the_numbers_that_it_has_in_a_corpus(tmp_path, monkeypatch, model, options):
    monkeypatch.chdir(tmp_path)
    found = curate.score(text=TEXTS, model=model, signals="all", **options)
    assert list(tmp_path.iterdir()) == [], "no run directory"
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    curate.score("a.jsonl", model=model, signals="all", run="run", **options)
    rows = pq.read_table(parquet.list_parts(tmp_path / "run" / "scores")[0]).to_pylist()
    for one, row, text in zip(found.texts, rows, TEXTS, strict=True):
        assert (one.text, one.status, one.bytes) == (text, row["status"], len(text.encode()))
        for name in ("tokens", "scored_tokens", "nats", "perplexity", "bits_per_byte", "first_nats"):
            assert getattr(one, name) == (None if row[name] is None else pytest.approx(row[name], rel=1e-4)), name
        assert one.signals.get("zlib_ratio") == pytest.approx(row["zlib_ratio"])
        if one.status == "ok":
            assert sum(piece.nats for piece in one.pieces) == pytest.approx(one.nats, rel=1e-4)
            assert one.truncated == row["truncated"]


def test_the_pieces_lie_where_they_say_and_the_most_surprising_come_first(model):
    (one,) = curate.score(text="plain words, and naïve ones", model=model).texts
    assert "".join(piece.text for piece in one.pieces) == one.text
    for piece in one.pieces:
        assert one.text[piece.start : piece.start + len(piece.text)] == piece.text
    nats = [piece.nats for piece in one.pieces]
    assert [piece.nats for piece in one.surprising] == sorted(nats, reverse=True)[:5]


def test_without_a_prefix_the_first_token_is_in_no_piece(model):
    (one,) = curate.score(text="plain words", model=model, prefix="none").texts
    start = one.pieces[0].start
    assert start > 0 and one.text[start:] == "".join(piece.text for piece in one.pieces) and one.first_nats is None


def invoke(*words):
    return CliRunner().invoke(app, ["score", *words])


def test_the_screen_marks_what_surprised_and_json_has_it_all(model):
    found = invoke("--text", "plain words, and naïve ones", "--text", "é", "--model", model)
    assert found.exit_code == 0 and found.stdout.count("perplexity") == 2
    first, second = found.stdout.split("\n\n")
    assert first.startswith("text") and first.count("⟦") == 10 and first.count(" nats   ⟦") == 5
    assert "2 bytes, 2 tokens" in second and "self-check" in found.stderr
    shown = json.loads(invoke("--text", "plain words", "--model", model, "--json").stdout)
    assert shown["model"] == model and shown["texts"][0]["text"] == "plain words"
    assert shown["texts"][0]["surprising"][0]["nats"] == max(one["nats"] for one in shown["texts"][0]["pieces"])


def test_a_text_that_cannot_be_scored_says_why(model):
    found = invoke("--text", "", "--text", "x", "--model", model, "--prefix", "none")
    assert found.exit_code == 1
    assert "it gives no token" in found.stdout and "nothing before it to be predicted from" in found.stdout
    assert "perplexity" not in found.stdout


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["a.jsonl", "--text", "a"], "--text and CORPUS are two things to score"),
        (["--text", "a", "--run", "r"], "--run has no effect with --text"),
        (["--text", "a", "--restart"], "--restart has no effect with --text"),
        (["--text", "a", "--limit", "3"], "--limit has no effect with --text"),
        (["--text", "a", "--carry", "none"], "--carry has no effect with --text"),
        (["--text", "a", "--seed", "1"], "--seed has no effect with --text"),
        (["--text", "a", "--quoting", "csv"], "--quoting has no effect with --text"),
        (["--text", "a", "--delimiter", "tab"], "--delimiter has no effect with --text"),
        (["--text", "a", "--on-error", "stop"], "--on-error has no effect with --text"),
        (["--text", "a", "--profile"], "--profile has no effect with --text"),
        (["--text", "a", "--model", "none"], "--model none measures nothing"),
        ([], "needs CORPUS, or a text"),
    ],
)
def test_what_does_not_go_with_a_text_is_a_usage_error(words, what):
    found = invoke(*words)
    assert found.exit_code == 2 and what in found.stderr and "hint:" in found.stderr


@pytest.mark.parametrize(("texts", "code"), [(["plain"], 0), ([""], 1), (["", ""], 1), (["", "plain"], 0)])
def test_texts_of_which_none_can_be_measured_end_with_an_error(model, texts, code):
    words = [word for text in texts for word in ("--text", text)]
    assert CliRunner().invoke(app, ["score", *words, "--model", model]).exit_code == code


def test_python_takes_one_text_or_several_and_not_none(model):
    assert len(curate.score(text="one", model=model).texts) == 1
    assert [one.text for one in curate.score(text=["one", "two"], model=model).texts] == ["one", "two"]
    with pytest.raises(UsageError, match="needs CORPUS"):
        curate.score(text=[], model=model)


def test_a_model_that_gives_no_number_for_any_text_is_an_error(model, monkeypatch):
    monkeypatch.setattr(causal.CausalModel, "nats", _only_checked(causal.CausalModel.nats))
    with pytest.raises(ModelError, match="NaN or infinity for the one document that it read, in fp32"):
        curate.score(text="¤¤¤", model=model, exact=True)


def _only_checked(real):
    """Numbers for the texts of the self-check alone."""

    def nats(self, pack):
        found = real(self, pack)
        return np.full_like(found, np.nan) if pack.ids_BL.size < 9 and pack.ids_BL.size > 4 else found

    return nats


@pytest.mark.parametrize(("dtype", "hint"), [("bf16", "--dtype fp32 --restart"), ("fp32", "weights are damaged")])
def test_a_run_of_which_nothing_is_finite_ends_with_an_error(tmp_path, model, monkeypatch, dtype, hint):
    monkeypatch.setattr(causal.CausalModel, "nats", _only_checked(causal.CausalModel.nats))
    (tmp_path / "a.jsonl").write_text('{"text": "¤¤¤"}\n{"text": ""}\n')
    run = str(tmp_path / "run")
    found = invoke(str(tmp_path / "a.jsonl"), "--model", model, "--dtype", dtype, "--run", run)
    assert found.exit_code == 1 and "gave NaN or infinity for the one document" in found.stderr
    assert f"in {dtype}" in found.stderr and hint in found.stderr
    assert CliRunner().invoke(app, ["filter", "--max-ppl", "9", "--run", run]).exit_code == 1, "it is not complete"
