"""Known answers for the signals that need no model."""

import math

from curate.rundir.signals import repeated_5grams, repeated_lines, zlib_ratio


def test_repetition_is_a_share_of_what_has_occurred_before():
    assert repeated_lines("a\nb\na\n\n a ") == 0.5
    assert repeated_5grams("a b c d e a b c d e") == 1 / 6
    assert math.isnan(repeated_5grams("a b c d")) and math.isnan(repeated_lines(" \n"))
    assert zlib_ratio("", b"x" * 1000) < 0.05 < 0.9 < zlib_ratio("", bytes(range(256)))
    assert math.isnan(zlib_ratio("", b""))
