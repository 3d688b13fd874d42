"""The tables of a run that are in the making: how far each is, and each part of the work that a process has claimed."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from curate.corpus import Corpus
from curate.corpus.shares import deal_units, measure_unit
from curate.corpus.units import Unit, list_units
from curate.errors import CurateError
from curate.reports.progress.part_facts import PartReader
from curate.reports.progress.unit_counts import CountedWork, UnitCounts, count_units
from curate.rundir import parquet
from curate.rundir.guards.claims import PART
from curate.rundir.run import read_record
from curate.runtime.console import format_size
from curate.runtime.disk import claims
from curate.runtime.disk.claims import ClaimState
from curate.runtime.numbers import count_noun
from curate.stages.dedup.sketch_table import SLICE_BYTES

ROWS = 14
"""Parts that are listed of a table."""
SILENT_SECONDS = 60.0
"""Time without a sign of life that is mentioned: a claim gives one every ten seconds."""
PartState = Literal["stopped", "working", "not begun", "done"]


@dataclass(frozen=True, slots=True)
class PartProgress:
    """One part of the work on a table (``--part``)."""

    part: str
    """As it is typed: ``2/64``."""
    state: PartState
    """stopped: a process is gone that worked on it, or something of it is there and nobody works on it."""
    num_bytes: int
    """Of its files, as stored, that are done."""
    total_bytes: int
    units: int
    """Files, runs of small files, and pieces of large ones that are done."""
    total_units: int
    host: str | None = None
    """Of the process that works on it, or that is gone."""
    pid: int | None = None
    silent: float = 0.0
    """Seconds since its last sign of life."""

    @property
    def share(self) -> float:
        """The share that is done, 0 … 1: of the bytes, or of the units where sizes are unknown."""
        if self.total_bytes:
            return min(1.0, self.num_bytes / self.total_bytes)
        return self.units / self.total_units if self.total_units else 1.0

    def line(self) -> str:
        """Return a line of the table of parts."""
        who = "" if self.host is None else f"pid {self.pid} on {self.host}"
        if self.host is not None and self.silent >= SILENT_SECONDS:
            who += f", no sign of life for {format_minutes(self.silent)}"
        size = f"{format_size(self.num_bytes)} of {format_size(self.total_bytes)}"
        return f"  {self.part:>11}  {self.state:<8} {format_percent(self.share):>5}   {size:<22} {who}".rstrip()


@dataclass(frozen=True, slots=True)
class TableProgress:
    """How far the work on one table is."""

    verb: str
    table: str
    """By its name in the run directory."""
    complete: bool
    """Whether the verb has recorded that the table is complete."""
    documents: int
    files: int | None
    """That are done to their ends; None, like what follows, where the corpus cannot be looked at."""
    total_files: int | None
    num_bytes: int | None
    """As stored, those of unfinished files included."""
    total_bytes: int | None
    estimated: bool
    """Whether parts are so many that their names told some of it."""
    working: int
    """Processes that work on it."""
    parts: tuple[PartProgress, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether every file is done; what remains is the plain command."""
        return self.complete or (self.files is not None and self.files == self.total_files)

    @property
    def share(self) -> float | None:
        """The share of the bytes that is done, 0 … 1; None where the size is unknown."""
        return None if not self.total_bytes or self.num_bytes is None else min(1.0, self.num_bytes / self.total_bytes)

    def summary(self) -> str:
        """Return one line without the verb."""
        about = "about " if self.estimated else ""
        words = [f"{about}{count_noun(self.documents, 'document')}"]
        if self.files is not None and self.total_files is not None:
            words.insert(0, f"{self.files:,} of {count_noun(self.total_files, 'file')}")
        if self.share is not None and self.num_bytes is not None and self.total_bytes is not None:
            words.append(
                f"{format_size(self.num_bytes)} of {format_size(self.total_bytes)} ({format_percent(self.share)})"
            )
        return ", ".join(words)

    def lines(self) -> list[str]:
        """Return the summary, and a table of the parts that are not done: what stopped, then the slowest first."""
        lines = [f"{self.verb:<14}{self.summary()}"]
        if self.is_done and not self.complete and not self.working:
            lines.append(f"{'':14}every file is done; curate {self.verb} without --part completes it")
        if not self.parts:
            return lines if self.working or self.is_done else [*lines, f"{'':14}nobody is working on it"]
        states: list[PartState] = ["stopped", "working", "not begun", "done"]
        counts = {state: sum(each.state == state for each in self.parts) for state in states}
        listed = ", ".join(f"{count:,} {state}" for state, count in counts.items() if count)
        lines.append(f"{'':14}{count_noun(len(self.parts), 'part')}: {listed}")
        shown = [each for each in self.parts if each.state in ("stopped", "working")]
        shown.sort(key=lambda each: (each.state, each.share))
        lines += [each.line() for each in shown[:ROWS]]
        if rest := shown[ROWS:]:
            lines.append(
                f"  and {len(rest):,} more, {format_percent(rest[0].share)} to {format_percent(rest[-1].share)} done"
            )
        return lines


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far the tables of a run are that are in the making."""

    run: str
    tables: tuple[TableProgress, ...]
    note: str | None = None
    """Why something is not told."""

    @property
    def is_worked_on(self) -> bool:
        """Whether a process works on one of them."""
        return any(table.working for table in self.tables)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, JSON-able."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the lines of all tables."""
        lines = [line for table in self.tables for line in table.lines()]
        return [*lines, f"note: {self.note}"] if self.note else lines

    def render(self) -> str:
        """Return the lines for the terminal."""
        return "\n".join(self.lines() or ["nothing is in the making"])


@dataclass(frozen=True, slots=True)
class TableFolder:
    """A table that is made in parts, and where these are."""

    verb: str
    table: str
    folder: Path
    slice_bytes: int | None
    """Of its slices; None: as the corpus is recorded."""
    record: Mapping[str, Any] | None
    """What ``run.json`` says of it."""


def read_progress(path: Path, reader: PartReader | None = None, remote: bool = False) -> RunProgress:
    """Return how far the tables are that are in the making in a run directory.

    ``reader`` remembers parts from one look to the next. A corpus of URLs or of the Hub is looked at with ``remote``
    alone, since that can be slow. Raises DamageError and TableError where ``run.json`` cannot be read.
    """
    reader = reader or PartReader()
    reader.begin_look()
    record = read_record(path)
    writers = claims.list_writers(path)
    spec = (record.get("score") or record.get("corpus") or {}).get("corpus")
    tables, note = [], None
    for table in list_tables(path, record):
        of_verb = [each for each in writers if each.claim.verb == table.verb]
        has_ended = table.record is not None and bool(table.record.get("complete"))
        has_begun = bool(of_verb) or bool(parquet.list_parts(table.folder))
        if not any(each.is_alive for each in of_verb) and (has_ended or not has_begun):
            continue
        corpus, problem = open_corpus_of(spec, table, remote)
        note = note or problem
        tables.append(measure_table(table, corpus, of_verb, reader))
    return RunProgress(str(path), tuple(tables), note)


def list_tables(path: Path, record: Mapping[str, Any]) -> list[TableFolder]:
    """Return the tables of a run that are made in parts."""
    hits, dedup = record.get("decontaminate"), record.get("dedup")
    folders = [each for each in (path / "dedup" / "sketches").glob("000*") if each.is_dir()]
    sketches = max(folders, key=lambda each: each.stat().st_mtime, default=path / "dedup" / "sketches" / "000")
    return [
        TableFolder("score", "scores", path / "scores", None, record.get("score")),
        TableFolder("decontaminate", "hits", path / "hits", (hits or {}).get("slice_bytes"), hits),
        TableFolder("dedup", "dedup/sketches", sketches, SLICE_BYTES, dedup),
    ]


def open_corpus_of(
    spec: Mapping[str, Any] | None, table: TableFolder, remote: bool
) -> tuple[Corpus | None, str | None]:
    """Return the corpus of a table as it is now, or None and why it cannot be looked at."""
    if spec is None:
        return None, None
    if not remote and not all(os.path.isabs(each) for each in spec["paths"]):
        return None, "the corpus is not local: its size is not looked up"
    try:
        slice_bytes = table.slice_bytes or spec["slice_bytes"]
        return Corpus.from_spec({**spec, "slice_bytes": slice_bytes}), None
    except (CurateError, OSError, KeyError, TypeError) as error:
        return None, f"the corpus cannot be looked at: {getattr(error, 'message', error)}"


def measure_table(
    table: TableFolder, corpus: Corpus | None, writers: Sequence[ClaimState], reader: PartReader
) -> TableProgress:
    """Return how far a table is; ``writers`` are the claims of its verb."""
    sources = () if corpus is None else corpus.sources
    slice_bytes = 0 if corpus is None else corpus.slice_bytes
    tasks = {key: each for each in sorted(writers, key=lambda each: each.is_alive) if (key := parse_task(each))}
    counts = sorted({count for _, count in tasks})
    count_to_shares = {count: deal_units(sources, slice_bytes, count) for count in counts}
    units = list_units(sources, slice_bytes)
    paths = parquet.list_parts(table.folder)
    shares = [share for of_count in count_to_shares.values() for share in of_count]
    counted = count_units(sources, units, paths, shares, reader)
    done = counted.sum_units(units) if corpus is not None else count_documents(paths, reader)
    total = None if corpus is None or corpus.limit is not None else corpus.size
    return TableProgress(
        verb=table.verb,
        table=table.table,
        complete=bool((table.record or {}).get("complete")),
        documents=round(done.documents),
        files=None if corpus is None else done.files,
        total_files=None if corpus is None else len(sources),
        num_bytes=None if total is None else done.num_bytes,
        total_bytes=total,
        estimated=counted.is_estimated or bool(reader.list_unknown(paths)),
        working=sum(each.is_alive for each in writers),
        parts=tuple(
            measure_part(index, count, share, counted, sources, tasks.get((index, count)))
            for count, of_count in count_to_shares.items()
            for index, share in enumerate(of_count)
        ),
    )


def parse_task(state: ClaimState) -> tuple[int, int] | None:
    """Return the index and the number of parts of the part that a process has claimed; None where it claimed all."""
    found = PART.fullmatch(state.claim.writes[0])
    return None if found is None else (int(found[2]), int(found[3]))


def count_documents(paths: Sequence[Path], reader: PartReader) -> CountedWork:
    """Return the documents of some parts of a corpus that cannot be looked at."""
    reader.read(paths)
    known = [reader.facts[path].documents for path in paths if path in reader.facts]
    return CountedWork(documents=sum(known) * len(paths) / max(1, len(known)))


def measure_part(
    index: int,
    count: int,
    share: Sequence[Unit],
    counted: UnitCounts,
    sources: Sequence[Any],
    state: ClaimState | None,
) -> PartProgress:
    """Return how far a part of the work is; ``state`` is the claim on it."""
    done = counted.sum_units(share)
    total = sum(measure_unit(unit, sources, 0) for unit in share)
    has_ended, has_begun = done.units >= len(share), any(unit in counted.unit_to_work for unit in share)
    name: PartState = "done" if has_ended else "stopped" if has_begun or state is not None else "not begun"
    name = "working" if state is not None and state.is_alive else name
    who = state if name in ("working", "stopped") else None
    return PartProgress(
        part=f"{index}/{count}",
        state=name,
        num_bytes=done.num_bytes,
        total_bytes=total,
        units=done.units,
        total_units=len(share),
        host=None if who is None else who.claim.host,
        pid=None if who is None else who.claim.writer.pid,
        silent=0.0 if who is None else round(who.silent, 1),
    )


def format_percent(share: float) -> str:
    """Return a share as 12 %, rounded down: 100 % is all of it."""
    return f"{int(100 * share)} %"


def format_minutes(seconds: float) -> str:
    """Return a time as people say it: 90 s, 12 min, 3 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
