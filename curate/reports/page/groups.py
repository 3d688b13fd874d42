"""Groups of documents by domain; the small domains are one group."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from curate.rundir.document_blocks import DocumentBlock
from curate.runtime.arrays import Int32Array


@dataclass(frozen=True, slots=True)
class DomainGroups:
    """The domains that are drawn, by number; the last one holds the others, where there are any."""

    names: tuple[str, ...]
    index: Mapping[str, int]
    others: int
    """Domains that have no group, but are in the last one."""
    places: Int32Array
    """The group of each domain of the table."""

    def lanes(self, block: DocumentBlock) -> Int32Array:
        """Return 2 · group + (0 kept, 1 dropped) of each document; −1 for what criteria are not about."""
        lanes = self.places[block.domain] * np.int32(2) + (block.codes != 0)
        return np.where(block.eligible, lanes, np.int32(-1))
