"""Laws of the bootstrap: intervals hold the truth as often as they say, and nothing is claimed of what has no draws."""

import math
import tracemalloc

import numpy as np
import pytest

from curate.sft.ranking.bootstrap import (
    adjust_p_values,
    compare_neighbours,
    count_needed,
    find_growth_factor,
    find_interval,
    find_p_values,
    find_rank_intervals,
    find_separated_pairs,
    make_generator,
    resample,
)
from curate.sft.ranking.measures import SUMS, build_columns, evaluate_measures, fit_length


def make_columns(generator, count, mean=1.0):
    """Nats and tokens of examples with skewed lengths; the truth of their ratio is ``mean``."""
    tokens = np.ceil(generator.lognormal(4.5, 0.8, count))
    return np.stack([mean * generator.gamma(8, 1 / 8, count) * tokens, tokens], axis=1)


def rate(sums):
    return sums[..., 0] / sums[..., 1]


def draw_all(datasets, draws=400, seed=0):
    """Values (D) and draws (B × D) of named datasets."""
    values = np.array([rate(found.sum(axis=0)) for found in datasets.values()])
    drawn = [rate(resample(found, draws, make_generator(seed, name))) for name, found in datasets.items()]
    return values, np.stack(drawn, axis=1)


def find_ranks(values, draws):
    return find_rank_intervals(values, draws, find_separated_pairs(values, draws))


def make_several(means, count=300, seed=3):
    generator = np.random.default_rng(seed)
    return {f"data-{place}": make_columns(generator, count, mean) for place, mean in enumerate(means)}


# The draws.


def test_a_draw_takes_as_many_examples_as_there_are():
    sums = resample(np.stack([np.ones(50), np.arange(50.0)], axis=1), 200, make_generator(0, "a"))
    assert (sums[:, 0] == 50).all() and len(np.unique(sums[:, 1])) > 100
    assert sums[:, 1].mean() == pytest.approx(49 * 25, rel=0.02)


def test_the_draws_are_those_of_multinomial_counts():
    counts = resample(np.eye(4) + 1, 20_000, make_generator(0, "a")) - 4  # each column tells its example's count
    assert (counts.sum(axis=1) == 4).all()
    assert counts.mean(axis=0) == pytest.approx([1] * 4, abs=0.03)
    assert counts.var(axis=0) == pytest.approx([3 / 4] * 4, abs=0.03)
    assert np.cov(counts.T)[0, 1] == pytest.approx(-1 / 4, abs=0.02)


def test_the_counts_do_not_depend_on_how_many_are_held_at_once(monkeypatch):
    found = np.round(make_columns(np.random.default_rng(0), 101))  # premise: whole numbers, whose sums are exact
    whole = resample(found, 50, make_generator(0, "a"))
    monkeypatch.setattr("curate.sft.ranking.bootstrap.BLOCK", 250)
    assert (resample(found, 50, make_generator(0, "a")) == whole).all()


def test_a_large_dataset_is_drawn_within_a_hundred_megabytes():
    found = np.ones((100_000, 24))
    tracemalloc.start()
    resample(found, 60, make_generator(0, "a"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_another_dataset_leaves_the_draws_of_the_others_as_they_were():
    several = make_several([1.0, 1.1, 1.2])
    backwards = dict(reversed(several.items()))
    alone = draw_all({"data-1": several["data-1"]})[1]
    assert (draw_all(several)[1][:, 1] == alone[:, 0]).all()
    assert (draw_all(backwards)[1] == draw_all(several)[1][:, ::-1]).all()
    assert (draw_all(several, seed=1)[1] != draw_all(several)[1]).all()


def test_two_models_of_the_same_examples_are_drawn_alike():
    found = np.eye(6) + 1
    first, second = (resample(found * scale, 100, make_generator(5, "shared")) for scale in (1, 2))
    assert (second == 2 * first).all()


# Intervals.


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(11)
    trials, held = 400, 0
    for _ in range(trials):
        low, high = find_interval(rate(resample(make_columns(generator, 150), 300, generator)))
        held += low <= 1.0 <= high
    assert held / trials == pytest.approx(0.95, abs=0.033)  # three standard errors


def test_a_sample_by_strata_varies_less_than_its_bootstrap_says():
    generator = np.random.default_rng(2)
    strata = [make_columns(generator, 5000, mean) for mean in (0.5, 1.0, 2.0)]
    samples = [np.concatenate([generator.choice(one, 50) for one in strata]) for _ in range(300)]
    varied = np.std([rate(sample.sum(axis=0)) for sample in samples])
    claimed = np.mean([rate(resample(sample, 200, generator)).std() for sample in samples[:30]])
    assert 1.2 * varied < claimed < 3 * varied


@pytest.mark.parametrize("count", [0, 1])
def test_one_example_has_no_interval_rather_than_a_sure_one(count):
    found = resample(make_columns(np.random.default_rng(0), count), 100, make_generator(0, "a"))
    assert np.isnan(found).all()
    assert np.isnan(find_interval(rate(found))).all()


def test_a_column_that_one_example_alone_has_is_not_sure_either():
    found = make_columns(np.random.default_rng(0), 40)
    found[1:, :] = 0.0
    assert np.isnan(resample(found, 100, make_generator(0, "a"))).all()


def test_a_draw_that_is_nan_leaves_no_interval_and_the_others_theirs():
    draws = np.random.default_rng(0).normal(size=(100, 2))
    draws[7, 0] = math.nan
    low, high = find_interval(draws)
    assert np.isnan([low[0], high[0]]).all() and low[1] < 0 < high[1]


def test_an_infinite_example_leaves_no_interval():
    found = make_columns(np.random.default_rng(0), 20)
    found[3, 0] = math.inf
    assert np.isnan(find_interval(rate(resample(found, 50, make_generator(0, "a"))))).all()


def test_measures_of_resampled_sums_have_intervals_around_their_values_but_those_without_numbers():
    generator = np.random.default_rng(9)
    nats, tokens = make_columns(generator, 100).T
    sums = dict.fromkeys(SUMS, tokens * 2) | {"nats": nats, "tokens": tokens}
    sums |= {
        "content_nats": nats,
        "unconditional_nats": np.full(100, math.nan),
        "ranks": np.where(np.arange(100) == 3, tokens, math.nan),
    }
    found = build_columns(sums, *fit_length([sums]))
    values = evaluate_measures(found.sum(axis=0))
    for name, draws in evaluate_measures(resample(found, 200, make_generator(0, "a"))).items():
        low, high = find_interval(draws)
        if name in ("ifd_ppl", "ifd_loss", "unconditional_nats"):
            assert math.isnan(values[name]) and math.isnan(low)
        elif name in ("token_rsr", "rsr"):
            assert values[name] > 0 and math.isnan(low) and math.isnan(high)
        elif name in ("full_perplexity", "first_64"):  # premise: a nat each token
            assert float(low) == pytest.approx(float(high)) == pytest.approx(float(values[name]))
        else:
            assert low < values[name] < high


# Ranks.


def test_clearly_separate_datasets_have_a_single_rank_each():
    values, draws = draw_all(make_several([2.0, 1.0, 4.0]))
    found = find_ranks(values, draws)
    assert [(one.rank, one.rank_low, one.rank_high, one.best) for one in found] == [
        (2, 2, 2, 0.0),
        (1, 1, 1, 1.0),
        (3, 3, 3, 0.0),
    ]


def test_equal_datasets_could_stand_anywhere_and_their_chances_add_up_to_one():
    values, draws = draw_all(make_several([1.0] * 4))
    found = find_ranks(values, draws)
    assert sorted(one.rank for one in found) == [1, 2, 3, 4]
    assert all(one.rank_low <= one.rank <= one.rank_high for one in found)
    assert sum(one.rank_high - one.rank_low for one in found) >= 8
    assert sum(one.best for one in found) == pytest.approx(1)


def test_the_same_draws_twice_share_their_rank_and_their_chance():
    values, draws = draw_all({"a": make_several([1.0])["data-0"]})
    found = find_ranks(np.tile(values, 2), np.tile(draws, (1, 2)))
    assert [(one.rank, one.rank_low, one.rank_high, one.best) for one in found] == [(1, 1, 2, 0.5), (2, 1, 2, 0.5)]


def test_datasets_in_another_order_have_the_same_standings():
    values, draws = draw_all(make_several([1.0, 1.03, 1.2, 1.01]))
    permuted = np.array([2, 0, 3, 1])
    expected = [find_ranks(values, draws)[index] for index in permuted]
    assert find_ranks(values[permuted], draws[:, permuted]) == expected


def test_a_dataset_of_one_example_could_stand_anywhere_and_push_the_others_down():
    several = make_several([1.0, 3.0]) | {"one": np.array([[2.0, 1.0]])}
    values, draws = draw_all(several)
    first, last, one = find_ranks(values, draws)
    assert (one.rank, one.rank_low, one.rank_high) == (2, 1, 3) and math.isnan(one.best)
    assert (first.rank_low, first.rank_high, first.best) == (1, 2, 1.0)
    assert (last.rank, last.rank_low, last.rank_high) == (3, 2, 3)
    assert [one.rank for one in find_ranks(np.array([math.nan, 1.0]), np.full((9, 2), math.nan))] == [2, 1]


def test_the_interval_holds_the_rank_even_where_the_draws_are_off_it():
    found = find_ranks(np.array([1.0, 2.0]), np.tile([5.0, 4.0], (40, 1)))
    assert [(one.rank_low, one.rank_high) for one in found] == [
        (1, 2),
        (1, 2),
    ]


def test_ranks_follow_from_the_pairs_that_are_told_apart():
    """Premise: the first is apart from the third alone, which lies highest."""
    apart = np.zeros((3, 3), bool)
    apart[0, 2] = apart[2, 0] = True
    found = find_rank_intervals(np.array([1.0, 2.0, 3.0]), np.random.default_rng(0).normal(size=(50, 3)), apart)
    assert [(one.rank_low, one.rank_high) for one in found] == [(1, 2), (1, 3), (2, 3)]


def test_the_ranks_of_ten_datasets_are_held_at_once():
    """Premise: equal errors, neighbours nearly two of them apart; percentiles of drawn ranks miss some rank in 43 %."""
    generator = np.random.default_rng(2)
    truth, missed = np.arange(10) * 1.8, 0
    for _ in range(300):
        values = truth + generator.normal(size=10)
        found = find_ranks(values, values + generator.normal(size=(100, 10)))
        missed += any(not one.rank_low <= rank <= one.rank_high for rank, one in enumerate(found, 1))
    assert missed / 300 <= 0.05


# Pairs.


def test_a_copy_with_other_draws_is_not_separated_and_no_sample_would_do():
    found = make_several([1.0])["data-0"]
    values, draws = draw_all({"data": found, "copy": found})
    (pair,) = compare_neighbours(values, draws, [0, 1], [300, 300])
    assert not pair.separated and pair.difference == 0
    assert pair.factor == math.inf and pair.needed == (math.inf, math.inf)
    assert pair.reversed_share == pytest.approx(0.5, abs=0.1)
    assert not find_separated_pairs(values, draws).any()


def test_neighbours_far_apart_are_separated_and_have_more_examples_than_needed():
    values, draws = draw_all(make_several([2.0, 1.0]))
    (pair,) = compare_neighbours(values, draws, [1, 0], [300, 300])
    assert (pair.better, pair.worse, pair.separated, pair.reversed_share) == (1, 0, True, 0.0)
    assert pair.difference == values[0] - values[1] > 0 and pair.factor < 0.5
    assert pair.needed == (math.ceil(300 * pair.factor),) * 2


def test_an_order_of_the_other_direction_separates_the_same_neighbours():
    values, draws = draw_all(make_several([1.0, 2.0]))
    (pair,) = compare_neighbours(values, draws, [1, 0], [300, 300])
    assert pair.separated and pair.difference < 0 and pair.reversed_share == 1.0


def test_a_tie_is_half_a_reversal_and_a_skewed_difference_promises_no_smaller_sample():
    draws = np.zeros((100, 2))
    draws[:92, 1], draws[92:98, 1] = 1.0, -0.01
    (pair,) = compare_neighbours(np.array([0.0, 1.0]), draws, [0, 1], [10, 20])
    assert pair.reversed_share == 0.06 + 0.02 / 2
    error = float(draws[:, 1].std(ddof=1))
    assert not pair.separated and find_growth_factor(1.0, error) < 0.8  # premise: errors are not normal
    assert pair.factor == 1.0 and pair.needed == (10, 20)


def test_neighbours_not_separated_need_at_least_what_they_have():
    generator = np.random.default_rng(8)
    seen = 0
    for trial in range(60):
        values, draws = draw_all({"a": make_columns(generator, 60), "b": make_columns(generator, 60, 1.1)}, 200, trial)
        (pair,) = compare_neighbours(values, draws, np.argsort(values).tolist(), [60, 60])
        assert pair.separated == find_separated_pairs(values, draws, [60, 60])[0, 1]
        assert pair.separated or pair.factor >= 1
        seen += not pair.separated
    assert 10 < seen < 50


def test_nothing_is_said_of_a_neighbour_without_draws():
    values, draws = draw_all(make_several([1.0]) | {"one": np.array([[2.0, 1.0]])})
    (pair,) = compare_neighbours(values, draws, [0, 1], [300, 1])
    assert not pair.separated and all(map(math.isnan, (pair.factor, pair.reversed_share, *pair.needed)))
    assert find_p_values(values, draws)[0, 1] == 1.0 and not find_separated_pairs(values, draws).any()


def test_as_many_examples_as_said_find_the_difference_four_times_in_five():
    generator = np.random.default_rng(4)
    better, worse = make_columns(generator, 400), make_columns(generator, 400, 1.04)
    _, draws = draw_all({"a": better, "b": worse}, 1000)
    truth = np.array([1.0, 1.04])  # premise: the difference as estimated is the true one
    (pair,) = compare_neighbours(truth, draws, [0, 1], [400, 400])
    assert pair.factor > 1.5
    count, trials, found = int(pair.needed[0]), 250, 0
    for trial in range(trials):
        fresh = {"a": make_columns(generator, count), "b": make_columns(generator, count, 1.04)}
        found += compare_neighbours(*draw_all(fresh, 150, trial), [0, 1], [count, count])[0].separated
    assert found / trials == pytest.approx(0.8, abs=0.08)


def test_a_quarter_of_the_difference_takes_sixteen_times_the_examples():
    assert find_growth_factor(0.25, 1.0) == pytest.approx(16 * find_growth_factor(1.0, 1.0))
    assert find_growth_factor(-1.0, 1.0) == find_growth_factor(1.0, 1.0) == pytest.approx(7.849, abs=1e-3)
    assert find_growth_factor(0.0, 1.0) == find_growth_factor(0.0, 0.0) == math.inf
    assert math.isnan(find_growth_factor(1.0, math.nan))
    assert count_needed(100, 1.234) == 124 and count_needed(100, math.inf) == math.inf
    assert math.isnan(count_needed(1, math.nan))


def test_p_values_are_those_of_the_normal_distribution():
    generator = np.random.default_rng(0)
    draws = np.stack([generator.normal(0, 0.6, 20_000), generator.normal(1.96, 0.8, 20_000)], axis=1)
    found = find_p_values(np.array([0.0, 1.96]), draws)
    assert found[0, 1] == found[1, 0] == pytest.approx(0.05, abs=0.005)
    assert found[0, 0] == 1.0
    constant = find_p_values(np.array([1.0, 2.0]), np.tile([1.0, 2.0], (10, 1)))
    assert constant[0, 1] == 0.0


def test_holms_adjustment_has_its_known_answer():
    assert adjust_p_values(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjust_p_values(np.array([0.5, 0.9])).tolist() == [1.0, 1.0] and adjust_p_values(np.zeros(0)).size == 0


def test_among_many_equal_datasets_a_false_separation_is_rare():
    generator = np.random.default_rng(6)
    together = alone = 0
    for _ in range(300):
        values = generator.normal(size=8)  # premise: no differences but the samples'
        draws = values + generator.normal(size=(100, 8))
        together += find_separated_pairs(values, draws).any()
        alone += (find_p_values(values, draws) < 0.05).any()
    assert together / 300 < 0.1 and alone / 300 > 0.3
