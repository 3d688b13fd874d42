"""LSH buckets: all that is found is true, and little is missed, held against brute force."""

import re
from itertools import combinations

from helpers.near_copies import components, groups_of, is_conserved, random_documents, rows_of, run_on


def naive_sets(texts):
    """The set of word 5-grams of each ASCII text; what is shorter is one."""
    found = []
    for text in texts:
        these = re.findall("[a-z0-9]+", text.lower())
        found.append({tuple(these[at : at + 5]) for at in range(max(1, len(these) - 4))})
    return found


def test_all_that_is_found_is_true_and_little_is_missed(tmp_path):
    documents = random_documents(12, 300)
    found = run_on(tmp_path, documents)
    pairs = zip(combinations(range(300), 2), combinations(naive_sets(documents), 2), strict=True)
    true = {pair: len(first & second) / len(first | second) for pair, (first, second) in pairs}
    near = {pair for pair, value in true.items() if value >= 0.8}
    assert len(near) > 100
    groups = groups_of(tmp_path)
    cluster = {member: number for number, group in enumerate(groups) for member in group}
    missed = [pair for pair in near if cluster.get(pair[0], -1) != cluster.get(pair[1], -2)]
    assert len(missed) <= 0.02 * len(near)
    for group in groups:  # of pairs that are truly near, whoever found them
        assert len(components(group, near)) == 1
    rows = rows_of(tmp_path)
    for row in rows:
        pair = tuple(sorted((row["row"], row["keeper_row"])))
        assert row["jaccard"] == true.get(pair, 1)
        best = max(
            true[tuple(sorted((row["row"], other)))] for other in groups[cluster[row["row"]]] if other != row["row"]
        )
        kept_for = [other["jaccard"] for other in rows if other["keeper_row"] == row["row"] and not other["keeper"]]
        assert max(row["jaccard"] * (not row["keeper"]), 0.8, *kept_for) <= row["link"] <= best
    assert is_conserved(found)
