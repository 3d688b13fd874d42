"""The same command again, and one that asks for more: no model is loaded where none has to read."""

import json
import os
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from helpers.growing import (
    assert_same_scores,
    given,
    lines,
    list_bytes,
    loads,
    read,
    read_carried,
    score_again,
    texts,
    tiny_model,
)

import curate
from curate.errors import TableError, UsageError
from curate.rundir import parquet
from curate.rundir.run import compute_fingerprint, open_run

__all__ = ["given", "loads", "tiny_model"]
FP32 = {"exact": False, "dtype": "fp32"}


@pytest.fixture
def corpus(tmp_path):
    root = tmp_path / "corpus"
    root.mkdir()
    (root / "a.jsonl").write_text(lines(0, 20))
    (root / "b.jsonl").write_text(lines(20, 30))
    return root


@pytest.fixture
def model(tiny_model, tmp_path):
    """A copy of the model that a test may change."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def score_twice(corpus, model, tmp_path, first=None, second=None):
    score_again(corpus, tmp_path / "run", model, **(first or {}))
    return score_again(corpus, tmp_path / "run", model, **(second or {}))


def test_one_model_under_several_names_is_one_and_is_loaded_once(corpus, model, tmp_path, loads, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = score_again(corpus, "run", "model")
    assert loads == ["model"]
    before = list_bytes("run")
    for name in ("model", "./model", "model/", str(model), "../" + tmp_path.name + "/model"):
        again = score_again(corpus, "run", name)
        assert (again.perplexity, again.model, again.tokens_per_second) == (first.perplexity, "model", None)
    os.rename("model", "elsewhere")
    score_again(corpus, "run", "elsewhere")
    assert loads == ["model"]
    changed = {name for name, content in list_bytes("run").items() if before[name] != content}
    assert changed == {"run.json"}, "which says where the model lies now"


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ({}, {"window": 32}, "--window 32: these scores were made with 64"),
        ({"window": 32}, {}, "without --window: these scores were made with --window 32"),
        (FP32, {**FP32, "dtype": "bf16"}, "--dtype bf16: these scores were made with --dtype fp32"),
        ({}, {"exact": False}, "without --exact: these scores were made with --exact"),
        ({"exact": False}, {}, "--exact: these scores were made without --exact"),
        ({}, {"truncate": 9}, "--truncate 9: these scores were made without --truncate"),
        ({"truncate": 9}, {"truncate": 8}, "--truncate 8: these scores were made with --truncate 9"),
        ({}, {"prefix": "none"}, "--prefix none: these scores were made with --prefix auto"),
        ({}, {"overlap": 4}, "--overlap 4: these scores were made with --overlap 0"),
        ({}, {"convention": "lm-eval"}, "--convention lm-eval: these scores were made with --convention curate"),
        ({}, {"window_prefix": True}, "--window-prefix: these scores were made without --window-prefix"),
        ({}, {"text_field": "id"}, "--text-field id: these scores were made with --text-field text"),
        ({}, {"limit": 5}, "--limit 5: these scores were made without --limit"),
        ({}, {"sample": 0.5}, "--sample 0.5: these scores were made without --sample"),
        ({"sample": 0.5}, {"sample": 0.5, "seed": 3}, "--seed 3: these scores were made with --seed 0"),
        ({"sample": 0.5}, {"sample": 0.6}, "--sample 0.6: these scores were made with --sample 0.5"),
        ({}, {"model": "none"}, "--model none: these scores were made with"),
        ({}, {"model": "builtin"}, "--model builtin: these scores were made with"),
    ],
)
def test_an_option_that_differs_is_named_before_a_model_is_loaded(corpus, model, tmp_path, loads, first, second, says):
    score_again(corpus, tmp_path / "run", model, **first)
    before, loads[:] = list_bytes(tmp_path / "run"), []
    with pytest.raises(TableError) as caught:
        score_again(corpus, tmp_path / "run", **{"model": model, **second})
    assert says in caught.value.message and str(tmp_path / "run" / "scores") in caught.value.message
    assert "curate score" in caught.value.hint and "--restart" in caught.value.hint
    assert loads == [] and list_bytes(tmp_path / "run") == before


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"window": 64}),
        ({"window": 64}, {}),
        ({}, {"prefix": "bos"}),
        ({"prefix": "bos"}, {"prefix": "auto"}),
        (FP32, {"exact": False}),
        ({}, {"device": "cpu"}),
        ({}, {"compile": "off"}),
        ({}, {"pack_tokens": 64}),
        ({}, {"slice_bytes": 400}),
        ({}, {"on_error": "stop"}),
        ({}, {"signals": "none"}),
        ({}, {"carry": "none"}),
        ({}, {"seed": 7}),
    ],
)
def test_options_that_come_to_the_same_or_change_no_score_force_nothing(corpus, model, tmp_path, loads, first, second):
    score_twice(corpus, model, tmp_path, first, second)
    assert len(loads) == 1 and open_run(tmp_path / "run").stage("score")["complete"]


def test_the_size_of_packs_and_slices_may_change_while_scoring_goes_on(corpus, tiny_model, tmp_path, given):
    run = tmp_path / "run"
    score_again(corpus, run, tiny_model)
    for path in parquet.list_parts(run / "scores")[2:]:
        path.unlink()
    given.clear()
    score_again(corpus, run, tiny_model, pack_tokens=80, slice_bytes=300)
    assert given == texts(30 - len(given), 30) and len(given) > 10
    score_again(corpus, tmp_path / "fresh", tiny_model)
    assert_same_scores(run, tmp_path / "fresh")
    curate.filter(run=str(run), max_ppl=1e9)
    assert curate.export(str(tmp_path / "out"), run=str(run)).documents == 30


CHANGED = {
    "config.json": lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), "rms_norm_eps": 0.1})),
    "tokenizer.json": lambda path: path.write_text(path.read_text() + "\n"),
    "tokenizer_config.json": lambda path: path.write_text(json.dumps({"bos_token": "a"})),
    "model.safetensors": lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\0"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_file_of_the_model_that_changed_is_named_before_it_is_loaded(corpus, model, tmp_path, loads, name):
    score_again(corpus, tmp_path / "run", model)
    CHANGED[name](model / name)
    loads.clear()
    with pytest.raises(TableError) as caught:
        score_again(corpus, tmp_path / "run", model)
    assert f"model {model}: {name} differs" in caught.value.message and loads == []
    assert ("tokenizers cannot be compared" in caught.value.hint) == name.startswith("tokenizer")


def test_what_saving_a_model_again_changes_is_no_change(corpus, model, tmp_path, loads):
    score_again(corpus, tmp_path / "run", model)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "transformers_version": "9.9"}, indent=9))
    (model / "README.md").write_text("a card")
    score_again(corpus, tmp_path / "run", model)
    assert len(loads) == 1


def test_signals_ids_and_columns_are_added_without_a_model(corpus, model, tmp_path, loads):
    run = tmp_path / "run"
    score_again(corpus, run, model, signals="none", carry="none", id_field="domain")
    curate.dedup(run=str(run))
    curate.filter(run=str(run), max_ppl=1e9)
    more = {"signals": "zlib_ratio,repeated_5grams,repeated_lines,max_nats", "carry": "domain,id", "id_field": "id"}
    score_again(corpus, run, model, **more)
    assert len(loads) == 1
    score_again(corpus, tmp_path / "fresh", model, **more)
    assert_same_scores(run, tmp_path / "fresh")
    for column in ("domain", "id"):
        assert read_carried(run, column) == read_carried(tmp_path / "fresh", column)
    assert read(run)["max_nats"].null_count == 0
    with pytest.raises(TableError, match="stale"):
        curate.export(str(tmp_path / "out"), run=str(run))


def test_a_signal_more_makes_no_table_stale(corpus, model, tmp_path):
    run = tmp_path / "run"
    score_again(corpus, run, model)
    curate.filter(run=str(run), max_ppl=1e9)
    score_again(corpus, run, model, signals="zlib_ratio,repeated_5grams,repeated_lines,max_nats")
    assert curate.export(str(tmp_path / "out"), run=str(run)).documents == 30
    curate.filter(run=str(run), max_repeated_5grams=0.5)


def test_columns_are_added_while_the_corpus_grows(corpus, model, tmp_path, given):
    run = tmp_path / "run"
    score_again(corpus, run, model, signals="none", carry="none")
    (corpus / "0.jsonl").write_text(lines(40, 45))
    with open(corpus / "a.jsonl", "a") as file:
        file.write(lines(50, 55))
    given.clear()
    score_again(corpus, run, model, signals="repeated_lines,zlib_ratio", carry="domain")
    assert given == texts(40, 45) + texts(50, 55)
    score_again(corpus, tmp_path / "fresh", model, signals="repeated_lines,zlib_ratio", carry="domain")
    assert_same_scores(run, tmp_path / "fresh")
    assert read_carried(run) == read_carried(tmp_path / "fresh")


def test_columns_that_are_carried_already_stay_and_follow_the_corpus(corpus, model, tmp_path, given):
    run = tmp_path / "run"
    score_again(corpus, run, model, carry="none")
    curate.filter(run=str(run), where="domain = 'k1'")
    (corpus / "0.jsonl").write_text(lines(40, 45))
    score_again(corpus, run, model, carry="none", signals="none")
    assert len(read_carried(run)) == 35 and "zlib_ratio" in read(run).column_names
    assert open_run(run).stage("carried")["columns"]["domain"]["values"] == 3


def test_a_text_that_is_another_one_is_never_given_a_column(corpus, model, tmp_path):
    run = tmp_path / "run"
    score_again(corpus, run, model, signals="none")
    path = parquet.list_parts(run / "scores")[0]
    note, table = parquet.read_metadata(path), read(run).slice(0, parquet.read_metadata(path)["slice"]["documents"])
    wrong = table.set_column(3, table.schema.field(3), table["hash"].combine_chunks()[::-1])
    parquet.write_part(path, wrong, note)
    opened = open_run(run)  # of an earlier version, without the manifest by which the part is scored again
    opened.save("score", {name: one for name, one in opened.stage("score").items() if name != "manifest"})
    with pytest.raises(TableError, match=r"a\.jsonl, row 0: its text is another one"):
        score_again(corpus, run, model, signals="zlib_ratio,repeated_5grams,repeated_lines,max_nats")


def test_adding_columns_can_be_killed_and_goes_on(corpus, model, tmp_path, loads, monkeypatch):
    run, real, left = tmp_path / "run", parquet.write_part, [3]

    def killed(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        real(*arguments)

    score_again(corpus, run, model, signals="none")
    with monkeypatch.context() as patch:
        patch.setattr(parquet, "write_part", killed)
        with pytest.raises(KeyboardInterrupt):
            score_again(
                corpus, run, model, signals="zlib_ratio,repeated_5grams,repeated_lines,max_nats", carry="domain,id"
            )
    with pytest.raises(TableError, match="not complete"):
        curate.filter(run=str(run), max_ppl=9)
    score_again(corpus, run, model, signals="zlib_ratio,repeated_5grams,repeated_lines,max_nats", carry="domain,id")
    assert len(loads) == 1
    score_again(
        corpus,
        tmp_path / "fresh",
        model,
        signals="zlib_ratio,repeated_5grams,repeated_lines,max_nats",
        carry="domain,id",
    )
    assert_same_scores(run, tmp_path / "fresh")


def test_an_id_field_that_was_named_stays_and_one_that_does_not_exist_is_refused(corpus, model, tmp_path):
    run = tmp_path / "run"
    score_again(corpus, run, model, id_field="domain")
    score_again(corpus, run, model)
    assert set(read(run)["id"].to_pylist()) == {"k0", "k1", "k2"}
    with pytest.raises((UsageError, curate.errors.CorpusError), match="idd"):
        score_again(corpus, run, model, id_field="idd")


@pytest.mark.parametrize(
    "said", [{"quoting": "none"}, {"delimiter": ";"}, {"text_field": "body"}, {"quoting": "csv", "id_field": "number"}]
)
def test_what_was_said_once_of_how_a_corpus_is_read_need_not_be_said_again(tmp_path, loads, said):
    separator = said.get("delimiter", ",")
    rows = [["number", "body", "text"], *([str(row), f"body {row}", f"text {row}"] for row in range(9))]
    (tmp_path / "a.csv").write_text("".join(separator.join(row) + "\n" for row in rows))
    score_again(tmp_path / "a.csv", tmp_path / "run", "none", **said)
    before = list_bytes(tmp_path / "run")
    score_again(tmp_path / "a.csv", tmp_path / "run", "none")
    assert list_bytes(tmp_path / "run") == before


def test_a_run_of_an_earlier_version_works_as_before(corpus, model, tmp_path, loads):
    run = tmp_path / "run"
    score_again(corpus, run, model)
    opened = open_run(run)
    record = opened.stage("score")
    del record["parts"], record["request"], record["manifest"]
    record["fingerprint"] = compute_fingerprint(record["made_from"])
    for path in parquet.list_parts(run / "scores"):
        note, table = parquet.read_metadata(path), pq.read_table(path, partitioning=None).drop(["max_nats"])
        parquet.write_part(path, table, {"made_from": record["fingerprint"], "slice": note["slice"]})
    opened.save("score", record)
    parquet.list_parts(run / "scores")[-1].unlink()
    score_again(corpus, run, model)
    done = open_run(run).stage("score")
    assert len(loads) == 2 and done == {**record, "manifest": done["manifest"]} and read(run).num_rows == 30
    curate.filter(run=str(run), max_ppl=1e9)
    assert curate.export(str(tmp_path / "out"), run=str(run)).documents == 30
    with pytest.raises(TableError, match=r"holds scores of another model, corpus or reading: parameters\.signals"):
        score_again(corpus, run, model, signals="none")
    with pytest.raises(TableError, match="of an earlier version"):
        curate.merge([str(run), str(tmp_path / "other")], into=str(tmp_path / "all"))


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("device", "cuda", "--device auto is cpu here: these scores were made on cuda"),
        ("versions", {"torch": "0.1"}, "versions.torch: 0.1, now "),
        ("weights", "others", "weights: others, now "),
    ],
)
def test_what_only_loading_can_tell_is_refused_by_name_and_only_where_something_is_left(
    corpus, model, tmp_path, key, value, says
):
    run = tmp_path / "run"
    score_again(corpus, run, model)
    opened = open_run(run)
    record = opened.stage("score")
    record["made_from"]["model"][key] = value
    opened.save("score", record)
    score_again(corpus, run, model)
    (corpus / "c.jsonl").write_text(lines(50, 53))
    with pytest.raises(TableError) as caught:
        score_again(corpus, run, model)
    assert says in caught.value.message and "--restart" in caught.value.hint


def test_a_signal_that_nobody_asked_for_is_not_shown_and_can_be_asked_for(corpus, model, tmp_path, loads):
    run = str(tmp_path / "run")
    score_again(corpus, run, model)
    assert "max_nats" not in curate.explain("d3", run=run).render()
    with pytest.raises(UsageError, match="max_nats"):
        curate.filter(run=run, where="max_nats < 1")
    score_again(corpus, run, model, signals="max_nats")
    assert len(loads) == 1 and "max_nats" in curate.explain("d3", run=run).render()
    assert curate.filter(run=run, where="max_nats < 1e9").kept.documents == 30
