"""How the fields of a CSV or TSV file are separated and quoted, as its start shows, or as the user says.

CSV has quoted fields (RFC 4180), which may hold line ends. TSV by convention has none, but Excel and pandas write them.
A TSV is read with quoting unless its start has quotation marks that cannot be quoting.
"""

from __future__ import annotations

import csv
import functools
import itertools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from curate.corpus.files.contents import UTF8_MARK, read_head
from curate.corpus.files.streams import is_url
from curate.corpus.types import AUTO_QUOTING, BrokenSourceError, Source

DELIMITERS = {"csv": ",", "tsv": "\t"}
CANDIDATES = (",", ";", "\t", "|")
NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
HEAD_BYTES = 1 << 16
HEAD_RECORDS = 200
# The lines that a quoted field takes at the start of a file, where quoting is looked for.
HEAD_LINES = 50
QUOTED = re.compile(r'"(?:[^"]|"")*"')
# The name of a column, in a text of which the format is not known.
NAME = re.compile(r'"?[\w.-]+( [\w.-]+)?"?')
# The first line with which Excel names the delimiter.
SEP_LINE = re.compile(r'"?sep=(?P<delimiter>[^"\r\n])"?[\r\n]*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the lines of a file become fields."""

    delimiter: str
    quoting: bool
    """Whether fields may be in quotation marks."""
    is_literal: bool = False
    """Whether quotation marks that do not close a field are text, and such a line is a record all the same."""
    believes_all: bool = False
    """Whether a quoted field over several lines is always believed."""
    line_end: bytes = b"\n"
    skipped_bytes: int = 0
    """Bytes before the header: a byte order mark, and a line that names the delimiter."""

    def split(self, line: str) -> list[str]:
        """Return the fields of a line whose quotation marks are text."""
        return line.rstrip("\r\n").split(self.delimiter)

    def believes(self, fields: Sequence[str], lines: Sequence[str], width: int | None) -> bool:
        """Return whether several lines are one record with a quoted field over them, not rows behind a stray mark.

        In CSV they are, unless a line after the first is a record by itself while all together are none, or each
        continues the whole numbers of a first column. In TSV, where a text hardly has tabs, they are not as soon as
        one line is a record by itself.
        """
        if width is None or width < 2 or self.believes_all:
            return True
        widths = [len(self.split(line)) for line in lines]
        if not self.is_literal:
            if len(fields) != width:
                return width not in widths[1:]
            return not (
                all(count == width for count in widths) and _is_counting([self.split(line)[0] for line in lines])
            )
        begins_first = widths[0] == 1  # The field that is open is the first: the last line has all others.
        return len(fields) == width and width not in (widths[1:-1] if begins_first else widths[1:])


def _is_counting(values: Sequence[str]) -> bool:
    """Return whether values are whole numbers, each one more than that before it."""
    if not all(value.isascii() and value.isdecimal() and len(value) < 19 for value in values):
        return False
    return all(int(second) == int(first) + 1 for first, second in itertools.pairwise(values))


def find_dialect(source: Source) -> Dialect:
    """Return the dialect of a CSV or TSV source; what the user names comes before what its start shows.

    Raises BrokenSourceError where it cannot be read, and StorageError where a server fails.
    """
    try:
        status = None if is_url(source.path) else os.stat(source.path)
    except OSError:
        status = None
    return _find_dialect(source, None if status is None else (status.st_mtime_ns, status.st_size, status.st_ino))


@functools.lru_cache(maxsize=4096)
def _find_dialect(source: Source, stamp: object) -> Dialect:
    head = read_head(source, HEAD_BYTES)
    line_end = b"\r" if b"\n" not in head and b"\r" in head.rstrip(b"\r") else b"\n"
    mark = len(UTF8_MARK) if head.startswith(UTF8_MARK) else 0
    lines = [line + line_end for line in head[mark:].split(line_end)]
    if len(head) == HEAD_BYTES and len(lines) > 1:
        lines.pop()  # Its end is not known.
    texts = [line.decode("utf-8", "replace") for line in lines]
    named = SEP_LINE.fullmatch(texts[0])
    skipped = mark + (len(lines[0]) if named else 0)
    texts = texts[1:] if named else texts
    delimiter = source.delimiter or (named["delimiter"] if named else find_delimiter(texts, DELIMITERS[source.format]))
    if source.quoting != AUTO_QUOTING:
        return Dialect(delimiter, source.quoting == "csv", False, True, line_end, skipped)
    header = next((text for text in texts if not text.isspace()), "").rstrip("\r\n").split(delimiter)
    quoted = Dialect(delimiter, True, False, False, line_end, skipped)
    if delimiter != "\t" or all(map(QUOTED.fullmatch, header)):  # Written with all fields in quotes.
        return quoted
    if explains_lines(texts, quoted, len(header)):
        return quoted
    return Dialect(delimiter, uses_quoting(texts, delimiter, len(header)), True, False, line_end, skipped)


def find_delimiter(lines: Sequence[str], default: str) -> str:
    """Return the character that cuts the header and most records at the start of a file into as many fields.

    ``default`` is kept unless another one does clearly better, and where there is one column.
    """
    shares = {candidate: rate_delimiter(lines, candidate) for candidate in dict.fromkeys((default, *CANDIDATES))}
    if shares[default] >= 0.5:
        return default
    best = max(shares, key=lambda candidate: shares[candidate])
    return best if shares[best] >= 0.5 else default


def rate_delimiter(lines: Sequence[str], delimiter: str) -> float:
    """Return the share of the records that have as many fields as the header; 0 where that has one field."""
    plain = [line.rstrip("\r\n").split(delimiter) for line in lines[:HEAD_RECORDS] if not line.isspace()]
    quoted = []
    try:
        for record in csv.reader(lines, delimiter=delimiter):
            if record:
                quoted.append(record)
            if len(quoted) == HEAD_RECORDS:
                break
    except csv.Error:
        quoted = []
    return max(_share_of_width(records) for records in (plain, quoted))


def _share_of_width(records: Sequence[Sequence[str]]) -> float:
    if not records or len(records[0]) < 2:
        return 0.0
    width, others = len(records[0]), records[1:]
    return sum(len(record) == width for record in others) / len(others) if others else 1.0


def explains_lines(lines: Sequence[str], dialect: Dialect, width: int) -> bool:
    """Return whether quoted fields explain the lines at the start of a file that are no records by themselves.

    Such are the lines of a code whose indents are tabs, some of which look like records.
    """
    is_odd = [not line.isspace() and len(dialect.split(line)) != width for line in lines]
    at = explained = failed = 0
    while at < len(lines) and 2 * failed < sum(is_odd):
        reader = csv.reader(lines[at:], delimiter=dialect.delimiter, strict=True)
        try:
            fields = next(reader, [])
        except csv.Error:
            failed, at = failed + 1, at + 1
            continue
        taken = at + max(1, reader.line_num)
        if not fields or (len(fields) == width and dialect.believes(fields, lines[at:taken], width)):
            explained, at = explained + sum(is_odd[at:taken]), taken
        else:
            failed, at = failed + 1, at + 1
    return explained > 2 * failed


def uses_quoting(lines: Sequence[str], delimiter: str, width: int) -> bool:
    """Return whether the quotation marks at the start of a TSV are those of quoted fields, more than others."""
    dialect = Dialect(delimiter, True, is_literal=True)
    quoting, at, stray = 0, 0, 0
    while at < len(lines):
        taken = 1
        opened = [field for field in dialect.split(lines[at]) if field.startswith('"')]
        if any(QUOTED.fullmatch(field) is None for field in opened):
            taken = _count_lines(dialect, lines[at : at + HEAD_LINES], width)
            stray, quoting = stray + (taken == 0), quoting + (taken > 0)
        else:
            quoting += any('""' in field[1:-1] for field in opened)
        at += max(1, taken)
    return stray <= quoting


def _count_lines(dialect: Dialect, lines: Sequence[str], width: int) -> int:
    """Return how many lines make one record with a quoted field, 0 where they make none."""
    reader = csv.reader(lines, delimiter=dialect.delimiter, strict=True)
    try:
        fields = next(reader)
    except csv.Error:
        return 0
    taken = reader.line_num
    return taken if len(fields) == width and dialect.believes(fields, lines[:taken], width) else 0


def describe_dialect(source: Source) -> str | None:
    """Return what is unusual about the dialect of a source, for people; None where nothing is."""
    try:
        dialect = find_dialect(source)
    except BrokenSourceError:
        return None
    notes = []
    if dialect.delimiter != DELIMITERS[source.format]:
        notes.append(f"fields separated by {NAMES.get(dialect.delimiter, repr(dialect.delimiter))}")
    if not dialect.quoting:
        notes.append("quotation marks are text")
    return ", ".join(notes) or None


def find_suffix(source: Source) -> str | None:
    """Return the suffix of a text without a name that is CSV or TSV, None for other texts.

    It is one where a delimiter cuts the first line into short names that differ, and every record at the start into
    as many fields. Raises BrokenSourceError and StorageError.
    """
    head = read_head(source, HEAD_BYTES).removeprefix(UTF8_MARK)
    lines = [line + "\n" for line in head.decode("utf-8", "replace").split("\n")]
    if len(head) == HEAD_BYTES:
        lines.pop()
    for delimiter in ("\t", *CANDIDATES):
        names = lines[0].rstrip("\r\n").split(delimiter) if lines else []
        has_names = len(set(names)) == len(names) and all(NAME.fullmatch(name) for name in names)
        if has_names and len(lines) > 2 and rate_delimiter(lines, delimiter) == 1:
            return ".tsv" if delimiter == "\t" else ".csv"
    return None
