"""What passes between the readers, the slicer and those who read a corpus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from curate.corpus.chat.rows import Turns, list_columns

OK = "ok"
EMPTY = "empty"
UNREADABLE = "unreadable"

# A longer line, array element or text file is no document but a file without line ends; it becomes one unreadable row.
MAX_DOCUMENT_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a corpus (or one split of a Hub dataset): where it lies, its key, and how it is read."""

    path: str
    """What is opened: a local path, a URL, or ``NAME:SPLIT``."""
    name: str
    """The key: a POSIX path below the corpus root, unique over the corpus."""
    format: str
    """A key of ``curate.corpus.readers.FORMATS``."""
    compression: str | None
    """gz, zst, bz2, xz or None."""
    size: int | None
    """Bytes as stored (compressed), None where the far side does not say."""


@dataclass(frozen=True, slots=True)
class SliceMark:
    """The place of one slice in its file, and where the following slice begins. All fields are JSON."""

    file: str
    number: int
    """0, 1, 2 … within the file."""
    first_row: int
    next_row: int
    """The rows of the slice lie in [first_row, next_row); blank lines and rows that were sampled out lie there too."""
    next_offset: int | None
    """Byte at which ``next_row`` begins, where the file can be entered there."""
    documents: int
    last: bool
    """No slice of this file follows."""


@dataclass(frozen=True, slots=True, eq=False)
class Documents:
    """The documents of one slice, in the order of their rows; every list has one entry for each document."""

    mark: SliceMark
    rows: np.ndarray[Any, np.dtype[np.int64]]
    ids: list[str | None]
    texts: list[str | None]
    """None where the status is ``unreadable``; of conversations, all turns with a blank line between two."""
    turns: list[Turns | None] | None
    """The turns of conversations, each with some text, and None where the status is ``unreadable``; None for texts."""
    statuses: list[str]
    """``ok``, ``empty`` (no text but white space; of conversations, no turn) or ``unreadable``."""
    reasons: list[str | None]
    """For unreadable rows, the place in the file and the cause."""
    read_bytes: int
    """Bytes of the file, as stored, that this slice took: they add up to the size of the file."""
    table: pa.Table | None
    """Every original column, or those that were asked for, null in unreadable rows; None unless asked for."""

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What to take out of each row."""

    text_field: str | None
    """None while the columns are still being looked at, and for conversations."""
    id_field: str | None
    whole: bool = False
    """Keep every original column."""
    keep: Callable[[int], bool] | None = None
    """Whether a row is in the sample; None for all."""
    chunk_bytes: int = 1 << 20
    conversation: str | None = None
    """The schema of conversations; None for texts."""
    also: tuple[str, ...] = ()
    """Columns, or paths with dots within one, to keep beside the text, each under this name; unless ``whole``."""

    @property
    def holds_content(self) -> bool:
        """Whether more than the text and the id is kept of a row."""
        return self.whole or bool(self.also)

    def project(self, names: list[str], also: bool = True) -> list[str]:
        """The columns to read of those that a source has: the text or the turns and the id, or a struct around one.

        ``also`` is whether the columns beside the text are among them.
        """
        spoken = list_columns(self.conversation) if self.conversation is not None else ()
        wanted = [
            field
            for field in (self.text_field, *spoken, self.id_field, *(self.also if also else ()))
            if field is not None
        ]
        return [field for field in dict.fromkeys(wanted) if field in names or field.split(".")[0] in names]


@dataclass(frozen=True, slots=True)
class ReadStart:
    """Where reading begins: a row, and its byte where the file can be entered there."""

    row: int = 0
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Some consecutive rows, as a reader hands them over; one entry per document in each list."""

    rows: list[int]
    ids: list[str | None]
    texts: list[str | None]
    reasons: list[str | None]
    sizes: list[int]
    """What each document counts towards ``slice_bytes``."""
    positions: list[int]
    """Bytes of the source, as stored, that are read when the document is."""
    offsets: list[int] | None
    """Byte behind the document, where the file can be entered there."""
    begin: int
    """Bytes of the source read before this block."""
    end: int
    next_row: int
    """The row behind the block, counting blank and sampled-out rows at its end."""
    next_offset: int | None
    content: list[dict[str, Any] | None] | pa.Table | None
    """The rows in full, or the columns that were asked for, when they were."""
    turns: list[Turns | None] | None = None
    """The turns of conversations; None for texts, and where no row could be read."""


class BrokenSourceError(Exception):
    """The rest of a source cannot be read, and why. Readers turn it into one unreadable row."""
