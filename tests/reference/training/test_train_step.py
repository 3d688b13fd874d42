"""A step: it does not depend on the number of packs, and its rate rises and falls."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.training import TINY

from curate.reference.training.config import rate_at
from curate.reference.training.packs import make_packs
from curate.reference.training.train_step import learn_packs, make_trainer


def test_a_step_does_not_depend_on_the_number_of_packs() -> None:
    ids = np.random.default_rng(0).integers(1, 320, 600)
    begins, ends = np.array([0, 100, 200, 330]), np.array([64, 130, 263, 394])
    moved = []
    for count in (1, 3):
        learner = make_trainer(replace(TINY, packs=count), "cpu")
        packs = make_packs(ids, begins, ends, count, "cpu")
        assert len(packs) == count and sum(pack.tokens for pack in packs) == int((ends - begins).sum())
        losses = [learn_packs(learner, packs, TINY, 0.1) for _ in range(2)]
        moved.append((torch.tensor(losses), learner.model.state_dict()))
    assert moved[0][0][1] < moved[0][0][0]
    torch.testing.assert_close(moved[0], moved[1], rtol=1e-3, atol=1e-4)


def test_the_rate_rises_then_falls_straight_to_zero() -> None:
    assert rate_at(0.0, 0.02) == 0.0 and rate_at(1.0, 0.02) == 0.0
    assert rate_at(0.02, 0.02) == pytest.approx(1.0)
    assert rate_at(0.51, 0.02) == pytest.approx(0.5)
    assert rate_at(0.0, 0.0) == 1.0
