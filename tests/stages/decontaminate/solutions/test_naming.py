"""Names that stand for each other throughout are evidence, names that do not are evidence against it."""

import numpy as np
import pytest

from curate.stages.decontaminate.solutions.naming import weigh_naming


def weigh(item, document, worth=8.0):
    encode = {name: number for number, name in enumerate(" " + "".join(sorted({*item, *document} - {" "})))}
    encode[" "] = 0
    arrays = (np.array([encode[name] for name in text], np.uint64) for text in (item, document))
    return weigh_naming(*arrays, np.full(len(item), worth))


def test_the_same_names_are_worth_half_their_rarity_once():
    found = weigh("abab", "abab")
    assert (found.equal, found.distinct, found.agreeing, found.contrary) == (2, 2, 2, 0)
    assert found.bits == pytest.approx(2 * 4 + 2 * 0.5 * 1)  # two spellings, two choices among two names


def test_other_names_that_keep_their_places_are_worth_the_choices():
    found = weigh("abab", "xyxy")
    assert (found.equal, found.agreeing, found.contrary) == (0, 2, 0)
    assert found.bits == pytest.approx(1)
    assert found.consistency == 1


def test_a_name_with_another_counterpart_than_before_counts_against():
    found = weigh("abab", "xyyx")
    assert (found.agreeing, found.contrary, found.consistency) == (0, 2, 0)
    assert found.bits < 0
    assert weigh("abab", "xxxx").contrary == 2  # two names became one
    assert weigh("aaaa", "xyzw").contrary == 3  # one name became four


def test_what_is_no_name_in_either_is_left_out():
    found = weigh("a b ", "a xy")
    assert (found.distinct, found.equal) == (2, 1)
    assert weigh("", "").consistency == 1
