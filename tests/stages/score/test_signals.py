"""``--signals`` names columns, all of them or none."""

import pytest

from curate.errors import UsageError
from curate.rundir.signals import SIGNALS
from curate.stages.score.signals import choose_signals


def test_signals_are_in_the_order_of_the_table_and_each_once():
    assert choose_signals("max_nats, zlib_ratio,max_nats") == ["zlib_ratio", "max_nats"]
    assert choose_signals("all") == list(SIGNALS)
    assert choose_signals("none") == choose_signals("") == []


@pytest.mark.parametrize(
    ("text", "says"),
    [("beauty", "not beauty"), ("all,zlib_ratio", "all must stand alone"), ("zlib_ratio,none", "none")],
)
def test_an_unknown_signal_and_all_next_to_others_are_refused(text, says):
    with pytest.raises(UsageError, match=says) as caught:
        choose_signals(text)
    assert caught.value.hint in ("--signals all", "--signals none")
