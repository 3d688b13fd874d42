"""A dataset that repeats its answers is set aside, and what makes its numbers doubtful is flagged."""

import numpy as np
import pytest

from curate.sft.ranking.measured_dataset import MeasuredDataset, find_flags, is_set_aside
from curate.sft.ranking.measures import SUMS


def make_measured(answered, tokens=20.0):
    """A dataset with these hashes of answers, every sum of an example equal to its number of tokens."""
    column = np.broadcast_to(np.asarray(tokens, dtype=np.float64), len(answered))
    return MeasuredDataset("d", dict.fromkeys(SUMS, column), np.array(answered, dtype=np.uint64))


@pytest.mark.parametrize(
    ("answered", "aside"),
    [([1, 2, 2, 2, 2, 2], True), ([1, 2, 3, 3, 3, 3], False), ([1, 1, 1, 1], False), ([], False)],
)
def test_a_dataset_is_set_aside_below_one_different_answer_in_two(answered, aside):
    """Premise: fewer than five examples may repeat by accident."""
    assert is_set_aside(make_measured(answered)) == aside


def test_a_large_dataset_of_different_answers_has_no_flag():
    assert find_flags(make_measured(range(100))) == ()


@pytest.mark.parametrize(
    ("answered", "tokens", "flag"),
    [
        ([1] * 40, 20.0, "repeats its answers: 1 different among 40"),
        (range(29), 20.0, "only 29 examples: the intervals promise too much"),
        ([1], 20.0, "one example: nothing is known of how sure its numbers are"),
        ([], 20.0, "no example was scored"),
        (range(40), [1000.0, *[20.0] * 39], "one example holds 56 % of its scored tokens"),
        (range(40), 4.0, "very short answers: 4 tokens in the middle"),
    ],
)
def test_what_makes_numbers_doubtful_is_flagged(answered, tokens, flag):
    assert find_flags(make_measured(answered, tokens)) == (flag,)


@pytest.mark.parametrize(
    ("answered", "num_bytes", "aside"),
    [
        ([1, 2] * 20, 8.0, False),  # yes and no
        ([1] * 35 + [2] * 5, 8.0, False),  # spam, rarely
        ([1, 2, 3, 4] * 5, 2.0, False),  # letters of choices
        ([1] * 39 + [2], 8.0, True),  # one answer to nearly all
        ([1] * 40, 8.0, True),
        ([1] * 60 + list(range(2, 32)), 8.0, True),  # one answer, and others that are given once
        ([1, 2] * 20, 200.0, True),  # two long answers
    ],
)
def test_labels_are_told_from_a_dataset_that_repeats_one_answer(answered, num_bytes, aside):
    dataset = make_measured(answered, num_bytes)
    assert is_set_aside(dataset) == aside
    word = "repeats its answers" if aside else "its answers are labels"
    assert find_flags(dataset)[0].startswith(f"{word}: {len(set(answered))} different among {len(answered)}")
