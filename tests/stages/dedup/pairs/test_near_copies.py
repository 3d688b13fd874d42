"""Near copies are those of a rule without order, however the work is cut: held against the rule written plainly."""

import random
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.runtime.work.processes import start_workers
from curate.stages.dedup.pairs import candidates, lsh_buckets, near_copies, verification
from curate.stages.dedup.pairs.near_copies import PairSearch
from curate.stages.dedup.pairs.units import start_threads

THRESHOLD = 0.5


class Case:
    """Random documents: sets of numbers, the keys of a few bands with many collisions, some left out, some others."""

    def __init__(self, seed, bands=4):
        chance = random.Random(seed)
        self.count = chance.randint(2, 60)
        self.num_ours = chance.choice([self.count, self.count, chance.randint(1, self.count)])
        width = chance.choice([3, 8, 30])
        self.keys = [[chance.randrange(width) << 58 for _ in range(self.count)] for _ in range(bands)]
        self.left_out = [chance.random() < 0.1 for _ in range(self.count)]
        core = [{chance.randrange(40) for _ in range(8)} for _ in range(4)]
        self.sets = [
            (set(chance.sample(sorted(kind), 6)) if len(kind) > 6 else kind) | {chance.randrange(40)}
            for kind in (chance.choice(core) for _ in range(self.count))
        ]

    def similarity(self, pair):
        one, other = (self.sets[document] for document in pair)
        return len(one & other) / len(one | other)


def find_plainly(case, most):
    """The rule, document by document: the component and the link of each that has a copy, its keeper, the crowded."""
    ours, whole = set(range(case.num_ours)), set(range(case.count))
    kept = [document for document in whole if not case.left_out[document]]
    buckets = [
        sorted(document for document in kept if keys[document] == key) for keys in case.keys for key in set(keys)
    ]
    verified = {}

    def verify(pairs):
        found = {pair: case.similarity(pair) for pair in set(pairs)}
        verified.update({pair: value for pair, value in found.items() if value >= THRESHOLD})

    verify((one, other) for each in buckets for one in ours & set(each) for other in sorted(set(each) - ours)[:most])
    best = {}
    for (one, other), value in verified.items():
        best[one] = max(best.get(one, (0, 0)), (value, -other))
    free = ours - set(best)
    rest = [[document for document in each if document in free] for each in buckets]
    verify(pair for each in rest for pair in combinations(each, 2) if pair[0] in each[:most])
    component = {document: document for pair in verified for document in pair}
    for _ in component:
        for one, other in verified:
            if other in ours:
                component[one] = component[other] = min(component[one], component[other])
    link = {document: max(v for pair, v in verified.items() if document in pair) for document in component}
    crowded = set()
    for each, all_members in zip(rest, buckets, strict=True):
        behind = each[most:]
        if len({component.get(document, document) for document in behind}) > 1:
            crowded |= set(behind)
        if len(set(all_members) - ours) > most:
            crowded |= set(each)
    keepers = {one: -other for one, (_, other) in best.items()}
    return {one: component[one] for one in sorted(ours & set(component))}, keepers, link, len(crowded), len(verified)


def find(case, folder, start=start_threads, workers=1, num_parts=1, order=None, keys_at_once=10**6):
    """The same by the code, over sketches in so many parts and bands in some order."""
    folder.mkdir(parents=True)
    order = range(len(case.keys)) if order is None else order
    cuts = sorted(random.Random(num_parts).choices(range(case.count + 1), k=num_parts - 1))
    parts = []
    for first, stop in zip([0, *cuts], [*cuts, case.count], strict=True):
        columns = {f"band_{band}": pa.array(case.keys[band][first:stop], pa.uint64()) for band in order}
        pq.write_table(pa.table(columns), folder / f"{len(parts)}.parquet")
        parts += [(str(folder / f"{len(parts)}.parquet"), first, stop - first)] if stop > first else []
    np.array(case.left_out).tofile(folder / "left-out")
    buckets = lsh_buckets.BucketSearch(tuple(parts), folder, case.num_ours, keys_at_once)
    names = [f"band_{band}" for band in order]
    search = PairSearch(folder, names, THRESHOLD, start, workers, False, lambda *_: None, lambda *_: None)

    def read_sets(numbers):
        yield from (np.array(sorted(case.sets[number]), np.uint64) for number in numbers)

    found = near_copies.find_near_copies(search, buckets, read_sets)
    numbers = found.documents.tolist()
    ours = numbers[: len(found.roots)]
    roots = {one: ours[root] for one, root in zip(ours, found.roots.tolist(), strict=True)}
    keepers = {one: numbers[place] for one, place in zip(ours, found.keepers.tolist(), strict=True) if place >= 0}
    links = dict(zip(numbers, found.links.tolist(), strict=True))
    return roots, keepers, links, found.crowded, found.agreed


@pytest.fixture
def few(monkeypatch):
    """Small limits of everything, so that few documents have crowded buckets, many runs, ranges and blocks."""
    for module, name, value in (
        (candidates, "COMPARISONS", 3),
        (candidates, "PAIRS_AT_ONCE", 7),
        (candidates, "BLOCK_PAIRS", 4),
        (candidates, "SAMPLE_STEP", 2),
        (candidates, "RANGE_PAIRS", 6),
        (lsh_buckets, "READ_MEMBERS", 5),
        (verification, "SETS_AT_ONCE", 20),
        (verification, "READ_PAIRS", 3),
    ):
        monkeypatch.setattr(module, name, value)


@pytest.mark.parametrize("seed", range(60))
def test_the_rule_is_kept_for_any_cut_and_order_of_the_work(few, tmp_path, seed):
    case, chance = Case(seed), random.Random(seed)
    wanted = find_plainly(case, 3)
    for number, workers in enumerate((1, 2, 3, 7)):
        order = chance.sample(range(4), 4)
        found = find(
            case, tmp_path / str(number), workers=workers, num_parts=workers, order=order,
            keys_at_once=chance.choice([3, 20, 70, 10**6]),
        )  # fmt: skip
        assert found == wanted


def test_the_cases_have_what_the_rule_is_about():
    cases = [find_plainly(Case(seed), 3) for seed in range(60)]
    assert sum(bool(keepers) for _, keepers, *_ in cases) > 10
    assert sum(crowded > 0 for *_, crowded, _ in cases) > 20
    assert sum(len(set(roots.values())) > 1 for roots, *_ in cases) > 20
    assert sum(len(roots) < Case(seed).num_ours for seed, (roots, *_) in enumerate(cases)) > 20


def test_processes_find_what_threads_find(tmp_path):
    case = Case(5)
    assert find(case, tmp_path / "here") == find(case, tmp_path / "there", start=start_workers, workers=2)


def test_a_unit_done_again_and_by_two_at_once_leaves_the_same_bytes(few, tmp_path):
    @near_copies_context
    def start_twice(function, shared, item):
        first = function(shared, item)
        again = function(shared, item)
        assert str(first) == str(again)
        return again

    find(Case(7), tmp_path / "once")
    find(Case(7), tmp_path / "twice", start=start_twice)
    names = [{path.name: path.read_bytes() for path in (tmp_path / each).iterdir()} for each in ("once", "twice")]
    assert names[0] == names[1]


def near_copies_context(call):
    """A ``StartWorkers`` that makes of each item of a unit what ``call`` does."""
    from contextlib import contextmanager

    @contextmanager
    def start(function, shared, count):
        yield lambda item: call(function, shared, item)

    return start


def test_buckets_that_do_not_fit_are_divided_and_hold_the_same():
    chance = np.random.default_rng(3)
    keys, numbers = chance.integers(0, 500, 3000).astype(np.uint64), np.arange(3000, dtype=np.uint32)
    order = chance.permutation(3000)
    found = [lsh_buckets.group_keys(keys[each], numbers[each], 1000) for each in (slice(None), order)]
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])
    wanted = [group for key in range(500) if len(group := numbers[keys == key]) > 1 and group[0] < 1000]
    np.testing.assert_array_equal(found[0][0], np.concatenate(wanted))
    assert found[0][1].tolist() == [len(group) for group in wanted]
