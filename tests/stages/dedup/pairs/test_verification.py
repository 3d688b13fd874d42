"""Pairs are compared exactly by either code, whatever fits into memory, and a set that is cut short is an error."""

import random
from itertools import pairwise

import numpy as np
import pytest

from curate.stages.dedup.pairs import candidates, verification
from curate.stages.dedup.pairs.shingle_store import ShingleStore, StoredSets
from curate.stages.dedup.pairs.verification import PairCheck, verify_range


def store_sets(folder, count, seed=0):
    """Sets of numbers under numbers of documents with gaps.  → number to set"""
    chance = random.Random(seed)
    numbers = sorted(chance.sample(range(3 * count), count))
    sets = {number: set(chance.choices(range(30), k=chance.randint(1, 25))) for number in numbers}
    with ShingleStore(folder, np.array(numbers, np.int64)) as store:
        for number in numbers:
            store.add(np.array(sorted(sets[number]), np.uint64))
    return sets


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("at_once", [1, 60, 10**6])
@pytest.mark.parametrize("threshold", [0.0, 0.4, 1.0])
def test_each_distinct_pair_is_compared_once_and_kept_at_the_threshold(
    tmp_path, monkeypatch, compiled, at_once, threshold
):
    monkeypatch.setattr(verification, "SETS_AT_ONCE", at_once)
    monkeypatch.setattr(verification, "READ_PAIRS", 7)
    sets = store_sets(tmp_path, 25)
    chance = random.Random(1)
    pairs = [tuple(sorted(chance.sample(sorted(sets), 2), reverse=True)) for _ in range(300)]
    keys = [candidates.pack_pairs(*np.array(some, np.uint32).T) for some in (pairs[:200], pairs[100:])]
    runs = tuple(candidates.write_run(tmp_path / f"pairs-{number}", [key]) for number, key in enumerate(keys))
    check = PairCheck("own", tmp_path, runs, threshold, compiled)
    found = verify_range(check, candidates.PairRange(0, 0, None))
    values = {pair: len(sets[pair[0]] & sets[pair[1]]) / len(sets[pair[0]] | sets[pair[1]]) for pair in set(pairs)}
    wanted = sorted((pair, value) for pair, value in values.items() if value >= threshold)
    read = [
        ((larger, smaller), value)
        for keys, similarities in found.read()
        for larger, smaller, value in zip(
            *(half.tolist() for half in candidates.unpack_pairs(keys)), similarities.tolist(), strict=True
        )
    ]
    assert read == wanted and found.count == len(wanted)
    possible = [
        pair
        for pair in values
        if min(map(len, (sets[n] for n in pair))) / max(map(len, (sets[n] for n in pair))) >= threshold
    ]
    assert found.compared == len(possible)


def test_ranges_have_each_pair_of_all_runs_once(tmp_path, monkeypatch):
    monkeypatch.setattr(candidates, "SAMPLE_STEP", 3)
    monkeypatch.setattr(candidates, "RANGE_PAIRS", 10)
    chance = np.random.default_rng(2)
    keys = [chance.integers(1, 500, count).astype(np.uint64) for count in (1, 40, 200, 3)]
    runs = [candidates.write_run(tmp_path / str(number), [key]) for number, key in enumerate(keys)]
    ranges = candidates.cut_ranges(runs)
    read = [candidates.read_range(runs, each) for each in ranges]
    np.testing.assert_array_equal(np.concatenate(read), np.unique(np.concatenate(keys)))
    assert len(ranges) > 5 and [each.number for each in ranges] == list(range(len(ranges)))
    assert candidates.cut_ranges([]) == []


def test_sets_are_read_in_any_choice_and_a_file_that_is_cut_short_is_an_error(tmp_path):
    sets = store_sets(tmp_path, 40)
    numbers = sorted(sets)
    for chosen in ([], [0], [39], [0, 1, 2, 7, 8, 39], range(40)):
        hashes, offsets = StoredSets(tmp_path).read(np.array(chosen, np.int64))
        read = [hashes[first:stop].tolist() for first, stop in pairwise(offsets)]
        assert read == [sorted(sets[numbers[place]]) for place in chosen]
    path = tmp_path / "sets"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(OSError, match="shorter than it was"):
        StoredSets(tmp_path).read(np.array([39]))
