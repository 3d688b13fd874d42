"""Clusters are the connected components of near pairs, found without a square of comparisons."""

from helpers.near_copies import edited, far, groups_of, rows_of, run_on, shared, spelled, words_of

from curate.stages.dedup.pairs import candidates


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


def test_thousands_of_pages_of_one_template_are_one_cluster_in_no_time(tmp_path):
    template = words_of(13, 60)
    found = run_on(tmp_path, [spelled([*template, f"page{number}"]) for number in range(3000)])
    assert (found.near, found.clusters, found.crowded) == (2999, 1, 0)
    assert found.compared <= 2 * candidates.COMPARISONS * 3000  # they share buckets of several bands


def test_ten_thousand_identical_documents_are_compared_with_nothing(tmp_path):
    found = run_on(tmp_path, ["one and the same text of some words"] * 10_000)
    assert (found.exact, found.compared, found.keepers) == (9_999, 0, 1)


def test_documents_that_meet_too_many_strangers_are_counted_and_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(candidates, "COMPARISONS", 2)
    template = words_of(14, 40)
    texts = [spelled([*template, *words_of(100 + number, 12)]) for number in range(60)]
    found = run_on(tmp_path, texts)
    assert found.crowded > 0 and found.near == 0
    assert f"{found.crowded:,} documents shared a bucket with so many others" in found.render()
