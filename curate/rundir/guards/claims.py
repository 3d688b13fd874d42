"""Which verb reads and writes which tables of a run, so that two verbs at once cannot spoil one another's work.

A verb opens its run through ``open_claimed``, and has its tables to itself until it returns: no other process writes
what it reads or reads what it writes. Those that ask meanwhile are told who has it (``BusyError``). A column of the
documents (``carried/NAME``) is claimed by whoever reads it first; a verb that needs it too waits for that
(``document_columns.carry_columns``). ``status`` and ``explain`` claim nothing: they read while others write, and say
so.
"""

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from curate.errors import BusyError, UsageError
from curate.rundir.run import Run, locate_run, open_run
from curate.runtime.disk import claims
from curate.runtime.disk.writers import sweep_leftovers
from curate.runtime.text import command
from curate.runtime.work.array_tasks import ArrayTask

SCORES = ("scores", "carried")
REJECTING = ("hits", "duplicates.parquet")
DECIDED = ("scores", *REJECTING, "filter.parquet")


@dataclass(frozen=True, slots=True)
class TableUse:
    """The tables that a verb writes and those that it reads, by their names in the run directory."""

    writes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    """Where else it writes, as patterns below the run directory."""
    in_parts: tuple[str, ...] | None = None
    """What ``--part`` writes, in parts, where that is not all that the verb writes."""
    part_reads: tuple[str, ...] | None = None
    """What ``--part`` reads where that is not all that the verb reads."""


USES = {
    "score": TableUse(SCORES, (), ("scores", "carried/*", "aside", "aside/*", "streams")),
    "merge": TableUse(SCORES, (), ("scores", "carried/*")),
    "rank-sft": TableUse(SCORES, (), ("scores", "carried/*")),
    "decontaminate": TableUse(("hits",), ("scores",), ("hits", "streams")),
    "dedup": TableUse(
        ("duplicates.parquet", "dedup"),
        ("scores", "hits"),
        ("dedup/sketches/*", "streams"),
        in_parts=("dedup/sketches",),
        part_reads=("scores",),
    ),
    "filter": TableUse(("filter.parquet",), ("scores", *REJECTING), ("carried/*",)),
    "select-sft": TableUse(("filter.parquet",), ("scores", *REJECTING), ("carried/*",)),
    "bucket": TableUse(("buckets.parquet",), DECIDED, ("carried/*",)),
    "order": TableUse(("order.parquet",), DECIDED, ("carried/*",)),
    "export": TableUse((), (*DECIDED, "buckets.parquet", "order.parquet")),
    "compare": TableUse((), ("scores",), ("carried/*",)),
    "publish": TableUse((), (*DECIDED, "buckets.parquet", "order.parquet"), ("carried/*",)),
    "report": TableUse(("report.html",), (*DECIDED, "buckets.parquet", "order.parquet"), ("carried/*",)),
    "run": TableUse(("recipe.yaml",)),
}
"""What each verb does to a run."""

PART = re.compile(r"(.+)/(\d+)-of-(\d+)\.[0-9a-f]+")
"""What ``open_claimed`` claims of a table for a part of it."""
SHOWN = 8
"""Parts that are named in a sentence."""
OF_ALL = ("manifests", "manifests/*/")
"""Folders in which every verb that writes a run writes."""


def open_claimed(
    path: str | Path, verb: str, create: bool = False, reads_only: bool = False, part: ArrayTask | None = None
) -> Run:
    """Open a run directory as ``open_run`` does, and claim the tables that a verb uses until the verb returns.

    ``verb`` is a name in ``USES``; with ``reads_only`` it writes none, as in a dry run, and with ``part`` a part of
    each, beside which other processes may write other parts, or the same, which then has the same bytes. What killed
    writers left in the folders that it writes is removed. Raises BusyError where another process uses the tables in a
    way that excludes this.
    """
    use = USES[verb]
    folder = open_run(path, create).path
    writes, reads = () if reads_only else use.writes, use.reads
    if part is not None:
        writes = tuple(_name_part(name, part) for name in (writes if use.in_parts is None else use.in_parts))
        reads = use.reads if use.part_reads is None else use.part_reads
    try:
        held = claims.hold_claim(folder, verb, writes, reads)
    except BusyError as error:
        raise _suggest_waiting(error, folder) from None
    if part is None:
        claims.fetch_resources(folder, ("carried", *(("aside",) if "scores" in writes else ())))
    if writes:
        sweep_written(folder, verb)
    run = open_run(folder, create)
    run.claim = held
    return run


def open_unclaimed(path: str | Path) -> Run:
    """Open a run directory to look at it while others may write; of one in an object store all is fetched.

    Raises what ``open_run`` raises.
    """
    run = open_run(path)
    claims.fetch_resources(run.path, (".",))
    return run


def sweep_written(folder: Path, verb: str) -> None:
    """Remove what killed writers left where a verb writes in the run directory ``folder``."""
    for each in (
        folder,
        *(found for pattern in (*USES[verb].folders, *OF_ALL) for found in sorted(folder.glob(pattern))),
    ):
        sweep_leftovers(each)


def _suggest_waiting(error: BusyError, folder: Path) -> BusyError:
    """Return the error with the command that shows when a run may be used again."""
    later = "then run the same command again, or name another --run"
    return BusyError(error.message, f"{command('status', folder)} shows how far it is; {later}")


def read_claimed(run: Run, verb: str) -> Run:
    """Claim the scores of a run that is open for a verb that reads nothing else of it, and return it read again."""
    claims.hold_claim(run.path, verb, (), SCORES)
    return open_run(run.path)


def claim_output(path: Path, verb: str, part: ArrayTask | None = None) -> None:
    """Claim a file or a folder outside of a run until the verb returns: its claim lies in the folder above it.

    With ``part`` a part of it, beside which others may be written. Raises BusyError where another process writes it.
    """
    resolved = path.resolve()
    claims.hold_claim(resolved.parent, verb, (resolved.name if part is None else _name_part(resolved.name, part),))


def _name_part(table: str, part: ArrayTask) -> str:
    return f"{table}/{part.index}-of-{part.count}.{secrets.token_hex(4)}"


def claim_folder(folder: Path, verb: str, folders: Sequence[str]) -> None:
    """Claim all of a folder that is no run until the verb returns, and remove what killed writers left in it.

    ``folders`` are patterns of those below it in which the verb writes, "" for itself. Raises BusyError where another
    process writes there.
    """
    claims.hold_claim(folder, verb, (".",))
    for pattern in folders:
        for each in sorted(folder.glob(pattern)) if pattern else (folder,):
            sweep_leftovers(each)


def describe_writing(folder: Path) -> tuple[str, ...]:
    """Return a sentence for each table of a run that other processes, which are alive, are writing now."""
    sentences, parts = [], dict[tuple[str, str, int], list[tuple[int, claims.Claim, float]]]()
    for claim, silent in claims.list_writing(folder):
        if found := PART.fullmatch(claim.writes[0]):
            table, index, count = found[1], int(found[2]), int(found[3])
            parts.setdefault((claim.verb, table, count), []).append((index, claim, silent))
        else:
            sentences.append(claims.explain_conflict(folder, claim, "writing", claim.writes[0], silent).message)
    return (*sentences, *(_describe_parts(folder, *key, parts[key]) for key in sorted(parts)))


def _describe_parts(
    folder: Path, verb: str, table: str, count: int, writing: Sequence[tuple[int, claims.Claim, float]]
) -> str:
    """Return a sentence on the processes that write parts of one table, ``count`` parts in all."""
    which = sorted({index for index, _, _ in writing})
    shown = ", ".join(map(str, which[:SHOWN])) + (f" and {len(which) - SHOWN} more" if which[SHOWN:] else "")
    hosts = sorted({claim.host for _, claim, _ in writing})
    where = hosts[0] if len(hosts) == 1 else f"{len(hosts)} hosts"
    latest = max(silent for _, _, silent in writing)
    who = f"{len(writing)} process{'' if len(writing) == 1 else 'es'} on {where}"
    part = "part" if len(which) == 1 else "parts"
    sign = f"last sign of life {latest:.0f} s ago"
    return f"curate {verb} is writing {folder / table}, {part} {shown} of {count}: {who} ({sign})"


@contextmanager
def blame_writers(path: str | Path) -> Iterator[None]:
    """Turn an error of reading a run into one that says who writes it, where somebody does.

    A reader without a claim may find a part gone, half of two tables, or a run that has only begun. Raises BusyError.
    """
    try:
        yield
    except (UsageError, BusyError):
        raise
    except Exception as error:
        folder = locate_run(path)
        writing = claims.list_writing(folder)
        if not writing:
            raise
        claim, silent = writing[0]
        busy = claims.explain_conflict(folder, claim, "writing", claim.writes[0], silent)
        raise BusyError(busy.message, "run the same command again when that has ended") from error
