"""How many bits of surprise a match needs to count as contamination."""

import numpy as np

from curate.runtime.arrays import Float64Array

VERSION = 3
"""Of the rule. Hits that another version found are made anew."""
NEEDED = 35.0
"""Bits that an item needs whose words were all matched."""
MISSING = 80.0
"""Bits that are needed more, times the share of the item's words that were not matched."""
OPENING = 15.0
"""Bits that are needed less where the match begins the item and a sentence of the document."""
ISOLATED = 35.0
"""Bits that are needed less where the match also ends a sentence of the document."""
MARGIN = 10.0
"""Bits below the threshold down to which a match is listed for review."""
LEAST_BITS = 28.0
"""The lowest threshold: no discount leads below it."""
LEAST_COVERAGE = 0.35
"""Share of the item's words below which there is no match."""
LEAST_SHARE = 0.25
"""Share of the item's bits below which there is no match."""
OPPOSED_WORDS = 0.15
"""Share of the item's words that others may stand for, one word in any case: half as much again as an edit of one word
in ten changes."""
OPPOSED_RARITY = 0.9
"""Of the bits of the rarest own word that is there; an opposed word of more bits is what the item is about."""
OPPOSED_SHARE = 0.25
"""Share of the squares of the item's own bits that may be opposed even so."""
OWN_ENOUGH = 70.0
"""Own bits with which a match may lack its rarest word: more than the frames of questions have."""
TELLING = 8.0
"""Own bits of a word that tells what an item is about: at most one word in 256 in its place."""
TELLING_RATIO = 2
"""Telling words that must be there for each one that is replaced."""
OWN_PASSAGE = 200.0
"""Own bits that are a leak whatever stands beside them: a passage."""


def needed_bits(coverage: float, opens: bool, closes: bool) -> float:
    """Return the bits from which on a match is a leak, that number included.

    ``coverage`` is the share of the item's words that were matched. ``opens`` and ``closes`` say whether the match
    begins and ends with a sentence of the document (``curate.stages.decontaminate.matches.MatchLocation``).
    """
    needed = NEEDED + MISSING * (1 - coverage)
    if opens:
        needed -= ISOLATED if closes else OPENING
    return max(needed, LEAST_BITS)


def least_bits(coverage: Float64Array) -> Float64Array:
    """Return the fewest bits with which matches of some coverages can be leaks or for review, wherever they stand.

    Input and output have one entry for each match.
    """
    return np.maximum(NEEDED + MISSING * (1 - coverage) - ISOLATED, LEAST_BITS) - MARGIN
