"""Runs with two domains, and the position of each document."""

import pyarrow.parquet as pq
from helpers.runs import make_run, write_lines


def positions_of(run):
    return pq.read_table(run.order).column("position").to_pylist()


def domain_run(tmp_path, count=120):
    rows = [{"text": f"document {n} word", "domain": "ab"[n % 3 == 0], "year": 2000 + n % 7} for n in range(count)]
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    numbers = [{"perplexity": float((n * 37) % 101), "tokens": 1 + n % 9} for n in range(count)]
    return make_run(tmp_path / "run", [tmp_path / "c"], lambda text: numbers[int(text.split()[1])], slice_bytes=900)
