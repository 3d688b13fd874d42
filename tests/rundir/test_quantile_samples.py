"""Order statistics by a sample: the numbers that sorting finds, in two passes; where the sample misleads, in more."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.rundir import quantile_samples, quantiles
from curate.rundir.quantile_samples import QuantileCut

VALUES = st.one_of(
    st.floats(allow_nan=False),
    st.sampled_from([0.0, -0.0, 1.0, 1.0, 2.0, np.inf, -np.inf, 5e-324, -5e-324]),
)
ROWS = st.lists(st.tuples(VALUES, st.integers(0, 3), st.integers(0, 9)), max_size=80)


class Passes:
    """Gives rows of (value, group, weight) in batches of at most ``size``, and counts how often it was called.

    Batches of one group give it as a number; so does ``whole`` for all rows once more.
    """

    def __init__(self, values, group, weights=None, size=7, whole=None):
        self.values, self.group = np.array(values, np.float64), np.array(group, np.int64)
        self.weights = None if weights is None else np.array(weights, np.int64)
        self.size, self.whole, self.calls = size, whole, 0

    def __call__(self):
        self.calls += 1
        for first in range(0, len(self.values), self.size):
            some = slice(first, first + self.size)
            values, group = self.values[some], self.group[some]
            weights = None if self.weights is None else self.weights[some]
            yield values, int(group[0]) if len(set(group.tolist())) == 1 else group, weights
            if self.whole is not None:
                yield values, self.whole, weights


def sort_out(passes, group, position):
    """The number at a position of a group, by sorting; None beyond its end."""
    own = passes.group == group if group != passes.whole else np.ones(len(passes.values), bool)
    weights = (np.ones(len(passes.values), np.int64) if passes.weights is None else passes.weights)[own]
    values = passes.values[own]
    order = np.argsort(values, kind="stable")
    values, ends = values[order], np.cumsum(weights[order])
    at = int(np.searchsorted(ends, position, side="right"))
    if at == len(values):
        return None
    return QuantileCut(float(values[at]), int(weights[order][: np.searchsorted(values, values[at])].sum()))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("sampled", "kept"), [(1 << 19, 1000), (8, 1000), (8, 5), (1, 0)])
@settings(deadline=None)
@given(rows=ROWS, size=st.integers(1, 30))
def test_a_sample_of_any_size_leads_to_the_numbers_that_sorting_finds(rows, size, sampled, kept, weighted):
    values, group, weights = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    passes = Passes(values, group, weights if weighted else None, size, whole=4)
    before, quantile_samples.SAMPLED = quantile_samples.SAMPLED, sampled
    try:
        survey = quantiles.survey_numbers(passes, 5)
        totals = survey.weights.tolist()
        wanted = {
            one: [0, total // 3, total // 2, total // 2 + 1, total - 1, total] for one, total in enumerate(totals)
        }
        found = quantiles.find_cuts(passes, wanted, kept, survey)
    finally:
        quantile_samples.SAMPLED = before
    assert totals == quantiles.sum_weights(passes, 5).tolist()
    for one, positions in wanted.items():
        for position in positions:
            expected = sort_out(passes, one, position) if position >= 0 else None
            assert found.get((one, position)) == expected


@pytest.mark.parametrize("weighted", [False, True])
def test_one_pass_behind_the_survey_finds_all(weighted, monkeypatch):
    monkeypatch.setattr(quantile_samples, "SAMPLED", 4000)
    drawn = np.random.default_rng(0)
    values, group = np.exp(drawn.normal(4, 1, 40_000)), drawn.integers(0, 5, 40_000)
    passes = Passes(values, group, drawn.integers(1, 1000, 40_000) if weighted else None, 3000, whole=5)
    survey = quantiles.survey_numbers(passes, 6)
    assert 2000 <= len(survey.values) <= 4000 < survey.stride * 4000 and passes.calls == 1
    wanted = {one: [total // 4, total // 2, 3 * total // 4] for one, total in enumerate(survey.weights.tolist())}
    found = quantiles.find_cuts(passes, wanted, kept=60_000, survey=survey)
    assert passes.calls == 2 and len(found) == 18
    assert all(cut == sort_out(passes, *key) for key, cut in found.items())


def test_an_answer_that_the_sample_misses_is_found_by_more_passes(monkeypatch):
    """Every other number is 0, and the sample has these alone: it says that all are."""
    monkeypatch.setattr(quantile_samples, "SAMPLED", 100)
    values = np.where(np.arange(1000) % 2, np.arange(1000.0), 0.0)
    passes = Passes(values, np.zeros(1000, int), size=50)
    survey = quantiles.survey_numbers(passes, 1)
    assert set(survey.values.tolist()) == {0.0}
    found, rest = quantile_samples.find_sampled_cuts(passes, {0: [10, 700]}, survey, kept=2000)
    assert found == {(0, 10): QuantileCut(0.0, 0)} and rest == {0: [700]}
    calls = passes.calls
    assert quantiles.find_cuts(passes, {0: [10, 700]}, 2000, survey)[0, 700] == QuantileCut(401.0, 700)
    assert passes.calls > calls + 1


@pytest.mark.parametrize("weighted", [False, True])
def test_an_answer_below_its_bracket_is_no_number_of_the_bracket(monkeypatch, weighted):
    """Every other number is large, and the sample has these alone: all answers seem to be large."""
    monkeypatch.setattr(quantile_samples, "SAMPLED", 100)
    values = np.where(np.arange(1000) % 2, 0.0, 1000.0 + np.arange(1000))
    passes = Passes(values, np.zeros(1000, int), np.full(1000, 3) if weighted else None, size=50)
    survey = quantiles.survey_numbers(passes, 1)
    position = 500 * (3 if weighted else 1) - 5
    found, rest = quantile_samples.find_sampled_cuts(passes, {0: [position]}, survey, kept=2000)
    assert (found, rest) == ({}, {0: [position]})
    assert quantiles.find_cuts(passes, {0: [position]}, 2000, survey) == {(0, position): QuantileCut(0.0, 0)}


@pytest.mark.parametrize("misled", [False, True])
def test_no_more_numbers_are_held_than_twice_the_bound(monkeypatch, misled):
    """Brackets are not tried where the sample shows too many numbers in them, and left where it did not."""
    monkeypatch.setattr(quantile_samples, "SAMPLED", 100)
    values = np.where(np.arange(4000) % 64 if misled else True, 5.0 + np.arange(4000) % 1000 / 1e6, np.arange(4000))
    passes = Passes(values, np.zeros(4000, int), size=50)
    survey = quantiles.survey_numbers(passes, 1)
    held = []
    add = quantile_samples._BracketNumbers.add
    monkeypatch.setattr(
        quantile_samples._BracketNumbers, "add", lambda self, *batch: (add(self, *batch), held.append(self.num_held))
    )
    kept = 1200 if misled else 200
    found, rest = quantile_samples.find_sampled_cuts(passes, {0: [60]}, survey, kept)
    assert (found, rest) == ({}, {0: [60]})
    assert (max(held) > 2 * kept and max(held) <= 2 * kept + 50) if misled else not held
    assert quantiles.find_cuts(passes, {0: [60]}, kept, survey)[0, 60] == sort_out(passes, 0, 60)


def test_ties_are_not_held_where_one_number_is_all_of_a_bracket():
    passes = Passes([3.0] * 5000 + [1.0] * 100 + [9.0] * 100, [0] * 5200, size=1000)
    survey = quantiles.survey_numbers(passes, 1)
    found, rest = quantile_samples.find_sampled_cuts(passes, {0: [2600]}, survey, kept=10)
    assert (found, rest) == ({(0, 2600): QuantileCut(3.0, 100)}, {})


def test_groups_that_were_not_asked_for_do_not_count():
    passes = Passes([1.0, 2.0, 3.0, 4.0], [0, 5, 1, 7], size=2, whole=9)
    survey = quantiles.survey_numbers(passes, 2)
    assert survey.weights.tolist() == [1, 1] and survey.values.tolist() == [1.0, 3.0]
    assert quantiles.find_cuts(passes, {0: [0], 5: [0], 9: [2]}, survey=survey) == {(0, 0): QuantileCut(1.0, 0)}
    nothing = quantiles.survey_numbers(Passes([], []), 3)
    assert nothing.weights.tolist() == [0, 0, 0]
    assert quantiles.find_cuts(Passes([], []), {0: [0]}, survey=nothing) == {}
    assert quantiles.find_cuts(list, {0: [0]}, survey=quantiles.survey_numbers(list, 0)) == {}


def test_weights_that_floats_do_not_count_are_exact():
    heavy = (1 << 53) + 1
    passes = Passes([2.0, 1.0, 3.0], [0, 0, 0], [heavy, heavy, 1])
    survey = quantiles.survey_numbers(passes, 1)
    assert survey.weights.tolist() == [2 * heavy + 1]
    found = quantiles.find_cuts(passes, {0: [heavy - 1, heavy, 2 * heavy]}, survey=survey)
    assert [found[0, at] for at in (heavy - 1, heavy, 2 * heavy)] == [
        QuantileCut(1.0, 0),
        QuantileCut(2.0, heavy),
        QuantileCut(3.0, 2 * heavy),
    ]
