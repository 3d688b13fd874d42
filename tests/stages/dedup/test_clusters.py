"""Clusters are the connected components of near pairs, found without a square of comparisons."""

from itertools import combinations

import pytest
from helpers.near_copies import components, edited, far, groups_of, rows_of, run_on, shared, spelled, words_of
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.stages.dedup import clusters


def test_a_chain_is_one_cluster_and_says_who_lies_below_the_threshold(tmp_path):
    first = words_of(8)
    chain = [first, edited(first, *far(2)), edited(first, *far(4))]
    found = run_on(tmp_path, [spelled(one) for one in chain], keeper="first")
    assert shared(4) < 0.8 < shared(2)
    assert groups_of(tmp_path) == [[0, 1, 2]]
    assert (found.near, found.through_others, found.clusters) == (2, 1, 1)
    last = rows_of(tmp_path)[2]
    assert last["jaccard"] == shared(4)
    assert last["link"] == shared(2)  # with the middle one, whose two edits it has, too
    assert "1 near duplicates lie below 0.8" in found.render()


def test_the_copies_of_a_near_copy_belong_to_the_cluster(tmp_path):
    these = words_of(9)
    near = spelled(edited(these, *far(2)))
    run_on(tmp_path, [near, near.upper(), spelled(these), spelled(these).title()], keeper="first")
    rows = rows_of(tmp_path)
    assert [row["kind"] for row in rows] == ["keeper", "exact", "near", "near"]
    assert [row["jaccard"] for row in rows] == [1, 1, shared(2), shared(2)]
    assert [row["link"] for row in rows] == [1, 1, 1, 1]


@settings(max_examples=200, deadline=None)
@given(data=st.data(), count=st.integers(2, 12))
def test_one_bucket_gives_the_connected_components_of_all_its_pairs(data, count):
    pairs = set(data.draw(st.lists(st.sampled_from(list(combinations(range(count), 2))), max_size=14)))
    checked = clusters.make_verifier(lambda *pair: float(tuple(sorted(pair)) in pairs), [1] * count, 0.5)
    roots, _ = clusters.cluster_documents(lambda: [list(range(count))], count, count, checked)
    found = {}
    for member, root in enumerate(roots.tolist()):
        found.setdefault(root, []).append(member)
    assert sorted(found.values()) == components(range(count), pairs)
    assert not checked.crowded


@pytest.mark.parametrize(("alike", "bound"), [(1.0, 2999), (0.0, 3000 * clusters.COMPARISONS)])
def test_a_bucket_of_thousands_costs_no_square_of_comparisons(alike, bound):
    checked = clusters.make_verifier(lambda first, second: alike, [1] * 3000, 0.5)
    clusters.join_bucket(range(3000), clusters.UnionFind(3000), checked)
    assert checked.compared <= bound
    assert len(checked.crowded) == (0 if alike else 3000 - clusters.COMPARISONS - 1)


def test_thousands_of_pages_of_one_template_are_one_cluster_in_no_time(tmp_path):
    template = words_of(13, 60)
    found = run_on(tmp_path, [spelled([*template, f"page{number}"]) for number in range(3000)])
    assert (found.near, found.clusters, found.crowded) == (2999, 1, 0)
    assert found.compared < 2 * 3000


def test_ten_thousand_identical_documents_are_compared_with_nothing(tmp_path):
    found = run_on(tmp_path, ["one and the same text of some words"] * 10_000)
    assert (found.exact, found.compared, found.keepers) == (9_999, 0, 1)


def test_documents_that_meet_too_many_strangers_are_counted_and_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(clusters, "COMPARISONS", 2)
    template = words_of(14, 40)
    texts = [spelled([*template, *words_of(100 + number, 12)]) for number in range(60)]
    found = run_on(tmp_path, texts)
    assert found.crowded > 0 and found.near == 0
    assert f"{found.crowded:,} documents shared a bucket with so many others" in found.render()
