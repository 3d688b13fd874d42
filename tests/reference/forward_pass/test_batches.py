"""Packs of fixed size: every window is in one, and their filling changes no number."""

import numpy as np
import pytest
from helpers import models
from helpers.packs import SIZES, TEXTS, batches_of, same
from hypothesis import given
from hypothesis import strategies as st

from curate.reference import load
from curate.reference.forward_pass.forward import CausalModel
from curate.reference.likelihood import Passage
from curate.reference.packing import fit_size, pack_fixed, pack_windows
from curate.reference.protocol import ScoringConfig


@given(st.lists(st.integers(1, 200), max_size=80), st.sampled_from([(64, 16, 4), (100, 25), (256, 64, 16), (7,)]))
def test_every_window_is_in_one_pack_and_packs_of_many_sizes_waste_less_than_of_one(lengths, sizes):
    lengths = np.array(lengths, np.int64)
    found = pack_fixed(lengths, sizes)
    assert sorted(np.concatenate(found).tolist() if found else []) == list(range(len(lengths)))
    places = [fit_size(int(lengths[one].sum()), sizes) for one in found]
    whole = [fit_size(int(lengths[one].sum()), sizes[:1]) for one in pack_windows(lengths, sizes[0])]
    assert sum(places) <= sum(whole)
    for one, size in zip(found, places, strict=True):
        used = int(lengths[one].sum())
        assert used <= size and (size in sizes or (len(one) == 1 and size % sizes[0] == 0 and size - used < sizes[0]))


def test_what_is_left_of_a_batch_takes_small_packs():
    lengths = np.array([60] * 5 + [10])  # 310 of places: one of 256 holds four, then 60 + 10 are left
    found = pack_fixed(lengths, (256, 64, 16))
    assert sorted(fit_size(int(lengths[one].sum()), (256, 64, 16)) for one in found) in ([64, 256], [16, 64, 256])
    assert pack_fixed(np.zeros(0, np.int64), (4,)) == []
    with pytest.raises(ValueError, match="positive and fall"):
        pack_fixed(lengths, (16, 64))


@pytest.mark.parametrize("kind", ["llama", "gpt2", "mistral", "gemma2"])
def test_the_filling_of_a_pack_changes_no_number(tmp_path, kind):
    """Exact mode, so that a leak from the filling would show."""
    reference = load(str(models.save(tmp_path / kind, kind)), ScoringConfig(exact=True))
    wanted = list(reference.score(iter(batches_of(5))))
    seen, real = [], CausalModel.nats
    reference.runner.sizes = SIZES
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CausalModel, "nats", lambda self, pack: (seen.append(pack.num_positions), real(self, pack))[1])
        found = list(reference.score(iter(batches_of(5))))
    same(found, wanted)
    assert set(seen) <= set(SIZES) and len(set(seen)) >= 2


def test_a_window_longer_than_a_pack_takes_whole_multiples(folder):
    reference = load(str(folder), ScoringConfig(exact=True, window=60))
    wanted = list(reference.score([[Passage(TEXTS[4])]]))
    reference.runner.sizes = (16, 4)
    same(list(reference.score([[Passage(TEXTS[4])]])), wanted)
