"""Work that costs nothing, for workers of an engine, which import it from here (``ray_engine.py``)."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.stages.slice_runner import ProcessedSlice


@dataclass
class CountNothing:
    """The work of a slice without any: its file is opened and read, and no part is written."""

    folder: Path
    fingerprint: str = "nothing"
    columns: str = "text"
    label: str = "counting"
    done: str = "counted"

    def process(self, slices: Iterable[Any], advance: Any) -> Iterator[ProcessedSlice[None]]:
        for documents in slices:
            yield ProcessedSlice(documents, None, documents.read_bytes)

    def write(self, path: Path, processed: Any) -> None:
        """Leave nothing."""


def name_process(pause: Any, seconds: float) -> int:
    """Return the process of a worker, after a pause in which others get their items."""
    pause(seconds)
    return os.getpid()
