"""Work done behind: in order, all of it, and its errors raised in front."""

import pytest

from curate.runtime.work import threads


def test_work_behind_is_done_in_order_and_all_of_it_whatever_ends_the_block():
    done = []

    def interrupted():
        with threads.BackgroundWriter() as behind:
            for number in range(20):
                behind.put(lambda number=number: done.append(number))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done == list(range(20))


@pytest.mark.parametrize("later", [0, 5])
def test_what_fails_behind_is_raised_in_front_and_nothing_after_it_is_begun(later):
    done = []

    def fail():
        raise OSError("disk is full")

    def work():
        with threads.BackgroundWriter() as behind:
            behind.put(lambda: done.append(1))
            behind.put(fail)
            for _ in range(later):
                behind.put(lambda: done.append(2))

    with pytest.raises(OSError, match="disk is full"):
        work()
    assert done == [1]
