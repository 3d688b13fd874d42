"""The texts that were scored, compared with slices of their corpus in any order, some of them left out."""

import pickle
import random
from dataclasses import replace

import pytest
from helpers import small_files

import curate
from curate.corpus import open_corpus
from curate.corpus.gathering import read_gathered
from curate.rundir import parquet
from curate.rundir.columns import scored_texts
from curate.rundir.columns.scored_texts import ScoredTexts, open_scored_texts
from curate.rundir.run import open_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Scores of small files that share parts, and of two large ones."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "corpus").mkdir()
    small_files.write_mixed(folder / "corpus")
    lines = (folder / "corpus/j.jsonl").read_text()
    (folder / "corpus/b2.jsonl").write_text(lines * 2)
    curate.score(str(folder / "corpus"), run=str(folder / "run"), model="none", slice_bytes=700)
    return open_run(folder / "run")


@pytest.mark.parametrize("slice_bytes", [700, 300, 2000])
def test_slices_in_any_order_and_some_of_them_are_compared_with_their_own_rows(run, slice_bytes):
    corpus = replace(run.corpus(), slice_bytes=slice_bytes)
    slices = [documents for documents in read_gathered(corpus) if len(documents)]
    for seed in range(6):
        chosen = random.Random(seed).sample(slices, len(slices) - 3 * seed)
        if seed < 3:
            chosen.sort(key=slices.index)
        scored = open_scored_texts(run, corpus.sources)
        for documents in chosen:
            scored.check(documents)
            assert all(scored.find_difference(one) is None for one in documents.slices)
        scored.check(random.Random(seed).choice(slices))


def test_a_text_that_is_another_one_and_a_row_that_was_not_scored_are_named(run):
    corpus = run.corpus()
    for documents in corpus.slices():
        known = [row for row, text in zip(documents.rows.tolist(), documents.texts, strict=True) if text]
        for row in known[::5]:
            texts = [
                text if number != row else f"{text}x"
                for number, text in zip(documents.rows.tolist(), documents.texts, strict=True)
            ]
            changed = replace(documents, texts=texts)
            assert ScoredTexts(run, corpus.sources).find_difference(changed) == row
            assert ScoredTexts(run).find_difference(changed) == row
        if known:
            shifted = replace(documents, rows=documents.rows + 10_000)
            assert ScoredTexts(run, corpus.sources).find_difference(shifted) == shifted.rows[0]


def test_a_share_reads_few_parts_that_are_not_of_it(run, monkeypatch):
    corpus, opened = run.corpus(), []
    real = parquet.read_table

    def note(path, **options):
        opened.append(path)
        return real(path, **options)

    monkeypatch.setattr(scored_texts.parquet, "read_table", note)
    slices = [documents for documents in corpus.slices() if documents.mark.file in ("b2.jsonl", "j.jsonl")]
    parts = parquet.list_parts(run.scores)
    scored = open_scored_texts(run, corpus.sources)
    for documents in (slices[4], slices[5], slices[-1], slices[2]):
        scored.check(documents)
    assert len(opened) <= 6 < len(parts) // 3


def test_a_copy_in_another_process_begins_anew(run):
    corpus = open_corpus(run.corpus().paths, slice_bytes=700)
    slices = [documents for documents in corpus.slices() if len(documents)]
    scored = open_scored_texts(run, corpus.sources)
    for documents in slices[:5]:
        scored.check(documents)
    copy = pickle.loads(pickle.dumps(scored))
    for documents in slices:
        copy.check(documents)
    assert copy.run.claim is None and copy.run.path == run.path
