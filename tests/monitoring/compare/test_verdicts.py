"""Tolerances and the three answers, and how often a gate fires."""

import math

import numpy as np
import pytest
from helpers.simulated_sides import simulate_pairs, simulate_samples

from curate.errors import UsageError
from curate.monitoring.compare.contrasts import Ends, find_joint_intervals
from curate.monitoring.compare.verdicts import choose_exit_code, combine_verdicts, parse_tolerance


def test_a_tolerance_is_per_cent_of_perplexity_or_bits_per_byte():
    assert parse_tolerance("0.5%").metric == "perplexity"
    assert parse_tolerance("0.5%").half_width == pytest.approx(math.log(1.005))
    assert parse_tolerance(" .01 BPB ").half_width == 0.01
    assert parse_tolerance("0.01bpb").metric == "bits_per_byte"


@pytest.mark.parametrize("text", ["", "0.5", "-1%", "100%", "1e3", "0.5 percent", "nan%", "bpb", "%"])
def test_other_texts_are_no_tolerance(text):
    with pytest.raises(UsageError):
        parse_tolerance(text)


@pytest.mark.parametrize(
    ("low", "high", "both", "worse"),
    [
        (-0.001, 0.001, "within", "within"),
        (0.006, 0.01, "beyond", "beyond"),
        (-0.02, -0.01, "beyond", "within"),
        (-0.02, 0.001, "cannot tell", "within"),
        (0.001, 0.02, "cannot tell", "cannot tell"),
        (-math.inf, math.inf, "cannot tell", "cannot tell"),
        (0.0, 0.0, "within", "within"),
    ],
)
def test_an_interval_is_within_beyond_or_cannot_tell(low, high, both, worse):
    assert parse_tolerance("0.5%").judge(Ends(low, high)) == both
    assert parse_tolerance("0.5%", only_worse=True).judge(Ends(low, high)) == worse


def test_what_is_unmeasured_never_passes():
    assert choose_exit_code(["within", "unmeasured"], None) == 5
    assert choose_exit_code(["within", "unmeasured"], "pass") == 4
    assert choose_exit_code(["within", "unmeasured"], "fail") == 4


def test_exit_codes_follow_the_worst_verdict():
    assert choose_exit_code([], None) == choose_exit_code(["within"], "fail") == 0
    assert choose_exit_code(["cannot tell", "beyond", "unmeasured"], "pass") == 4
    assert [choose_exit_code(["cannot tell"], unsure) for unsure in (None, "pass", "fail")] == [5, 0, 4]
    assert combine_verdicts(["within", "cannot tell", "unmeasured"]) == "unmeasured"


@pytest.mark.parametrize("simulate", [simulate_pairs, simulate_samples])
@pytest.mark.parametrize("count", [50, 300])
def test_a_gate_fires_in_at_most_5_of_100_without_a_change(simulate, count):
    tolerance, verdicts = parse_tolerance("0.5%"), []
    for seed in range(300):
        found = simulate(seed, count, 0.0).ratios.estimate((-1.0, 1.0))
        verdicts.append(tolerance.judge(find_joint_intervals([found])[0]))
    assert np.mean([verdict == "beyond" for verdict in verdicts]) <= 0.05


@pytest.mark.parametrize("count", [50, 300])
def test_a_gate_that_can_tell_fires_at_twice_the_tolerance(count):
    tolerance, verdicts = parse_tolerance("1%"), []
    for seed in range(300):
        found = simulate_pairs(seed, count, 2 * tolerance.half_width).ratios.estimate((-1.0, 1.0))
        verdicts.append(tolerance.judge(find_joint_intervals([found])[0]))
    told = [verdict for verdict in verdicts if verdict != "cannot tell"]
    assert len(told) > 30 and np.mean([verdict == "beyond" for verdict in told]) >= 0.95


def test_so_many_documents_as_it_says_would_tell():
    tolerance = parse_tolerance("1%")
    found = simulate_pairs(1, 50, 0.004).ratios.estimate((-1.0, 1.0))
    ends = find_joint_intervals([found])[0]
    assert tolerance.judge(ends) == "cannot tell"
    needed = tolerance.count_needed(found.value, ends, 50)
    half = (ends.high - ends.low) / 2 * math.sqrt(50 / needed)
    assert tolerance.judge(Ends(found.value - half, found.value + half)) != "cannot tell"
    assert tolerance.count_needed(tolerance.half_width, ends, 50) is None, "on the border no number tells"
