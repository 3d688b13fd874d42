"""What numba compiles finds the same candidates as its twin in NumPy: groups of triples, shared triples, windows."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.eval_items import FILLER, Item, made_up_items
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.matching import numba_kernels
from curate.stages.decontaminate import canaries, detector, minhash_index, ngram_index
from curate.stages.decontaminate.surprisal import WordSurprisal

TEMPLATE = "Measure in the evening light how many pale"


@pytest.fixture(autouse=True)
def numba_is_installed():
    if not numba_kernels.is_numba_available():
        pytest.skip("numba is not installed")


def make_texts(draw, items, queries):
    """Items edited in five ways, templates, one line many times, texts without words and of one word."""
    planted = [
        canary.text for canary in canaries.plant_canaries(queries, [FILLER * 3], each=20, seed=draw.randrange(9))
    ]
    pieces = " ".join(item.questions[0] for item in items).split()
    mixed = [" ".join(draw.choice(pieces) for _ in range(draw.randrange(400))) for _ in range(10)]
    lines = "\n".join([f"{TEMPLATE} lamps", items[0].questions[0]] * 60)
    cut = [" ".join(item.questions[0].split()[: draw.randrange(3, 12)]) for item in items]
    return [*planted, "", lines, "word", *mixed, *cut, FILLER]


@pytest.fixture(params=[1, 2, 3])
def search(request, monkeypatch):
    """Return a detector of items that share a template beyond POSTINGS, and a batch of texts."""
    monkeypatch.setattr(ngram_index, "POSTINGS", 4)
    monkeypatch.setattr(minhash_index, "POSTINGS", 4)
    draw = random.Random(request.param)
    items = made_up_items(30, draw)
    items += [Item("valley", (f"{TEMPLATE} {item.questions[0]}",)) for item in items[:15]]
    one = detector.make_detector(items, "minhash")
    return one, ngram_index.make_batch(make_texts(draw, items, one.queries))


def as_rows(columns):
    assert all(column.dtype == np.int64 for column in columns)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def read_both(monkeypatch, read):
    """Return what is found by numba, and by NumPy."""
    compiled = read()
    with monkeypatch.context() as patch:
        patch.setattr(numba_kernels, "is_numba_available", lambda: False)
        return compiled, read()


def test_both_look_up_the_same_triples(monkeypatch, search):
    one, batch = search
    compiled, plain = read_both(monkeypatch, lambda: ngram_index.look_up_triples(one.index, batch))
    assert [column.tolist() for column in compiled] == [column.tolist() for column in plain]
    assert len(plain[0]) > 1000


def test_both_find_the_same_groups(monkeypatch, search):
    one, batch = search
    found = ngram_index.look_up_triples(one.index, batch)
    compiled, plain = read_both(monkeypatch, lambda: as_rows(ngram_index.find_groups(one.index, batch, *found)))
    assert compiled == plain and len(plain) > 100
    assert (one.index.stretch > 1).any()  # so that words around a group were counted
    none = (np.zeros(0, np.int64),) * 2
    assert read_both(monkeypatch, lambda: as_rows(ngram_index.find_groups(one.index, batch, *none))) == ([], [])


def test_both_share_the_same_triples_but_of_what_covers_too_little(monkeypatch, search):
    one, batch = search
    hits, slots = ngram_index.look_up_triples(one.index, batch)
    groups = ngram_index.find_groups(one.index, batch, hits, slots)
    candidates = ngram_index.merge_stretches(batch, one.queries, *groups)
    weak = np.arange(60) % len(one.queries.queries)  # anything with anything: most cover little
    candidates = ngram_index.Candidates(
        *(np.concatenate(columns) for columns in zip(
            (candidates.queries, candidates.documents, candidates.firsts, candidates.lasts),
            (weak, candidates.documents[weak % 7], candidates.firsts[weak % 7], candidates.lasts[weak % 7]),
            strict=True,
        ))
    )  # fmt: skip
    compiled, plain = read_both(
        monkeypatch, lambda: as_rows(ngram_index.list_shared(one.index, batch, candidates, hits))
    )
    words_of = {}
    for number, _, word in plain:
        words_of.setdefault(number, set()).update(range(word, word + 3))
    counts = one.queries.words.counts[candidates.queries]
    enough = {number for number, words in words_of.items() if len(words) / counts[number] >= 0.35}
    assert compiled == [row for row in plain if row[0] in enough]
    assert 0 < len(enough) < len(words_of)
    assert as_rows(ngram_index.list_shared(one.index, batch, candidates, None)) == compiled


@pytest.mark.parametrize("method", ["ngram", "minhash"])
def test_both_find_the_same_candidates_in_the_same_order(monkeypatch, search, method):
    one, batch = search
    find = (
        (lambda: ngram_index.find_by_ngrams(one.index, batch))
        if method == "ngram"
        else (lambda: minhash_index.find_by_minhash(one.signed, one.index, batch))
    )
    compiled, plain = read_both(monkeypatch, find)
    for name in ("queries", "documents", "firsts", "lasts"):
        assert getattr(compiled, name).tolist() == getattr(plain, name).tolist(), name
    assert len(plain.queries) > 50


def test_both_find_the_same_windows(search):
    one, batch = search
    compiled = as_rows(minhash_index.list_similar_compiled(one.signed, batch))
    assert compiled == as_rows(minhash_index.list_similar(one.signed, batch)) and len(compiled) > 200


@pytest.mark.parametrize("chunk", [256, 512, 8192])
@pytest.mark.parametrize("count", [0, 2, 3, 7, 8, 9, 31, 63, 64, 65, 255, 256, 257, 300, 511, 513, 1100])
def test_windows_are_found_up_to_the_end_of_any_text_and_of_any_chunk(monkeypatch, search, count, chunk):
    monkeypatch.setattr("curate.matching.numba_windows.CHUNK", chunk)
    one, batch = search
    words = " ".join(query.text for query in one.queries.queries).split()
    batch = ngram_index.make_batch([" ".join((words * 9)[: count // 2]), " ".join((words * 9)[: count - count // 2])])
    compiled = as_rows(minhash_index.list_similar_compiled(one.signed, batch))
    assert compiled == as_rows(minhash_index.list_similar(one.signed, batch))
    assert len(compiled) > 0 or count < 30


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12), st.integers(0, 3))
def test_both_weigh_a_triple_less_where_it_continues_a_run(rows, first):
    from curate.matching.compiled import triples

    word, other = np.array(sorted(rows, key=lambda row: (row[1] - row[0], row[1])), np.int64).T
    bits = WordSurprisal(*np.random.default_rng(len(rows)).random((3, 9)))
    queries = SimpleNamespace(surprise=bits)
    plain = ngram_index._weigh_triples(queries, np.zeros(len(word), np.int64), word, other, other - word)
    compiled = triples.weigh_rows(np.stack([word, other]), 0, first, len(word), bits.first, bits.second, bits.later)
    assert compiled == sum(plain[first:].tolist())
