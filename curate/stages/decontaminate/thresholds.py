"""How much evidence a verdict of contamination needs, in bits of surprise."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

VERSION = 1  # of the rule; hits of another one are made anew
NEEDED = 35.0
MISSING = 80.0
OPENING = 15.0
ISOLATED = 35.0
MARGIN = 10.0
LEAST_BITS = 28.0  # below, nothing is evidence
LEAST_COVERAGE = 0.35  # share of the item's words
LEAST_SHARE = 0.25  # share of the item's bits


def needed_bits(coverage: float, opens: bool, closes: bool) -> float:
    """The bits that make a match of a share of an item's words a leak."""
    needed = NEEDED + MISSING * (1 - coverage)
    if opens:
        needed -= ISOLATED if closes else OPENING
    return max(needed, LEAST_BITS)


def least_bits(coverage: Array) -> Array:
    """The fewest bits with which such a match can come to any verdict, wherever it stands."""
    return np.maximum(NEEDED + MISSING * (1 - coverage) - ISOLATED, LEAST_BITS) - MARGIN
