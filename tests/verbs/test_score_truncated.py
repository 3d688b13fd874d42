"""After ``score --truncate`` every count of tokens is of complete documents; perplexity is of what was scored."""

import json
import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from helpers import models
from helpers.runs import count_scored_tokens_alone
from typer.testing import CliRunner

from curate.cli import app
from curate.reference.likelihood import LN2
from curate.rundir import parquet
from curate.verbs.bucket import bucket
from curate.verbs.explain import explain
from curate.verbs.export import export
from curate.verbs.filter import filter as filter_documents
from curate.verbs.order import order
from curate.verbs.report import report
from curate.verbs.score import score
from curate.verbs.status import status

LENGTHS = [5, 12, 30, 60, 90, 40, 8, 70]  # words


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(models.save(tmp_path_factory.mktemp("models") / "llama", "llama"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "a.jsonl"
    texts = [" ".join(f"naïve{number}x{word}" for word in range(many)) for number, many in enumerate(LENGTHS)]
    path.write_text("".join(json.dumps({"id": f"d{n}", "text": text}) + "\n" for n, text in enumerate(texts)))
    return str(path)


@pytest.fixture(scope="module")
def counts(corpus):
    """The tokens of each document, by the model's tokenizer alone."""
    texts = read_texts(Path(corpus))
    return [len(ids) for ids in models.tokenizer()(texts, add_special_tokens=False)["input_ids"]]


@pytest.fixture
def run(tmp_path, corpus, model):
    path = str(tmp_path / "run")
    score(corpus, model=model, run=path, truncate=20)
    return path


def read_texts(path):
    return [json.loads(line)["text"] for line in path.read_text().splitlines()]


def test_the_table_has_all_tokens_and_those_that_were_scored(run, counts):
    table = pq.read_table(parquet.list_parts(Path(run) / "scores")[0])
    assert table.column("tokens").to_pylist() == counts
    scored = table.column("scored_tokens").to_pylist()
    assert scored == [min(count, 20) for count in counts]
    for row in table.to_pylist():
        assert row["perplexity"] == pytest.approx(math.exp(row["nats"] / row["scored_tokens"]))
        assert row["bits_per_byte"] == pytest.approx(row["nats"] / LN2 / row["scored_bytes"])


def test_the_summary_counts_both_and_perplexity_is_over_the_scored(tmp_path, corpus, model, counts):
    found = score(corpus, model=model, run=str(tmp_path / "run"), truncate=20)
    assert (found.tokens, found.scored_tokens) == (sum(counts), 20 * len(counts))
    assert f"{sum(counts):,} tokens (160 scored)" in found.render()
    (part,) = parquet.list_parts(tmp_path / "run" / "scores")
    nats = sum(pq.read_table(part).column("nats").to_pylist())
    assert found.perplexity == pytest.approx(math.exp(nats / 160))


def test_a_run_without_truncation_counts_the_same_tokens_once(tmp_path, corpus, model, counts):
    found = score(corpus, model=model, run=str(tmp_path / "run"))
    assert found.tokens == found.scored_tokens == sum(counts) and "scored)" not in found.render()


@pytest.mark.parametrize("budget", [600, 900])
def test_a_budget_of_tokens_is_one_of_complete_documents(run, tmp_path, counts, budget):
    kept = filter_documents(run=run, keep="low", tokens=budget)
    assert kept.kept.tokens <= budget < sum(counts)
    out = export(str(tmp_path / "out"), run=run)
    export(str(tmp_path / "lines"), run=run, format="jsonl")
    texts = [text for shard in (tmp_path / "lines").rglob("*.jsonl") for text in read_texts(shard)]
    real = sum(map(len, models.tokenizer()(texts, add_special_tokens=False)["input_ids"]))
    assert out.tokens == real == kept.kept.tokens <= budget
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["tokens"] == real and "tokens_counted" not in manifest
    assert f"{real:,} tokens" in (tmp_path / "out" / "README.md").read_text()


def test_every_later_count_is_of_complete_documents(run, tmp_path, counts, capsys):
    total = sum(counts)
    assert sum(one.tokens for one in bucket(run=run, quantiles=2).buckets) == total
    assert order(run=run, by="ppl").tokens == total
    assert status(run=run).tokens == total
    export(str(tmp_path / "out"), run=run)
    training = (tmp_path / "out" / "TRAINING.md").read_text()
    assert f"{total:,} tokens" in training and "are counted" not in training
    assert f"{counts[4]:,} tokens (20 scored)" in explain("d4", run=run).render()
    report(run=run)
    assert f'"kept_tokens": {total}' in (tmp_path / "run" / "report.json").read_text()
    assert filter_documents(run=run, min_tokens=21).kept.documents == sum(count > 20 for count in counts)
    assert "earlier version" not in capsys.readouterr().err


def test_a_run_of_an_earlier_version_is_read_and_every_verb_says_what_is_counted(run, tmp_path, counts):
    count_scored_tokens_alone(Path(run))
    for words in (
        ["filter", "--min-tokens", "1"],
        ["bucket", "--quantiles", "2"],
        ["order", "--by", "ppl"],
        ["status"],
    ):
        found = CliRunner().invoke(app, [*words, "--run", run])
        assert found.exit_code == 0, found.output
        assert "the first 20 of each document" in found.stderr and "--restart" in found.stderr, words
    assert status(run=run).tokens == 20 * len(counts)
    export(str(tmp_path / "out"), run=run)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["tokens_counted"] == 20
    assert "the first 20 of each document" in (tmp_path / "out" / "README.md").read_text()
    assert "the first 20 of each document are counted" in (tmp_path / "out" / "TRAINING.md").read_text()
    report(run=run)
