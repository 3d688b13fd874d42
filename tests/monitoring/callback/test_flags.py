"""Flags of a training: known answers, and how often they are up without a reason."""

import math
import sys

import numpy as np
import pytest
from helpers.paths import ROOT

from curate.monitoring.callback.evaluate import DocumentSums
from curate.monitoring.callback.flags import FLAGS, find_flags, find_leak, find_overfit, find_plateau
from curate.monitoring.callback.history import make_history
from curate.monitoring.callback.paired import TrainingHistory, Uncertain, add_errors, measure_fluctuation, measure_ratio

TOKENS = np.array([40.0, 80.0, 120.0, 60.0, 100.0, 50.0, 90.0, 70.0, 110.0, 75.0])


def make(losses, train=(), noise=0.0, logs=10):
    """A training with these held-out losses, in 10 documents, and ``logs`` losses of training between two steps."""
    random = np.random.default_rng(0)
    steps = 100 * np.arange(len(losses))
    losses_TN = np.array(losses)[:, None] + random.normal(0, noise, (len(losses), len(TOKENS)))
    train_steps = np.arange(1, (len(losses) - 1) * logs + 1) * 100 // logs
    values = np.interp(train_steps, steps, train) if len(train) else np.zeros(0)
    wobble = 0.01 * np.cos(np.arange(len(values)))
    return TrainingHistory(steps, losses_TN * TOKENS, TOKENS, train_steps[: len(values)], values + wobble)


def test_a_loss_that_stands_still_is_a_plateau_and_one_that_falls_is_none():
    flat = make([3.0] * 6, noise=1e-4)
    assert (find_plateau(flat, 5, 0.01).flag, find_plateau(flat, 5, 0.01).began) == ("plateau", 0)
    assert find_plateau(make([3.0] * 5, noise=1e-4), 5, 0.01) is None  # once is not enough
    assert find_plateau(make(3.0 - 0.005 * np.arange(6), noise=1e-4), 5, 0.01) is None
    assert find_plateau(make([3.0] * 6, noise=0.2), 5, 0.01) is None  # it cannot be told
    assert find_plateau(make([3.0, 2.5, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0], noise=1e-4), 5, 0.01).began == 200


CURVE = [3.0, 2.6, 2.4, 2.3, 2.25, 2.24, 2.26, 2.32, 2.40, 2.50, 2.62, 2.76]
FALLS = np.linspace(3.0, 1.0, len(CURVE))


def test_held_out_text_that_rises_while_training_falls_is_overfitting():
    flag = find_overfit(make(CURVE, FALLS, 0.005))
    assert flag.flag == "overfit" and flag.began == 1000
    assert find_overfit(make(CURVE, 3.0 + 0 * FALLS, 0.005)) is None
    assert find_overfit(make(CURVE, (), 0.005)) is None
    assert find_overfit(make(CURVE[:7], FALLS[:7], 0.005)) is None
    assert find_overfit(make(np.minimum.accumulate(CURVE), FALLS, 0.005)) is None


def test_documents_without_surprise_are_a_leak_unless_they_had_none_at_first():
    losses = np.full((3, 400), 2.0)
    losses[2, :4] = 0.05
    tokens = np.full(400, 50.0)

    def flag(losses, tokens=tokens):
        return find_leak(TrainingHistory(np.array([0, 5, 10]), losses * tokens, tokens, np.zeros(0), np.zeros(0)))

    assert (flag(losses).flag, flag(losses).began) == ("leak", 10)
    assert "4 held-out documents (1.0 %)" in flag(losses).text
    assert flag(losses, np.full(400, 31.0)) is None
    losses[2, 3] = 2.0
    assert flag(losses) is None
    losses[:, :50] = 0.05
    assert flag(losses) is None


def test_held_out_text_that_falls_below_training_is_a_leak_unless_it_was_there_from_the_start():
    falls = 3.0 - 0.05 * np.arange(12)
    flag = find_leak(make(falls, np.full(12, 2.8), 0.005))
    assert flag.flag == "leak" and "below that of training" in flag.text and "nan" not in flag.text
    assert find_leak(make(falls - 1.0, falls + 0.5, 0.005)) is None
    assert find_leak(make(falls, np.full(12, 2.8), 0.005, logs=2)) is None  # too few losses to tell
    assert find_leak(make(falls, (), 0.005)) is None


def test_flags_are_named_in_one_order_and_need_evaluations():
    assert list(FLAGS) == ["plateau", "overfit", "leak"]
    for count in (1, 2):
        assert find_flags(make(CURVE[:count], FALLS[:count]), 5, 0.01) == []


def test_a_ratio_of_sums_has_the_error_of_its_documents():
    """The error over documents agrees with what 4,000 draws of documents show."""
    random = np.random.default_rng(5)
    tokens = random.lognormal(4, 0.8, 200).round() + 1
    nats = tokens * random.normal(2, 0.5, 200)
    draws = random.integers(0, 200, (4000, 200))
    spread = (nats[draws].sum(1) / tokens[draws].sum(1)).std()
    measured = measure_ratio(nats, tokens)
    assert measured.value == pytest.approx(nats.sum() / tokens.sum())
    assert measured.error == pytest.approx(spread, rel=0.1)
    assert measured.margin(0.05) == pytest.approx(1.972 * measured.error, rel=1e-3)
    assert measure_ratio(nats[:1], tokens[:1]).margin(0.05) == math.inf


def test_the_fluctuation_between_evaluations_is_found_whatever_the_slope():
    random = np.random.default_rng(6)
    for slope in (0.0, -0.1):
        noisy = slope * np.arange(2000) + random.normal(0, 0.02, 2000)
        assert measure_fluctuation(noisy).error == pytest.approx(0.02, rel=0.05)
    assert measure_fluctuation(np.zeros(2)).margin(0.05) == math.inf


def test_errors_add_up_and_an_unknown_one_makes_the_sum_unknown():
    both = add_errors(1.0, (1.0, Uncertain(0, 3.0, 10)), (2.0, Uncertain(0, 2.0, 10)))
    assert (both.value, both.error) == (1.0, 5.0) and 10 < both.freedom < 20
    assert add_errors(1.0, (1.0, Uncertain(0, 3.0, 10)), (1.0, Uncertain(0, math.inf, 0))).margin(0.05) == math.inf


def test_a_history_holds_the_documents_that_every_evaluation_has():
    def sums(keys, nats):
        count = len(keys)
        return DocumentSums(
            tuple(("f", key, key) for key in keys), np.array(nats), np.full(count, 10.0), np.full(count, 40), ()
        )

    log = [{"loss": 2.5, "step": 3}, {"eval_loss": 1.0, "step": 4}, {"loss": 2.0, "step": 6}]
    history = make_history({10: sums([2, 1, 9], [20.0, 10.0, 90.0]), 5: sums([1, 2, 3], [1.0, 2.0, 3.0])}, log)
    assert history.steps_T.tolist() == [5, 10]
    assert history.nats_TN.tolist() == [[1.0, 2.0], [10.0, 20.0]]
    assert (history.train_steps.tolist(), history.train_losses.tolist()) == ([3, 6], [2.5, 2.0])
    assert make_history({}, log) is None
    assert make_history({1: sums([1], [1.0]), 2: sums([2], [1.0])}, log) is None


@pytest.mark.parametrize(
    ("flag", "number"), [("overfit", 0), ("overfit", 1), ("plateau", 4), ("leak", 8), ("leak", 9), ("leak", 10)]
)
def test_flags_without_a_reason_are_rare(flag, number, monkeypatch):
    """In 80 trainings of 20 evaluations: the share in 1,000 is in benchmarks/README.md, and at most 5 %."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    training_flags = sys.modules.get("training_flags") or __import__("training_flags")
    named, _, held_out, train = training_flags.SCENARIOS[number]
    assert named == flag
    random = np.random.default_rng(2)
    found = [
        training_flags.fires(FLAGS[flag], training_flags.simulate(random, 300, 0.003, held_out, train))
        for _ in range(80)
    ]
    assert sum(each is not None for each in found) <= 8
