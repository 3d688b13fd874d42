"""Verdicts at their boundaries, on both sides: coverage, share of the bits, isolation, gaps, sentence ends, cores."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from curate.stages.decontaminate import alignment, matches, thresholds
from curate.stages.decontaminate.alignment import Alignment, MatchedRun
from curate.stages.decontaminate.matches import MatchLocation

INSIDE = MatchLocation(0, 0, opens=False, closes=False)


def decide(bits, words, total_bits, location=INSIDE, length=100):
    return matches.decide_verdict(Alignment(bits, words, (MatchedRun(0, 0, words),)), length, total_bits, location)


def test_a_match_of_less_than_a_quarter_of_the_bits_is_none():
    assert decide(39.9, 100, total_bits=160) is None
    assert decide(40.0, 100, total_bits=160) == "contaminated"


def test_a_match_of_less_than_35_percent_of_the_words_is_none():
    assert decide(1000.0, 34, total_bits=1000) is None
    assert decide(1000.0, 35, total_bits=1000) == "contaminated"


@pytest.mark.parametrize(
    ("coverage", "opens", "closes", "needed"),
    [
        (1.0, False, False, 35),
        (0.5, False, False, 75),
        (0.5, False, True, 75),
        (0.5, True, False, 60),
        (0.5, True, True, 40),
        (1.0, True, True, 28),
        (0.65, True, True, 28),
    ],
)
def test_the_bits_of_a_leak_are_those_of_the_rule(coverage, opens, closes, needed):
    assert thresholds.needed_bits(coverage, opens, closes) == pytest.approx(needed)
    location = MatchLocation(0, 0, opens, closes)
    words = round(100 * coverage)
    assert decide(needed + 1e-6, words, 100, location) == "contaminated"
    assert decide(needed - 0.1, words, 100, location) == "review"
    assert decide(needed - 10 + 1e-6, words, 20, location) == "review"
    assert decide(needed - 10.1, words, 20, location) is None


def test_the_bits_of_the_threshold_and_of_the_margin_are_included():
    assert decide(35.0, 100, total_bits=20) == "contaminated" and decide(34.999, 100, total_bits=20) == "review"
    assert decide(25.0, 100, total_bits=20) == "review" and decide(24.999, 100, total_bits=20) is None


class EqualBits:
    """Every word has as many bits."""

    def __init__(self, bits):
        self.bits = bits

    def of_run(self, _begin, length):
        return self.bits * length


@pytest.mark.parametrize(("bits", "runs"), [(2.01, 2), (1.99, 1)])
def test_a_gap_costs_six_bits(bits, runs):
    """A second run of three words joins the first only if its bits are worth more than the gap between the two."""
    found = alignment.align([MatchedRun(0, 0, 3), MatchedRun(4, 4, 3)], EqualBits(bits), 0)
    assert len(found.runs) == runs
    assert found.bits == pytest.approx(6 * bits - 6 if runs == 2 else 3 * bits)


def test_a_gap_whose_sides_differ_costs_more():
    found = alignment.align([MatchedRun(0, 0, 3), MatchedRun(4, 7, 3)], EqualBits(10), 0)
    assert found.bits == pytest.approx(60 - 6 - 2 * np.log2(1 + 3))


def locate(text, first, length):
    """Where the words [first, first + length) of a text lie, and whether sentences begin and end there."""
    spans = [match.span() for match in re.finditer(r"\w+", text)]
    starts, ends = (np.array(column) for column in zip(*spans, strict=True))
    batch = SimpleNamespace(words=SimpleNamespace(starts=starts, ends=ends, offsets=np.array([0, len(spans)])))
    run = Alignment(100.0, length, (MatchedRun(0, first, length),))
    return matches.locate(batch, text, 0, 0, run)


@pytest.mark.parametrize("end", ["\n", ".", "!", "?", ":", ";", '"', "“", "”", "»", ")", "]", "}", ">", "|", "。"])
def test_sentences_end_at_these_characters(end):
    location = locate(f"before{end}one two three{end}behind", 1, 3)
    assert (location.first, location.last, location.opens, location.closes) == (1, 3, True, True)


@pytest.mark.parametrize("no_end", [" ", ", ", "-", "'", "\t"])
def test_sentences_do_not_end_at_these(no_end):
    location = locate(f"before{no_end}one two three{no_end}behind", 1, 3)
    assert (location.opens, location.closes) == (False, False)


def test_only_what_stands_between_a_match_and_the_next_words_ends_a_sentence():
    location = locate("First. before one two three behind. Last", 2, 3)
    assert (location.opens, location.closes) == (False, False)


def test_the_ends_of_a_text_are_ends_of_sentences():
    assert locate("one two three", 0, 3) == MatchLocation(0, 2, True, True)


def test_a_match_that_begins_inside_the_item_opens_nothing():
    spans = np.array([[0, 3], [4, 7], [8, 13]])
    words = SimpleNamespace(starts=spans[:, 0], ends=spans[:, 1], offsets=np.array([0, 3]))
    inside = Alignment(100.0, 3, (MatchedRun(1, 0, 3),))
    location = matches.locate(SimpleNamespace(words=words), "one two three", 0, 0, inside)
    assert (location.opens, location.closes) == (False, True)


@pytest.mark.parametrize(
    ("runs", "is_found"),
    [([(0, 11)], False), ([(0, 12)], True), ([(0, 8), (9, 3)], False), ([(0, 8), (9, 4)], True), ([(11, 4)], True)],
)
def test_half_of_the_words_behind_the_context_must_be_found(runs, is_found):
    """Of 15 words 8 are the context and 7 the question: half of those is three and a half, so that four are enough."""
    starts = np.arange(15) * 5
    queries = SimpleNamespace(
        queries=[SimpleNamespace(core=40)], words=SimpleNamespace(offsets=np.array([0, 15]), starts=starts)
    )
    aligned = tuple(MatchedRun(item, item, length) for item, length in runs)
    found = Alignment(100.0, sum(run.length for run in aligned), aligned)
    assert matches.is_core_found(queries, 0, found) is is_found


def test_a_query_without_a_context_needs_no_core():
    queries = SimpleNamespace(queries=[SimpleNamespace(core=0)])
    assert matches.is_core_found(queries, 0, Alignment(1.0, 3, (MatchedRun(0, 0, 3),)))
