"""Types that pass between the readers, the slicer and the users of a corpus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import xxhash

from curate.corpus.chat.rows import Turns, list_columns
from curate.runtime.arrays import Int64Array

OK = "ok"
EMPTY = "empty"
UNREADABLE = "unreadable"

# Columns with these names hold a text.
TEXT_NAMES = (
    "text", "content", "document", "body", "raw_content", "passage", "article", "page_content", "raw_text", "full_text"
)  # fmt: skip

AUTO_QUOTING = "auto"

# A longer line, array element or text file is taken for a file without line ends and becomes one unreadable row.
MAX_DOCUMENT_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a corpus, or one split of a Hub dataset: its path, its key, and how it is read."""

    path: str
    """A local path, a URL, or ``NAME:SPLIT``."""
    name: str
    """The key: a POSIX path below the corpus root, unique over the corpus."""
    format: str
    """A key of ``curate.corpus.readers.FORMATS``."""
    compression: str | None
    """gz, zst, bz2, xz or None."""
    size: int | None
    """Bytes as stored (compressed), None where the server does not tell."""
    encoding: str | None = None
    """The encoding of a text that is not UTF-8, by its byte order mark; known once its first bytes are read."""
    delimiter: str | None = None
    """Of CSV and TSV, the character between fields that the user names; None to find it."""
    quoting: str = AUTO_QUOTING
    """Of CSV and TSV, whether fields may be in quotes: auto, csv or none."""

    @property
    def is_plain(self) -> bool:
        """Whether the bytes of the file are those of its rows, so that a reader can seek to one."""
        return self.compression is None and self.encoding is None


@dataclass(frozen=True, slots=True)
class SliceMark:
    """The position of one slice in its file, and where the next slice begins. All fields are JSON."""

    file: str
    number: int
    """0, 1, 2 … within the file."""
    first_row: int
    next_row: int
    """The rows of the slice are in [first_row, next_row), which also counts blank lines and rows outside the sample."""
    next_offset: int | None
    """Byte at which ``next_row`` begins, where the file can be entered there."""
    documents: int
    last: bool
    """Whether this is the final slice of the file."""


@dataclass(frozen=True, slots=True, eq=False)
class Documents:
    """The documents of a slice, or of several that are gathered, in order; each list has one entry for each."""

    marks: tuple[SliceMark, ...]
    """The slices, one behind another in the corpus, without an unread one between two."""
    rows: Int64Array
    """Row numbers in the file, ascending within a slice."""
    ids: list[str | None]
    texts: list[str | None]
    """None where the status is ``unreadable``; of conversations, all turns with a blank line between two."""
    turns: list[Turns | None] | None
    """The turns of conversations, each with some text, and None where the status is ``unreadable``; None for texts."""
    statuses: list[str]
    """``ok``, ``empty`` (only white space; of conversations, no turn) or ``unreadable``."""
    reasons: list[str | None]
    """For unreadable rows, the position in the file and the cause; else None."""
    read_bytes: int
    """Stored bytes of the files that the slices took: the sum over all slices is the size of the corpus."""
    table: pa.Table | None
    """All original columns, or the selected ones, null in unreadable rows; None where none were selected, and of
    gathered slices, whose columns may differ: see ``slices``."""
    records: list[dict[str, Any] | None] | None = None
    """The columns of ``table`` as they were read, a key that is absent left out; None where the format has types."""
    size: int = 0
    """What the documents count towards ``slice_bytes``."""
    gathered: tuple[Documents, ...] = ()
    """The slices one by one, where several are gathered."""

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def mark(self) -> SliceMark:
        """The mark of a single slice. Raises ValueError where several are gathered: use ``marks``."""
        (mark,) = self.marks
        return mark

    @property
    def slices(self) -> tuple[Documents, ...]:
        """The slices one by one."""
        return self.gathered or (self,)

    @property
    def files(self) -> list[str]:
        """The file of each document."""
        return [mark.file for mark in self.marks for _ in range(mark.documents)]


@dataclass(frozen=True, slots=True)
class ValueDraw:
    """A sample of the rows by the value that they have in a column: equal values are in it together, or out together.

    Neither the file nor the position of a row has influence, so that the sample of a union is the union of the samples.
    """

    field: str
    """A column, or a path with dots within one."""
    share: float
    seed: int

    def takes(self, value: str) -> bool:
        """Return whether rows with a value, spelled as ids are, are in the sample."""
        return xxhash.xxh3_64_intdigest(value.encode("utf-8", "surrogateescape"), self.seed) < self.share * 2.0**64

    @property
    def absence(self) -> str:
        """The reason of a row without a value, which is kept out of the sample as an unreadable one."""
        return f'no value in "{self.field}", by which --sample-by draws'


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What readers take from each row."""

    text_field: str | None
    """None while columns are detected, and for conversations."""
    id_field: str | None
    """None where documents have no id."""
    all_columns: bool = False
    """Keep every original column."""
    keep: Callable[[int], bool] | None = None
    """Whether a row is in the sample; None for all."""
    draw: ValueDraw | None = None
    """Which rows are in the sample by the value of a column; None where no column decides."""
    chunk_bytes: int = 1 << 20
    """Bytes that readers of text formats request at a time."""
    conversation: str | None = None
    """The schema of conversations; None for texts."""
    columns: tuple[str, ...] = ()
    """Columns, or paths with dots within one, to keep under these names; ignored with ``all_columns``."""

    @property
    def keeps_columns(self) -> bool:
        """Whether more than the text and the id of a row is kept."""
        return self.all_columns or bool(self.columns)

    def project(self, names: list[str], with_columns: bool = True) -> list[str]:
        """Return the names to read among those of a source: of the text or the turns, the id, the draw, ``columns``.

        A path within a struct is returned as a path. ``with_columns=False`` leaves ``columns`` out.
        """
        turns = list_columns(self.conversation) if self.conversation is not None else ()
        others = (*turns, self.id_field, None if self.draw is None else self.draw.field)
        fields = [self.text_field, *others, *(self.columns if with_columns else ())]
        named = [field for field in fields if field is not None]
        return [field for field in dict.fromkeys(named) if field in names or field.split(".")[0] in names]


@dataclass(frozen=True, slots=True)
class ReadStart:
    """Where reading begins: a row, and its byte where a reader can seek to it."""

    row: int = 0
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Some consecutive rows as a reader yields them; each list has one entry for each document."""

    rows: list[int]
    """Row numbers in the file, ascending."""
    ids: list[str | None]
    texts: list[str | None]
    """None in unreadable rows."""
    reasons: list[str | None]
    """Position and cause of unreadable rows; else None."""
    sizes: list[int]
    """What each document counts towards ``slice_bytes``."""
    positions: list[int]
    """Stored bytes of the source up to the end of the document."""
    offsets: list[int] | None
    """Byte after each document; None where a reader cannot seek."""
    begin: int
    """Stored bytes of the source before this block."""
    end: int
    """Stored bytes of the source up to the end of this block."""
    next_row: int
    """The row after the block, counting blank rows and rows outside the sample at its end."""
    next_offset: int | None
    """Byte at which ``next_row`` begins; None where a reader cannot seek."""
    content: list[dict[str, Any] | None] | pa.Table | None
    """The rows with all columns or the selected ones; None where none were selected."""
    turns: list[Turns | None] | None = None
    """The turns of conversations; None for texts, and where no row could be read."""


class BrokenSourceError(Exception):
    """The rest of a source cannot be read; the message says why. Readers turn it into one unreadable row."""
