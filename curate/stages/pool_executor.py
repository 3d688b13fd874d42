"""Units in the workers of a pool, on this machine or others: an ``Executor`` of ``slice_runner``.

    units ──► pool ──► a worker: the parts of the unit that are there ──► read on behind them ──► parts
                                                                              │
    driver: progress, units that failed, and in the end the check that all parts are there ◄──┘

A worker reads the corpus itself and writes the parts: only units go to it, and counts come back.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.corpus.gathering import Unit
from curate.errors import CurateError, EngineError, RowError, UsageError
from curate.runtime import console
from curate.runtime.numbers import count_noun
from curate.runtime.work.ray_worker import PROGRESS
from curate.stages.slice_runner import Advance, SliceJob

if TYPE_CHECKING:
    from curate.runtime.work.ray_pool import RayPool

SHOWN = 3
"""Units that failed and are named with their errors."""


def work_on_unit(job: SliceJob, unit: Unit) -> int:
    """Work on a unit behind its parts that are there, and return the documents that were read."""
    return job.find_parts(unit)([unit], PROGRESS.advance)


@dataclass(slots=True)
class PoolExecutor:
    """Runs each unit in a worker of a pool."""

    pool: "RayPool"

    def map(self, job: SliceJob, units: Sequence[Unit], advance: Advance) -> Iterator[int]:
        """Yield the documents of each unit as it ends.

        Units that fail do not stop the others: once those are done, the error of the first is raised where all are of
        one kind that a user can mend, else EngineError that names them, after their tracebacks were shown. A row that
        ``--on-error stop`` stops at is raised at once. Raises UsageError for a corpus with a limit, which counts over
        files.
        """
        if job.corpus.limit is not None:
            raise UsageError(
                "--limit and --engine ray: a limit counts over all files", "leave --limit out, or draw a --sample"
            )
        if not units:
            return
        self.pool.on_progress = advance
        kept = self.pool.keep(job.forget_parts())
        futures = {self.pool.submit(work_on_unit, kept, unit): unit for unit in units}
        failed: list[tuple[Unit, BaseException]] = []
        try:
            for future in as_completed(futures):
                error = future.exception()
                if error is None:
                    yield future.result()
                elif isinstance(error, RowError):
                    raise error
                else:
                    failed.append((futures[future], error))
        finally:
            self.pool.cancel()
            self.pool.on_progress = None
        if failed:
            raise describe_failures(job, sorted(failed, key=lambda each: each[0]), len(units))


def describe_failures(job: SliceJob, failed: Sequence[tuple[Unit, BaseException]], count: int) -> BaseException:
    """Return the error for units that failed, of ``count``, after showing what each raised."""
    names = [name_unit(job, unit) for unit, _ in failed]
    errors = [error for _, error in failed]
    first = errors[0]
    if len({(type(error), str(error)) for error in errors}) == 1 and isinstance(first, CurateError):
        return first
    for name, error in list(zip(names, errors, strict=True))[:SHOWN]:
        console.warn(f"{name} failed: {type(error).__name__}: {error}")
        if not isinstance(error, CurateError) or isinstance(error, EngineError):
            console.show("".join(getattr(error, "__notes__", ())))
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    message = f"{len(failed):,} of {count_noun(count, 'unit')} failed, the rest is done: {shown}"
    return EngineError(message, "the same command tries them again")


def name_unit(job: SliceJob, unit: Unit) -> str:
    """Return the name of the files of a unit."""
    sources = job.corpus.sources[unit.first : unit.stop]
    return sources[0].name if len(sources) == 1 else f"{sources[0].name} … {sources[-1].name}"
