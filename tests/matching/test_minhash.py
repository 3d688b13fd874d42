"""MinHash signatures and LSH bands: laws, known answers, and datasketch's own values."""

import math

import numpy as np
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.matching import minhash, numba_kernels

HALF = [pytest.param(False, id="numpy"), pytest.param(True, id="numba")]


@pytest.fixture
def way(request, monkeypatch):
    """Signatures by plain NumPy, or by the compiled kernel where numba is installed."""
    if request.param and not numba_kernels.is_numba_available():
        pytest.skip("numba is not installed")
    monkeypatch.setattr(numba_kernels, "is_numba_available", lambda: request.param)


def flat(sets):
    """Sets one after the other, and their offsets."""
    arrays = [np.array(sorted(one), np.uint64) for one in sets]
    return np.concatenate([np.zeros(0, np.uint64), *arrays]), np.cumsum([0, *map(len, arrays)])


def sets_of_similarity(numerator, denominator, size, count, seed):
    """Pairs of random sets whose Jaccard similarity is numerator / denominator exactly."""
    generator = np.random.default_rng(seed)
    union = size * denominator
    pairs = []
    for _ in range(count):
        elements = generator.integers(0, 1 << 32, 2 * union, dtype=np.uint64)
        elements = np.unique(elements)[:union]
        generator.shuffle(elements)
        common, rest = elements[: size * numerator], elements[size * numerator :]
        pairs.append((np.concatenate([common, rest[::2]]), np.concatenate([common, rest[1::2]])))
    return pairs


def signatures_of(pairs):
    """Signatures of the first and of the second of each pair."""
    hashes, offsets = flat([one for pair in pairs for one in pair])
    found = minhash.compute_signatures(hashes, offsets, minhash.make_permutations())
    return found[::2], found[1::2]


@pytest.mark.parametrize("way", HALF, indirect=True)
def test_signatures_are_those_of_datasketch_value_for_value(way):
    generator = np.random.default_rng(5)
    sizes = [0, 1, 2, 3, 17, 500, 0, 2000, 1, 0]
    sets = [set(generator.integers(0, 1 << 32, size).tolist()) for size in sizes] + [{0}, {(1 << 32) - 1}, {0, 1}]
    for count, seed in ((128, 1), (16, 42), (1, 7)):
        found = minhash.compute_signatures(*flat(sets), minhash.make_permutations(count, seed))
        for one, mine in zip(sets, found, strict=True):
            theirs = MinHash(num_perm=count, seed=seed, scheme=minhash.SCHEME, hashfunc=int)
            for element in one:
                theirs.update(element)
            assert np.array_equal(mine, theirs.hashvalues)


@pytest.mark.parametrize("way", HALF, indirect=True)
def test_repeats_order_and_the_high_bits_of_an_element_change_nothing(way):
    generator = np.random.default_rng(6)
    elements = generator.integers(0, 1 << 32, 300, dtype=np.uint64)
    table, offsets = minhash.make_permutations(), np.array([0, 300])
    once = minhash.compute_signatures(elements, offsets, table)
    shuffled = generator.permutation(np.concatenate([elements, elements[:100]])) | (np.uint64(77) << np.uint64(32))
    assert np.array_equal(minhash.compute_signatures(shuffled, np.array([0, 400]), table), once)


@pytest.mark.parametrize("way", HALF, indirect=True)
def test_a_set_larger_than_a_block_has_the_minimum_over_its_parts(way):
    generator = np.random.default_rng(7)
    size = 2 * minhash.BLOCK + 5
    elements = generator.integers(0, 1 << 32, size, dtype=np.uint64)
    table = minhash.make_permutations(8)
    cuts = np.array([0, 0, 3, minhash.BLOCK + 1, size])
    parts = minhash.compute_signatures(elements, cuts, table)
    assert (parts[0] == minhash.EMPTY).all()
    assert np.array_equal(minhash.compute_signatures(elements, np.array([0, size]), table)[0], parts.min(axis=0))


@pytest.mark.parametrize(("numerator", "denominator"), [(1, 10), (1, 2), (4, 5), (19, 20)])
def test_the_estimate_lies_within_its_standard_error(numerator, denominator):
    pairs = sets_of_similarity(numerator, denominator, 12, 400, seed=numerator)
    similarity = numerator / denominator
    first, second = signatures_of(pairs)
    error = math.sqrt(similarity * (1 - similarity) / minhash.PERMUTATIONS)
    scores = ((first == second).mean(axis=1) - similarity) / error
    assert abs(scores.mean()) < 4 / math.sqrt(len(scores))
    assert np.abs(scores).max() < 5
    assert 0.8 < scores.std() < 1.2


@pytest.mark.parametrize(("numerator", "denominator"), [(3, 5), (7, 10), (4, 5), (9, 10)])
def test_pairs_meet_in_a_band_as_often_as_the_law_says(numerator, denominator):
    pairs, similarity = sets_of_similarity(numerator, denominator, 10, 1500, seed=denominator), numerator / denominator
    first, second = signatures_of(pairs)
    for bands in (minhash.Bands(18, 7), minhash.Bands(9, 13), minhash.Bands(32, 4)):
        same = minhash.band_keys(first, bands) == minhash.band_keys(second, bands)
        for met, law, trials in (
            (same.any(axis=1).sum(), 1 - (1 - similarity**bands.rows) ** bands.bands, len(pairs)),
            (same.sum() / bands.bands, similarity**bands.rows, len(pairs)),
        ):
            assert abs(met - trials * law) <= 4.5 * math.sqrt(trials * law * (1 - law)) + 1, (bands, law)


def test_the_probability_is_the_published_formula():
    assert minhash.Bands(20, 5).probability(0.8) == pytest.approx(0.99964, abs=1e-5)  # Mining of Massive Datasets, 3.4
    assert minhash.Bands(20, 5).probability(0.2) == pytest.approx(0.006, abs=5e-4)
    assert minhash.Bands(7, 3).probability(0) == 0 and minhash.Bands(7, 3).probability(1) == 1


@settings(max_examples=60, deadline=None)
@given(threshold=st.floats(0.05, 1), permutations=st.integers(1, 300))
def test_bands_have_the_most_rows_that_still_find_pairs_at_the_threshold(threshold, permutations):
    found = minhash.choose_bands(threshold, permutations)
    assert 1 <= found.bands * found.rows <= permutations
    if found.rows > 1:
        assert found.probability(threshold) >= 0.98
    for rows in range(found.rows + 1, permutations + 1):
        assert minhash.Bands(permutations // rows, rows).probability(threshold) < 0.98


def test_the_default_bands_are_eighteen_of_seven_and_nonsense_is_refused():
    assert minhash.choose_bands(0.8) == minhash.Bands(18, 7)
    assert minhash.choose_bands(1.0) == minhash.Bands(1, 128)
    for threshold in (0, -1, 1.01, math.nan):
        with pytest.raises(ValueError):
            minhash.choose_bands(threshold)


def test_a_key_tells_its_rows_and_its_band():
    bands = minhash.Bands(4, 3)
    signed = np.zeros((3, 12), np.uint32)
    signed[1, 4] = 1  # a row of the second band
    signed[2, :3] = [1, 0, 0]
    keys = minhash.band_keys(signed, bands)
    assert [(keys[0] == keys[1]).tolist(), (keys[0] == keys[2]).tolist()] == [
        [True, False, True, True],
        [False, True, True, True],
    ]
    assert len(set(keys[0].tolist())) == 4
