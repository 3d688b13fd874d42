"""The scores table: begun once, resumed from the same, complete only with all rows, and summed in order."""

import json
import math
from dataclasses import asdict

import pytest
from helpers.scored_slices import make_documents, make_likelihoods

from curate.corpus import open_corpus
from curate.errors import TableError
from curate.rundir import parquet, sql
from curate.rundir.run import compute_fingerprint, open_run
from curate.stages.score import table
from curate.stages.score.rows import assemble_part, measure_texts

MADE_FROM = {"corpus": "c", "model": {"model": "m", "tokenizer": "t"}, "parameters": {"signals": []}}


@pytest.fixture
def run(tmp_path):
    return open_run(tmp_path / "run", create=True)


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "some words"}\n')
    return open_corpus([str(tmp_path / "a.jsonl")])


def write_part(run, texts, nats, number=0, last=True, made_from=MADE_FROM):
    """A part of a slice whose readable texts have these nats, two tokens and four bytes each."""
    documents = make_documents(texts, number=number, last=last)
    scored = [index for index, status in enumerate(documents.statuses) if status == "ok"]
    likelihoods = make_likelihoods(nats, [2] * len(nats), [4] * len(nats))
    part = assemble_part(documents, scored, likelihoods, measure_texts(documents, []), [])
    note = {"made_from": compute_fingerprint(made_from), "slice": asdict(documents.mark)}
    parquet.write_part(run.scores / f"00000-{number:06d}.parquet", part, note)


def test_scores_are_begun_resumed_from_the_same_and_refused_from_anything_else(run, corpus):
    table.begin_scores(run, corpus, MADE_FROM, restart=False)
    assert run.stage("score")["complete"] is False
    table.begin_scores(run, corpus, MADE_FROM, restart=False)
    other = {**MADE_FROM, "model": {"model": "other", "tokenizer": "t"}}
    with pytest.raises(TableError, match=r"model\.model: m, now other") as caught:
        table.begin_scores(run, corpus, other, restart=False)
    assert "--restart" in caught.value.hint and "tokenizers" not in caught.value.hint
    other = {**MADE_FROM, "model": {"model": "m", "tokenizer": "another"}}
    with pytest.raises(TableError) as caught:
        table.begin_scores(run, corpus, other, restart=False)
    assert "perplexities of different tokenizers cannot be compared" in caught.value.hint


def test_restart_drops_parts_and_record_and_parts_without_a_record_are_refused(run, corpus):
    write_part(run, ["a"], [1.0])
    with pytest.raises(TableError, match=r"run\.json does not know them"):
        table.begin_scores(run, corpus, MADE_FROM, restart=False)
    run.reserve("scores", emptied=("scores",))
    table.begin_scores(run, corpus, MADE_FROM, restart=True)
    assert not list(run.scores.glob("*.parquet")) and run.stage("score")["complete"] is False


def test_a_complete_table_is_marked_so_with_its_counts_and_unreadable_rows_are_listed(run, corpus):
    table.begin_scores(run, corpus, MADE_FROM, restart=False)
    write_part(run, ["wörds", None], [1.0], number=0, last=False)
    write_part(run, ["more", "b"], [1.0, math.nan], number=1)
    table.complete_scores(run, corpus, MADE_FROM, {"perplexity": 2.0}, 4)
    record = run.stage("score")
    assert record["complete"] and record["summary"] == {"perplexity": 2.0}
    counts = {name: count for name, count in record["counts"].items() if count}
    assert counts == {"read": 4, "ok": 2, "not_finite": 1, "unreadable": 1, "tokens": 6, "bytes": 11}
    (listed,) = map(json.loads, run.unreadable.read_text().splitlines())
    assert listed == {"file": "a.jsonl", "row": 1, "reason": "line 1: invalid JSON"}


def test_a_table_that_lacks_a_row_is_not_complete(run, corpus):
    table.begin_scores(run, corpus, MADE_FROM, restart=False)
    write_part(run, ["a", "b"], [1.0, 1.0])
    with pytest.raises(TableError, match="do not add up: 3 documents were read, 2 are in the table"):
        table.complete_scores(run, corpus, MADE_FROM, {}, 3)
    assert run.stage("score")["complete"] is False


def test_sums_are_over_rows_with_numbers_and_do_not_depend_on_the_parts(run, tmp_path):
    nats = [0.1, 0.2, 0.3, math.nan]
    write_part(run, ["aa", "b", None, "c", "d"], nats)
    sums = table.sum_parts(run)
    assert (sums["documents"], sums["bytes"], sums["scored_bytes"]) == (3, 4, 12)
    assert (sums["tokens"], sums["scored_tokens"]) == (9, 6)
    assert sums["perplexity"] == pytest.approx(sum(math.exp(value / 2) for value in nats[:3]))
    other = open_run(tmp_path / "other", create=True)
    for number, (text, value) in enumerate(zip(["aa", "b", "c"], nats[:3], strict=True)):
        write_part(other, [text], [value], number=number, last=number == 2)
    assert table.sum_parts(other)["nats"] == math.fsum(nats[:3]) != sum(nats[:3]), "exact over the parts"
    assert table.sum_parts(other) == pytest.approx(sums)
    assert table.sum_parts(open_run(tmp_path / "empty", create=True))["documents"] == 0


def test_quantiles_and_histogram_of_known_perplexities(run):
    write_part(run, ["a"] * 5, [2 * math.log(value) for value in (1, 2, 4, 8, 16)])
    quantiles, histogram = table.describe_perplexity(sql.parquet_source(run.scores))
    assert list(quantiles) == ["5%", "25%", "50%", "75%", "95%"]
    assert [quantiles[share] for share in ("25%", "50%", "75%")] == pytest.approx([2, 4, 8])
    assert len(histogram["edges"]) == table.BINS + 1 and sum(histogram["counts"]) == 5
    assert histogram["counts"][0] == histogram["counts"][-1] == 1, "the smallest and the largest are in the outer bins"


@pytest.mark.parametrize(
    ("perplexities", "median", "in_last"),
    [((1, 4, math.inf), 4, 2), ((2, math.inf, math.inf), math.inf, 2), ((math.inf,) * 3, math.inf, 0)],
)
def test_an_infinite_perplexity_is_a_quantile_and_lies_in_the_last_bin(run, perplexities, median, in_last):
    """1,500 nats for two tokens are more than a float can hold as a perplexity."""
    write_part(run, ["a"] * 3, [1500.0 if math.isinf(value) else 2 * math.log(value) for value in perplexities])
    quantiles, histogram = table.describe_perplexity(sql.parquet_source(run.scores))
    assert quantiles["50%"] == pytest.approx(median) and quantiles["95%"] == math.inf
    assert sum(histogram["counts"]) == (3 if in_last else 0)
    assert bool(histogram["edges"]) == bool(in_last) and histogram["counts"][-1:] == [in_last][: bool(in_last)]
