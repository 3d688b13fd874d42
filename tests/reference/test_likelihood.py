"""Known answers for the formulas of likelihood."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curate.reference.likelihood import Likelihoods, bits_per_byte, perplexity, token_nats


def test_a_uniform_model_over_v_tokens_has_perplexity_v_exactly():
    for size in (2, 50257):
        nats = token_nats(np.zeros((7, size)), [0, 1, 1, 0, 1, 0, 1])
        assert np.isclose(perplexity(nats.sum(), 7), size, rtol=1e-12)


def test_one_bit_a_byte_is_ln_two_nats_a_byte():
    assert bits_per_byte(10 * math.log(2), 10) == 1.0


def test_what_was_not_measured_is_nan_and_never_the_best_score():
    assert np.isnan(perplexity(0.0, 0)) and np.isnan(bits_per_byte(0.0, 0))
    assert np.isnan(Likelihoods.blank(1).nats[0])


@given(st.lists(st.tuples(st.floats(0, 1e4), st.integers(1, 1000)), min_size=1, max_size=20))
def test_sums_add_up_so_the_corpus_lies_between_its_documents(rows):
    nats, tokens = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    whole, each = nats.sum() / tokens.sum(), nats / tokens
    assert each.min() - 1e-9 <= whole <= each.max() + 1e-9


def test_a_refused_row_keeps_no_number():
    rows = Likelihoods.blank(2)
    rows.nats[:], rows.tokens[:], rows.scored_bytes[:] = 3.0, 2, 5
    rows.refuse(1, "not_finite", "NaN")
    assert np.isnan(rows.nats[1]) and rows.tokens[1] == 0 and rows.scored_bytes[1] == 0
    assert rows.nats[0] == 3.0 and rows.status == ["ok", "not_finite"]
