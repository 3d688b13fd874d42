"""Units in the workers of a pool, on this machine or others: an ``Executor`` of ``slice_runner``.

    units ──► pool ──► a worker: the parts of the unit that are there ──► read on behind them ──► parts
                                                                              │
    driver: progress, units that failed, and in the end the check that all parts are there ◄──┘

A worker reads the corpus itself and writes the parts: only units go to it, and counts come back.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.corpus.shares import measure_unit
from curate.corpus.types import SliceMark
from curate.corpus.units import Unit, cut_unit
from curate.errors import CurateError, EngineError, RowError
from curate.runtime import console
from curate.runtime.numbers import count_noun
from curate.runtime.work import profiler
from curate.runtime.work.engines import refuse_with_engine
from curate.runtime.work.ray_worker import PROGRESS
from curate.stages.slice_runner import Advance, SliceJob

if TYPE_CHECKING:
    from curate.runtime.work.ray_pool import RayPool

EndedUnit = tuple[Unit, "Future[Any]"]
SHOWN = 3
"""Units that failed and are named with their errors."""
PIECES = 4
"""Pieces of a single large file that a worker gets: the last to end is late by one of them."""


class PlacedUnit(NamedTuple):
    """A unit, and of a piece of a file the slice before it."""

    unit: Unit
    entry: SliceMark | None


def work_on_unit(job: SliceJob, placed: PlacedUnit) -> int:
    """Work on a unit behind its parts that are there, and return the documents that were read."""
    entries = {placed.unit: placed.entry} if placed.unit.pieces > 1 else {}
    return replace(job, entries=entries).find_parts(placed.unit)([placed.unit], PROGRESS.advance)


def find_pieces(job: SliceJob, pieces: tuple[Unit, ...]) -> list[PlacedUnit]:
    """Return pieces of one file with the slice before each, after reading the file once."""
    return [PlacedUnit(*each) for each in zip(pieces, job.find_entries(pieces), strict=True)]


@dataclass(slots=True)
class PoolExecutor:
    """Runs each unit in a worker of a pool; large files in pieces, as far as they can be entered."""

    pool: "RayPool"

    def map(self, job: SliceJob, units: Sequence[Unit], advance: Advance) -> Iterator[int]:
        """Yield the documents of each unit as it ends.

        Units that fail do not stop the others: once those are done, the error of the first is raised where all are of
        one kind that a user can mend, else EngineError that names them, after their tracebacks were shown. A row that
        ``--on-error stop`` stops at is raised at once. Raises UsageError for a corpus with a limit, which counts over
        files.
        """
        refuse_with_engine(self.pool.options, limit=job.corpus.limit)
        if not units:
            return
        scheduler, failed = self.pool.connect(), FailedUnits(job)
        scheduler.on_progress = advance
        try:
            yield from self._run(job, units, failed)
        finally:
            scheduler.cancel()
            scheduler.on_progress = None
            scheduler.report_profiles()
        failed.raise_any()

    def _run(self, job: SliceJob, units: Sequence[Unit], failed: "FailedUnits") -> Iterator[int]:
        """Yield the documents of the units that end well, and gather the others."""
        kept, ended, under_way = self.pool.keep(job.forget_parts()), SimpleQueue[EndedUnit](), 0

        def submit(function: Callable[[SliceJob, Any], Any], item: Any, unit: Unit) -> None:
            nonlocal under_way
            under_way += 1
            self.pool.submit(function, kept, item).add_done_callback(lambda future: ended.put((unit, future)))

        for pieces in self._cut(job, units):
            submit(work_on_unit, PlacedUnit(pieces[0], None), pieces[0])
            if len(pieces) > 1:
                submit(find_pieces, tuple(pieces[1:]), pieces[1])
        while under_way:
            with profiler.span("wait"):
                unit, future = ended.get()
            under_way -= 1
            error = future.exception()
            if isinstance(error, RowError):
                raise error
            if error is not None:
                failed.add(unit, error)
            elif isinstance(result := future.result(), list):
                for placed in result:
                    submit(work_on_unit, placed, placed.unit)
            else:
                failed.done += 1
                yield result

    def _cut(self, job: SliceJob, units: Sequence[Unit]) -> Iterator[list[Unit]]:
        """Yield each unit in its pieces, so that every worker gets several."""
        sources = job.corpus.sources
        most = sum(measure_unit(unit, sources, 0) for unit in units) / (PIECES * max(1, self.pool.count))
        return (cut_unit(unit, sources, job.corpus.slice_bytes, most) for unit in units)


@dataclass(slots=True)
class FailedUnits:
    """Units that failed, with what they raised."""

    job: SliceJob
    errors: list[tuple[Unit, BaseException]] = field(default_factory=list)
    done: int = 0
    """Units that ended well."""

    def add(self, unit: Unit, error: BaseException) -> None:
        """Keep the error of a unit."""
        self.errors.append((unit, error))

    def raise_any(self) -> None:
        """Raise the error for the units that failed, after showing what each raised; return where none did."""
        if not self.errors:
            return
        failed = sorted(self.errors, key=lambda each: each[0])
        names, first = [name_unit(self.job, unit) for unit, _ in failed], failed[0][1]
        if len({(type(error), str(error)) for _, error in failed}) == 1 and isinstance(first, CurateError):
            raise first
        for name, (_, error) in list(zip(names, failed, strict=True))[:SHOWN]:
            console.warn(f"{name} failed: {type(error).__name__}: {error}")
            if not isinstance(error, CurateError) or isinstance(error, EngineError):
                console.show("".join(getattr(error, "__notes__", ())))
        shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        count = count_noun(len(failed) + self.done, "unit")
        message = f"{len(failed):,} of {count} failed, the rest is done: {shown}"
        raise EngineError(message, "the same command tries them again")


def name_unit(job: SliceJob, unit: Unit) -> str:
    """Return the name of the files of a unit."""
    sources = unit.list_sources(job.corpus)
    piece = f" (piece {unit.piece} of {unit.pieces})" if unit.pieces > 1 else ""
    return sources[0].name + piece if len(sources) == 1 else f"{sources[0].name} … {sources[-1].name}"
