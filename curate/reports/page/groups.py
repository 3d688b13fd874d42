"""Documents by domain, the small domains together."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.rundir.document_blocks import DocumentBlock


@dataclass(frozen=True, slots=True)
class DomainGroups:
    """The domains that are drawn, by number; the last one holds the others, where there are any."""

    names: tuple[str, ...]
    index: Mapping[str, int]
    others: int
    """Domains that are not drawn by themselves."""
    places: NDArray[np.int32]
    """The number here of each group of the table."""

    def lanes(self, block: DocumentBlock) -> NDArray[np.int32]:
        """2 · group + (0 kept, 1 dropped) of each document; −1 for what criteria are not about."""
        lanes = self.places[block.domain] * np.int32(2) + (block.codes != 0)
        return np.where(block.eligible, lanes, np.int32(-1))
