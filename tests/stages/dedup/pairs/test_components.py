"""Components are those of a graph, whatever the order of its edges, and by either code."""

import numpy as np
import pytest
from helpers.near_copies import components
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.stages.dedup.pairs.components import label_components

EDGE = st.tuples(st.integers(0, 29), st.integers(0, 29)).filter(lambda edge: edge[0] != edge[1])


def batches_of(edges, size):
    for first in range(0, len(edges), size):
        yield tuple(np.array(column, np.uint32) for column in zip(*edges[first : first + size], strict=True))


@settings(max_examples=150, deadline=None)
@given(edges=st.lists(EDGE, max_size=40), size=st.integers(1, 9), chance=st.randoms())
def test_the_label_of_a_component_is_its_smallest_member(edges, size, chance):
    pairs = {tuple(sorted(edge)) for edge in edges}
    wanted = np.zeros(30, np.uint32)
    for group in components(range(30), pairs):
        wanted[group] = min(group)
    shuffled = [edge[:: chance.choice([1, -1])] for edge in edges]
    chance.shuffle(shuffled)
    for given_edges in (edges, shuffled):
        for compiled in (False, True):
            np.testing.assert_array_equal(label_components(30, batches_of(given_edges, size), compiled), wanted)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("kind", ["up", "down", "shuffled", "star"])
def test_a_long_chain_costs_no_square(kind, compiled):
    count = 100_000
    first, second = np.arange(count - 1), np.arange(1, count)
    order = {"up": slice(None), "down": slice(None, None, -1)}.get(
        kind, np.random.default_rng(1).permutation(count - 1)
    )
    if kind == "star":
        second = np.full(count - 1, count - 1)
    edges = [(first[order].astype(np.uint32), second[order].astype(np.uint32))]
    assert not label_components(count, edges, compiled).any()


def test_no_members_and_no_edges():
    for compiled in (False, True):
        assert label_components(0, [], compiled).tolist() == []
        assert label_components(3, [], compiled).tolist() == [0, 1, 2]
