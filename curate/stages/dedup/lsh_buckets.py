"""Documents that share a hash: exact copies, and the buckets of each LSH band, grouped by DuckDB out of core."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from curate.errors import StorageError, UsageError
from curate.rundir import sql

Array = np.ndarray[Any, np.dtype[Any]]

BATCH_ROWS = 65_536
READ_MEMBERS = 1 << 16
GROUPED_ROWS = 500_000  # that are grouped at a time, so that the bands of a small corpus make one query

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class ExactCopies:
    """Our documents that have the same words as another of any corpus, by their numbers, ascending."""

    numbers: Array
    first: Array
    """The first document of ours with the same words."""
    other: Array
    """The first document of another corpus with the same words; −1 for none."""


def check_limit(memory_limit: str) -> None:
    """Refuse what DuckDB does not understand as an amount of memory."""
    try:
        sql.connect(memory_limit).close()
    except duckdb.Error as error:
        raise UsageError(
            f"--memory-limit {memory_limit}: {first_line(error)}", "for example --memory-limit 4GB"
        ) from error


@contextmanager
def open_tables(spill: Path, memory_limit: str, threads: int) -> Iterator[Any]:
    """A connection that spills to ``spill``, which is removed in the end. Its failures become errors of ours."""
    try:
        with sql.connect(memory_limit, spill) as connection:
            connection.execute(f"SET threads = {threads}")
            yield connection
    except (duckdb.InterruptException, RuntimeError) as error:
        if "interrupted" not in str(error).lower():
            raise
        raise KeyboardInterrupt from None  # DuckDB takes the signal and tells of it in its own way
    except duckdb.OutOfMemoryException as error:
        raise StorageError(f"DuckDB ran out of memory: {first_line(error)}", "raise --memory-limit") from error
    except duckdb.IOException as error:
        raise StorageError(f"DuckDB cannot read or write its tables: {first_line(error)}") from error
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]


@contextmanager
def open_sketches(parts: Mapping[Path, int], spill: Path, memory_limit: str, threads: int) -> Iterator[Any]:
    """Yield a connection with the view ``sketches`` over some parts.

    ``parts`` has the number of the first document of each part: those in a part are numbered from there on, in the
    order of its rows.
    """
    with open_tables(spill, memory_limit, threads) as connection:
        files = ", ".join(sql.quote(str(path)) for path in parts)
        connection.execute("CREATE TABLE parts (filename VARCHAR, first BIGINT)")
        connection.executemany("INSERT INTO parts VALUES (?, ?)", [(str(path), first) for path, first in parts.items()])
        connection.execute(
            "CREATE VIEW sketches AS "
            "SELECT * EXCLUDE (filename, file_row_number, first), first + file_row_number AS number FROM "
            f"read_parquet([{files}], filename = true, file_row_number = true) JOIN parts USING (filename)"
        )
        yield connection


def find_copies(connection: Any, own: int) -> ExactCopies:
    """Exact copies among the documents numbered below ``own``, and with those from there on.

    Leaves a table ``left_out`` of the documents whose words another one stands for; LSH need not see them.
    """
    connection.execute(
        "CREATE TABLE copies AS SELECT number, first, other FROM sketches JOIN "
        f"(SELECT high, low, min(number) AS first, coalesce(min(number) FILTER (number >= {own}), -1) AS other "
        "FROM sketches GROUP BY high, low HAVING count(*) > 1) USING (high, low)"
    )
    connection.execute(
        "CREATE TABLE left_out AS SELECT number FROM copies WHERE "
        f"CASE WHEN number < {own} THEN number <> first OR other >= 0 ELSE number <> other END"
    )
    found = connection.execute(f"SELECT number, first, other FROM copies WHERE number < {own} ORDER BY number")
    columns = found.fetchnumpy()
    return ExactCopies(*(np.asarray(columns[name], np.int64) for name in ("number", "first", "other")))


class LshBuckets:
    """The buckets of all bands on disk: the numbers of their members, and how many each has."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self._paths = (folder / "members", folder / "sizes")
        self.count = 0

    def fill(self, connection: Any, bands: Sequence[str], own: int, documents: int, tell: Tell) -> Array:
        """Write the buckets of two and more with one of our documents.  → the documents in any of them, ascending"""
        wanted = np.zeros(documents, bool)
        with open(self._paths[0], "wb") as members, open(self._paths[1], "wb") as sizes:
            step = max(1, GROUPED_ROWS // max(1, documents))
            for first in range(0, len(bands), step):
                tell(f"band {first:,} of {len(bands):,}")
                for keys, numbers in stream_buckets(connection, bands[first : first + step], own):
                    begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
                    wanted[numbers] = True
                    members.write(numbers.tobytes())
                    sizes.write(np.diff(np.append(begins, len(keys))).tobytes())
                    self.count += len(begins)
        return np.flatnonzero(wanted)

    def read(self, wanted: Array, tell: Tell) -> Iterator[list[int]]:
        """The members of each bucket as their places in ``wanted``, ascending."""
        sizes = np.fromfile(self._paths[1], np.int64)
        with open(self._paths[0], "rb") as members:
            first = 0
            while first < len(sizes):
                ends = np.cumsum(sizes[first : first + READ_MEMBERS])
                count = max(1, int(np.searchsorted(ends, READ_MEMBERS, side="right")))
                numbers = np.fromfile(members, np.int64, int(ends[count - 1]))
                places, begin = np.searchsorted(wanted, numbers).tolist(), 0
                tell(f"bucket {first:,} of {len(sizes):,}")
                for end in ends[:count].tolist():
                    yield places[begin:end]
                    begin = end
                first += count


def stream_buckets(connection: Any, bands: Sequence[str], own: int) -> Iterator[tuple[Array, Array]]:
    """Keys and document numbers of some bands where several share a key, sorted by both; no key is cut in two."""
    members = " UNION ALL ".join(f"SELECT {band} AS key, number FROM held" for band in bands)
    query = (
        f"WITH held AS (SELECT number, {', '.join(bands)} FROM sketches ANTI JOIN left_out USING (number)), "
        f"members AS ({members}) "
        "SELECT key, number FROM members SEMI JOIN (SELECT key FROM members GROUP BY key "
        f"HAVING count(*) > 1 AND min(number) < {own}) USING (key) ORDER BY key, number"
    )
    rest = (np.zeros(0, np.uint64), np.zeros(0, np.int64))
    for batch in connection.sql(query).to_arrow_reader(BATCH_ROWS):
        keys, numbers = (np.concatenate([held, batch.column(place).to_numpy()]) for place, held in enumerate(rest))
        cut = int(np.searchsorted(keys, keys[-1])) if len(keys) else 0
        if cut:
            yield keys[:cut], numbers[:cut]
        rest = keys[cut:], numbers[cut:]
    if len(rest[0]):
        yield rest
