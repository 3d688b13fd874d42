"""Sums in bins of probability, and the errors of calibration that follow from them."""

import numpy as np
import pytest
import torch

from curate.reference.forward_pass import likely_tokens
from curate.reference.forward_pass.likely_tokens import find_likely
from curate.reference.measures import calibration
from curate.reference.measures.calibration import CalibrationBins, calibration_error, full_ece, top1_accuracy, top1_ece

FINDERS = {"cpu": likely_tokens._find_here, "device": likely_tokens._find_there}


def bin_slowly(probabilities, targets):
    """All pairs one by one.  → the sums by name"""
    sums = {name: np.zeros(20) for name in calibration.SUMS} | {"top1_hits": 0}
    for row, target in zip(probabilities, targets, strict=True):
        top = int(row.argmax())
        for token, probability in enumerate(row):
            at = min(19, int(probability * 20))
            kinds = ("full", "top1") if token == top else ("full",)
            for kind in kinds:
                hit = token == target if kind == "full" else row[target] == row[top]
                for what, value in (("pairs", 1), ("confidence", probability), ("hits", hit)):
                    sums[f"ece_{kind}_{what}"][at] += value
        sums["top1_hits"] += row[target] == row[top]
    return sums


def collect(logits, targets, finder):
    likely = torch.zeros(len(targets), calibration.WIDTH)
    losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    wanted = logits.gather(1, targets[:, None])
    finder(logits, wanted, losses[:, None] + wanted, likely)
    bins = CalibrationBins.make(3)
    counts = np.array([len(targets) - 2, 2])
    bins.record(np.array([2, 0]), counts, likely.numpy(), logits.shape[1])
    bins.record(np.array([1]), np.array([0]), likely[:0].numpy(), logits.shape[1])
    return {name: values[0] for name, values in bins.sum_texts(np.array([0])).items()}


@pytest.mark.parametrize("finder", FINDERS)
@pytest.mark.parametrize("vocabulary", [3, 20, 63, 64, 65, 1300, 5000])
def test_the_sums_are_those_of_all_pairs(vocabulary, finder):
    made = torch.Generator().manual_seed(vocabulary)
    logits = torch.randn(60, vocabulary, generator=made) * torch.linspace(0.01, 9, 60)[:, None]
    targets = torch.randint(0, vocabulary, (60,), generator=made)
    targets[::2] = logits[::2].argmax(1)
    found = collect(logits, targets, FINDERS[finder])
    wanted = bin_slowly(logits.double().softmax(1).numpy(), targets.tolist())
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, atol=2e-4, err_msg=name)
    assert found["ece_full_hits"].sum() == found["ece_top1_pairs"].sum() == 60
    assert found["ece_full_pairs"].sum() == 60 * vocabulary
    assert found["ece_full_confidence"].sum() == pytest.approx(60)


@pytest.mark.parametrize("finder", FINDERS)
def test_a_tie_for_the_likeliest_is_a_hit_as_its_rank_is_1(finder):
    logits = torch.zeros(4, 8)
    found = collect(logits, torch.tensor([0, 3, 7, 1]), FINDERS[finder])
    assert found["top1_hits"] == 4 and found["ece_top1_confidence"][2] == pytest.approx(0.5)


def test_a_constant_in_the_logits_of_a_row_says_nothing():
    logits = torch.randn(9, 200, generator=torch.Generator().manual_seed(0)) * 5
    targets, likely = torch.arange(9), [torch.zeros(9, calibration.WIDTH) for _ in range(2)]
    losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    for shift, out in zip((0, -17), likely, strict=True):
        find_likely(logits + shift, losses, targets, out)
    torch.testing.assert_close(*likely, atol=1e-5, rtol=1e-4)


def test_a_uniform_model_has_no_error_whatever_comes():
    for vocabulary in (4, 20, 384):
        found = collect(torch.zeros(50, vocabulary), torch.arange(50) % vocabulary, FINDERS["cpu"])
        gap = abs(found["ece_full_confidence"] - found["ece_full_hits"])
        assert full_ece(found) == pytest.approx(0, abs=1e-5) and gap.max() < 1e-4


def test_four_positions_by_hand():
    # 0.9 comes twice of four times, 0.1 twice: Σp is 3.6 against 2 hits, and 0.4 against 2.
    logits = torch.tensor([[0.9, 0.1]] * 4).log()
    found = collect(logits, torch.tensor([0, 0, 1, 1]), FINDERS["cpu"])
    assert full_ece(found) == pytest.approx((1.6 + 1.6) / 4)
    assert top1_ece(found) == pytest.approx(1.6 / 4) and top1_accuracy(found) == 0.5
    assert calibration_error([3.6, 0.4], [2, 2]) == pytest.approx(0.8)


def test_sums_of_nothing_have_no_error():
    nothing = {name: np.zeros(20) for name in calibration.SUMS}
    assert np.isnan([full_ece(nothing), top1_ece(nothing), top1_accuracy(nothing)]).all()
