"""Bits of tokens by known counts, and the model in the package: common code is cheap, rare code is not."""

import numpy as np
import pytest

from curate.matching import words
from curate.matching.code_tokens import split_code
from curate.stages.decontaminate.solutions import model
from curate.stages.decontaminate.solutions.queries import weigh_tokens
from curate.stages.decontaminate.surprisal import WordModel

A, B, C = np.array([11, 22, 33], np.uint64)


def make_model(counts, total=1000.0):
    """A model of the runs, tuples of tokens, that were counted."""
    keys, values = [], []
    for order in range(1, model.ORDERS + 1):
        known = {words.hash_shingles(np.array(run, np.uint64), order)[0].astype(np.uint32): count
                 for run, count in counts.items() if len(run) == order}  # fmt: skip
        keys.append(np.array(sorted(known), np.uint32))
        values.append(np.array([known[key] for key in sorted(known)], float))
    return WordModel(tuple(keys), tuple(values), total)


def test_a_token_has_the_bits_of_the_longest_run_that_was_counted():
    one = make_model({(A,): 100, (B,): 50, (A, B): 25})
    bits = model.CodeModel((one,), one).weigh_tokens(np.array([A, B, B, C], np.uint64))
    assert bits[0].tolist() == pytest.approx([np.log2(10), np.log2(20), np.log2(20), model.UNSEEN])
    assert bits[1, 1] == pytest.approx(2)  # 25 of 100
    given_up = -np.log2(model.BACKOFF)
    assert bits[1, 2] == pytest.approx(np.log2(20) + given_up)  # b was counted, b b was not
    assert bits[-1].tolist() == pytest.approx([np.log2(10), 2, np.log2(20) + 2 * given_up, model.UNSEEN])


def test_the_kind_of_code_in_which_a_token_is_commoner_counts():
    rare, common = make_model({(A,): 1}), make_model({(A,): 500})
    assert model.CodeModel((rare, common), rare).weigh_tokens(np.array([A], np.uint64))[0, 0] == pytest.approx(1)


def test_a_run_has_the_bits_of_its_tokens_each_after_those_before_it_in_the_run():
    tokens = split_code(["for i in range(len(xs)):\n    total += xs[i] * weights[i]\n    seen.add(total % 97)"]).hashes
    known = model.load_code_model()
    surprise, rows = weigh_tokens(tokens, known), known.weigh_tokens(tokens)
    for first, length in ((0, len(tokens)), (3, 1), (5, 9), (2, 0), (len(tokens) - 1, 1)):
        expected = sum(rows[min(at, model.ORDERS - 1), first + at] for at in range(length))
        assert surprise.of_run(first, length) == pytest.approx(expected)
    assert weigh_tokens(tokens[:0], known).of_run(0, 0) == 0


COMMON = "for i in range(len(xs)):\n    if xs[i] > best:\n        best = xs[i]\n"
RARE = "for i in zip(walls, walls):\n    if walls % 7 != best:\n        best ^= xs[i]\n"


def test_common_code_is_worth_fewer_bits_than_rare_code_of_the_same_length():
    known = model.load_code_model()
    one, other = (split_code([text]).hashes for text in (COMMON, RARE))
    bits = [weigh_tokens(tokens, known).of_run(0, len(tokens)) / len(tokens) for tokens in (one, other)]
    assert bits[0] < 2 < 3 < bits[1]


def test_names_are_weighed_by_their_use():
    names = split_code(["i = has_close_elements_of"]).names
    common, rare = model.load_code_model().weigh_names(names[names != 0])
    assert common < 7 and rare == model.UNSEEN
