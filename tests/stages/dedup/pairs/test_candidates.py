"""The pairs of a bucket: all of a small one, few for each document of a large one."""

from itertools import combinations

import numpy as np
import pytest

from curate.stages.dedup.pairs import candidates
from curate.stages.dedup.pairs.candidates import PairListing


def pairs_of(members, sizes, num_ours, with_others=False):
    listing = PairListing("own", num_ours, with_others, None, candidates.COMPARISONS)
    blocks = candidates.pair_members(listing, np.array(members, np.uint32), np.array(sizes), None)
    keys = np.concatenate([np.zeros(0, np.uint64), *blocks])
    larger, smaller = candidates.unpack_pairs(keys)
    return list(zip(smaller.tolist(), larger.tolist(), strict=True))


@pytest.mark.parametrize("count", [2, 64, 65])
def test_all_pairs_of_a_bucket_up_to_65_documents_are_candidates(count):
    assert sorted(pairs_of(range(count), [count], count)) == list(combinations(range(count), 2))


@pytest.mark.parametrize("count", [66, 3000])
def test_a_larger_bucket_pairs_each_document_with_its_64_smallest_alone(count):
    found = pairs_of(range(count), [count], count)
    assert sorted(found) == [pair for pair in combinations(range(count), 2) if pair[0] < 64]


def test_ours_are_paired_with_the_64_smallest_of_the_others_and_those_with_none_of_theirs():
    members = [1, 2, *range(10, 110), 0, 3, 4, 50, 60]
    found = pairs_of(members, [102, 5], 10, with_others=True)
    wanted = [(one, other) for one in (1, 2) for other in range(10, 74)]
    assert sorted(found) == sorted([*wanted, *((one, other) for one in (0, 3, 4) for other in (50, 60))])


def test_the_largest_numbers_fit_into_a_pair():
    last = candidates.MOST_DOCUMENTS - 1
    assert pairs_of([last - 1, last], [2], candidates.MOST_DOCUMENTS) == [(last - 1, last)]
