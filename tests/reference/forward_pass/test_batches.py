"""Packs that are filled up to a fixed size: the filling changes no number."""

import numpy as np
import pytest
from helpers import models
from helpers.packs import SIZES, TEXTS, batches_of, same

from curate.reference import load
from curate.reference.forward_pass import batches
from curate.reference.forward_pass.forward import CausalModel
from curate.reference.likelihood import Likelihoods, Passage
from curate.reference.protocol import ScoringConfig


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


def finished(owners, nats, firsts, peaks, heads, count):
    """The likelihoods of passages whose windows came to these sums."""
    empty = np.zeros(0, np.int64)
    prepared = batches.PreparedBatch(
        Likelihoods.blank(count), empty.astype(np.int32), empty, empty, empty, np.array(owners), np.array(heads),
        np.zeros(len(owners), np.bool_), *(np.array(values, dtype=np.float64) for values in (nats, firsts, peaks)),
    )  # fmt: skip
    return batches.finish_batch(prepared)


@pytest.mark.parametrize("peaks", [(9.0, 2.0, 3.0), (2.0, 9.0, 3.0), (2.0, 3.0, 9.0)])
def test_the_windows_of_a_passage_are_summed_and_their_largest_token_is_the_largest_of_all(peaks):
    found = finished([0, 0, 0, 2], [10, 20, 30, 5], [1, 2, 3, 4], [*peaks, 1.0], [1, 0, 0, 1], 3)
    assert found.nats[[0, 2]].tolist() == [60.0, 5.0]
    assert found.max_nats[[0, 2]].tolist() == [9.0, 1.0]
    assert found.first_nats[[0, 2]].tolist() == [1.0, 4.0]
    assert np.isnan(found.nats[1])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_passage_of_which_any_window_is_not_finite_is_refused_alone(bad):
    found = finished([0, 0, 1], [10, bad, 5], [1, 2, 3], [4, bad, 3], [1, 0, 1], 2)
    assert found.status == ["not_finite", "ok"] and np.isnan(found.max_nats[0]) and found.nats[1] == 5
