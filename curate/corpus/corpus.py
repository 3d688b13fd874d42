"""The corpus: its sources, what is read of them, its fingerprint, and its slices."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import pyarrow as pa
import xxhash

from curate.corpus.chat.rows import find_conversation
from curate.corpus.description import describe_corpus, list_notes
from curate.corpus.detect_columns import (
    FILES_AHEAD,
    REMOTE_AHEAD,
    ROWS,
    DetectedColumns,
    are_all_typed,
    check_field,
    choose_id_field,
    detect_source_columns,
    free_text,
    list_column_names,
    list_start_schemas,
    merge_columns,
    settle_text_field,
)
from curate.corpus.dialect import apply_dialect
from curate.corpus.files.file_identity import fingerprint_source
from curate.corpus.files.sources import find_sources, make_absolute
from curate.corpus.files.streams import is_url
from curate.corpus.options import check_id, check_open, check_options, settle_draw
from curate.corpus.readers import read_blocks
from curate.corpus.readers.csv_dialect import DELIMITERS
from curate.corpus.readers.raw_rows import RawRow, read_rows
from curate.corpus.slicing import (
    SliceCutter,
    cut_along,
    cut_slices,
    is_sampled,
    make_row_error,
    select_leading_marks,
    stop_at_unreadable,
)
from curate.corpus.types import (
    AUTO_QUOTING,
    Documents,
    ReadOptions,
    ReadStart,
    SliceMark,
    Source,
    ValueDraw,
)

NONE_DONE: Mapping[str, Sequence[SliceMark]] = {}


AnyPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Corpus:
    """Documents in files, and how they are read. ``open_corpus`` and ``open_records`` make it."""

    paths: tuple[str, ...]
    """As the user gave them."""
    sources: tuple[Source, ...]
    """The files in natural order."""
    text_field: str
    """A column, a path with dots within one, ``@SCHEMA`` for conversations, or ``@rows`` where there is no text."""
    id_field: str | None
    """A column, or a path with dots within one; None where documents have no id."""
    limit: int | None
    """Documents to read at most; None for all."""
    sample: float | None
    """Share of the rows to read, above 0 and up to 1; None for all."""
    seed: int
    """Seed of the sample."""
    slice_bytes: int
    """Size up to which a slice takes documents."""
    on_error: str
    """quarantine (bad rows become rows with a status) or stop (the first one raises RowError)."""
    columns: tuple[str, ...]
    """Every column that the starts of the files show."""
    passed_over: tuple[str, ...] = ()
    """Files of the corpus folders that are not data."""
    schema: pa.Schema | None = field(default=None, compare=False)
    """Types of the columns of JSON, CSV and text files as their starts show them."""
    delimiter: str | None = None
    """The character between the fields of CSV and TSV, where the user names it; None to find it."""
    quoting: str = AUTO_QUOTING
    """Whether fields of CSV and TSV may be in quotes: auto, csv or none."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """How the first files are read, where their suffixes do not say it."""
    start_schemas: tuple[pa.Schema, ...] = field(default=(), compare=False)
    """The distinct schemas with which the files begin."""
    is_typed: bool = field(default=False, compare=False)
    """Whether ``start_schemas`` have the fields of all rows: all files state their types, and were looked at."""
    cuts: Callable[[str], Sequence[SliceMark]] | None = field(default=None, compare=False)
    """Gives the slices of a file, in order, by its name, where they are not those that ``slice_bytes`` makes; None
    where all are."""
    sample_by: str | None = None
    """The column by whose values the sample is drawn, or a path with dots within one; None: by file and row."""
    edits: tuple[tuple[str, int], ...] = ()
    """Files that were edited where neither their size nor their ends tell, and how often; they count as content."""

    def fingerprint(self) -> str:
        """Return a hash, as hex digits, of names, contents, fields and cuts; paths and times of files do not count."""
        return xxhash.xxh3_128_hexdigest(json.dumps([*self._identity(), self.slice_bytes]).encode())

    def identity(self) -> str:
        """Return a hash, as hex digits, of the documents; their cuts into slices do not count."""
        return xxhash.xxh3_128_hexdigest(json.dumps(self._identity()).encode())

    def _identity(self) -> list[Any]:
        files = [[source.name, source.format, *fingerprint_source(source)] for source in self.sources]
        sample = None if self.sample is None else [self.sample, self.seed, *self._list_draw().values()]
        return [files, self.text_field, self.id_field, self.limit, sample, *self._list_dialect().items(), *self.edits]

    def _list_dialect(self) -> dict[str, Any]:
        """Return what the user says of CSV and TSV, by the name of the option; what is not said is left out."""
        named = {} if self.delimiter is None else {"delimiter": self.delimiter}
        return named | ({} if self.quoting == AUTO_QUOTING else {"quoting": self.quoting})

    def _list_draw(self) -> dict[str, Any]:
        """Return the column that a sample is drawn by, by the name of the option; nothing without one."""
        return {} if self.sample_by is None else {"sample_by": self.sample_by}

    def describe(self) -> str:
        """Return one line for people: the files, their size, and the column of the text or the schema."""
        return describe_corpus(self)

    def spec(self) -> dict[str, Any]:
        """Return the JSON from which ``from_spec`` opens the same corpus in any folder of this machine."""
        return {
            "paths": [make_absolute(path) for path in self.paths],
            "text_field": self.text_field,
            "id_field": self.id_field,
            "limit": self.limit,
            "sample": self.sample,
            "seed": self.seed,
            "slice_bytes": self.slice_bytes,
            "on_error": self.on_error,
            **self._list_draw(),
            **self._list_dialect(),
            **({"edits": dict(self.edits)} if self.edits else {}),
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Corpus:
        """Return the corpus of a ``spec``. Its files may have changed: compare fingerprints."""
        edits = tuple(sorted(spec.get("edits", {}).items()))
        options = {name: value for name, value in spec.items() if name != "edits"}
        if spec["text_field"] == ROWS:
            return open_records(
                **{name: value for name, value in options.items() if name not in ("text_field", "slice_bytes")}
            )
        return replace(open_corpus(**options), edits=edits)

    @property
    def has_separated_files(self) -> bool:
        """Whether a file is CSV or TSV."""
        return any(source.format in DELIMITERS for source in self.sources)

    @property
    def conversation(self) -> str | None:
        """The schema of the conversations; None where the text is a column."""
        return find_conversation(self.text_field)

    @property
    def size(self) -> int | None:
        """Bytes of all files as stored, None where the size of one is unknown."""
        sizes = [source.size for source in self.sources]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def slices(
        self,
        done: Mapping[str, Sequence[SliceMark]] = NONE_DONE,
        columns: Literal["text", "all"] | tuple[str, ...] = "text",
        only: Collection[int] | None = None,
        rows: Callable[[str], Callable[[int], bool]] | None = None,
    ) -> Iterator[Documents]:
        """Yield the slices of all files in order, or of those at the indices ``only``, without those in ``done``.

        ``done`` has marks by file name. Slices of a file from number 0 up to the first missing mark are skipped; those
        after them are exactly those of an uninterrupted run. A file has at least one slice; its final one is marked
        ``last``, also where the limit ends it. ``columns`` selects what ``Documents.table`` has: nothing, every
        original column, or some, by name or by a path with dots, null in rows without them. ``rows`` gives for the name
        of a file which of its rows to read (of a sample, rows in it): of a corpus with ``cuts``, whose slices then have
        these documents alone.

        Raises RowError at the first unreadable row under ``on_error="stop"``, StorageError where a server fails,
        CorpusError for a later file without the text column, and ValueError for a corpus of ``open_records``.
        """
        if self.text_field == ROWS:
            raise ValueError("a corpus that is opened as records has no text to cut into slices")
        left = self.limit
        counts_all = only is None or left is not None
        for index in range(len(self.sources)) if counts_all else sorted(only or ()):
            source = self.sources[index]
            marks = select_leading_marks(done.get(source.name, ()))
            if left is not None:
                left -= sum(mark.documents for mark in marks)
            if (marks and marks[-1].last) or (only is not None and index not in only):
                continue
            if left is not None and left <= 0:
                yield next(cut_slices([], self._cutter(source, marks, columns), self.slice_bytes, None))
                continue
            if index >= count_ahead(source) and not marks:
                check_field(source, None if source.format == "text" else detect_source_columns(source), self.text_field)
            keep = self._sampler(source) if rows is None else rows(source.name)
            for documents in self._read(source, marks, columns, left, keep):
                if left is not None:
                    left -= documents.mark.documents
                yield documents

    def slices_of(self, source: Source, behind: SliceMark | None, left: int | None = None) -> Iterator[Documents]:
        """Yield the slices of one file with all columns, from the one after ``behind`` on, at most ``left`` documents.

        Raises what ``slices`` raises.
        """
        marks = [] if behind is None else [behind]
        if left == 0:
            yield next(cut_slices([], self._cutter(source, marks, "all"), self.slice_bytes, None))
        else:
            yield from self._read(source, marks, "all", left, self._sampler(source))

    def slices_behind(
        self, index: int, behind: SliceMark | None, columns: Literal["text", "all"] | tuple[str, ...] = "text"
    ) -> Iterator[Documents]:
        """Yield the slices of the file at an index from the one after ``behind`` on, from the first one with None.

        There is no limit. Raises what ``slices`` raises.
        """
        source = self.sources[index]
        if index >= count_ahead(source):
            check_field(source, None if source.format == "text" else detect_source_columns(source), self.text_field)
        return self._read(source, [] if behind is None else [behind], columns, None, self._sampler(source))

    def records(self) -> Iterator[RawRow]:
        """Yield every row with all its columns, or with the reason why it cannot be read; at most ``limit`` rows.

        The text field has no effect. Raises RowError at the first unreadable row under ``on_error="stop"``, and
        StorageError where a server fails.
        """
        rows = (
            row
            for source in self.sources
            for row in read_rows(source, self.id_field, self._sampler(source), self.value_draw)
        )
        for row in itertools.islice(rows, self.limit):
            if self.on_error == "stop" and row.reason is not None:
                raise make_row_error(row.file, row.row, row.reason)
            yield row

    @property
    def value_draw(self) -> ValueDraw | None:
        """How the sample is drawn by the values of a column; None where it is not."""
        if self.sample is None or self.sample_by is None:
            return None
        return ValueDraw(self.sample_by, self.sample, self.seed)

    @property
    def is_drawn_by_place(self) -> bool:
        """Whether there is a sample that depends on the names of files and the numbers of rows."""
        return self.sample is not None and self.sample_by is None

    def _sampler(self, source: Source) -> Callable[[int], bool] | None:
        if self.sample is None or self.sample_by is not None:
            return None
        return partial(is_sampled, source.name, self.sample, self.seed)

    def _cutter(self, source: Source, marks: Sequence[SliceMark], columns: str | tuple[str, ...]) -> SliceCutter:
        row, number = (marks[-1].next_row, marks[-1].number + 1) if marks else (0, 0)
        schema = self.schema if columns == "all" else None
        if not isinstance(columns, str):
            schema = pa.schema([(name, pa.null()) for name in columns])
        return SliceCutter(
            source.name, number, row, None, schema, columns not in ("text", ()), self.conversation is not None
        )

    def _marks_behind(self, source: Source, marks: Sequence[SliceMark]) -> Sequence[SliceMark]:
        """Return the ``cuts`` of a file behind ``marks``; none where ``slice_bytes`` cuts, or ``marks`` are others."""
        cuts = self.cuts(source.name) if self.cuts is not None else ()
        number = marks[-1].number + 1 if marks else 0
        return cuts[number:] if not marks or cuts[number - 1 : number] == [marks[-1]] else ()

    def _read(
        self,
        source: Source,
        marks: Sequence[SliceMark],
        columns: str | tuple[str, ...],
        left: int | None,
        keep: Callable[[int], bool] | None,
    ) -> Iterator[Documents]:
        start = ReadStart(marks[-1].next_row, marks[-1].next_offset) if marks else ReadStart()
        field = None if self.conversation else self.text_field
        reading = ReadOptions(
            field,
            self.id_field,
            all_columns=columns == "all",
            keep=keep,
            draw=self.value_draw,
            conversation=self.conversation,
            columns=() if isinstance(columns, str) else columns,
        )
        blocks = read_blocks(source, start, reading)
        cutter, along = self._cutter(source, marks, columns), self._marks_behind(source, marks)
        cut = cut_along(blocks, cutter, along) if along else cut_slices(blocks, cutter, self.slice_bytes, left)
        for documents in cut:
            if self.on_error == "stop":
                stop_at_unreadable(documents)
            yield documents


def open_corpus(
    paths: Sequence[AnyPath] | AnyPath,
    *,
    text_field: str | None = None,
    id_field: str | None = None,
    limit: int | None = None,
    sample: float | None = None,
    seed: int = 0,
    sample_by: str | None = None,
    slice_bytes: int = 4_000_000,
    on_error: str = "quarantine",
    delimiter: str | None = None,
    quoting: str = AUTO_QUOTING,
) -> Corpus:
    """Return the corpus of some paths, after reading the starts of its files to find the column of the text.

    Paths, or one alone, are files, folders, globs, URLs, and ``OWNER/NAME:SPLIT``. ``text_field`` is a column, a path
    with dots within one, or ``@SCHEMA`` for conversations in one of the schemas of ``curate.corpus.chat.schemas``; None
    detects it, with conversations where no column has the name of a text. ``id_field`` is a column of ids; None takes
    ``id`` or the like. ``limit`` is the number of documents to read at most; ``sample`` a share of the rows, above 0
    and up to 1, drawn with ``seed``, and with ``sample_by`` by the values of a column alone. A slice takes documents up
    to ``slice_bytes``. ``on_error`` is quarantine (unreadable rows get a status) or stop (the first one raises
    RowError). ``delimiter`` is the character between the fields of CSV and TSV, None to find it; ``quoting`` whether
    they may be in quotes: auto (as the start of each file shows), csv, or none.

    Raises CorpusError where there is nothing to read or the column is not obvious, UsageError for an option that is not
    allowed, and StorageError where a server fails.
    """
    check_options(limit, sample, slice_bytes, on_error)
    names, sources, passed_over = find_named_sources(paths)
    sources, delimiter, quoting = apply_dialect(sources, delimiter, quoting)
    columns = look_ahead(sources)
    text_field = settle_text_field(text_field, sources, columns, " ".join(names))
    for source, column in zip(sources, columns, strict=True):
        check_field(source, column if source.format != "text" else None, text_field)
    seen = [column for column in columns if column is not None]
    id_field = check_id(id_field, seen) if id_field else choose_id_field(seen)
    return Corpus(
        names, sources, text_field, id_field, limit, sample, seed, slice_bytes, on_error, list_column_names(seen),
        passed_over, free_text(merge_columns(sources, columns), text_field), delimiter, quoting, list_notes(sources),
        list_start_schemas(columns), are_all_typed(sources, columns), sample_by=settle_draw(sample_by, sample, seen),
    )  # fmt: skip


def open_records(
    paths: Sequence[str],
    *,
    id_field: str | None = None,
    limit: int | None = None,
    sample: float | None = None,
    seed: int = 0,
    sample_by: str | None = None,
    on_error: str = "quarantine",
    delimiter: str | None = None,
    quoting: str = AUTO_QUOTING,
) -> Corpus:
    """Return a corpus for ``Corpus.records`` only, which needs neither a column of text nor a schema.

    The parameters are those of ``open_corpus``. Raises CorpusError where there is nothing to read, UsageError for an
    option that is not allowed, and StorageError where a server fails.
    """
    check_options(limit, sample, 1, on_error)
    paths, sources, passed_over = find_named_sources(paths)
    sources, delimiter, quoting = apply_dialect(sources, delimiter, quoting)
    columns = look_ahead(sources)
    seen = [column for column in columns if column is not None]
    id_field = check_id(id_field, seen) if id_field else choose_id_field(seen)
    return Corpus(
        paths, sources, ROWS, id_field, limit, sample, seed, 1, on_error, list_column_names(seen), passed_over,
        merge_columns(sources, columns), delimiter, quoting, list_notes(sources), list_start_schemas(columns),
        are_all_typed(sources, columns), sample_by=settle_draw(sample_by, sample, seen),
    )  # fmt: skip


def find_named_sources(
    paths: Sequence[AnyPath] | AnyPath,
) -> tuple[tuple[str, ...], tuple[Source, ...], tuple[str, ...]]:
    """Return the paths as a tuple, their sources, and the names of the skipped files. Raises CorpusError."""
    names = (os.fspath(paths),) if isinstance(paths, (str, os.PathLike)) else tuple(map(str, paths))
    sources, passed_over = find_sources(names)
    if len(sources) == len(names) == 1:
        check_open(names[0], sources[0])
    return names, sources, passed_over


def look_ahead(sources: Sequence[Source]) -> list[DetectedColumns | None]:
    """Return the columns of the first sources, None for the others, and for text files next to other formats.

    Text files have the same column, so that of the first that can be read is that of all.
    """
    if all(source.format == "text" for source in sources):
        ahead = sources[: count_ahead(sources[0])] if sources else []
        first = next((column for source in ahead if (column := detect_source_columns(source)) is not None), None)
        return [first if index < len(ahead) else None for index in range(len(sources))]
    return [
        detect_source_columns(source) if index < count_ahead(source) and source.format != "text" else None
        for index, source in enumerate(sources)
    ]


def count_ahead(source: Source) -> int:
    """Return how many files of the kind of a source are looked at when the corpus is opened."""
    return REMOTE_AHEAD if is_url(source.path) else FILES_AHEAD
