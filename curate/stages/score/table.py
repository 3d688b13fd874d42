"""The scores of a run as a whole: begun or gone on with, completed, and summed.

Sums are made part by part in the order of the corpus, so that the same table gives the same summary to the last bit.
"""

import json
import math
import shutil
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.corpus import Corpus
from curate.errors import TableError
from curate.rundir import parquet, schemas, sql
from curate.rundir.run import Run, compute_fingerprint, list_differences
from curate.runtime import console, files, histogram
from curate.runtime.text import command

SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
BINS = 24


def begin(run: Run, corpus: Corpus, made_from: dict[str, Any], restart: bool) -> None:
    """Open or reopen the scores of a run; TableError where they were made from anything else."""
    if restart:
        shutil.rmtree(run.scores, ignore_errors=True)
        shutil.rmtree(run.carried, ignore_errors=True)
        run.record.pop("carried", None)
    before = None if restart else run.stage("score")
    if before is not None and before["made_from"] != made_from:
        changed = list_differences(before["made_from"], made_from)
        shown = "; ".join(changed[:3]) + (f"; and {len(changed) - 3} more" if len(changed) > 3 else "")
        hint = f"{command('score CORPUS', f'{run.path}-2')} scores into another run; or start over with --restart"
        if before["made_from"]["model"].get("tokenizer") != made_from["model"]["tokenizer"]:
            hint += "; perplexities of different tokenizers cannot be compared, bits per byte can"
        raise TableError(f"{run.scores} was made otherwise: {shown}", hint)
    if before is None and any(run.scores.glob("*.parquet")):
        raise TableError(f"{run.scores} holds scores but run.json does not know them", "start over with --restart")
    if before is None or not before.get("complete"):
        fingerprint = compute_fingerprint(made_from)
        record = {"complete": False, "made_from": made_from, "fingerprint": fingerprint, "corpus": corpus.spec()}
        run.save("score", record)


def complete(run: Run, corpus: Corpus, made_from: dict[str, Any], summary: dict[str, Any], read: int) -> None:
    """Check that all ``read`` documents of the corpus are in the table, and mark the table complete."""
    fingerprint = compute_fingerprint(made_from)
    counts = count_rows(run)
    if read != counts["read"]:
        detail = f"{read:,} documents were read, {counts['read']:,} are in the table"
        raise TableError(f"the scores in {run.scores} do not add up: {detail}", "start over with --restart")
    write_unreadable(run)
    if counts.get("unreadable"):
        console.warn(f"{counts['unreadable']:,} rows could not be read: {run.unreadable}")
    record = {
        "complete": True,
        "made_from": made_from,
        "fingerprint": fingerprint,
        "corpus": corpus.spec(),
        "counts": counts,
        "summary": summary,
    }
    run.save("score", record)


def count_rows(run: Run) -> dict[str, int]:
    """Documents by status, their sum as ``read``, and the sums of tokens and bytes."""
    source = sql.parquet_source(run.scores)
    rows = sql.connect().execute(f"SELECT status, count(*) FROM {source} GROUP BY 1 ORDER BY 1").fetchall()
    sums = sql.connect().execute(f"SELECT sum(tokens), sum(bytes) FROM {source}").fetchone()
    counts = dict.fromkeys(schemas.STATUSES, 0) | {status: int(number) for status, number in rows}
    return {"read": sum(counts.values()), **counts, "tokens": int(sums[0] or 0), "bytes": int(sums[1] or 0)}


def write_unreadable(run: Run) -> None:
    """List the rows that could not be read, one JSON line each: file, row, reason."""
    source = sql.parquet_source(run.scores)
    query = f"SELECT file, row, reason FROM {source} WHERE status = 'unreadable'"
    rows = sql.connect().execute(query)
    with files.replace_atomically(run.unreadable) as beside, open(beside, "w", encoding="utf-8") as handle:
        while found := rows.fetchmany(10_000):
            for file, row, reason in found:
                handle.write(json.dumps({"file": file, "row": row, "reason": reason}, ensure_ascii=False) + "\n")


def sum_parts(run: Run) -> dict[str, float]:
    """Sums over the ``ok`` rows: part by part, in order, so that the last bits depend on no thread."""
    names = ("nats", "tokens", "bytes", "scored_bytes", "truncated", "perplexity")
    found: dict[str, list[float]] = {name: [] for name in ("documents", *names)}
    for path in parquet.list_parts(run.scores):
        part = pq.read_table(path, columns=["status", *names], use_threads=False)
        part = part.filter(pc.equal(part["status"], "ok"))
        found["documents"].append(part.num_rows)
        for name in names:
            found[name].append(float(pc.cast(part[name], pa.float64()).drop_null().to_numpy().sum()))
    return {name: math.fsum(values) for name, values in found.items()}


def distribution(source: str) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Quantiles and a histogram of the documents' perplexities."""
    database = sql.connect()

    def ask(columns: str) -> Any:
        return database.execute(f"SELECT {columns} FROM {source} WHERE status = 'ok'").fetchone()

    lowest, highest = ask("min(perplexity), max(perplexity)")
    (found,) = ask(f"quantile_cont(perplexity, {list(SHARES)})")
    edges = histogram.log_edges(lowest, highest, BINS)
    low, high = math.log(edges[0]), math.log(edges[-1])
    place = f"floor((ln(perplexity) - {low!r}) / {high - low!r} * {BINS})"
    bins = f"least({BINS - 1}, greatest(0, {place}))::INT"
    query = f"SELECT {bins}, count(*) FROM {source} WHERE status = 'ok' GROUP BY 1"
    filled = dict(database.execute(query).fetchall())
    counts = [filled.get(at, 0) for at in range(BINS)]
    quantiles = {f"{share:.0%}": value for share, value in zip(SHARES, found, strict=True)}
    return quantiles, {"edges": edges.tolist(), "counts": counts}
