"""A run, an export or a page inside the corpus: left out of it and named, or refused; its documents stay the same."""

import json

import pytest
from helpers.owned_runs import list_files, start, write_corpus, write_evals

import curate
from curate.corpus import open_corpus
from curate.errors import CorpusError, UsageError


def test_a_run_inside_the_corpus_is_left_out_by_every_reader_and_said(tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    run = corpus / "run"
    curate.score([str(corpus)], model="none", run=str(run))
    curate.dedup(run=str(run))
    for names in ([""], ["*"], ["**"], ["**/*"], ["**/*.parquet", "a.jsonl"], ["*/*/*", "a.jsonl"]):
        paths = [str(corpus / name) for name in names]
        opened = open_corpus(paths)
        assert [source.name for source in opened.sources] == ["a.jsonl"], paths
        assert any("run directory of curate" in name for name in opened.passed_over)
    again = curate.score([str(corpus)], model="none", run=str(run))
    assert again.documents == 6
    other = write_corpus(tmp_path / "other", count=4)
    curate.score([str(other)], model="none", run=str(other / "run"))
    found = curate.dedup(run=str(run), against=[str(other)])
    assert (found.read, found.against[0].read) == (6, 4)
    evals = write_evals(tmp_path / "evals")
    curate.score([str(evals)], model="none", run=str(evals / "run"), text_field="question")
    found = curate.decontaminate([str(evals)], run=str(run))
    assert [(one.name, one.items) for one in found.sets] == [("evals", 1)]


def test_a_run_that_was_killed_before_its_first_table_is_left_out_too(tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    curate.score([str(corpus)], model="none", run=str(corpus / "run"))
    (corpus / "run" / "run.json").unlink()
    assert [source.name for source in open_corpus([str(corpus)]).sources] == ["a.jsonl"]


def test_a_run_directory_is_no_corpus(tmp_path):
    run, _, _ = start(tmp_path)
    with pytest.raises(CorpusError, match="run directory"):
        curate.score([str(run)], model="none", run=str(tmp_path / "q"))
    with pytest.raises(CorpusError, match="run directory"):
        curate.dedup(run=str(run), against=[str(run)])


def test_the_corpus_itself_is_no_run_directory(tmp_path, monkeypatch):
    corpus = write_corpus(tmp_path / "corpus")
    monkeypatch.chdir(corpus)
    before = list_files(corpus)
    for paths, run in ((["."], "."), ([str(corpus)], "."), (["."], str(corpus))):
        with pytest.raises(UsageError, match="is the corpus"):
            curate.score(paths, model="none", run=run)
        with pytest.raises(UsageError, match="is the corpus"):
            curate.dedup(run=run, corpus=paths)
    assert list_files(corpus) == before


def test_what_a_run_wrote_next_to_the_files_of_a_pattern_is_not_read_as_documents(tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    (corpus / "a.jsonl").write_text((corpus / "a.jsonl").read_text() + "{broken\n")
    for _ in range(2):
        found = curate.score([f"{corpus}/*.jsonl"], model="none", run=str(corpus))
        assert found.documents == 6
    assert (corpus / "unreadable.jsonl").exists()


def test_an_export_a_page_and_cut_offs_inside_the_corpus_are_refused(tmp_path):
    run, corpus, _ = start(tmp_path)
    before = list_files(corpus)
    for call in (
        lambda: curate.export(str(corpus / "out"), run=str(run)),
        lambda: curate.filter(run=str(run), probe=str(corpus / "out"), by="bytes"),
        lambda: curate.report(run=str(run), out=str(corpus / "page.html")),
        lambda: curate.bucket(run=str(run), by="bytes", quantiles=2, save_cutoffs=str(corpus / "cuts.json")),
        lambda: curate.train_reference([str(corpus)], str(corpus / "model"), tokens=100),
    ):
        with pytest.raises(UsageError, match="inside the corpus"):
            call()
    assert list_files(corpus) == before


def test_an_export_takes_no_name_of_a_run_and_a_run_no_export(tmp_path):
    run, corpus, _ = start(tmp_path)
    for name in ("hits", "dedup", "scores", "report.html"):
        with pytest.raises(UsageError):
            curate.export(str(run / name), run=str(run))
    curate.export(str(run / "data"), run=str(run))
    with pytest.raises(UsageError, match="is an export"):
        curate.score([str(corpus)], model="none", run=str(run / "data"))


@pytest.mark.parametrize("name", ["notes.txt", "data/mine.txt", "train.csv", "deep/er/x"])
def test_an_export_with_a_file_of_somebody_else_is_not_overwritten(tmp_path, name):
    run, _, _ = start(tmp_path)
    out = tmp_path / "out"
    curate.export(str(out), run=str(run), format="parquet")
    curate.export(str(out), run=str(run), format="jsonl", overwrite=True)
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_text("mine")
    before = list_files(out)
    with pytest.raises(UsageError, match=name):
        curate.export(str(out), run=str(run), overwrite=True)
    assert list_files(out) == before


def test_a_folder_with_the_manifest_of_something_else_is_not_overwritten(tmp_path):
    run, _, _ = start(tmp_path)
    for number, manifest in enumerate(({"files": []}, {"made_by": "somebody"}, [1], {"made_by": "curate export"})):
        out = tmp_path / f"out{number}"
        out.mkdir()
        (out / "manifest.json").write_text(json.dumps(manifest))
        (out / "thesis.tex").write_text("mine")
        with pytest.raises(UsageError):
            curate.export(str(out), run=str(run), overwrite=True)
        assert (out / "thesis.tex").read_text() == "mine"


def test_a_page_and_cut_offs_of_somebody_else_are_not_overwritten(tmp_path):
    run, _, _ = start(tmp_path)
    for name, text in {"page.html": "<!doctype html><p>mine</p>", "cuts.json": '{"mine": 1}'}.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match="did not write"):
        curate.report(run=str(run), out=str(tmp_path / "page.html"))
    with pytest.raises(UsageError, match="something else"):
        curate.bucket(run=str(run), by="bytes", quantiles=2, save_cutoffs=str(tmp_path / "cuts.json"))
    (tmp_path / "page.json").write_text('{\n "format": 1}')
    (tmp_path / "page.html").unlink()
    with pytest.raises(UsageError, match=r"page\.json"):
        curate.report(run=str(run), out=str(tmp_path / "page.html"))
    assert (tmp_path / "page.json").read_text() == '{\n "format": 1}'
