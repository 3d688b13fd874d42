"""The error of half precision is that of documents: biases stay, independent errors average out, alike ones do not."""

import math

import numpy as np
import pytest
import torch

from curate.reference import load, loading
from curate.reference.checks import half_precision, self_check
from curate.reference.checks.half_precision import BLOCK, MOST, MOST_BIAS, HalfPrecisionError, compare_precision
from curate.reference.protocol import ScoringConfig

pytestmark = pytest.mark.filterwarnings("ignore")


def compare(differences):
    truth = [np.full(len(one), 3.0) for one in differences]
    return compare_precision([base + one for base, one in zip(truth, differences, strict=True)], truth)


def draw(sigma, texts=200, tokens=160, seed=0):
    generator = np.random.default_rng(seed)
    return [sigma * generator.standard_normal(tokens) for _ in range(texts)]


def test_independent_errors_of_tokens_average_out_in_a_document():
    error = compare(draw(0.06))
    assert error.spread == pytest.approx(0.06, rel=0.02) and abs(error.bias) < 3 * error.bias_error
    assert error.relative(200) == pytest.approx(0.06 / math.sqrt(200), rel=0.05)
    assert error.is_small, "the noise of real models in bf16"


def test_the_stated_error_is_that_of_documents_of_that_length():
    documents = np.array([one.sum() / len(one) for one in draw(0.06, texts=2000, tokens=200, seed=1)]) + 0.002
    stated = compare([one + 0.002 for one in draw(0.06)]).relative(200)
    assert stated == pytest.approx(float(np.sqrt(np.mean(np.expm1(documents) ** 2))), rel=0.05)


def test_errors_that_neighbours_share_do_not_average_out():
    alike = [np.repeat(one, BLOCK) for one in draw(0.06, tokens=5)]
    assert compare(alike).spread == pytest.approx(0.06 * math.sqrt(BLOCK), rel=0.1)
    assert not compare(alike).is_small


def test_a_bias_that_is_clear_is_too_much_where_the_same_error_without_it_would_pass():
    small, large = (compare([one + bias for one in draw(0.02)]) for bias in (0.002, 0.004))
    assert small.is_small and not large.is_small and large.relative() < MOST
    assert HalfPrecisionError(0.004, 0.0015, 0.05, 1500).is_small, "not clear: within its standard error"


def test_numbers_that_are_not_finite_are_never_small():
    error = compare([np.array([0.0, math.nan]), np.array([0.0])])
    assert not error.is_small and math.isinf(error.bias) and "no numbers" in error.describe("fp16")


def test_the_model_in_the_box_runs_in_half_precision_and_says_how_far_it_is_off(monkeypatch):
    monkeypatch.setattr(loading, "cpu_multiplies_bfloat16", lambda: True)
    reference = load("builtin", ScoringConfig(device="cpu"))
    assert reference.identity["dtype"] == "bf16"
    assert "bf16: perplexity of 200 tokens within 0." in reference.check_line


def coarse_in(monkeypatch, dtypes):
    """Let the self-check find these dtypes too coarse."""
    real = self_check.check_model

    def check(checkpoint, runner, prefix):
        result = real(checkpoint, runner, prefix)
        if checkpoint.dtype in dtypes:
            object.__setattr__(result, "error", HalfPrecisionError(0.02, 0.0, 0.05, 1000))
        return result

    monkeypatch.setattr(self_check, "check_model", check)
    monkeypatch.setattr(loading, "cpu_multiplies_bfloat16", lambda: True)


def test_a_cpu_steps_from_bf16_to_fp32_and_says_what_it_costs_and_why(folder, monkeypatch):
    coarse_in(monkeypatch, {"bf16"})
    reference = load(str(folder("llama")), ScoringConfig(device="cpu"))
    assert reference.identity["dtype"] == "fp32"
    assert (
        "bf16 moves the perplexity of 200 tokens by 2.1% (bias +2.0%), more than 1% (bias 0.3%): "
        "running in fp32 instead; --dtype bf16 keeps it"
    ) in reference.notes


@pytest.mark.parametrize(("coarse", "runs"), [({"bf16"}, "fp16"), ({"bf16", "fp16"}, "fp32")])
def test_a_gpu_tries_fp16_before_fp32(folder, monkeypatch, coarse, runs):
    coarse_in(monkeypatch, coarse)
    real = loading.next_dtype
    monkeypatch.setattr(loading, "next_dtype", lambda dtype, _device: real(dtype, torch.device("cuda")))
    reference = load(str(folder("llama")), ScoringConfig(device="cpu"))
    assert reference.identity["dtype"] == runs
    assert [f"running in {one} instead" in " ".join(reference.notes) for one in ("fp16", "fp32")] == [
        True, runs == "fp32",
    ]  # fmt: skip


def test_weights_that_stay_in_a_dtype_that_is_too_coarse_are_said_and_not_loaded_for_ever(folder, monkeypatch):
    coarse_in(monkeypatch, {"bf16"})
    monkeypatch.setattr(loading, "load_with_dtype", lambda checkpoint, dtype: checkpoint.model)
    reference = load(str(folder("llama")), ScoringConfig(device="cpu"))
    assert reference.identity["dtype"] == "bf16"
    assert any("its weights cannot be loaded in fp32" in note for note in reference.notes)


def test_a_dtype_that_was_named_is_kept_with_a_note(folder, monkeypatch):
    coarse_in(monkeypatch, {"bf16"})
    reference = load(str(folder("llama")), ScoringConfig(device="cpu", dtype="bf16"))
    assert reference.identity["dtype"] == "bf16" and any("--dtype bf16 keeps it" in note for note in reference.notes)


def test_the_limits_are_those_that_the_readme_states():
    assert (MOST, MOST_BIAS, half_precision.DOCUMENT) == (0.01, 0.003, 200)
