"""The steps of the search by triples, each against a plain loop: expanding, grouping, counting once, choosing."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.stages.decontaminate import minhash_index, ngram_index
from curate.stages.decontaminate.ngram_index import Candidates


def ints(*numbers):
    return np.array(numbers, np.int64)


STRETCHES = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 20), st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=9
)


@settings(deadline=None)
@given(STRETCHES)
def test_stretches_of_one_pair_that_overlap_in_a_chain_have_one_number(rows):
    pairs, firsts, lengths, reach = (np.array(column) for column in zip(*rows, strict=True))
    found = ngram_index.group_overlapping(pairs, firsts, firsts + lengths, reach)
    assert found.dtype == np.int64
    owner = list(range(len(rows)))
    for _ in rows:  # the least number of all that a row touches, until nothing changes
        for one in range(len(rows)):
            for other in range(len(rows)):
                low, high = sorted((one, other), key=lambda row: firsts[row])
                touches = firsts[high] <= firsts[low] + lengths[low] + reach[low]
                if pairs[one] == pairs[other] and touches:
                    owner[one] = owner[other] = min(owner[one], owner[other])
    for one in range(len(rows)):
        for other in range(len(rows)):
            assert (found[one] == found[other]) == (owner[one] == owner[other]), (one, other)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.floats(0.5, 20)), min_size=1, max_size=12))
def test_triples_that_a_document_repeats_count_once_with_the_most_bits_that_they_have(rows):
    numbers, positions, bits = (np.array(column) for column in zip(*rows, strict=True))
    totals, covered = ngram_index.sum_distinct(numbers, positions, bits, 4)
    for number in range(4):
        best = {}
        for of, position, value in rows:
            if of == number:
                best[position] = max(best.get(position, 0), value)
        assert totals[number] == pytest.approx(sum(best.values()))
        assert covered[number] == len({position + more for position in best for more in range(3)})


def test_of_the_candidates_that_one_stretch_may_be_those_of_the_greatest_share_are_kept(monkeypatch):
    monkeypatch.setattr(ngram_index, "SIBLINGS", 8)
    count = 12
    shares = np.array([5, 1, 9, 2, 8, 3, 7, 4, 6, 0, 0, 0]) / 10
    candidates = Candidates(np.arange(count), ints(*[0] * count), ints(*[10] * count), ints(*[20] * count))
    kept = ngram_index.keep_best_siblings(candidates, ints(*[3] * count), shares)
    assert kept.queries.tolist() == [0, 2, 3, 4, 5, 6, 7, 8]
    equal = ngram_index.keep_best_siblings(candidates, ints(*[3] * count), np.ones(count))
    assert equal.queries.tolist() == list(range(8))
    other_sets = ngram_index.keep_best_siblings(candidates, ints(*[3] * 6, *[1] * 6), shares)
    assert len(other_sets.queries) == 12
    apart = Candidates(np.arange(count), ints(*[0] * count), ints(*[10] * 6, *[21] * 6), ints(*[20] * 6, *[30] * 6))
    assert len(ngram_index.keep_best_siblings(apart, ints(*[3] * count), shares).queries) == 12
    touching = Candidates(np.arange(count), ints(*[0] * count), ints(*[10] * 6, *[20] * 6), ints(*[20] * 6, *[30] * 6))
    assert len(ngram_index.keep_best_siblings(touching, ints(*[3] * count), shares).queries) == 8
    documents = Candidates(np.arange(count), ints(*[0] * 6, *[1] * 6), ints(*[10] * count), ints(*[20] * count))
    assert len(ngram_index.keep_best_siblings(documents, ints(*[3] * count), shares).queries) == 12


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.lists(st.integers(0, 5), max_size=8))
def test_each_slot_is_expanded_to_its_postings(counts, slots):
    offsets, slots = (
        np.concatenate([[0], np.cumsum(counts)]),
        np.array([slot % len(counts) for slot in slots], np.int64),
    )
    numbers, postings = ngram_index.expand(slots, offsets)
    wanted = [(n, p) for n, slot in enumerate(slots) for p in range(offsets[slot], offsets[slot + 1])]
    assert list(zip(numbers.tolist(), postings.tolist(), strict=True)) == wanted
    low = offsets[slots]
    again = ngram_index.list_ranges(low, offsets[slots + 1])
    assert [each.tolist() for each in again] == [numbers.tolist(), postings.tolist()]


def test_the_anchors_of_a_query_are_its_three_rarest_triples():
    owners, counts = ints(0, 1, 0, 1, 0, 0, 1, 0), ints(9, 1, 2, 1, 8, 3, 5, 7)
    marked = ngram_index.mark_anchors(owners, counts)
    assert np.flatnonzero(marked).tolist() == [1, 2, 3, 5, 6, 7]


def test_groups_of_equal_keys_begin_where_any_key_changes():
    assert ngram_index.find_starts(ints(1, 1, 2, 2, 1), ints(0, 0, 0, 5, 5)).tolist() == [0, 2, 3, 4]
    assert ngram_index.find_starts(ints()).tolist() == [] and ngram_index.find_starts(ints(7)).tolist() == [0]


@pytest.mark.parametrize(("share", "passes"), [(0.22, False), (0.23, True)])
def test_a_pair_that_shares_two_thirds_of_the_least_coverage_goes_on(share, passes):
    """The least coverage is .35, of which .65 count at first: .2275, together over all its rows."""
    found = ngram_index.select_sufficient(ints(5, 9, 5), np.array([share / 2, 0.1, share / 2]))
    assert found.tolist() == ([0, 2] if passes else [])


def test_what_is_looked_up_is_valid_and_known():
    known = np.array([3, 2**40 + 5, 2**63], np.uint64)
    bloom = ngram_index.make_bloom_filter(known)
    keys = np.array([2**63, 4, 3, 3, 2**40 + 5, 2**64 - 1, 0], np.uint64)
    assert [each.tolist() for each in ngram_index.look_up(keys, None, known, bloom)] == [[0, 2, 3, 4], [2, 0, 0, 1]]
    valid = np.array([1, 1, 0, 1, 1, 1, 1], bool)
    assert [each.tolist() for each in ngram_index.look_up(keys, valid, known, bloom)] == [[0, 3, 4], [2, 0, 1]]
    nothing = ngram_index.make_bloom_filter(known[:0])
    assert [each.tolist() for each in ngram_index.look_up(keys, valid, known[:0], nothing)] == [[], []]


@pytest.mark.parametrize(("count", "bits"), [(0, 12), (512, 12), (513, 13), (1024, 13), (1025, 14)])
def test_a_bloom_filter_has_eight_to_sixteen_entries_a_key(count, bits):
    bloom = ngram_index.make_bloom_filter(np.arange(count, dtype=np.uint64))
    assert len(bloom.table) == 2**bits and bloom.mask == 2**bits - 1


def test_a_region_is_longer_than_its_candidate_by_the_query_and_ends_with_the_document():
    queries = SimpleNamespace(words=SimpleNamespace(counts=ints(10, 4)))
    batch = SimpleNamespace(words=SimpleNamespace(offsets=ints(0, 100, 200)))
    candidates = Candidates(ints(0, 1, 0, 0), ints(0, 0, 1, 1), ints(50, 50, 110, 180), ints(60, 60, 120, 195))
    low, high = ngram_index.find_regions(queries, batch, candidates)
    assert low.tolist() == [37, 43, 100, 167] and high.tolist() == [73, 67, 133, 200]


def test_overlapping_stretches_of_one_query_in_one_document_become_one_candidate():
    queries = SimpleNamespace(queries=[0, 1], words=SimpleNamespace(counts=ints(5, 1)))
    batch = SimpleNamespace(words=SimpleNamespace(offsets=ints(0, 50, 100)))
    numbers, firsts, lasts = ints(0, 0, 0, 1, 1, 0), ints(30, 5, 16, 5, 12, 60), ints(35, 10, 20, 10, 20, 61)
    found = ngram_index.merge_stretches(batch, queries, numbers, firsts, lasts)
    rows = zip(
        found.documents.tolist(), found.queries.tolist(), found.firsts.tolist(), found.lasts.tolist(), strict=True
    )
    assert list(rows) == [(0, 0, 5, 10), (0, 0, 16, 20), (0, 0, 30, 35), (0, 1, 5, 10), (0, 1, 12, 20), (1, 0, 60, 61)]
    close = ngram_index.merge_stretches(batch, queries, ints(0, 0, 0), ints(15, 5, 26), ints(20, 10, 30))
    assert (close.firsts.tolist(), close.lasts.tolist()) == ([5, 26], [20, 30])
    nothing = ngram_index.merge_stretches(batch, queries, ints(), ints(), ints())
    assert len(nothing.queries) == 0


@pytest.mark.parametrize("count", [1, 7, 8, 9, 31, 63, 64, 65, 300])
def test_the_signature_of_a_window_is_that_of_its_triples(count):
    """Windows of each length begin a quarter of it apart; the first is there however short the text is."""
    texts = [" ".join(f"w{number}" for number in range(count)), "and another one of six words"]
    batch = ngram_index.make_batch(texts)
    total = len(batch.words)
    table = minhash_index.minhash.make_permutations(8)
    signatures, firsts, lasts = minhash_index.sign_windows(batch, table)
    rows = list(zip(firsts.tolist(), lasts.tolist(), strict=True))
    at = 0
    for length in minhash_index.WINDOWS:
        step = length // 4
        begins = [first for first in range(0, total, step) if first == 0 or first + length - step < total]
        for first in begins:
            assert rows[at] == (first, min(first + length, total) - 1)
            inside = [n for n in range(first, min(first + length, total)) if n < len(batch.valid) and batch.valid[n]]
            own = batch.shingles[inside]
            wanted = minhash_index.minhash.compute_signatures(own, ints(0, len(own)), table)[0]
            assert (signatures[at] == wanted).all(), (length, first)
            at += 1
    assert at == len(rows) == len(signatures)


def test_texts_without_a_triple_have_no_windows():
    table = minhash_index.minhash.make_permutations(8)
    signatures, firsts, lasts = minhash_index.sign_windows(ngram_index.make_batch(["one two", "", "three"]), table)
    assert signatures.shape == (0, 8) and len(firsts) == len(lasts) == 0
