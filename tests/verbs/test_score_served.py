"""``curate score --logprobs-field``: no model runs, and the numbers are those of the model that served."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.corpora import write_records
from helpers.growing import given, read, score_again, tiny_model
from helpers.runs import read_files
from helpers.served_requests import FORMATS, TEXTS, as_numbers, as_prompt, make_requests, measure_tokens

import curate
from curate.errors import CorpusError, ModelError, RowError, TableError, UsageError
from curate.rundir.run import open_run

__all__ = ["given", "tiny_model"]
SUMS = ["hash", "status", "tokens", "scored_tokens", "bytes", "scored_bytes", "chars", "truncated"]
NUMBERS = ["nats", "perplexity", "bits_per_byte", "first_nats", "max_nats"]
SERVED = {"logprobs_field": "logprobs", "slice_bytes": 900}


@pytest.fixture(scope="module")
def tokens(tiny_model):
    return measure_tokens(tiny_model, TEXTS)


@pytest.fixture(scope="module")
def by_model(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("by-model")
    write_records(folder / "c.jsonl", [{"text": text} for text in TEXTS])
    for prefix in ("auto", "none"):
        score_again(folder / "c.jsonl", folder / prefix, tiny_model, prefix=prefix)
    return folder


@pytest.fixture
def corpus(tokens, tmp_path):
    return write_records(tmp_path / "week1.jsonl", make_requests(TEXTS, tokens))


def serve(corpus, run, **options):
    return curate.score(str(corpus), run=str(run), **{**SERVED, **options})


def assert_same_numbers(run, other):
    one, two = read(run), read(other)
    assert one.select(SUMS).equals(two.select(SUMS))
    for name in NUMBERS:
        assert one.column(name).to_pylist() == pytest.approx(two.column(name).to_pylist(), rel=1e-6), name


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("write", FORMATS)
def test_served_numbers_are_those_of_the_model_in_every_format(write, suffix, tokens, by_model, tmp_path):
    rows = make_requests(TEXTS, tokens, write)
    if suffix == "parquet" and write is as_prompt:  # keys that differ from row to row are JSON text in tables
        rows = [{**row, "logprobs": json.dumps(row["logprobs"])} for row in rows]
    serve(write_records(tmp_path / f"c.{suffix}", rows), tmp_path / "run")
    assert_same_numbers(tmp_path / "run", by_model / "auto")


def test_json_in_csv_is_read_too(tokens, by_model, tmp_path):
    rows = [{**row, "logprobs": json.dumps(row["logprobs"])} for row in make_requests(TEXTS, tokens)]
    serve(write_records(tmp_path / "c.csv", rows), tmp_path / "run")
    assert_same_numbers(tmp_path / "run", by_model / "auto")


@pytest.mark.parametrize("write", [write for write in FORMATS if write is not as_numbers])
def test_a_first_token_without_a_number_is_as_with_prefix_none(write, tiny_model, by_model, tmp_path):
    rows = make_requests(TEXTS, measure_tokens(tiny_model, TEXTS, "none"), write)
    serve(write_records(tmp_path / "c.jsonl", rows), tmp_path / "run")
    one, two = read(tmp_path / "run"), read(by_model / "none")
    assert one.select(SUMS).equals(two.select(SUMS)) and one.column("first_nats").null_count == len(TEXTS)
    assert one.column("nats").to_pylist() == pytest.approx(two.column("nats").to_pylist(), rel=1e-6)


def test_no_model_is_loaded_and_the_identity_says_where_the_numbers_are_from(corpus, given, tmp_path, monkeypatch):
    from curate.reference import loading

    monkeypatch.delattr(loading, "load_causal")
    serve(corpus, tmp_path / "run")
    assert given == []
    identity = open_run(tmp_path / "run").stage("score")["made_from"]["model"]
    assert (identity["model"], identity["logprobs_field"], identity["tokenizer"]) == ("served", "logprobs", None)


BAD = [
    (None, "no value"), ([], "no tokens"), ([-1.0, -9999.0], "token without a number"), ([0.5], "a positive number"),
    ("[-1, NaN]", "NaN"), ({"content": [{"token": "x", "logprob": -1.0}]}, "do not spell the text"), ("-1", "neither"),
]  # fmt: skip


def test_what_cannot_be_used_is_unscorable_with_its_reason_and_counted(tokens, tmp_path):
    rows = make_requests(TEXTS, tokens)
    for row, (value, _) in zip(rows, BAD, strict=False):
        row["logprobs"] = value
    del rows[7]["logprobs"]
    rows[8]["text"] = ""
    found = serve(write_records(tmp_path / "c.jsonl", rows), tmp_path / "run")
    assert found.documents == 1 and found.not_scored == {"unscorable": 8, "empty": 1} and found.exit_code == 0
    table = read(tmp_path / "run").to_pylist()
    for row, (_, reason) in zip(table, [*BAD, (None, "no value")], strict=False):
        assert row["status"] == "unscorable" and reason in row["reason"] and row["reason"].startswith("logprobs: ")
        assert row["nats"] is None and row["tokens"] is None
    assert "2 logprobs: no value" in found.render() and "1 logprobs: NaN is no log probability" in found.render()
    counts = curate.filter(run=str(tmp_path / "run"), max_ppl=1e9)
    assert counts.rejected["unscored: unscorable"].documents == 8
    with pytest.raises(RowError, match=r"c.jsonl, row 0: logprobs: no value"):
        serve(tmp_path / "c.jsonl", tmp_path / "stopped", on_error="stop")


def test_a_column_without_any_usable_value_is_an_error(corpus, tmp_path):
    with pytest.raises(CorpusError, match="10 of 10 are unscorable; segment: neither JSON nor a list"):
        serve(corpus, tmp_path / "run", logprobs_field="segment")
    with pytest.raises(UsageError, match="no column 'logprob'"):
        serve(corpus, tmp_path / "other", logprobs_field="logprob")
    with pytest.raises(UsageError, match="is the column of the text"):
        serve(corpus, tmp_path / "other", logprobs_field="text")


def test_in_conversations_the_numbers_are_of_the_last_turn(tokens, tmp_path):
    rows = [
        {"messages": [{"role": "user", "content": "Say it."}, {"role": "assistant", "content": row["text"]}],
         "usage": {"logprobs": row["logprobs"]}} for row in make_requests(TEXTS, tokens)
    ]  # fmt: skip
    serve(write_records(tmp_path / "c.jsonl", rows), tmp_path / "run", logprobs_field="usage.logprobs")
    table = read(tmp_path / "run").to_pylist()
    assert [row["scored_bytes"] for row in table] == [len(text) for text in TEXTS]
    assert [row["tokens"] for row in table] == [len(numbers) for _, numbers in tokens]
    bare = [{**row, "usage": {"logprobs": [-1.0]}} for row in rows]
    with pytest.raises(CorpusError, match="of which turns they are"):
        serve(write_records(tmp_path / "d.jsonl", bare), tmp_path / "bare", logprobs_field="usage.logprobs")


def test_parts_and_a_run_that_was_killed_come_to_the_same_bytes(corpus, tmp_path, monkeypatch):
    from curate.reference.served.model import ServedModel

    folder = tmp_path / "corpus"
    folder.mkdir()
    for number, line in enumerate(corpus.read_text().splitlines(keepends=True)):
        with open(folder / f"{number % 3}.jsonl", "a") as file:
            file.write(line)
    serve(folder, tmp_path / "plain", carry="segment")
    for part in ("1/2", "0/2"):
        serve(folder, tmp_path / "dealt", carry="segment", part=part)
    serve(folder, tmp_path / "dealt", carry="segment")
    assert read_files(tmp_path / "dealt") == read_files(tmp_path / "plain")

    real, left = ServedModel.score, [2]

    def die(self, passages, *arguments):
        for found in real(self, passages, *arguments):
            if not left[0]:
                raise KeyError("killed")
            left[0] -= 1
            yield found

    monkeypatch.setattr(ServedModel, "score", die)
    with pytest.raises(KeyError):
        serve(folder, tmp_path / "killed", carry="segment")
    left[0] = 99
    serve(folder, tmp_path / "killed", carry="segment")
    assert left[0] < 99 and read_files(tmp_path / "killed") == read_files(tmp_path / "plain")


def test_a_corpus_that_grew_and_signals_that_were_forgotten(corpus, tokens, tmp_path):
    lines = corpus.read_text().splitlines(keepends=True)
    corpus.write_text("".join(lines[:6]))
    assert serve(corpus, tmp_path / "run").documents == 6
    corpus.write_text("".join(lines))
    found = serve(corpus, tmp_path / "run", signals="all", carry="segment,timestamp")
    assert found.documents == 10
    serve(corpus, tmp_path / "fresh", signals="all")
    assert read(tmp_path / "run").equals(read(tmp_path / "fresh"))


def test_two_weeks_are_compared_within_segments_by_users_and_in_time(corpus, tokens, tmp_path):
    worse = [(pieces, [1.5 * number for number in numbers]) for pieces, numbers in tokens]
    rows = make_requests(TEXTS, tokens)
    for row, other in zip(rows, make_requests(TEXTS, worse), strict=True):
        row["logprobs"] = (other if row["segment"] == "code" else row)["logprobs"]
    runs = [str(tmp_path / name) for name in ("week1", "week2", "named")]
    week2 = write_records(tmp_path / "week2.jsonl", rows)
    carried = {"carry": "segment,user,model_version,timestamp", "id_field": "request_id"}
    for path, run in ((corpus, runs[0]), (week2, runs[1])):
        serve(path, run, **carried)
    found = curate.compare(runs[:2], within="segment", cluster="user")
    assert found.metric == "bits_per_byte" and "the tokenizer of week1 and week2 is not known" in found.metric_reason
    assert [(row.name, row.difference > 0) for row in found.pairs[0].groups] == [("code", True), ("chat", False)]
    series = curate.compare(runs[:1], time_column="timestamp")
    assert [side.label for side in series.sides] == [f"2026-11-0{day}" for day in range(1, 6)]
    with pytest.raises(UsageError, match="is not known, and perplexity is per token"):
        curate.compare(runs[:2], by="ppl")
    with pytest.raises(UsageError, match="the scores have no kinds") as caught:
        curate.compare(runs[:2], by_kind=True)
    assert "only a model measures kinds" in caught.value.hint
    spans = curate.compare(runs[:2], worst=1, spans=True)
    assert "these numbers were served" in spans.changed[0].note


def test_a_tokenizer_that_is_named_lets_perplexities_be_compared(corpus, tiny_model, by_model, tmp_path):
    runs = [str(tmp_path / name) for name in ("one", "other", "named")]
    for run, tokenizer in zip(runs, (tiny_model, tiny_model, "name:tiny"), strict=True):
        serve(corpus, run, logprobs_tokenizer=tokenizer)
    assert curate.compare(runs[:2]).metric == "perplexity"
    assert curate.compare(runs[1:]).metric == "bits_per_byte"
    with pytest.raises(UsageError, match="--convention is served in one, curate in auto"):
        curate.compare([runs[0], str(by_model / "auto")])
    against = curate.compare([runs[0], str(by_model / "auto")], anyway=True)
    assert against.metric == "perplexity" and against.pairs[0].all.difference == pytest.approx(0, abs=1e-6)
    assert tiny_model not in json.dumps(open_run(runs[0]).stage("score")["made_from"])
    with pytest.raises(TableError, match="without --logprobs-tokenizer: these scores were made with"):
        serve(corpus, runs[0])
    with pytest.raises(UsageError, match="needs a name behind the colon"):
        serve(corpus, tmp_path / "x", logprobs_tokenizer="name:")
    with pytest.raises(ModelError, match="there is no folder"):
        serve(corpus, tmp_path / "x", logprobs_tokenizer="/nowhere")


def test_an_export_holds_the_sums_and_says_that_they_were_served(corpus, tmp_path):
    serve(corpus, tmp_path / "run")
    curate.export(str(tmp_path / "out"), run=str(tmp_path / "run"), format="parquet")
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["made_from"]["scores"]["model"]["model"] == "served"
    table = pa.concat_tables(pq.read_table(path) for path in sorted((tmp_path / "out").rglob("*.parquet")))
    assert table.column("curate_nats").to_pylist() == read(tmp_path / "run").column("nats").to_pylist()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"window": 32}, "--window has no effect with --logprobs-field"),
        ({"dtype": "fp32"}, "--dtype has no effect"),
        ({"exact": True}, "--exact has no effect"),
        ({"devices": "cpu,cpu"}, "--devices has no effect"),
        ({"allow_mixed": True}, "--allow-mixed has no effect"),
        ({"model": "none"}, "--model none and --logprobs-field logprobs are two sources"),
        ({"signals": "kinds"}, "--signals kinds needs a model"),
        ({"logprobs_field": None, "model": "served"}, "--model served needs the column"),
        ({"logprobs_field": None, "logprobs_tokenizer": "builtin"}, "--logprobs-tokenizer has no effect without"),
    ],
)
def test_options_without_effect_are_refused(options, says, corpus, tmp_path):
    with pytest.raises(UsageError, match=says):
        serve(corpus, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_served_and_measured_numbers_never_mix_in_one_run(corpus, tiny_model, tmp_path):
    serve(corpus, tmp_path / "run")
    with pytest.raises(TableError, match="--model none: these scores were made with --logprobs-field") as caught:
        curate.score(str(corpus), run=str(tmp_path / "run"), model="none")
    assert "--logprobs-field logprobs" in caught.value.hint and "--model served" not in caught.value.hint
    curate.score(str(corpus), run=str(tmp_path / "none"), model="none")
    with pytest.raises(TableError, match="--logprobs-field: these scores were made with none"):
        serve(corpus, tmp_path / "none")
    with pytest.raises(TableError, match="--logprobs-field segment: these scores were made with"):
        serve(corpus, tmp_path / "run", logprobs_field="segment")


def test_a_sample_by_id_is_the_same_requests_in_both_weeks(corpus, tokens, tmp_path):
    week2 = write_records(tmp_path / "week2.jsonl", make_requests(TEXTS, tokens)[::-1])
    drawn = []
    for name, path in (("run1", corpus), ("run2", week2)):
        serve(path, tmp_path / name, sample=0.5, sample_by="request_id", id_field="request_id")
        drawn.append(sorted(read(tmp_path / name).column("id").to_pylist()))
    assert drawn[0] == drawn[1] and 0 < len(drawn[0]) < 10
    with pytest.raises(TableError, match="without --sample-by: these scores were made with --sample-by request_id"):
        serve(corpus, tmp_path / "run1", sample=0.5)
    corpus.rename(tmp_path / "renamed.jsonl")
    serve(tmp_path / "renamed.jsonl", tmp_path / "run1", sample=0.5, sample_by="request_id")
    assert sorted(read(tmp_path / "run1").column("id").to_pylist()) == drawn[0]
