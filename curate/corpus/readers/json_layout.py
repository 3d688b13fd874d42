"""How a JSON file is laid out: lines, one array, values one after the other, or one object around its records.

The suffix does not decide: a ``.jsonl`` may be an array, a ``.json`` may have lines. Of a file that seems to be one
object, ``ObjectScanner`` reads all brackets once, in chunks, to see which lists of objects it has.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

import orjson

from curate.corpus.chat.detect import detect_schema
from curate.corpus.files.contents import read_head
from curate.corpus.files.streams import is_url, read_chunks
from curate.corpus.types import TEXT_NAMES, BrokenSourceError, Source
from curate.corpus.values.json_records import strip_separators

PEEK_BYTES = 1 << 16
WRAPPERS = ("data", "examples", "questions", "rows", "items", "problems", "entries", "records", "documents", "docs")
# A list under another name holds the records of a file where it is so many times as long as all the rest.
DOMINANCE = 10
# Members of objects within an object are looked at, deeper ones are not.
SHALLOW = 2
TOKENS = re.compile(rb'["\[\]{},:]')
DEEP_TOKENS = re.compile(rb'["\[\]{}]')
BACKSLASH = ord("\\")

Layout = Literal["lines", "array", "values"]


@dataclass(frozen=True, slots=True)
class JsonLayout:
    """How the rows of a JSON file lie in it."""

    kind: Layout
    path: tuple[str, ...] = ()
    """Of an array within an object, the keys that lead to it."""
    begin: int = 0
    """Of an array within an object, the byte after its bracket."""
    lists: tuple[tuple[tuple[str, ...], int], ...] = ()
    """Of an object that is a row although it has lists of objects, the keys of each and the number of objects."""


@dataclass(slots=True)
class Member:
    """A value within the object that a file holds."""

    kind: str
    """The first byte of a string, a list or an object."""
    begin: int
    """The byte after ``kind``."""
    end: int | None = None
    """The byte of the closing bracket; None for strings, and where there is none."""
    objects: int = 0
    """Of a list, its objects."""
    commas: int = 0
    """Of a list, its commas."""

    @property
    def holds_objects(self) -> bool:
        """Whether it is a list of objects, which may end with a comma."""
        return self.kind == "[" and self.objects > 0 and self.commas in (self.objects - 1, self.objects)

    @property
    def held(self) -> int:
        """The bytes within its brackets; 0 where it does not end."""
        return 0 if self.end is None else self.end - self.begin

    @property
    def is_empty(self) -> bool:
        """Whether it is a list of nothing, or of one value that is no object."""
        return self.kind == "[" and self.objects == self.commas == 0


@dataclass(slots=True)
class ObjectScanner:
    """Reads the brackets and keys of the first value of a file, fed in chunks."""

    offset: int = 0
    """Bytes of the file before the current chunk."""
    end: int | None = None
    """The byte after the value; None while it is open."""
    members: dict[tuple[str, ...], Member] = field(default_factory=dict)
    """Strings, lists and objects by the keys that lead to them, at most ``SHALLOW`` of them."""
    more: bytes = b""
    """The start of what follows the value and is not white space."""
    ends_line: bool = False
    """Whether a line end comes before it."""
    has_lines: bool = False
    """Whether the value itself has a line end."""
    _open: list[Member] = field(default_factory=list)
    _keys: list[str] = field(default_factory=list)
    _key: bytes | None = None
    _expects_key: bool = False
    _in_string: bool = False
    _escapes: int = 0

    def feed(self, chunk: bytes) -> None:
        """Read a chunk, up to the end of the value."""
        at = 0
        while self.end is None:
            if self._in_string:
                at = self._read_string(chunk, at)
                if at < 0:
                    break
                continue
            found = (TOKENS if len(self._open) <= SHALLOW + 1 else DEEP_TOKENS).search(chunk, at)
            if found is None:
                break
            at = found.end()
            self._take(found.group(), self.offset + at)
        self.has_lines = (
            self.has_lines or b"\n" in chunk[: None if self.end is None else max(0, self.end - self.offset)]
        )
        if self.end is not None and not self.more:
            behind = chunk[max(0, self.end - self.offset) :]
            self.more = strip_separators(behind)[:PEEK_BYTES]
            self.ends_line = self.ends_line or b"\n" in behind[: len(behind) - len(strip_separators(behind))]
        self.offset += len(chunk)

    def _take(self, token: bytes, behind: int) -> None:
        """Take a bracket, a quote, a comma or a colon that ends before the byte ``behind``."""
        if token in b"]}":
            if self._open:
                self._open.pop().end = behind - 1
                del self._keys[len(self._open) :]
                self.end = None if self._open else behind
        elif token == b",":
            if self._open:
                self._open[-1].commas += 1
                self._expects_key = self._open[-1].kind == "{"
        elif token == b":":
            self._expects_key = False
        else:
            self._begin(token, behind)

    def _begin(self, token: bytes, behind: int) -> None:
        """Begin a string, a list or an object."""
        depth = len(self._open)
        self._in_string = token == b'"'
        if self._in_string and self._expects_key and 0 < depth <= SHALLOW:
            self._key = b""
            return
        member = Member(token.decode(), behind)
        if self._open and self._open[-1].kind == "[" and token == b"{":
            self._open[-1].objects += 1
        if 0 < depth <= SHALLOW and len(self._keys) == depth and all(parent.kind == "{" for parent in self._open):
            self.members[tuple(self._keys)] = member
        if not self._in_string:
            self._open.append(member)
            self._expects_key = token == b"{"

    def _read_string(self, chunk: bytes, at: int) -> int:
        """Return the index after the string that is open, -1 where it does not end in this chunk."""
        stop = self._find_quote(chunk, at)
        if self._key is not None:
            self._key += chunk[at : None if stop < 0 else stop]
        if stop < 0:
            return -1
        self._in_string, self._escapes = False, 0
        if self._key is not None:
            depth = len(self._open)
            self._keys[depth - 1 :] = [_decode_key(self._key)]
            self._key, self._expects_key = None, False
        return stop + 1

    def _find_quote(self, chunk: bytes, at: int) -> int:
        first = at
        while (at := chunk.find(b'"', at)) >= 0:
            if count_escapes(chunk, first, at, self._escapes) % 2 == 0:
                return at
            at += 1
        self._escapes = count_escapes(chunk, first, len(chunk), self._escapes)
        return -1


def count_escapes(chunk: bytes, first: int, at: int, before: int) -> int:
    """Return the number of backslashes right before ``at``; ``before`` are those at the end of the last chunk."""
    begin = at
    while begin > first and chunk[begin - 1] == BACKSLASH:
        begin -= 1
    return at - begin + (before if begin == 0 else 0)


def _decode_key(raw: bytes) -> str:
    try:
        return str(json.loads(b'"' + raw + b'"'))
    except ValueError:
        return raw.decode("utf-8", "replace")


def holds_json(source: Source) -> bool:
    """Return whether a source begins like JSON. Raises BrokenSourceError and StorageError."""
    return strip_separators(read_head(source, PEEK_BYTES)).startswith((b"{", b"["))


def find_layout(source: Source) -> JsonLayout:
    """Return how the rows of a JSON source lie in it. A source that cannot be read has lines.

    Raises StorageError where a server fails.
    """
    try:
        status = None if is_url(source.path) else os.stat(source.path)
        return _find_layout(source, None if status is None else (status.st_mtime_ns, status.st_size, status.st_ino))
    except (BrokenSourceError, OSError):
        return JsonLayout("lines")


@functools.lru_cache(maxsize=4096)
def _find_layout(source: Source, stamp: object) -> JsonLayout:
    head = read_head(source, PEEK_BYTES)
    is_whole = len(head) < PEEK_BYTES
    head = strip_separators(head)
    first, newline, rest = head.partition(b"\n")
    rest = strip_separators(rest)
    if head.startswith(b"["):
        begins = head[1:].lstrip()[:1]
        if source.format == "jsonl" and begins not in (b"{", b"]", b""):
            return JsonLayout("lines")
        return JsonLayout("lines" if rest.startswith((b"[", b"{")) and is_json(first) else "array")
    if not head.startswith(b"{"):
        return JsonLayout("lines" if source.format == "jsonl" else guess_by_lines(head))
    is_jsonl = source.format == "jsonl"
    if rest.startswith(b"{") or (newline and (rest or (is_jsonl and not is_whole)) and is_json(first)):
        return JsonLayout("lines")
    if is_jsonl and not is_whole and not newline and not begins_wrapper(head):
        scanner = ObjectScanner()
        scanner.feed(head)
        return JsonLayout("values" if scanner.more.startswith(b"{") else "lines")
    return _lay_out_object(source, is_whole and not rest)


def begins_wrapper(head: bytes) -> bool:
    """Return whether the start of a file is that of an object with a list under a name in ``WRAPPERS``."""
    scanner = ObjectScanner()
    scanner.feed(head)
    return any(path[-1] in WRAPPERS and member.kind == "[" for path, member in scanner.members.items())


def guess_by_lines(head: bytes) -> Layout:
    """Return whether the start of a file that is damaged has lines: its first ends with a brace."""
    return "lines" if head.partition(b"\n")[0].rstrip().endswith(b"}") else "values"


def _lay_out_object(source: Source, is_one_line: bool) -> JsonLayout:
    """Return the layout of a file whose first value is an object that is not one line of several."""
    scanner = scan_object(source)
    if scanner.more:
        return JsonLayout("lines" if scanner.ends_line and not scanner.has_lines else "values")
    found = find_wrapper(scanner.members, scanner.offset)
    if source.format == "jsonl" and (is_one_line or not scanner.has_lines):
        # One row, unless it is hardly more than a list of records under a usual name.
        held = scanner.members[found.path].held if found.path and found.path[-1] in WRAPPERS else 0
        return found if 2 * held > scanner.offset else JsonLayout("lines")
    return found


def scan_object(source: Source) -> ObjectScanner:
    """Return a scanner that has read the first value of a source, and a little of what follows."""
    scanner = ObjectScanner()
    try:
        for chunk, _ in read_chunks(source, 0):
            scanner.feed(chunk)
            if scanner.more:
                break
    except BrokenSourceError:
        pass  # Its reader says so, behind the rows before the damage.
    return scanner


def find_wrapper(members: dict[tuple[str, ...], Member], size: int) -> JsonLayout:
    """Return the array of records within an object of ``size`` bytes, or the object as one row.

    The object is a wrapper where it has one list of objects, at the shallowest level that has any, and the list has a
    name in ``WRAPPERS`` or nearly all bytes. An object with a text or the columns of a conversation is a row.
    """
    if is_document([path[0] for path in members if len(path) == 1], members):
        return JsonLayout("values")
    for depth in range(1, SHALLOW + 1):
        level = {path: member for path, member in members.items() if len(path) == depth}
        lists = {path: member for path, member in level.items() if member.holds_objects}
        if not lists:
            lists = {path: member for path, member in level.items() if member.is_empty and path[-1] in WRAPPERS}
        if len(lists) == 1:
            ((path, member),) = lists.items()
            length = (size if member.end is None else member.end) - member.begin
            if path[-1] in WRAPPERS or length >= DOMINANCE * (size - length):
                return JsonLayout("array", path, member.begin)
        if lists:
            return JsonLayout("values", lists=tuple((path, member.objects) for path, member in lists.items()))
    return JsonLayout("values")


def is_document(names: Collection[str], members: dict[tuple[str, ...], Member]) -> bool:
    """Return whether an object has a text under one of ``TEXT_NAMES``, or the columns of a conversation."""
    has_text = any((name,) in members and members[(name,)].kind == '"' for name in TEXT_NAMES)
    return has_text or detect_schema(names, []) is not None


def is_json(line: bytes) -> bool:
    """Return whether a line is one JSON value."""
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def describe_layout(source: Source) -> str | None:
    """Return what is unusual about the layout of a source, for people; None where nothing is."""
    layout = find_layout(source)
    if layout.path:
        return f'records under "{".".join(layout.path)}"'
    if source.format == "jsonl" and layout.kind != "lines":
        return "one array" if layout.kind == "array" else "objects one after the other"
    return None
