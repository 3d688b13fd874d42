"""Runs with languages, and the bucket of each document."""

import pyarrow.parquet as pq
from helpers.runs import make_run, ppl, write_lines


def buckets_of(run):
    return pq.read_table(run.buckets).column("bucket").to_pylist()


def language_run(folder, languages, values, model=None):
    rows = [{"text": f"document {n} word", "language": name} for n, name in enumerate(languages)]
    write_lines(folder / "c" / "a.jsonl", rows)
    run = make_run(folder / "run", [folder / "c"], lambda text: ppl(*values)[int(text.split()[1])], slice_bytes=400)
    score = run.stage("score")
    score["made_from"]["model"] |= model or {}
    run.save("score", score)
    return run
