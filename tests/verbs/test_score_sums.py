"""``score --signals kinds,calibration``: signals of several columns, and all that reads the scores beside them."""

import json

import numpy as np
import pyarrow as pa
import pytest
from helpers.growing import given, lines, list_bytes, loads, read, score_again, tiny_model

import curate
from curate.errors import TableError, UsageError
from curate.rundir.run import open_run
from curate.rundir.schemas import SCORES
from curate.rundir.signals import SIGNALS, find_signal, list_numbers

__all__ = ["given", "loads", "tiny_model"]
KINDS, CALIBRATION = (list(SIGNALS[name].columns) for name in ("kinds", "calibration"))
BOTH = "kinds,calibration"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    (root / "a.jsonl").write_text(lines(0, 12) + json.dumps({"id": "url", "text": "see https://a.b/c now"}) + "\n")
    (root / "b.jsonl").write_text(json.dumps({"id": "empty", "text": ""}) + "\n" + lines(12, 20))
    return root


@pytest.fixture(scope="module")
def scored(corpus, tiny_model, tmp_path_factory):
    run = tmp_path_factory.mktemp("scored") / "run"
    score_again(corpus, run, tiny_model, signals="zlib_ratio," + BOTH, carry="domain")
    return str(run)


def test_the_columns_are_sums_of_each_document_and_null_where_it_has_no_numbers(scored):
    table = read(scored)
    assert table.column_names == [*SCORES.names, "zlib_ratio", "max_nats", *KINDS, *CALIBRATION]
    assert table.schema.field("kind_nats_url").type == pa.float64()
    assert table.schema.field("kind_bytes_url").type == pa.int64()
    assert table.schema.field("ece_full_pairs").type == pa.list_(pa.int64())
    assert table.schema.field("ece_top1_confidence").type == pa.list_(pa.float64())
    rows = {row["id"]: row for row in table.to_pylist()}
    assert {name: rows["empty"][name] for name in KINDS + CALIBRATION} == dict.fromkeys(KINDS + CALIBRATION)
    assert rows["url"]["kind_bytes_url"] == len("https://a.b/c") and rows["url"]["kind_bytes_whitespace"] == 2
    for name, row in rows.items():
        if name != "empty":
            assert sum(row[each] for each in KINDS[:7]) == pytest.approx(row["nats"], rel=1e-9)
            assert sum(row[each] for each in KINDS[7:]) == row["scored_bytes"] == row["bytes"]
            assert sum(row["ece_full_hits"]) == sum(row["ece_top1_pairs"]) == row["scored_tokens"]
            assert sum(row["ece_full_pairs"]) == 384 * row["scored_tokens"]
            assert row["top1_hits"] == sum(row["ece_top1_hits"])


def test_they_are_not_among_the_default_signals_and_all_has_them(corpus, tiny_model, tmp_path):
    score_again(corpus, tmp_path / "run", tiny_model)
    assert read(tmp_path / "run").column_names == [*SCORES.names, "zlib_ratio", "max_nats"]
    score_again(corpus, tmp_path / "all", tiny_model, signals="all")
    assert read(tmp_path / "all").column_names == [*SCORES.names, *list_numbers(), *KINDS, *CALIBRATION]


def test_filters_read_them_and_displays_of_all_numbers_leave_them_out(scored, tmp_path):
    assert curate.filter(run=scored, where="kind_bytes_url > 0").kept.documents == 1
    assert curate.filter(run=scored, where="list_sum(ece_full_hits) = scored_tokens").kept.documents == 21
    assert curate.filter(run=scored, keep="low", by="kind_nats_digits", rate=0.5).kept.documents == 11
    shown = curate.explain("url", run=scored).render()
    assert "zlib_ratio" in shown and "kind_" not in shown and "ece_" not in shown
    curate.report(scored, out=str(tmp_path / "page.html"))
    assert "kind_nats_url" not in (tmp_path / "page.html").read_text()
    for found in ("no_such", "ece_full_hits"):
        with pytest.raises(UsageError) as caught:
            curate.filter(run=scored, keep="low", by=found, rate=0.5)
        assert "zlib_ratio" in caught.value.hint and "kind_bytes" not in caught.value.hint
        with pytest.raises(UsageError) as caught:
            curate.filter(run=scored, where="no_such > 1")
        assert "zlib_ratio" in caught.value.hint and "kind_bytes" not in caught.value.hint
        with pytest.raises(UsageError) as caught:
            curate.bucket(run=scored, by=found)
        assert "kind_bytes" not in caught.value.hint


def test_an_export_does_not_have_them(scored, tmp_path):
    curate.filter(run=scored, max_ppl=1e9)
    curate.export(str(tmp_path / "out"), run=scored, format="jsonl")
    (shard,) = (tmp_path / "out").rglob("*.jsonl")
    names = json.loads(shard.read_text().splitlines()[0])
    assert "curate_zlib_ratio" in names and not [name for name in names if "kind_" in name or "ece_" in name]


def test_the_same_command_and_one_that_asks_for_fewer_or_for_other_signals_read_nothing(
    corpus, tiny_model, tmp_path, loads
):
    run = tmp_path / "run"
    score_again(corpus, run, tiny_model, signals=BOTH)
    before, first = list_bytes(run / "scores"), read(run)
    for signals in (BOTH, "none", "kinds"):
        score_again(corpus, run, tiny_model, signals=signals)
        assert list_bytes(run / "scores") == before
    score_again(corpus, run, tiny_model, signals="repeated_lines")
    assert len(loads) == 1 and read(run).select(first.column_names).equals(first)
    assert read(run)["repeated_lines"].null_count == 1


def test_scores_without_them_are_not_scored_again_unless_it_is_said(corpus, tiny_model, tmp_path, loads, capsys):
    run = tmp_path / "run"
    score_again(corpus, run, tiny_model, signals="zlib_ratio")
    before = list_bytes(run)
    with pytest.raises(TableError) as caught:
        score_again(corpus, run, tiny_model, signals=BOTH)
    assert "have no kinds and calibration" in caught.value.message and "--restart" in caught.value.hint
    assert f"--signals zlib_ratio,{BOTH}" in caught.value.hint and list_bytes(run) == before
    with pytest.raises(UsageError) as caught:
        curate.filter(run=run, keep="low", by="kind_nats_url", rate=0.5)
    assert "--signals kinds --restart" in caught.value.hint
    score_again(corpus, run, tiny_model, signals="all")
    assert len(loads) == 1 and read(run).column_names == [*SCORES.names, *list_numbers()]
    assert open_run(run).stage("score")["made_from"]["parameters"]["signals"] == list(list_numbers())
    score_again(corpus, run, tiny_model, signals=BOTH, restart=True)
    assert read(run)["kind_nats_url"].null_count == 1 and len(loads) == 2


def test_a_run_that_was_stopped_goes_on_with_them_though_they_are_not_named_again(corpus, tiny_model, tmp_path):
    run, whole = tmp_path / "run", tmp_path / "whole"
    score_again(corpus, whole, tiny_model, signals=BOTH)
    score_again(corpus, run, tiny_model, signals=BOTH)
    for path in sorted((run / "scores").iterdir())[1:]:
        path.unlink()
    score_again(corpus, run, tiny_model, signals="none")
    assert_same_sums(read(run), read(whole))


def test_processes_that_score_parts_of_a_corpus_write_the_same(corpus, tiny_model, tmp_path):
    for part in ("0/2", "1/2"):
        score_again(corpus, tmp_path / "run", tiny_model, signals=BOTH, part=part)
    score_again(corpus, tmp_path / "other", tiny_model, part="0/2")
    with pytest.raises(TableError, match="have no kinds"):
        score_again(corpus, tmp_path / "other", tiny_model, signals="kinds", part="1/2")
    score_again(corpus, tmp_path / "run", tiny_model, signals="none")
    score_again(corpus, tmp_path / "whole", tiny_model, signals=BOTH)
    assert_same_sums(read(tmp_path / "run"), read(tmp_path / "whole"))


def test_a_merge_has_what_all_of_its_runs_have(corpus, tiny_model, tmp_path, capsys):
    score_again(corpus / "a.jsonl", tmp_path / "a", tiny_model, signals=BOTH)
    score_again(corpus / "b.jsonl", tmp_path / "b", tiny_model, signals="kinds")
    curate.merge([str(tmp_path / "a"), str(tmp_path / "b")], into=str(tmp_path / "all"))
    all_ = open_run(tmp_path / "all")
    assert all_.stage("score")["made_from"]["parameters"]["signals"] == ["kinds"]
    assert set(CALIBRATION) <= set(all_.list_hidden_signals()) and not set(KINDS) & set(all_.list_hidden_signals())
    assert curate.filter(run=str(tmp_path / "all"), where="kind_bytes_url > 0").kept.documents == 1
    with pytest.raises(UsageError, match="top1_hits"):
        curate.filter(run=str(tmp_path / "all"), where="top1_hits > 0")


def test_without_a_model_they_are_null(corpus, tmp_path):
    curate.score(str(corpus), model="none", run=str(tmp_path / "run"))
    curate.score(str(corpus), model="none", run=str(tmp_path / "run"), signals=BOTH)
    table = read(tmp_path / "run")
    assert all(table[name].null_count == len(table) for name in KINDS + CALIBRATION)


def test_a_text_has_the_sums_that_it_has_in_a_corpus(scored, tiny_model):
    row = next(row for row in read(scored).to_pylist() if row["id"] == "url")
    asked = curate.score(text="see https://a.b/c now", model=str(tiny_model),
                         exact=True, signals=BOTH)  # fmt: skip
    (one,) = asked.texts
    assert list(one.sums) == KINDS + CALIBRATION
    for name, value in one.sums.items():
        assert value == pytest.approx(row[name], rel=1e-4, abs=1e-4), name
    assert "url" in asked.render() and "digits" not in asked.render() and "times of" in asked.render()
    assert json.loads(json.dumps(asked.as_dict()))["texts"][0]["sums"]["kind_bytes_url"] == 13


def test_a_column_belongs_to_its_signal():
    assert find_signal("kind_bytes_url").name == "kinds" and find_signal("max_nats").name == "max_nats"
    assert find_signal("kinds") is None, "a signal of several columns is no column"


def assert_same_sums(one, other):
    assert one.column_names == other.column_names
    for name in [*KINDS, "top1_hits"]:
        np.testing.assert_allclose(one[name].to_pandas(), other[name].to_pandas(), rtol=1e-5)
    for name in CALIBRATION[1:]:
        for first, second in zip(one[name].to_pylist(), other[name].to_pylist(), strict=True):
            assert first == second or np.allclose(first, second, atol=1.01)
