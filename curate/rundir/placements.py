"""The tables of ``bucket`` and ``order``, written part by part, and read by the verbs after them.

Both have one row for each row of the scores, in the same order: the bucket or the position of a document that is kept,
null for any other. Their records in ``run.json`` have the fingerprints of the scores, the filter, the hits and the
duplicates that they were made from, None for a table that was never made. So a reader detects that a verb has run
since, and a table that does not belong to its record.
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
from curate.rundir.columns import kinds
from curate.rundir.columns.names import PREFIX, is_score_name
from curate.rundir.guards import mending
from curate.rundir.run import Run
from curate.rundir.signals import find_signal, is_sum
from curate.rundir.verdicts.rejections import Rejections
from curate.runtime.disk import files
from curate.runtime.text import command, quote_word

SOURCES = {"scores": "score", "filter": "filter", "hits": "decontaminate", "duplicates": "dedup"}
"""The tables that buckets and order are made from, with the stages that make them."""


def list_sources(run: Run, rejections: Rejections) -> dict[str, Any]:
    """Return the fingerprints of what a table of buckets or positions is made from now, None for what a run lacks.

    Raises TableError where the scores are not complete or the filter is stale.
    """
    record = decision_table.open_filter(run)
    filtered = None if record is None else record["fingerprint"]
    return {"scores": run.finished_scores()["fingerprint"], "filter": filtered, **rejections.fingerprints()}


def write_placements(path: Path, schema: pa.Schema, rows: Iterable[pa.Table], metadata: Mapping[str, Any]) -> None:
    """Write a table of buckets or positions from pieces with the columns of ``schema``; all of it or nothing.

    ``metadata`` has the fingerprint that ``run.json`` repeats. Raises StorageError where the disk refuses.
    """
    note = json.dumps(metadata, sort_keys=True, ensure_ascii=False).encode()
    noted = schema.with_metadata({b"curate": note})
    with (
        files.replace_atomically(path) as temporary,
        pq.ParquetWriter(
            temporary, noted, compression="zstd", use_dictionary=["file", "bucket"], write_page_checksum=True
        ) as writer,
    ):
        for table in rows:
            writer.write_table(table.cast(noted))


def open_buckets(run: Run) -> dict[str, Any] | None:
    """Return the record of ``bucket``; None where it never ran. Raises TableError where its table is stale."""
    return _open(run, "bucket", run.buckets)


def open_order(run: Run) -> dict[str, Any] | None:
    """Return the record of ``order``; None where it never ran. Raises TableError where its table is stale."""
    return _open(run, "order", run.order)


def _open(run: Run, verb: str, path: Path) -> dict[str, Any] | None:
    record, hint = run.stage(verb), command(f"{verb} …", run.path)
    if record is None and not path.exists():
        return None
    spell = mending.spell_bucket_command if verb == "bucket" else mending.spell_order_command
    run.check_there(path.name, record, spell)
    if record is None or not path.exists():
        raise TableError(f"the last curate {verb} in {run.path} did not finish", hint)
    for name, source in SOURCES.items():
        if record["made_from"][name] != (run.stage(source) or {}).get("fingerprint"):
            raise TableError(f"{path} is stale: curate {source} has run since", hint)
    if parquet.read_metadata(path).get("fingerprint") != record["fingerprint"]:
        raise TableError(f"{path} and run.json do not belong together", hint)
    run.check_manifest(path.name, record, spell(run, record))
    return record


def find_column_type(run: Run, by: str) -> tuple[pa.DataType, bool]:
    """Return the type of the column that ``--by`` names, and whether the scores have it.

    A column of the documents is carried: it is read from the corpus once. Raises UsageError, with the nearest name,
    where neither the scores nor the documents have the column, or it is not one of numbers.
    """
    parts = parquet.list_parts(run.scores)
    with parquet.naming(parts[0] if parts else run.scores):
        schema = parquet.read_schema(parts[0]) if parts else schemas.SCORES
    types = {field.name: field.type for field in schema if field.name not in ("row", "hash")}
    numbers = [name for name, kind in types.items() if kinds.is_measure(kind)]
    if by in numbers:
        document_columns.tell_clash(run, by)
        return types[by], True
    if find_signal(by) is not None and by not in types:
        raise document_columns.explain_missing_signal(run, "--by", by)
    shown = [name for name in numbers if not is_sum(name)]
    listed = f"there are: {', '.join(shown)}, and the columns of the documents"
    if is_score_name(by):
        raise UsageError(
            f"--by {by}: the column {by} of the scores holds no numbers",
            f"--by {PREFIX}{by} is that of the documents; {listed}",
        )
    try:
        kind = document_columns.carry_columns(run, [by])[by]
    except UsageError as error:
        close = difflib.get_close_matches(by, [*numbers, *schemas.ALIASES], 1)
        meant = f"did you mean {close[0]}? " if close else ""
        near = error.hint if (error.hint or "").startswith("did you mean") else f"{meant}{listed}"
        message = f"--by {by}: neither the scores nor the documents have such a column"
        raise UsageError(message, near) from error
    if not kinds.is_measure(kind):
        held = kinds.describe_kind(kind)
        raise UsageError(
            f"--by {by}: the column is {held}, not numbers", f"--stratify {quote_word(by)} keeps its shares; {listed}"
        )
    return kind, False
