"""Each measure by hand, its parts as the papers write them, and what is left out of it."""

import math

import numpy as np
import pytest

from curate.sft.ranking.measures import (
    MEASURES,
    RANKABLE,
    SHORT_NAMES,
    SUMS,
    build_columns,
    evaluate_measures,
    fit_length,
)

LN2 = math.log(2)
# Two examples. A: 2 tokens, 4 bytes, a nat of conditional surprise a token, 2 without the prompt. B: 4 tokens …
SMALL = {
    "nats": [2.0, 2.0],
    "tokens": [2, 4],
    "content_nats": [1.5, 1.75],
    "bytes": [4, 12],
    "unconditional_nats": [4.0, 2.5],
    "ranks": [6, 10],
    "first_nats": [2.0, 1.5],
    "first_tokens": [2, 3],
    "full_nats": [6.0, 9.0],
    "full_tokens": [5, 10],
}
BY_HAND = {
    "perplexity": math.exp(4 / 6),
    "mean_perplexity": (math.exp(1) + math.exp(0.5)) / 2,
    "bits_per_byte": 3.25 / (16 * LN2),
    "unconditional_nats": 6.5 / 6,
    "ifd_ppl": (math.exp(1) / math.exp(2) + math.exp(0.5) / math.exp(0.625)) / 2,
    "ifd_loss": (0.5 + 0.8) / 2,
    "token_rsr": 16 / 4,
    "rsr": (3 + 2.5) / (1 + 0.5),
    "first_64": 3.5 / 5,
    "residual": math.exp(((1 + 0.5 * math.log(2 / 3)) + (0.5 + 0.5 * math.log(4 / 3))) / 2),
    "full_perplexity": math.exp(15 / 15),
    "response_tokens": 3.0,
}
SLOPE, CENTRE = -0.5, math.log(3)


def sums(**changes):
    return {name: np.array(changes.get(name, SMALL[name]), dtype=np.float64) for name in SMALL}


def make_sums(generator, count, slope=0.0, level=1.0):
    """Examples whose mean nats fall with the logarithm of length, everything else in proportion."""
    tokens = np.ceil(generator.lognormal(4.5, 0.8, count))
    nats = tokens * (level + slope * np.log(tokens) + generator.normal(0, 0.1, count))
    factors = {"bytes": 4, "ranks": 3, "first_tokens": 0.5, "full_tokens": 2}
    made = {name: tokens * factor for name, factor in factors.items()}
    made |= {
        "content_nats": nats * 0.9,
        "unconditional_nats": nats * 1.5,
        "first_nats": nats * 0.6,
        "full_nats": nats * 2,
    }
    return made | {"nats": nats, "tokens": tokens}


def value_of(found, **options):
    summed = build_columns(found, **options).sum(axis=0)
    return {name: float(value) for name, value in evaluate_measures(summed).items()}


def test_every_measure_has_its_known_answer_on_two_examples():
    assert set(BY_HAND) == set(MEASURES) and set(SMALL) == set(SUMS)
    assert value_of(sums(), slope=SLOPE, centre=CENTRE) == pytest.approx(BY_HAND, rel=1e-12)


def test_the_table_names_its_measures_and_claims_no_direction_where_none_is_known():
    assert all(name == measure.name and measure.meaning for name, measure in MEASURES.items())
    without = {name for name, measure in MEASURES.items() if not measure.lower_is_better}
    assert without == {"unconditional_nats", "ifd_ppl", "ifd_loss", "response_tokens"}


def test_no_two_measures_share_a_name_and_headings_fit_the_table_of_the_terminal():
    measures = list(MEASURES.values())
    for names in ([one.heading for one in measures], [one.phrase for one in measures], [*MEASURES, *SHORT_NAMES]):
        assert len(set(names)) == len(names) and all(names)
    assert all(len(one.heading) <= 15 and one.study for one in measures)
    assert set(SHORT_NAMES.values()) <= set(RANKABLE)


def test_doubled_data_have_the_same_values():
    once = build_columns(sums(), SLOPE, CENTRE)
    twice = evaluate_measures(np.tile(once, (2, 1)).sum(axis=0))
    assert value_of(sums(), slope=SLOPE, centre=CENTRE) == pytest.approx(
        {name: float(value) for name, value in twice.items()}
    )


def test_many_sums_at_once_are_evaluated_as_each_of_them():
    found = build_columns(sums(), SLOPE, CENTRE)
    stacked = np.stack([found.sum(axis=0), found[0], 3 * found[1]])
    for name, values in evaluate_measures(stacked).items():
        assert values.tolist() == [float(evaluate_measures(row)[name]) for row in stacked]


def test_a_prompt_that_changes_nothing_gives_both_ifd_ratios_one():
    same = value_of(sums(unconditional_nats=SMALL["nats"]))
    assert same["ifd_ppl"] == same["ifd_loss"] == 1.0


def test_one_response_has_the_same_rank_surprisal_ratio_by_both_formulas():
    found = evaluate_measures(build_columns(sums())[1])
    assert found["token_rsr"] == found["rsr"] == 5.0


@pytest.mark.parametrize("nothing", [0.0, math.nan])
def test_an_example_without_unconditional_nats_is_left_out_of_the_ratio_alone(nothing):
    found = build_columns(sums(unconditional_nats=[4.0, nothing]))
    assert float(evaluate_measures(found.sum(axis=0))["ifd_loss"]) == 0.5
    assert value_of(sums(unconditional_nats=[4.0, nothing]))["perplexity"] == BY_HAND["perplexity"]


def test_a_missing_number_takes_its_denominator_out_with_it():
    found = value_of(sums(unconditional_nats=[4.0, math.nan], first_nats=[math.nan, 1.5]))
    assert found["unconditional_nats"] == 4 / 2 and found["first_64"] == 1.5 / 3
    assert value_of(sums(nats=[2.0, math.nan]))["token_rsr"] == 6 / 2


def test_an_example_without_tokens_counts_in_no_mean_but_that_of_lengths():
    empty = {name: np.append(column, 0.0) for name, column in sums().items()}
    found = value_of(empty, slope=SLOPE, centre=CENTRE)
    assert found.pop("response_tokens") == 2.0
    assert found == pytest.approx({name: value for name, value in BY_HAND.items() if name != "response_tokens"})


def test_what_is_fully_predicted_still_adds_its_ranks_and_its_nats():
    found = build_columns(sums(nats=[2.0, 0.0], content_nats=[2.0, 0.0], ranks=[6, 4], bytes=[0, 12]))
    values = evaluate_measures(found.sum(axis=0))
    assert values["token_rsr"] == 10 / 2 and values["rsr"] == (3 + 1) / (1 + 0)
    assert values["bits_per_byte"] == pytest.approx(2 / (12 * LN2))


def test_nothing_is_nan_and_never_a_value():
    none = build_columns({name: np.zeros(0) for name in SUMS})
    assert all(math.isnan(value) for value in evaluate_measures(none.sum(axis=0)).values())
    unscored = build_columns({name: np.full(3, math.nan) for name in SUMS})
    assert all(math.isnan(value) for value in evaluate_measures(unscored.sum(axis=0)).values())


def test_infinite_nats_are_the_worst_value_and_not_a_missing_one():
    found = value_of(sums(nats=[2.0, math.inf]))
    assert found["perplexity"] == found["mean_perplexity"] == math.inf


def test_the_slope_of_length_is_found_within_datasets_though_their_levels_differ_the_other_way():
    generator = np.random.default_rng(0)
    # Premise: between the datasets longer is dearer, within each dataset longer is cheaper.
    low, high = make_sums(generator, 2000, -0.3, 2.0), make_sums(generator, 2000, -0.3, 4.0)
    high = {name: 3 * column for name, column in high.items()}
    slope, centre = fit_length([low, high])
    assert slope == pytest.approx(-0.3, abs=0.01)
    assert centre == pytest.approx((np.log(low["tokens"]).mean() + np.log(high["tokens"]).mean()) / 2)


def test_the_residual_is_what_a_dataset_would_have_at_the_common_length():
    generator = np.random.default_rng(1)
    short, long = make_sums(generator, 3000, -0.2, 2.0), make_sums(generator, 3000, -0.2, 2.0)
    kept = long["tokens"] > np.median(long["tokens"])
    long = {name: column[kept] for name, column in long.items()}
    slope, centre = fit_length([short, long])
    plain = [value_of(found)["mean_perplexity"] for found in (short, long)]
    level = [value_of(found, slope=slope, centre=centre)["residual"] for found in (short, long)]
    assert plain[0] > 1.1 * plain[1]
    assert level == pytest.approx([math.exp(2.0 - 0.2 * centre)] * 2, rel=0.02)


def test_each_dataset_weighs_the_same_in_the_common_length():
    few, many = sums(tokens=[2, 2]), {name: np.tile(column, 50) for name, column in sums(tokens=[8, 8]).items()}
    assert fit_length([few, many]) == (0.0, pytest.approx(math.log(4)))


def test_without_two_lengths_in_any_dataset_there_is_no_slope():
    equal = {name: np.repeat(column[:1], 10) for name, column in sums().items()}
    equal["tokens"], equal["nats"] = np.full(10, 3.0), np.arange(10.0)  # mean 4.5 / 3 nats a token
    lengths = np.log(equal["tokens"])
    assert (lengths - lengths.mean()).any()  # premise: rounding alone would give a slope
    assert fit_length([equal])[0] == 0.0
    assert fit_length([]) == fit_length([{name: np.zeros(0) for name in SUMS}]) == (0.0, 0.0)
    assert fit_length([equal, sums(tokens=[0, 2])])[0] == fit_length([equal, sums(nats=[math.inf, 2])])[0] == 0.0
    assert value_of(equal)["residual"] == pytest.approx(math.exp(4.5 / 3))
