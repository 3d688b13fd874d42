"""Candidates by MinHash windows: what the exact index finds, what datasketch gives, and what NumPy gives."""

import random
from itertools import pairwise

import numpy as np
import pytest
from helpers.eval_items import FILLER, Item, made_up_items

from curate.stages.decontaminate import canaries, detector, minhash_index, ngram_index, queries, surprisal


def test_minhash_finds_what_the_exact_index_finds_on_planted_items():
    """The inverted index is the oracle; whole, edited and shortened items in documents of filler."""
    draw = random.Random(7)
    items = made_up_items(60, draw)
    exact, estimate = detector.make_detector(items), detector.make_detector(items, "minhash")
    planted_ones = canaries.plant_canaries(exact.queries, [FILLER * 6, FILLER * 20], each=60, seed=3)
    texts = [canary.text for canary in planted_ones]
    by_index, by_minhash = exact.scan(texts), estimate.scan(texts)
    assert {(match.document, match.item) for match in by_index} == {(n, one.item) for n, one in enumerate(planted_ones)}
    assert {(match.document, match.item) for match in by_minhash} == {
        (match.document, match.item) for match in by_index
    }


def test_signed_queries_are_those_of_datasketch_and_its_index_gives_the_same_candidates():
    from datasketch import MinHash, MinHashLSH

    draw = random.Random(2)
    made = queries.make_queries(made_up_items(40, draw), surprisal.load_word_model())
    signed = minhash_index.sign_queries(made)
    lsh = MinHashLSH(num_perm=128, params=(minhash_index.BANDS.bands, minhash_index.BANDS.rows))
    hashed = [made.shingles[first:last][made.valid[first:last]] for first, last in pairwise(made.words.offsets)]
    for number, shingles in enumerate(hashed):
        theirs = MinHash(num_perm=128, scheme="affine32", hashfunc=int)
        theirs.update_batch((shingles & np.uint64(0xFFFFFFFF)).tolist())
        assert (theirs.hashvalues == signed.signatures[number]).all()
        lsh.insert(number, theirs)
    for shingles in hashed:
        asked = MinHash(num_perm=128, scheme="affine32", hashfunc=int)
        asked.update_batch((shingles & np.uint64(0xFFFFFFFF)).tolist()[: len(shingles) * 2 // 3])
        keys = minhash_index.minhash.band_keys(asked.hashvalues[None, :], minhash_index.BANDS).ravel()
        _, slots = ngram_index.look_up(keys, None, signed.keys, signed.bloom)
        _, postings = ngram_index.expand(slots, signed.offsets)
        assert set(signed.owners[postings].tolist()) == set(lsh.query(asked))


def test_compiled_loops_and_their_numpy_twins_give_the_same_candidates(monkeypatch):
    draw = random.Random(4)
    one = detector.make_detector(made_up_items(30, draw), "minhash")
    batch = ngram_index.make_batch(
        [FILLER, *(canary.text for canary in canaries.plant_canaries(one.queries, [FILLER * 4], 30))]
    )
    compiled = one.find(batch)
    monkeypatch.setattr("curate.matching.numba_kernels.is_numba_available", lambda: False)
    plain = one.find(batch)
    assert len(plain.queries) >= 4 * 30
    for name in ("queries", "documents", "firsts", "lasts"):
        assert (getattr(plain, name) == getattr(compiled, name)).all(), name


@pytest.mark.parametrize("postings", [1, 2, 128])
@pytest.mark.parametrize("seed", [1, 2])
def test_each_band_leads_to_the_first_queries_that_have_it(monkeypatch, postings, seed):
    monkeypatch.setattr(minhash_index, "POSTINGS", postings)
    draw = random.Random(5)
    items = made_up_items(8, draw)
    alike = [Item("made up", (f"{item.questions[0]} and {number} more",)) for number, item in enumerate(items[:4] * 2)]
    made = queries.make_queries([*items, *alike], surprisal.load_word_model())
    signed = minhash_index.sign_queries(made, seed) if seed != 1 else minhash_index.sign_queries(made)
    table = minhash_index.minhash.make_permutations(128, seed)
    assert (signed.permutations == table).all()
    keys = minhash_index.minhash.band_keys(signed.signatures, minhash_index.BANDS)
    wanted = {}
    for number, row in enumerate(keys.tolist()):
        for key in row:
            wanted.setdefault(key, []).append(number)
    assert signed.keys.tolist() == sorted(wanted) and max(map(len, wanted.values())) >= 3
    found = {key: signed.owners[first:last].tolist() for key, first, last in
             zip(signed.keys.tolist(), signed.offsets, signed.offsets[1:], strict=False)}  # fmt: skip
    assert found == {key: numbers[:postings] for key, numbers in wanted.items()}
    assert signed.offsets[-1] == len(signed.owners) and len(signed.bloom.select(signed.keys)) == len(signed.keys)
