"""A departure from the order is found at its step, and a kept order passes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curate.exports.verify.order_check import UNKNOWN, Departure, follow_order


def cut(positions, size):
    return [np.array(positions[start : start + size], np.int64) for start in range(0, len(positions), size)]


@given(st.integers(1, 80), st.integers(1, 9))
def test_an_order_is_kept_whatever_the_batch_and_inside_a_step_it_means_nothing(total, size):
    steps = [step[::-1] for step in cut(range(total), size)]
    course = follow_order(steps, total)
    assert course.kept and course.documents == total and course.steps == len(steps)


@given(st.integers(2, 80), st.integers(1, 9), st.data())
def test_two_documents_of_different_steps_that_change_places_depart_at_the_first_of_these(total, size, data):
    first, second = sorted(data.draw(st.lists(st.integers(0, total - 1), min_size=2, max_size=2, unique=True)))
    positions = list(range(total))
    positions[first], positions[second] = second, first
    course = follow_order(cut(positions, size), total)
    if first // size == second // size:
        assert course.kept
        return
    lost = course.departure
    assert (lost.step, lost.expected, lost.received, lost.repeated) == (first // size + 1, first, second, False)


@given(st.integers(2, 80), st.integers(1, 9), st.data())
def test_a_document_that_is_left_out_departs_where_it_was_next(total, size, data):
    missing = data.draw(st.integers(0, total - 1))
    course = follow_order(cut([n for n in range(total) if n != missing], size), total)
    last = -(-(total - 1) // size)
    step = missing // size + 1 if missing < total - 1 else last + 1  # without the last one the documents end early
    assert (course.departure.expected, course.departure.step) == (missing, step)


def test_documents_that_end_early_foreign_ones_and_repeated_ones_depart():
    assert follow_order(cut([0, 1], 1), 3).departure == Departure(3, 2, None)
    assert follow_order(cut([0, UNKNOWN, 2], 1), 3).departure.received == UNKNOWN
    again = follow_order(cut([0, 1, 1, 2], 1), 3).departure
    assert (again.step, again.received, again.repeated) == (3, 1, True)
    assert follow_order(cut([0, 1], 1), 3, most=2).kept  # stopped by the user, not by the documents


def test_a_last_step_filled_with_the_beginning_is_counted_and_with_anything_else_departs():
    assert follow_order(cut([0, 1, 2, 3, 4, 0], 3), 5).filled == 1
    assert not follow_order(cut([0, 1, 2, 3, 4, 2], 3), 5).kept
    assert not follow_order(cut([0, 1, 0, 2, 3, 4], 3), 5).kept  # not the last step


def test_a_packed_document_may_go_on_in_the_next_step_but_not_come_back_later():
    assert follow_order([np.array([0, 0, 1]), np.array([1, 1, 2])], 3, packed=True).kept
    assert not follow_order([np.array([0, 0, 1]), np.array([0, 1, 2])], 4, packed=True).kept
    assert not follow_order([np.array([0, 0, 1]), np.array([1, 1, 2])], 3).kept
