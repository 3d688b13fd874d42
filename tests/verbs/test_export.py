"""``curate export``: what was kept with its scores, the same bytes from the same run, and a manifest of every shard."""

import json

import pyarrow.parquet as pq
import pytest
from helpers.exports import FORMATS, files_of, load
from helpers.runs import decisions_of, kept_of, make_run, numbered_run, write_lines

from curate.corpus import Corpus
from curate.verbs.export import export
from curate.verbs.filter import filter as choose

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.mark.parametrize("kind", FORMATS)
def test_scores_stand_beside_their_own_documents(tmp_path, kind):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": f"document {n} {'word ' * (n % 5)}"} for n in range(90)])
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=700)
    choose(str(run.path), keep="middle")
    export(str(tmp_path / "out"), str(run.path), format=kind, shard_size="2kB")
    scored = {}
    for part in sorted(run.scores.iterdir()):
        for row in pq.read_table(part).to_pylist():
            scored[row["row"]] = row
    rows = load(tmp_path / "out")
    assert [row["curate_row"] for row in rows] == kept_of(run)
    for row in rows:
        known = scored[row["curate_row"]]
        assert row["text"].split()[1] == str(row["curate_row"])
        assert row["curate_file"] == "a.jsonl"
        for name in ("perplexity", "bits_per_byte", "nats", "tokens", "bytes", "first_nats", "zlib_ratio"):
            assert row[f"curate_{name}"] == pytest.approx(known[name], rel=1e-6)


def test_a_column_that_has_the_name_of_a_score_is_not_overwritten(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": "document 0", "curate_tokens": "mine", "perplexity": -1}])
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    found = export(str(tmp_path / "out"), str(run.path))
    (row,) = load(tmp_path / "out")
    assert (row["curate_tokens"], row["perplexity"]) == ("mine", -1)
    assert found.prefix == "curate2_"
    assert row["curate2_tokens"] == 2


def test_a_taken_name_that_appears_late_in_the_corpus_is_not_overwritten_either(tmp_path, monkeypatch):
    rows = [{"text": f"document {n}"} for n in range(50)]
    write_lines(tmp_path / "c" / "a.jsonl", [*rows, {"text": "document 50", "curate_nats": "mine"}])
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=800)
    opened = Corpus.from_spec

    def seen_early_alone(spec):
        corpus = opened(spec)
        object.__setattr__(corpus, "columns", ("text",))
        object.__setattr__(corpus, "schema", None)
        return corpus

    monkeypatch.setattr(Corpus, "from_spec", seen_early_alone)
    export(str(tmp_path / "out"), str(run.path))
    rows = load(tmp_path / "out")
    assert [row["curate_nats"] for row in rows] == [None] * 50 + ["mine"]
    assert all(row["curate2_nats"] > 0 for row in rows)
    assert "curate_tokens" not in rows[0]


def test_rejected_documents_are_exported_with_their_reasons(tmp_path):
    lines = [*({"text": f"document {n}"} for n in range(9)), {"text": " "}, b"{broken"]
    write_lines(tmp_path / "c" / "a.jsonl", lines)
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    choose(str(run.path), keep="low", rate=0.4)
    found = export(str(tmp_path / "out"), str(run.path), rejected=True)
    rows = load(tmp_path / "out")
    expected = {row: why for (_, row), why in decisions_of(run).items() if why not in (None, "unreadable")}
    assert {row["curate_row"]: row["curate_reason"] for row in rows} == expected
    assert expected[9] == "unscored: empty"
    assert found.counts == {"read": 11, "kept": 4, "rejected": 6, "unreadable": 1}


def test_without_a_filter_all_that_was_scored_is_exported_and_it_says_so(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": "document 0"}, {"text": ""}, b"{", {"text": "document 1"}])
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    found = export(str(tmp_path / "out"), str(run.path))
    assert [row["text"] for row in load(tmp_path / "out")] == ["document 0", "document 1"]
    assert "no filter was run" in found.render()
    assert "No filter was run" in (tmp_path / "out" / "README.md").read_text()
    found = export(str(tmp_path / "left"), str(run.path), rejected=True)
    assert [row["curate_reason"] for row in load(tmp_path / "left")] == ["unscored: empty"]


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_run_gives_the_same_bytes(tmp_path, kind):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": f"document {n}", "x": None if n < 50 else n} for n in range(90)])
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=700)
    choose(str(run.path), keep="middle")
    taken = []
    for name in ("one", "two"):
        export(str(tmp_path / name), str(run.path), format=kind, shard_size="2kB")
        taken.append(files_of(tmp_path / name))
    assert taken[0] == taken[1]


def test_the_manifest_describes_every_shard(tmp_path):
    import hashlib

    run = numbered_run(tmp_path, [{"perplexity": float(n)} for n in range(1, 60)])
    choose(str(run.path), max_ppl=40)
    export(str(tmp_path / "out"), str(run.path), shard_size="2kB")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    found = {name for name in files_of(tmp_path / "out") if name.endswith(".arrow")}
    assert {file["path"] for file in manifest["files"]} == found
    assert len(found) > 1
    for file in manifest["files"]:
        content = (tmp_path / "out" / file["path"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert sum(file["rows"] for file in manifest["files"]) == manifest["rows"] == 40
    assert manifest["counts"] == {"read": 59, "kept": 40, "rejected": 19, "unreadable": 0}
    assert manifest["made_from"]["filter"]["parameters"] == {"max_ppl": 40}
