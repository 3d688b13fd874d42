"""The output folder of a ranking, with a cache of the measured examples so that none is measured twice.

    ranked/
      ranking.json  ranking.parquet  ranking.html     the ranking; see ``curate.sft.ranking.files``
      responses/VARIANT/NAME.parquet                  one row of sums for each measured example of a dataset

A file of responses records what it was made from: the dataset, the model, the template, the turns. If all of that is
the same, its rows are used and only missing ones are measured. Otherwise the file is replaced.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import TableError, UsageError
from curate.rundir import parquet
from curate.rundir.guards import ownership
from curate.rundir.run import compute_fingerprint
from curate.runtime.calls import repeat_command
from curate.runtime.disk.filenames import expand_home
from curate.runtime.disk.files import check_output_directory
from curate.runtime.published import hide_folders
from curate.sft.measuring.responses import RESPONSES

ExampleKey = tuple[str, int, int]
"""File, row, and number of the example within its row."""


@dataclass(frozen=True, slots=True)
class ResponseCache:
    """The output folder of a ranking."""

    path: Path

    def locate(self, variant: Mapping[str, Any], name: str) -> Path:
        """Return the path of a dataset's responses under one model and template."""
        return self.path / "responses" / compute_fingerprint(variant)[:12] / f"{quote(name, safe=' ')}.parquet"

    def load(self, variant: Mapping[str, Any], name: str, made_from: str) -> pa.Table:
        """Return the responses with this fingerprint that were stored before; no rows where there are none."""
        path = self.locate(variant, name)
        if not path.exists():
            return RESPONSES.empty_table()
        try:
            if parquet.read_metadata(path).get("made_from") != made_from:
                return RESPONSES.empty_table()
            return pq.read_table(path, partitioning=None).replace_schema_metadata(None).cast(RESPONSES)
        except (TableError, ValueError, pa.ArrowException):
            return RESPONSES.empty_table()

    def store(self, variant: Mapping[str, Any], name: str, made_from: str, responses: pa.Table) -> None:
        """Write all responses of a dataset, in the order of its rows, and replace what was stored before."""
        metadata = {"made_from": made_from, "variant": hide_folders(variant)}
        parquet.write_part(self.locate(variant, name), sort_responses(responses), metadata)


def open_response_cache(out: str) -> ResponseCache:
    """Open the output folder of a new or an earlier ranking. Nothing is created before something is stored.

    Raises UsageError for a file, and for a folder that contains anything else; StorageError where it cannot be written.
    """
    path = expand_home(out)
    if os.path.exists(path) and not path.is_dir():
        raise UsageError(f"--out must be a folder; {out} is a file", repeat_elsewhere(out))
    check_output_directory(path)
    known = {"ranking.json", "ranking.parquet", "ranking.html", "responses"}
    if path.is_dir():
        names = [entry.name for entry in path.iterdir()]
        strange = sorted(name for name in names if name not in known and not name.startswith("."))
        if strange:
            message = f"{out} holds something else than a ranking: {', '.join(strange[:3])}"
            raise UsageError(message, repeat_elsewhere(out))
        foreign = [name for name in names if name in known and not ownership.is_recognised(path / name, {})]
        if foreign:
            message = f"{path / min(foreign)} is there, and curate did not make it"
            raise UsageError(message, repeat_elsewhere(out))
    return ResponseCache(path)


def repeat_elsewhere(out: str) -> str:
    """Return the command under way with a folder for the ranking that is not there yet."""
    names = (f"{out.rstrip('/')}-{number}" for number in count(2))
    return repeat_command("rank_sft", out=next(name for name in names if not os.path.lexists(expand_home(name))))


def list_keys(responses: pa.Table) -> list[ExampleKey]:
    """Return the key of each row."""
    return list(zip(*(responses.column(name).to_pylist() for name in ("file", "row", "part")), strict=True))


def sort_responses(responses: pa.Table) -> pa.Table:
    """Return the rows sorted by their keys, since bootstrap draws go by the order of rows."""
    return responses.sort_by([("file", "ascending"), ("row", "ascending"), ("part", "ascending")])


def pick_responses(responses: pa.Table, keys: Iterable[ExampleKey]) -> pa.Table:
    """Return the rows with these keys, sorted."""
    chosen, ordered = set(keys), sort_responses(responses)
    return ordered.filter(pa.array([key in chosen for key in list_keys(ordered)], pa.bool_()))
