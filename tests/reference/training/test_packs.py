"""Windows and packs: every token of a pass is predicted once and reads nothing of its neighbours; groups balanced."""

import math

import numpy as np
import pytest
import torch
from helpers.training import TINY
from hypothesis import given, settings
from hypothesis import strategies as some

from curate.reference.training.model import build_model, read_pack
from curate.reference.training.packs import (
    BLOCK,
    Windows,
    balance_windows,
    cut_windows,
    make_pack,
    shuffle_order,
    take_spans,
)
from curate.reference.training.token_cache import EncodedCorpus


@given(some.lists(some.integers(2, 400), min_size=1, max_size=12), some.integers(1, 5), some.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_every_token_of_a_pass_is_predicted_once(lengths: list[int], blocks: int, seed: int) -> None:
    ids = np.arange(1, sum(lengths) + 1)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    encoded = EncodedCorpus(ids, starts, np.zeros(len(lengths), dtype=np.uint64))
    windows = cut_windows(encoded, np.arange(len(lengths)), 128)
    order = shuffle_order(len(windows.begins), seed, 0)
    room, predicted = blocks * BLOCK, []
    for first in range(0, windows.num_positions, room):
        pack = make_pack(ids, *take_spans(windows, order, first, first + room), "cpu")
        assert len(pack.inputs) == sum(pack.lengths) == min(room, windows.num_positions - first)
        real = pack.targets >= 0
        assert torch.equal(pack.inputs[real] + 1, pack.targets[real])
        assert pack.tokens == int(real.sum())
        predicted += pack.targets[real].tolist()
    assert sorted(predicted) == sorted(set(ids.tolist()) - set(ids[starts[:-1]].tolist()))


def test_a_window_reads_nothing_of_its_neighbours() -> None:
    model = build_model(TINY)
    torch.nn.init.normal_(model.model.layers[0].self_attn.o_proj.weight, std=0.5)  # it begins at zero, and sees nothing
    ids = np.random.default_rng(0).integers(1, 320, 500)
    begins, ends = np.array([0, 100, 137]), np.array([64, 130, 199])
    together = read_pack(model, make_pack(ids, begins, ends, "cpu"), torch.float32)
    for place, begin, end in zip((0, 64, 128), begins, ends, strict=True):
        alone = model.model(torch.tensor(ids[None, begin:end]), lengths=[int(end - begin)]).last_hidden_state[0]
        torch.testing.assert_close(together[place : place + end - begin], alone, rtol=1e-4, atol=1e-5)


def test_the_order_of_a_pass_depends_on_seed_and_pass_alone() -> None:
    first = shuffle_order(100, 0, 0)
    shuffle_order.cache_clear()
    assert (shuffle_order(100, 0, 0) == first).all() and sorted(first) == list(range(100))
    assert (shuffle_order(100, 0, 1) != first).any() and (shuffle_order(100, 1, 0) != first).any()


@given(
    lengths=some.lists(some.integers(1, 200), min_size=1, max_size=60),
    groups=some.integers(1, 4),
    seed=some.integers(0, 9),
)
def test_balancing_repeats_windows_of_small_groups_and_leaves_none_out(
    lengths: list[int], groups: int, seed: int
) -> None:
    ends = np.cumsum(lengths)
    windows = Windows(ends - lengths, ends)
    group_of = np.arange(len(lengths)) % groups
    balanced = balance_windows(windows, group_of, seed)
    times = {begin: int((balanced.begins == begin).sum()) for begin in windows.begins}
    tokens = np.bincount(group_of, weights=lengths)
    assert len(balanced.begins) == sum(times.values())
    for begin, group in zip(windows.begins, group_of, strict=True):
        wanted = min(4.0, math.sqrt(tokens.max() / tokens[group]))
        assert math.floor(wanted) <= times[begin] <= math.ceil(wanted), "and so never 0, and 1 in the largest group"


def test_a_balanced_pass_hears_groups_by_the_root_of_their_share() -> None:
    group_of = np.repeat([0, 1, 2], [9_000, 4_000, 1_000])
    ends = np.cumsum(np.full(14_000, 10))
    balanced = balance_windows(Windows(ends - 10, ends), group_of, 0)
    heard = np.bincount(group_of[balanced.begins // 10])
    assert heard / heard[0] == pytest.approx([1, math.sqrt(4 / 9), math.sqrt(1 / 9)], rel=0.03)
