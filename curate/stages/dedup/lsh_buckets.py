"""Documents that share a hash: exact copies, and the buckets of each LSH band, grouped by DuckDB out of core."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from curate.errors import StorageError
from curate.rundir import sql
from curate.runtime.arrays import Int64Array, UInt64Array, read_array

BATCH_ROWS = 65_536
READ_MEMBERS = 1 << 16
"""Members of buckets that are read from disk at a time."""
GROUPED_ROWS = 500_000
"""Rows that are grouped at a time, so that the bands of a small corpus make one query."""

Reporter = Callable[[str], None]
"""Shows how far the work is."""


@dataclass(frozen=True, slots=True, eq=False)
class ExactCopies:
    """Our documents that have the same words as another one of any corpus; one entry for each in every array."""

    numbers: Int64Array
    """Numbers of the documents, ascending."""
    first: Int64Array
    """The first document of ours with the same words."""
    other: Int64Array
    """The first document of another corpus with the same words; −1 for none."""


@contextmanager
def open_tables(spill: Path, memory_limit: str, threads: int) -> Iterator[Any]:
    """Yield a DuckDB connection that spills to the folder ``spill``, which is removed in the end.

    Raises StorageError where DuckDB runs out of memory or cannot read or write, KeyboardInterrupt on Ctrl-C.
    """
    try:
        with sql.connect(memory_limit, spill) as connection:
            connection.execute(f"SET threads = {threads}")
            yield connection
    except (duckdb.InterruptException, RuntimeError) as error:
        if "interrupted" not in str(error).lower():
            raise
        raise KeyboardInterrupt from None  # DuckDB handles the signal and raises an error of its own
    except duckdb.OutOfMemoryException as error:
        raise StorageError(f"DuckDB ran out of memory: {sql.first_line(error)}", "raise --memory-limit") from error
    except duckdb.IOException as error:
        raise StorageError(f"DuckDB cannot read or write its tables: {sql.first_line(error)}") from error
    finally:
        shutil.rmtree(spill, ignore_errors=True)


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


def find_copies(connection: Any, num_ours: int) -> ExactCopies:
    """Return the documents numbered below ``num_ours`` that have the words of another one, ours or not.

    Leaves in the connection a table ``left_out`` of the documents whose words another one represents; LSH can skip
    them.
    """
    connection.execute(
        "CREATE TABLE copies AS SELECT number, first, other FROM sketches JOIN "
        f"(SELECT high, low, min(number) AS first, coalesce(min(number) FILTER (number >= {num_ours}), -1) AS other "
        "FROM sketches GROUP BY high, low HAVING count(*) > 1) USING (high, low)"
    )
    connection.execute(
        "CREATE TABLE left_out AS SELECT number FROM copies WHERE "
        f"CASE WHEN number < {num_ours} THEN number <> first OR other >= 0 ELSE number <> other END"
    )
    copies = connection.execute(f"SELECT number, first, other FROM copies WHERE number < {num_ours} ORDER BY number")
    columns = copies.fetchnumpy()
    return ExactCopies(*(np.asarray(columns[name], np.int64) for name in ("number", "first", "other")))


class LshBuckets:
    """The buckets of all bands on disk: the numbers of their members, and how many each has."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self._paths = (folder / "members", folder / "sizes")
        self.count = 0

    def fill(
        self, connection: Any, bands: Sequence[str], num_ours: int, num_documents: int, report: Reporter
    ) -> Int64Array:
        """Write the buckets of two and more documents, one of them ours, and return the documents in any of them.

        ``bands`` are columns of ``sketches``. The documents are returned by their numbers, ascending.
        """
        in_bucket = np.zeros(num_documents, bool)
        with open(self._paths[0], "wb") as members, open(self._paths[1], "wb") as sizes:
            step = max(1, GROUPED_ROWS // max(1, num_documents))
            for first in range(0, len(bands), step):
                report(f"band {first:,} of {len(bands):,}")
                for keys, numbers in stream_buckets(connection, bands[first : first + step], num_ours):
                    begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
                    in_bucket[numbers] = True
                    members.write(numbers.tobytes())
                    sizes.write(np.diff(np.append(begins, len(keys))).tobytes())
                    self.count += len(begins)
        return np.flatnonzero(in_bucket)

    def read(self, documents: Int64Array, report: Reporter) -> Iterator[list[int]]:
        """Yield the members of each bucket as their indices in ``documents``, which ``fill`` returned, ascending."""
        sizes: Int64Array = read_array(self._paths[1], np.int64, self.count)
        first = done = 0
        while first < len(sizes):
            ends = np.cumsum(sizes[first : first + READ_MEMBERS])
            count = max(1, int(np.searchsorted(ends, READ_MEMBERS, side="right")))
            numbers = read_array(self._paths[0], np.int64, int(ends[count - 1]), done)
            done += len(numbers)
            indices, begin = np.searchsorted(documents, numbers).tolist(), 0
            report(f"bucket {first:,} of {len(sizes):,}")
            for end in ends[:count].tolist():
                yield indices[begin:end]
                begin = end
            first += count


def stream_buckets(connection: Any, bands: Sequence[str], num_ours: int) -> Iterator[tuple[UInt64Array, Int64Array]]:
    """Yield keys and document numbers of some bands where several documents share a key, sorted by both.

    One of them is numbered below ``num_ours``. All documents of a key come in the same pair of arrays.
    """
    members = " UNION ALL ".join(f"SELECT {band} AS key, number FROM bands" for band in bands)
    query = (
        f"WITH bands AS (SELECT number, {', '.join(bands)} FROM sketches ANTI JOIN left_out USING (number)), "
        f"members AS ({members}) "
        "SELECT key, number FROM members SEMI JOIN (SELECT key FROM members GROUP BY key "
        f"HAVING count(*) > 1 AND min(number) < {num_ours}) USING (key) ORDER BY key, number"
    )
    rest = (np.zeros(0, np.uint64), np.zeros(0, np.int64))
    for batch in connection.sql(query).to_arrow_reader(BATCH_ROWS):
        keys, numbers = (
            np.concatenate([before, batch.column(column).to_numpy()]) for column, before in enumerate(rest)
        )
        cut = int(np.searchsorted(keys, keys[-1])) if len(keys) else 0
        if cut:
            yield keys[:cut], numbers[:cut]
        rest = keys[cut:], numbers[cut:]
    if len(rest[0]):
        yield rest
