"""The corpus: its sources, what is read of them, its fingerprint, and its slices."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import pyarrow as pa
import xxhash

from curate.corpus.chat.rows import find_conversation, list_columns
from curate.corpus.detect_columns import (
    FILES_AHEAD,
    REMOTE_AHEAD,
    ROWS,
    DetectedColumns,
    check_field,
    choose_id_field,
    detect_source_columns,
    merge_columns,
    settle_text_field,
)
from curate.corpus.hub import find_revision, parse_hub_name
from curate.corpus.readers import read_blocks
from curate.corpus.readers.raw_rows import RawRow, read_rows
from curate.corpus.slicing import SliceCutter, cut_slices
from curate.corpus.sources import find_sources
from curate.corpus.streams import filesystem_of, is_url, open_binary, read_edges
from curate.corpus.types import UNREADABLE, BrokenSourceError, Documents, ReadOptions, ReadStart, SliceMark, Source
from curate.errors import CorpusError, RowError, UsageError

NONE_DONE: Mapping[str, Sequence[SliceMark]] = {}


@dataclass(frozen=True)
class Corpus:
    """Documents in files, and how they are read. Made by ``open_corpus`` or ``open_records``, with what was found."""

    paths: tuple[str, ...]
    sources: tuple[Source, ...]
    text_field: str
    """A column, a path with dots within one, ``@SCHEMA`` for conversations, or ``@rows`` where there is no text."""
    id_field: str | None
    limit: int | None
    sample: float | None
    seed: int
    slice_bytes: int
    on_error: str
    """quarantine (bad rows become rows with a status) or stop (the first one raises RowError)."""
    columns: tuple[str, ...]
    """Every column that the starts of the files show."""
    passed_over: tuple[str, ...] = ()
    """Files of the corpus folders that are no data."""
    schema: pa.Schema | None = field(default=None, compare=False)
    """Types of the columns of JSON, CSV and text files as their starts show them."""

    def fingerprint(self) -> str:
        """Hex digits of names, contents, fields and cuts: the same wherever it lies and however old it is."""
        return xxhash.xxh3_128_hexdigest(json.dumps([*self._identity(), self.slice_bytes]).encode())

    def identity(self) -> str:
        """Hex digits of the documents alone, however they are cut into slices."""
        return xxhash.xxh3_128_hexdigest(json.dumps(self._identity()).encode())

    def _identity(self) -> list[Any]:
        files = [[source.name, source.format, *fingerprint_source(source)] for source in self.sources]
        sample = None if self.sample is None else [self.sample, self.seed]
        return [files, self.text_field, self.id_field, self.limit, sample]

    def describe(self) -> str:
        """One line for people: what is read, how much of it, and which column is the text or which schema is read."""
        count = len(self.sources)
        kinds = list(dict.fromkeys(describe_format(source) for source in self.sources))
        sizes = [source.size for source in self.sources if source.size is not None]
        size = f", {format_bytes(sum(sizes))}" if sizes else ""
        taken, what = self._describe_text()
        others = [name for name in self.columns if name not in taken]
        also = f" (also: {', '.join(others[:8])}{', …' if len(others) > 8 else ''})" if others else ""
        line = f"{' '.join(self.paths)}   {count} file{'s' if count != 1 else ''}{size} {', '.join(kinds)}; "
        return f"{line}{what}{also}{describe_passed_over(self.passed_over)}"

    def _describe_text(self) -> tuple[Sequence[str], str]:
        """The columns that the text is taken from, and how that is told."""
        schema = self.conversation
        if self.text_field == ROWS:
            return (), "rows of any columns"
        if schema is None:
            return (self.text_field, self.text_field.split(".")[0]), f'text in column "{self.text_field}"'
        taken = [name for name in list_columns(schema) if name in self.columns]
        return taken, f'conversations in the schema "{schema}"' + (f" ({', '.join(taken)})" if taken else "")

    def spec(self) -> dict[str, Any]:
        """What ``from_spec`` needs to open the same corpus from anywhere on this machine, as JSON."""
        return {
            "paths": [make_absolute(path) for path in self.paths],
            "text_field": self.text_field,
            "id_field": self.id_field,
            "limit": self.limit,
            "sample": self.sample,
            "seed": self.seed,
            "slice_bytes": self.slice_bytes,
            "on_error": self.on_error,
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Corpus:
        """The corpus that ``spec`` was taken from. Compare fingerprints to know whether it is still the same."""
        if spec["text_field"] == ROWS:
            return open_records(
                **{name: value for name, value in spec.items() if name not in ("text_field", "slice_bytes")}
            )
        return open_corpus(**spec)

    @property
    def conversation(self) -> str | None:
        """The schema of the conversations; None where the text is a column."""
        return find_conversation(self.text_field)

    @property
    def size(self) -> int | None:
        """Bytes of all files as stored, None where one of them does not say."""
        sizes = [source.size for source in self.sources]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def slices(
        self,
        done: Mapping[str, Sequence[SliceMark]] = NONE_DONE,
        columns: Literal["text", "all"] | tuple[str, ...] = "text",
    ) -> Iterator[Documents]:
        """The slices of all files in order, without those in ``done``.

        ``done`` has marks by file name. Those that follow each other from number 0 on are passed over, and what comes
        behind is exactly what an uninterrupted run would have given. A file gives at least one slice; its final one is
        marked ``last``, also where the limit ends it. ``columns`` is what ``Documents.table`` holds: nothing, every
        original column, or some, by name or by a path with dots, null where a row does not have them.
        """
        if self.text_field == ROWS:
            raise ValueError("a corpus that is opened as records has no text to cut into slices")
        left = self.limit
        for index, source in enumerate(self.sources):
            marks = select_leading_marks(done.get(source.name, ()))
            if left is not None:
                left -= sum(mark.documents for mark in marks)
            if marks and marks[-1].last:
                continue
            if left is not None and left <= 0:
                yield next(cut_slices([], self._cutter(source, marks, columns), self.slice_bytes, None))
                continue
            if index >= count_ahead(source) and not marks:
                check_field(source, None if source.format == "text" else detect_source_columns(source), self.text_field)
            for documents in self._read(source, marks, columns, left):
                if left is not None:
                    left -= documents.mark.documents
                yield documents

    def slices_of(self, source: Source, behind: SliceMark | None, left: int | None = None) -> Iterator[Documents]:
        """The slices of one file with all columns, from the one behind ``behind`` on, at most ``left`` documents."""
        marks = [] if behind is None else [behind]
        if left == 0:
            yield next(cut_slices([], self._cutter(source, marks, "all"), self.slice_bytes, None))
        else:
            yield from self._read(source, marks, "all", left)

    def records(self) -> Iterator[RawRow]:
        """Every row with all its columns as they are, those that cannot be read with their reason; at most ``limit``.

        Neither a text nor a schema has a say in it. RowError at the first bad row under ``on_error="stop"``.
        """
        rows = (row for source in self.sources for row in read_rows(source, self.id_field, self._sampler(source)))
        for row in itertools.islice(rows, self.limit):
            if self.on_error == "stop" and row.reason is not None:
                raise make_row_error(row.file, row.row, row.reason)
            yield row

    def _sampler(self, source: Source) -> Callable[[int], bool] | None:
        return None if self.sample is None else partial(is_sampled, source.name, self.sample, self.seed)

    def _cutter(self, source: Source, marks: Sequence[SliceMark], columns: str | tuple[str, ...]) -> SliceCutter:
        row, number = (marks[-1].next_row, marks[-1].number + 1) if marks else (0, 0)
        schema = self.schema if columns == "all" else None
        if not isinstance(columns, str):
            schema = pa.schema([(name, pa.null()) for name in columns])
        return SliceCutter(
            source.name, number, row, None, schema, columns not in ("text", ()), self.conversation is not None
        )

    def _read(
        self, source: Source, marks: Sequence[SliceMark], columns: str | tuple[str, ...], left: int | None
    ) -> Iterator[Documents]:
        start = ReadStart(marks[-1].next_row, marks[-1].next_offset) if marks else ReadStart()
        keep = self._sampler(source)
        field = None if self.conversation else self.text_field
        also = () if isinstance(columns, str) else columns
        reading = ReadOptions(field, self.id_field, columns == "all", keep, conversation=self.conversation, also=also)
        blocks = read_blocks(source, start, reading)
        for documents in cut_slices(blocks, self._cutter(source, marks, columns), self.slice_bytes, left):
            if self.on_error == "stop":
                stop_at_unreadable(documents)
            yield documents


def open_corpus(
    paths: Sequence[str],
    *,
    text_field: str | None = None,
    id_field: str | None = None,
    limit: int | None = None,
    sample: float | None = None,
    seed: int = 0,
    slice_bytes: int = 4_000_000,
    on_error: str = "quarantine",
) -> Corpus:
    """Find the files, look at their starts, and settle which column is the text. Nothing else is read yet.

    ``text_field`` is a column, a path with dots within one, or ``@SCHEMA`` for conversations in one of the schemas of
    ``curate.corpus.chat.schemas``, which are found by themselves where no column has the name of a text.
    CorpusError where there is nothing to read or the column is not obvious, UsageError where an option means nothing.
    """
    check_options(limit, sample, slice_bytes, on_error)
    paths, sources, passed_over = find_named_sources(paths)
    columns = look_ahead(sources)
    text_field = settle_text_field(text_field, sources, columns, " ".join(paths))
    for source, column in zip(sources, columns, strict=True):
        check_field(source, column if source.format != "text" else None, text_field)
    seen = [column for column in columns if column is not None]
    id_field = check_id(id_field, seen) if id_field else choose_id_field(seen)
    return Corpus(
        paths, sources, text_field, id_field, limit, sample, seed, slice_bytes, on_error, list_column_names(seen),
        passed_over, merge_columns(sources, columns),
    )  # fmt: skip


def open_records(
    paths: Sequence[str],
    *,
    id_field: str | None = None,
    limit: int | None = None,
    sample: float | None = None,
    seed: int = 0,
    on_error: str = "quarantine",
) -> Corpus:
    """Find the files as ``open_corpus`` does, for ``Corpus.records`` alone: no column need be a text, nor a schema fit.

    CorpusError where there is nothing to read, UsageError where an option means nothing.
    """
    check_options(limit, sample, 1, on_error)
    paths, sources, passed_over = find_named_sources(paths)
    columns = look_ahead(sources)
    seen = [column for column in columns if column is not None]
    id_field = check_id(id_field, seen) if id_field else choose_id_field(seen)
    return Corpus(
        paths, sources, ROWS, id_field, limit, sample, seed, 1, on_error, list_column_names(seen), passed_over,
        merge_columns(sources, columns),
    )  # fmt: skip


def find_named_sources(paths: Sequence[str]) -> tuple[tuple[str, ...], tuple[Source, ...], tuple[str, ...]]:
    """The paths as a tuple, the sources that they lead to, and the names of the files that were passed over."""
    paths = (paths,) if isinstance(paths, str) else tuple(map(str, paths))
    sources, passed_over = find_sources(paths)
    if len(sources) == len(paths) == 1:
        check_open(paths[0], sources[0])
    return paths, sources, passed_over


def look_ahead(sources: Sequence[Source]) -> list[DetectedColumns | None]:
    """The columns of the first sources; text files bring no names of their own to the others."""
    columns = [
        detect_source_columns(source) if index < count_ahead(source) else None for index, source in enumerate(sources)
    ]
    if all(source.format == "text" for source in sources):
        return columns
    return [None if source.format == "text" else column for source, column in zip(sources, columns, strict=True)]


def list_column_names(seen: Sequence[DetectedColumns]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for column in seen for name in column.schema.names))


def check_options(limit: int | None, sample: float | None, slice_bytes: int, on_error: str) -> None:
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit}: at least one document must be read", "leave it out to read them all")
    if sample is not None and not 0 < sample <= 1:
        raise UsageError(
            f"--sample {sample}: a share above 0 and up to 1 is meant", "--sample 0.01 takes one in a hundred"
        )
    if slice_bytes < 1:
        raise UsageError(f"slices of {slice_bytes} bytes hold nothing")
    if on_error not in ("quarantine", "stop"):
        raise UsageError(f"--on-error {on_error}: known are quarantine and stop")


def check_open(path: str, source: Source) -> None:
    """The only file of a corpus, named as such, must open."""
    if source.format == "hub" or os.path.isdir(path):
        return
    try:
        open_binary(source.path).close()
    except BrokenSourceError as broken:
        raise CorpusError(f"{source.path}: {broken}") from broken


def check_id(field: str, seen: Sequence[DetectedColumns]) -> str:
    names = list_column_names(seen)
    if names and field.split(".")[0] not in names and field not in names:
        raise CorpusError(f'no file has an id column "{field}"; there are: {", ".join(names)}', "--id-field NAME")
    return field


def count_ahead(source: Source) -> int:
    return REMOTE_AHEAD if is_url(source.path) else FILES_AHEAD


def select_leading_marks(marks: Sequence[SliceMark]) -> list[SliceMark]:
    """The marks that follow each other from number 0 on."""
    by_number = {mark.number: mark for mark in marks}
    lead: list[SliceMark] = []
    while len(lead) in by_number:
        lead.append(by_number[len(lead)])
    return lead


def is_sampled(file: str, share: float, seed: int, row: int) -> bool:
    """Whether a row is in the sample: by a hash of its place, so that neither slices nor other rows have a say."""
    return xxhash.xxh3_64_intdigest(f"{file}\0{row}".encode("utf-8", "surrogateescape"), seed) < share * 2.0**64


def stop_at_unreadable(documents: Documents) -> None:
    for row, status, reason in zip(documents.rows, documents.statuses, documents.reasons, strict=True):
        if status == UNREADABLE:
            raise make_row_error(documents.mark.file, row, reason)


def make_row_error(file: str, row: int, reason: str | None) -> RowError:
    return RowError(f"{file}, row {row}: {reason}", "--on-error quarantine sets such rows aside")


def fingerprint_source(source: Source) -> list[Any]:
    """Size, start and end of a source as stored; what its server says of its version where there is one."""
    if source.format == "hub":
        return [find_revision(source.path)]
    if is_url(source.path):
        filesystem, inner = filesystem_of(source.path)
        info = filesystem.info(inner)
        tag = info.get("ETag") or info.get("etag") or info.get("checksum")
        if tag:
            return [source.size, str(tag)]
    try:
        return [source.size, *map(xxhash.xxh3_64_hexdigest, read_edges(source.path, source.size))]
    except BrokenSourceError as broken:
        return [source.size, str(broken)]


def describe_format(source: Source) -> str:
    return f"{source.format}.{source.compression}" if source.compression else source.format


def describe_passed_over(names: Sequence[str]) -> str:
    if not names:
        return ""
    listed = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"; ignored: {len(names)} other file{'s' if len(names) != 1 else ''} ({listed})"


def format_bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def make_absolute(path: str) -> str:
    """A local path made absolute; URLs and names of the Hub as they are."""
    expanded = os.path.abspath(os.path.expanduser(path))
    hub = None if os.path.exists(expanded) else parse_hub_name(path)
    return path if is_url(path) or (hub and not os.path.isdir(hub.name)) else expanded
