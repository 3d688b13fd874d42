"""The bits that a verdict needs: more the more is missing."""

import numpy as np

from curate.stages.decontaminate import thresholds


def test_verdicts_need_more_bits_the_more_is_missing_and_fewer_for_a_sentence_of_its_own():
    needs = [thresholds.needed_bits(share, False, False) for share in (1.0, 0.8, 0.5, 0.35)]
    assert needs == sorted(needs) and needs[0] == thresholds.NEEDED
    for share in np.linspace(0.35, 1, 14):
        least = float(thresholds.least_bits(np.array([share]))[0])
        for opens, closes in ((False, False), (True, False), (True, True)):
            assert least <= thresholds.needed_bits(share, opens, closes) - thresholds.MARGIN + 1e-9
