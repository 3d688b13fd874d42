"""The scores table of a run: begin it or resume it, check that it is complete, and sum it up.

Sums are made part by part in the order of the corpus, so that the same table gives the same summary to the last bit.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus import Corpus
from curate.errors import TableError
from curate.rundir import parquet, schemas, sql
from curate.rundir.guards import manifests, ownership
from curate.rundir.guards.ownership import SCORE_FOLDERS
from curate.rundir.run import Run, compute_fingerprint, list_differences
from curate.rundir.verdicts.token_counts import SCORED
from curate.runtime import console, histogram
from curate.runtime.disk import files
from curate.runtime.numbers import count_noun
from curate.runtime.text import command

SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles of the perplexity in the summary."""
BINS = 24
"""Bins of its histogram."""


def begin_scores(run: Run, corpus: Corpus, made_from: dict[str, Any], restart: bool) -> None:
    """Record what the scores of a run are made from, or check that those that it has were made from the same.

    For scores whose record does not say what was asked for: those of ``rank-sft``, and of earlier versions of curate.
    ``restart`` drops them first. Raises TableError where the run has scores that were made from anything else.
    """
    if restart:
        discard_scores(run)
    before = run.stage("score")
    if before is not None and before["made_from"] != made_from:
        changed = list_differences(before["made_from"], made_from)
        shown = "; ".join(changed[:3]) + (f"; and {len(changed) - 3} more" if len(changed) > 3 else "")
        hint = f"{command('score CORPUS', f'{run.path}-2')} scores into another run; or start over with --restart"
        if before["made_from"]["model"].get("tokenizer") != made_from["model"]["tokenizer"]:
            hint += "; perplexities of different tokenizers cannot be compared, bits per byte can"
        raise TableError(f"{run.scores} holds scores of another model, corpus or reading: {shown}", hint)
    if before is None and any(run.scores.glob("*.parquet")):
        raise TableError(f"{run.scores} holds scores but run.json does not know them", "start over with --restart")
    if before is None or not before.get("complete"):
        run.save("score", {"complete": False, **describe_scores(corpus, made_from)})


def describe_scores(corpus: Corpus, made_from: dict[str, Any]) -> dict[str, Any]:
    """Return the record of the scores of a corpus, without counts."""
    return {"made_from": made_from, "fingerprint": compute_fingerprint(made_from), "corpus": corpus.spec()}


def discard_scores(run: Run) -> None:
    """Remove the scores of a run, with their carried columns and what was put aside."""
    for name in SCORE_FOLDERS:
        ownership.check_removable(run.path, name)
    for name in SCORE_FOLDERS:
        run.remove(name)
    run.save("carried", None)
    run.record.pop("score", None)  # until the new record replaces that in run.json


def complete_scores(
    run: Run,
    corpus: Corpus,
    made_from: dict[str, Any],
    summary: dict[str, Any],
    num_documents: int,
    record: Mapping[str, Any] | None = None,
) -> None:
    """Check that all ``num_documents`` of the corpus are in the table, and mark the table complete.

    Writes ``unreadable.jsonl``, and the record (``describe_scores`` where it is None) with ``summary`` (JSON-able).
    Raises TableError where rows are missing.
    """
    before = run.stage("score") or {}
    is_known = bool(before.get("complete")) and run.is_as_recorded("scores", before)
    counts = before["counts"] if is_known else count_rows(run)
    if num_documents != counts["read"]:
        detail = f"{num_documents:,} documents were read, {counts['read']:,} are in the table"
        raise TableError(f"the scores in {run.scores} do not add up: {detail}", "start over with --restart")
    write_unreadable(run, counts)
    if counts.get("unreadable"):
        console.warn(f"{count_noun(counts['unreadable'], 'row')} could not be read: {run.unreadable}")
    record = describe_scores(corpus, made_from) if record is None else record
    record = {**record, manifests.KEY: run.record_manifest("scores")}
    run.save("score", {**record, "complete": True, "counts": counts, "summary": summary})


def count_rows(run: Run) -> dict[str, int]:
    """Return the documents by status, their sum as ``read``, and the sums of tokens and bytes over all rows."""
    source = sql.parquet_source(run.scores)
    rows = sql.ask(f"SELECT status, count(*) FROM {source} GROUP BY 1 ORDER BY 1")
    (sums,) = sql.ask(f"SELECT sum(tokens), sum(bytes) FROM {source}")
    counts = dict.fromkeys(schemas.STATUSES, 0) | {status: int(number) for status, number in rows}
    return {"read": sum(counts.values()), **counts, "tokens": int(sums[0] or 0), "bytes": int(sums[1] or 0)}


def write_unreadable(run: Run, counts: Mapping[str, int]) -> None:
    """Write ``unreadable.jsonl``: the rows that could not be read, one JSON line each, with file, row and reason.

    ``counts`` are those of the table, which is not read where it has no such row.
    """
    source = sql.parquet_source(run.scores)
    query = f"SELECT file, row, reason FROM {source} WHERE status = 'unreadable'"
    with files.replace_atomically(run.unreadable) as temporary, open(temporary, "w", encoding="utf-8") as handle:
        for block in sql.stream_rows(query, 10_000) if counts.get("unreadable") else ():
            for file, row, reason in block:
                handle.write(json.dumps({"file": file, "row": row, "reason": reason}, ensure_ascii=False) + "\n")


def sum_parts(run: Run) -> dict[str, float]:
    """Return the number of ``ok`` rows as ``documents``, and the sums over them by column, nulls left out.

    They are added part by part, in order, so that the last bits depend on no thread.
    """
    names = ("nats", "tokens", "scored_tokens", "bytes", "scored_bytes", "truncated", "perplexity")
    sums: dict[str, list[float]] = {name: [] for name in ("documents", *names)}
    for path in parquet.list_parts(run.scores):
        part = parquet.read_table(path, ["status", *names], use_threads=False)
        if SCORED not in part.column_names:  # an earlier version, whose tokens are the scored ones
            part = part.append_column(SCORED, part.column("tokens"))
        part = part.filter(pc.equal(part["status"], "ok"))
        sums["documents"].append(part.num_rows)
        for name in names:
            sums[name].append(float(pc.cast(part[name], pa.float64()).drop_null().to_numpy().sum()))
    return {name: math.fsum(values) for name, values in sums.items()}


def describe_perplexity(source: str) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Return quantiles and a histogram of the perplexities of the ``ok`` documents, of which there is at least one.

    ``source`` is the SQL that reads the table. The quantiles are by share, as in ``5%``; the histogram has ``edges``,
    evenly spaced in the logarithm, and ``counts``; infinite perplexities are in its last bin, and without finite ones
    it is empty.
    """

    def ask(columns: str) -> Any:
        return sql.ask(f"SELECT {columns} FROM {source} WHERE status = 'ok'")[0]

    (values,) = ask(f"quantile_cont(perplexity, {list(SHARES)})")
    # Between two infinite perplexities DuckDB interpolates to NaN.
    values = [math.inf if math.isnan(value) else value for value in values]
    quantiles = {f"{share:.0%}": value for share, value in zip(SHARES, values, strict=True)}
    lowest, highest = ask("min(perplexity), max(perplexity) FILTER (isfinite(perplexity))")
    if highest is None:
        return quantiles, {"edges": [], "counts": []}
    edges = histogram.log_edges(lowest, highest, BINS)
    low, high = math.log(edges[0]), math.log(edges[-1])
    position = f"floor((ln(perplexity) - {low!r}) / {high - low!r} * {BINS})"
    bins = f"least({BINS - 1}, greatest(0, {position}))::INT"
    query = f"SELECT {bins}, count(*) FROM {source} WHERE status = 'ok' GROUP BY 1"
    bin_to_count = dict(sql.ask(query))
    counts = [bin_to_count.get(number, 0) for number in range(BINS)]
    return quantiles, {"edges": edges.tolist(), "counts": counts}
