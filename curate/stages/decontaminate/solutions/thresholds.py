"""How many bits of surprise a match of code needs.

In bits, a copy differs from other code by what it would cost to find the same by chance. Tokens of the solution that
the document lacks say that it is no copy: each place, and each token, must be made up for.
"""

NEEDED = 45.0
"""Bits that a solution needs whose tokens were all matched."""
GAP = 12.0
"""Bits that are needed more for each place in which tokens are missing."""
TOKEN = 4.0
"""Bits that are needed more for each token that is missing."""
MARGIN = 10.0
"""Bits below the threshold down to which a match is listed for review."""
LEAST_BITS = 45.0
"""Bits below which a solution is not searched for, its names included."""
LEAST_TOKENS = 12
"""Tokens below which a solution is not searched for."""
LEAST_COVERAGE = 0.5
"""Share of the solution's tokens below which there is no match."""
CONSISTENT = 0.8
"""Share of the names that come again which must do so with their counterpart."""


def needed_code_bits(gaps: int, lost: int) -> float:
    """Return the bits from which on a match is a leak; ``lost`` tokens are missing in ``gaps`` places."""
    return NEEDED + GAP * gaps + TOKEN * lost
