"""The folder of a ranking: answers as they were measured, kept so that nothing is read twice, and what came of them.

    ranked/
      ranking.json  ranking.parquet  ranking.html     the ranking; see ``curate.sft.ranking.table``
      responses/VARIANT/NAME.parquet                  a row of sums for each measured example of a dataset

A table of responses knows what it was made from: the dataset, the model, the template, the turns. Measured again in the
same way, a dataset gives the rows that are there and reads only those that are not; made in another way, its old table
is replaced.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import TableError, UsageError
from curate.rundir import parquet
from curate.rundir.run import compute_fingerprint
from curate.sft.measuring.responses import RESPONSES

Key = tuple[str, int, int]
"""File, row, and which example of its row."""


@dataclass(frozen=True, slots=True)
class ResponseCache:
    """One folder of a ranking."""

    path: Path

    def place(self, variant: Mapping[str, Any], name: str) -> Path:
        """Where the responses of a dataset lie under one model and template."""
        return self.path / "responses" / compute_fingerprint(variant)[:12] / f"{quote(name, safe=' ')}.parquet"

    def load(self, variant: Mapping[str, Any], name: str, made_from: str) -> pa.Table:
        """The responses that were measured in this way before; no rows where there are none."""
        path = self.place(variant, name)
        if not path.exists():
            return RESPONSES.empty_table()
        try:
            if parquet.read_metadata(path).get("made_from") != made_from:
                return RESPONSES.empty_table()
            return pq.read_table(path, partitioning=None).replace_schema_metadata(None).cast(RESPONSES)
        except (TableError, ValueError, pa.ArrowException):
            return RESPONSES.empty_table()

    def store(self, variant: Mapping[str, Any], name: str, made_from: str, found: pa.Table) -> None:
        """Write the responses of a dataset whole, in the order of its rows."""
        parquet.write_part(self.place(variant, name), order(found), {"made_from": made_from, "variant": dict(variant)})


def open_book(out: str) -> ResponseCache:
    """The folder, new or of an earlier ranking; UsageError for a file, or a folder that holds something else."""
    path = Path(out)
    if path.exists() and not path.is_dir():
        raise UsageError(f"{out} is a file; a ranking is written into a folder", "name another with --out")
    known = {"ranking.json", "ranking.parquet", "ranking.html", "responses"}
    if path.is_dir():
        strange = sorted(one.name for one in path.iterdir() if one.name not in known and not one.name.startswith("."))
        if strange:
            message = f"{out} holds something else than a ranking: {', '.join(strange[:3])}"
            raise UsageError(message, "name a new folder with --out")
    return ResponseCache(path)


def keys(found: pa.Table) -> list[Key]:
    """The key of each row."""
    return list(zip(*(found.column(name).to_pylist() for name in ("file", "row", "part")), strict=True))


def order(found: pa.Table) -> pa.Table:
    """The rows by their keys, whatever was measured first: what is drawn of them later goes by their order."""
    return found.sort_by([("file", "ascending"), ("row", "ascending"), ("part", "ascending")])


def pick(found: pa.Table, wanted: Iterable[Key]) -> pa.Table:
    """The rows of some keys, in the order of all keys."""
    chosen, ordered = set(wanted), order(found)
    return ordered.filter(pa.array([key in chosen for key in keys(ordered)], pa.bool_()))
