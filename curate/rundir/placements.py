"""The tables of ``bucket`` and ``order``: written part by part, and read by the verbs after them.

Both have one row for each row of the scores, in the same order: the bucket or the position of a document that is kept,
null for any other. Their records in ``run.json`` say what they were made from: the scores, the filter, the hits and
the duplicates, each by its fingerprint, None for one that was never made. So a reader sees at once that a verb has run
since, and a table that was half replaced.
"""

import difflib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import TableError, UsageError
from curate.rundir import decision_table, document_columns, parquet, schemas
from curate.rundir.rejections import Rejections
from curate.rundir.run import Run
from curate.runtime import files
from curate.runtime.text import command

SOURCES = {"scores": "score", "filter": "filter", "hits": "decontaminate", "duplicates": "dedup"}


def sources_of(run: Run, found: Rejections) -> dict[str, Any]:
    """What a table of buckets or positions is made from now; TableError where the filter is stale."""
    record = decision_table.open_filter(run)
    filtered = None if record is None else record["fingerprint"]
    return {"scores": run.finished_scores()["fingerprint"], "filter": filtered, **found.fingerprints()}


def write_placements(path: Path, schema: pa.Schema, rows: Iterable[pa.Table], metadata: Mapping[str, Any]) -> None:
    """Write a table whole or not at all, piece by piece, with the fingerprint that ``run.json`` repeats."""
    note = json.dumps(metadata, sort_keys=True, ensure_ascii=False).encode()
    noted = schema.with_metadata({b"curate": note})
    with (
        files.replacing(path) as beside,
        pq.ParquetWriter(beside, noted, compression="zstd", use_dictionary=["file", "bucket"]) as writer,
    ):
        for table in rows:
            writer.write_table(table.cast(noted))


def open_buckets(run: Run) -> dict[str, Any] | None:
    """The record of the buckets, None where ``bucket`` never ran; TableError when stale or half replaced."""
    return _open(run, "bucket", run.buckets)


def open_order(run: Run) -> dict[str, Any] | None:
    """The record of the order, None where ``order`` never ran; TableError when stale or half replaced."""
    return _open(run, "order", run.order)


def _open(run: Run, verb: str, path: Path) -> dict[str, Any] | None:
    record, hint = run.stage(verb), command(f"{verb} …", run.path)
    if record is None and not path.exists():
        return None
    if record is None or not path.exists():
        raise TableError(f"the last curate {verb} in {run.path} did not finish", hint)
    for name, source in SOURCES.items():
        if record["made_from"][name] != (run.stage(source) or {}).get("fingerprint"):
            raise TableError(f"{path} is stale: curate {source} has run since", hint)
    if parquet.read_metadata(path).get("fingerprint") != record["fingerprint"]:
        raise TableError(f"{path} and run.json do not belong together", hint)
    return record


def kind_of(run: Run, by: str) -> tuple[pa.DataType, bool]:
    """The type of the column that ``--by`` names, and whether it is one of the scores; else it is carried.

    It is then read from the documents once. UsageError, with the nearest name, for what is neither or no number.
    """
    parts = parquet.parts(run.scores)
    schema = pq.read_schema(parts[0]) if parts else schemas.SCORES
    kinds = {field.name: field.type for field in schema if field.name not in ("row", "hash")}
    numbers = [name for name, kind in kinds.items() if pa.types.is_integer(kind) or pa.types.is_floating(kind)]
    if by in numbers:
        return kinds[by], True
    listed = f"there are: {', '.join(numbers)}, and the columns of the documents"
    try:
        kind = document_columns.carry(run, [by])[by]
    except UsageError as error:
        close = difflib.get_close_matches(by, [*numbers, *schemas.ALIASES], 1)
        meant = f"did you mean {close[0]}? " if close else ""
        message = f"--by {by}: neither the scores nor the documents have such a column"
        raise UsageError(message, f"{meant}{listed}") from error
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise UsageError(f"--by {by}: the column is text, not numbers", f"--stratify {by} keeps its shares; {listed}")
    return kind, False
