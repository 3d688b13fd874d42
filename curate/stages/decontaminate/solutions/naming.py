"""Whether two pieces of code use their names alike: the same names, or others that stand for them throughout.

Renaming keeps which places have the same name. That is evidence beyond the structure (Baker 1993,
doi:10.1145/167088.167115, calls two such texts a parameterized match): a name that comes again, where its counterpart
comes again, is worth half the bits of choosing it among the names so far, since idioms such as ``x[i]`` foretell a part
of it. A name of the same spelling is worth its rarity besides, once.
"""

from dataclasses import dataclass
from math import log2

from curate.runtime.arrays import Float64Array, UInt64Array

CHOICE = 0.5
"""Share of the bits of a choice among names that a name which comes again counts with."""
MISNAMED = 2.0
"""Bits that are lost beside those of the choice where a counterpart is another one than before."""
SPELLED = 0.5
"""Share of the bits of its rarity that a name of the same spelling counts with."""


@dataclass(frozen=True, slots=True)
class NamingEvidence:
    """How names agree."""

    bits: float
    agreeing: int
    """Names that come again with their counterpart."""
    contrary: int
    """Names whose counterpart was another one before."""
    equal: int
    """Distinct names with the same spelling in both."""
    distinct: int
    """Distinct names of the item."""

    @property
    def consistency(self) -> float:
        """The share of the names that come again which do so with their counterpart; 1 where none comes again."""
        total = self.agreeing + self.contrary
        return self.agreeing / total if total else 1.0


def weigh_naming(item: UInt64Array, document: UInt64Array, name_bits: Float64Array) -> NamingEvidence:
    """Return how the names of matched tokens agree; the arrays have an entry for each, 0 where it is no name.

    ``name_bits`` are those of the item's names.
    """
    forth: dict[int, int] = {}
    back: dict[int, int] = {}
    bits, agreeing, contrary, equal = 0.0, 0, 0, 0
    for ours, theirs, worth in zip(item.tolist(), document.tolist(), name_bits.tolist(), strict=True):
        if not ours or not theirs:
            continue
        if ours not in forth and theirs not in back:
            forth[ours], back[theirs] = theirs, ours
            if ours == theirs:
                equal += 1
                bits += SPELLED * worth
        elif forth.get(ours) == theirs:
            agreeing += 1
            bits += CHOICE * log2(len(forth))
        else:
            contrary += 1
            bits -= MISNAMED + CHOICE * log2(len(forth) + 1)
    return NamingEvidence(bits, agreeing, contrary, equal, len(forth))
