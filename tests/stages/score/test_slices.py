"""Slices are sized by model and device alone; a model that gives only NaN ends the run."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers.scored_slices import make_likelihoods

from curate.errors import ModelError
from curate.reference.checkpoints.no_model import NoModel
from curate.stages.score.slices import check_any_finite, choose_slice_bytes, choose_workers


def make_reference(device="cpu", dtype="fp32", parameters=0):
    return SimpleNamespace(identity={"model": "m", "device": device, "dtype": dtype}, parameters=parameters)


def test_a_slice_is_half_a_minute_of_work_on_a_cpu_within_bounds_and_large_on_a_gpu():
    assert choose_slice_bytes(make_reference("cuda", parameters=10**12)) == 64_000_000
    assert choose_slice_bytes(make_reference(parameters=6_000_000)) == 1_000_000
    assert choose_slice_bytes(make_reference(dtype="bf16", parameters=6_000_000)) == 3_000_000
    assert choose_slice_bytes(make_reference(parameters=10**12)) == 250_000
    assert choose_slice_bytes(NoModel()) == 4_000_000


def test_signals_take_one_thread_next_to_a_model_on_the_cpu():
    assert choose_workers(make_reference("cpu")) == 1
    assert 1 <= choose_workers(make_reference("cuda")) <= 8


def test_a_model_that_gives_nan_for_every_document_of_a_large_slice_is_refused():
    broken = make_likelihoods([np.nan] * 21, [1] * 21, [1] * 21)
    with pytest.raises(ModelError, match="all 21 documents") as caught:
        check_any_finite(broken, make_reference(dtype="bf16"))
    assert "--dtype fp32" in caught.value.hint
    with pytest.raises(ModelError, match="in fp32") as caught:
        check_any_finite(broken, make_reference(dtype="fp32"))
    assert "damaged" in caught.value.hint, "there is nothing more exact to try"
    check_any_finite(make_likelihoods([np.nan] * 20, [1] * 20, [1] * 20), make_reference())
    check_any_finite(make_likelihoods([np.nan] * 20 + [1.0], [1] * 21, [1] * 21), make_reference())
