"""Intervals contain the truth as often as they say, on samples of real datasets, or there are none and it says why."""

import math

import numpy as np
import pytest
from helpers.simulated_rankings import SETS, draw_examples, read_population

from curate.sft.ranking.bootstrap import find_interval, make_generator, resample
from curate.sft.ranking.intervals import add_products, find_intervals, is_heavy
from curate.sft.ranking.measured_dataset import MeasuredDataset
from curate.sft.ranking.measures import MEASURES, build_columns, evaluate_measures, fit_length
from curate.sft.ranking.table import rank_measured


def measure_coverage(name, count, runs, draws=200):
    """Return the shares of samples in which percentiles, and the intervals, contain the truth; and those with one."""
    population = read_population(name)
    columns = build_columns(population, *fit_length([population]))
    truth = evaluate_measures(columns.sum(axis=0))
    generator = np.random.default_rng(count)
    plain, covered, given = (dict.fromkeys(MEASURES, 0.0) for _ in range(3))
    for _ in range(runs):
        sample = columns[generator.integers(len(columns), size=count)]
        sums = resample(add_products(sample), draws, generator)
        for measure, drawn in evaluate_measures(sums[:, : columns.shape[1]]).items():
            low, high = find_interval(drawn)
            plain[measure] += (low <= truth[measure] <= high) / runs
        for measure, found in find_intervals(sample, sums).items():
            covered[measure] += (found.low <= truth[measure] <= found.high) / runs
            given[measure] += (not found.withheld) / runs
    return plain, covered, given


@pytest.mark.parametrize(("count", "runs"), [(40, 150), (100, 100), (1000, 50)])
def test_intervals_of_every_measure_contain_the_truth_in_each_of_five_real_datasets(count, runs):
    """Premise: three standard errors below the 95 % that are promised is chance."""
    least = 0.95 - 3 * math.sqrt(0.95 * 0.05 / runs)
    shares, plain_shares = [], []
    for name in SETS:
        plain, covered, given = measure_coverage(name, count, runs)
        for measure in MEASURES:
            plain_shares.append(plain[measure])
            if given[measure]:
                assert covered[measure] / given[measure] >= least, (name, measure)
                shares.append(covered[measure] / given[measure])
    assert 0.94 < np.mean(shares) < 0.98, "neither too narrow nor too wide"
    assert min(plain_shares) < 0.85, "percentiles promise what they do not hold"


def test_mean_perplexity_has_no_interval_and_says_why():
    population = read_population("code_alpaca_2k")
    plain, _, given = measure_coverage("code_alpaca_2k", 40, 100)
    assert plain["mean_perplexity"] < 0.7 and given["mean_perplexity"] == 0
    sample = draw_examples(population, 200, np.random.default_rng(0))
    hashes = np.arange(200, dtype=np.uint64)
    table = rank_measured([MeasuredDataset(name, sample, hashes) for name in "ab"], "mean_perplexity", 100, 0)
    for ranked in table.datasets:
        score = ranked.scores["mean_perplexity"]
        assert score.withheld == "one short answer that was not drawn can outweigh all others"
        assert score.value > 1 and math.isnan(score.low) and math.isnan(score.high)
        assert (ranked.group, ranked.rank_low, ranked.rank_high) == ("a", 1, 2)
        assert ranked.scores["perplexity"].low < ranked.scores["perplexity"].value


@pytest.mark.parametrize(("index", "heavy"), [(0.1, False), (0.2, False), (0.7, True), (0.9, True)])
def test_a_tail_is_heavy_where_its_variance_may_be_infinite(index, heavy):
    """Premise: numbers of Pareto's law, whose variance is infinite from the index 1/2 on."""
    generator = np.random.default_rng(1)
    assert {is_heavy(np.exp(index * generator.exponential(size=400))) for _ in range(50)} == {heavy}


def test_infinite_numbers_are_heavy_and_so_is_a_single_one():
    assert is_heavy(np.array([1.0, math.inf, 2.0])) and is_heavy(np.array([3.0]))
    assert not is_heavy(np.ones(50))


def find_of(sums, seed=0):
    columns = build_columns(sums, *fit_length([sums]))
    drawn = resample(add_products(columns), 400, make_generator(seed, "a"))
    return find_intervals(columns, drawn), evaluate_measures(drawn[:, : columns.shape[1]])


@pytest.mark.parametrize("count", [2, 3])
def test_two_or_three_examples_have_no_interval(count):
    found, _ = find_of(draw_examples(read_population("gsm8k_train"), count, np.random.default_rng(0)))
    assert found["perplexity"].withheld == f"{count} examples are too few" and math.isnan(found["perplexity"].high)


def test_equal_examples_have_an_interval_without_a_width():
    example = draw_examples(read_population("gsm8k_train"), 1, np.random.default_rng(0))
    found, _ = find_of({column: np.repeat(values, 30) for column, values in example.items()})
    assert found["rsr"].low == pytest.approx(found["rsr"].value) == pytest.approx(found["rsr"].high)


@pytest.mark.parametrize(("count", "widest"), [(40, 2.5), (1000, 1.25)])
def test_an_interval_holds_that_of_the_percentiles_and_is_little_wider_with_many_examples(count, widest):
    for name in SETS:
        found, drawn = find_of(draw_examples(read_population(name), count, np.random.default_rng(4)))
        for measure, score in found.items():
            low, high = find_interval(drawn[measure])
            if not score.withheld:
                assert score.low <= low <= score.value <= high <= score.high
                assert score.high - score.low <= widest * (high - low)
