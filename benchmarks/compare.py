"""Compare two runs of ten million documents in fifty domains: curate beside SQL and pandas without intervals.

    python benchmarks/compare.py                         # 10 M rows a side: some minutes, 2.5 GB of disk
    python benchmarks/compare.py --rows 1_000_000 --readme

No model is needed: scores are made up, as those of ``benchmarks/choosing.py``, with the perplexity of the second run
.1 % above that of the first. Every turn is a process of its own, start included, whose resident memory is watched.

    in step     ``python -m curate compare A B --within domain``: the same texts in the same order; compares the bytes
                of all parts with their manifests, pairs documents, draws 1,000 bootstrap samples, 51 joint intervals
    shuffled    the same with the second run in another order: texts are joined by their hashes
    apart       the same with other texts: two samples
    duckdb      SQL over two Parquet files of the four columns it needs: join by hash, sums by domain; no interval
    pandas      the same of the same files, by ``merge`` and ``groupby``; no interval
    loop        what one would write for intervals: for each domain 1,000 draws of its pairs with ``Generator.integers``
                and ``take``, one after another; 100 draws are run, and the time of the draws counted ten times
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from choosing import HERE, describe_machine, make_part, measure

PART_ROWS = 100_000
DOMAINS = 50
NAMES = ("hash", "nats", "tokens", "domain")
SHIFT = 0.001
SOME_DRAWS, DRAWS = 100, 1000


def write_run(folder: Path, tables: Iterator[tuple[pa.Table, np.ndarray]], rows: int, narrow: Path) -> None:
    """Write a run of made-up scores with a carried domain, and a Parquet file of the columns that others need."""
    from curate.corpus import open_corpus
    from curate.rundir import parquet
    from curate.rundir.document_columns import complete_carried
    from curate.rundir.guards import manifests
    from curate.rundir.run import compute_fingerprint, open_run

    corpus_file = folder.parent / "corpus.jsonl"
    corpus_file.write_text('{"text":"x","domain":"domain 00"}\n')
    opened = open_corpus([str(corpus_file)])
    corpus, place = opened.fingerprint(), open_run(folder, create=True)
    model = {"model": folder.name, "tokenizer": "made-up", "dtype": "bf16"}
    made_from = {"corpus": corpus, "model": model, "parameters": {"signals": ["zlib_ratio"]}}
    identity = compute_fingerprint(made_from)
    schema = pa.schema([("hash", pa.uint64()), ("nats", pa.float64()), ("tokens", pa.int64()), ("domain", pa.string())])
    names = np.array([f"domain {number:02d}" for number in range(DOMAINS)])
    first = 0
    with pq.ParquetWriter(narrow, schema, compression="zstd") as writer:
        for number, (table, codes) in enumerate(tables):
            mark = {"file": "corpus.jsonl", "number": number, "first_row": first, "next_row": first + len(table)}
            mark |= {"next_offset": None, "documents": len(table), "last": first + len(table) == rows}
            name = f"00000-{number:06d}.parquet"
            domains = pa.array(names[codes], pa.large_string())
            parquet.write_part(place.scores / name, table, {"made_from": identity, "slice": mark})
            value = pa.table({"value": domains})
            parquet.write_part(place.carried / "domain" / name, value, {"made_from": corpus, "slice": mark})
            held = [table.column("hash"), table.column("nats"), table.column("tokens"), domains.cast(pa.string())]
            writer.write_table(pa.table(held, schema=schema))
            first += len(table)
    counts = {"read": rows, "ok": rows, "empty": 0, "unreadable": 0, "tokens": 0, "bytes": 0}
    record = {"complete": True, "made_from": made_from, "fingerprint": identity, "corpus": opened.spec()}
    record |= {"counts": counts, "summary": {}, manifests.KEY: place.record_manifest("scores")}
    place.save("score", record)
    complete_carried(place, ["domain"], corpus)


def make_tables(rows: int, seed: int, shift: float = 0.0, shuffled: bool = False) -> Iterator[tuple[pa.Table, Any]]:
    """Yield parts of scores with the domain of each document; equal seeds give equal texts, ``shift`` moves nats."""
    parts = list(range(0, rows, PART_ROWS))
    for first in parts[::-1] if shuffled else parts:
        chance = np.random.default_rng([seed, first])
        table = make_part(first, min(first + PART_ROWS, rows), chance)
        codes = chance.integers(0, DOMAINS, len(table))
        if shift:
            noise = np.random.default_rng([seed, first, 1]).normal(shift, 0.03, len(table))
            nats = table.column("nats").to_numpy() + noise * table.column("tokens").to_numpy()
            table = table.set_column(table.schema.get_field_index("nats"), "nats", pa.array(nats))
        if shuffled:
            order = np.random.default_rng([seed, first, 2]).permutation(len(table))
            table, codes = table.take(order), codes[order]
        yield table, codes


def write_all(scratch: Path, rows: int) -> None:
    sides = {
        "before": (1, 0.0, False),
        "after": (1, SHIFT, False),
        "shuffled": (1, SHIFT, True),
        "other": (2, 0.0, False),
    }
    for name, (seed, shift, shuffled) in sides.items():
        print(f"making {name}", file=sys.stderr, flush=True)
        write_run(scratch / name, make_tables(rows, seed, shift, shuffled), rows, scratch / f"{name}.parquet")


def compare_duckdb(scratch: Path) -> None:
    import duckdb

    duckdb.sql("set memory_limit='1.5GB'")
    duckdb.sql(f"set temp_directory='{scratch / 'spill'}'")
    query = """select domain, count(*), sum(a.nats) / sum(a.tokens), sum(b.nats) / sum(b.tokens)
               from read_parquet('{a}') a join read_parquet('{b}') b using (hash, domain)
               group by domain order by domain"""
    print(duckdb.sql(query.format(a=scratch / "before.parquet", b=scratch / "shuffled.parquet")).fetchall())


def compare_pandas(scratch: Path) -> None:
    import pandas

    first, second = (pandas.read_parquet(scratch / f"{name}.parquet") for name in ("before", "shuffled"))
    frame = first.merge(second, on=["hash", "domain"], suffixes=("_a", "_b"))
    sums = frame.groupby("domain")[["nats_a", "tokens_a", "nats_b", "tokens_b"]].sum()
    print(sums["nats_b"] / sums["tokens_b"] - sums["nats_a"] / sums["tokens_a"])


def compare_loop(scratch: Path) -> None:
    """The pairs are taken as they stand, in step; the draws are timed and counted ``DRAWS`` / ``SOME_DRAWS`` times."""
    import pandas

    began = time.perf_counter()
    first, second = (pandas.read_parquet(scratch / f"{name}.parquet") for name in ("before", "after"))
    generator, drawing = np.random.default_rng(0), 0.0
    for _, rows in first.groupby("domain").indices.items():
        nats_a, nats_b, tokens = (x.to_numpy()[rows] for x in (first["nats"], second["nats"], first["tokens"]))
        start = time.perf_counter()
        draws = []
        for _ in range(SOME_DRAWS):
            chosen = generator.integers(0, len(rows), len(rows))
            total = tokens.take(chosen).sum()
            draws.append((nats_b.take(chosen).sum() - nats_a.take(chosen).sum()) / total)
        np.quantile(draws, [0.025, 0.975])
        drawing += time.perf_counter() - start
    print(f"seconds {time.perf_counter() - began + drawing * (DRAWS / SOME_DRAWS - 1):.3f}")


PEERS: dict[str, Callable[[Path], None]] = {"duckdb": compare_duckdb, "pandas": compare_pandas, "loop": compare_loop}
OURS = {"in step": "after", "shuffled": "shuffled", "apart": "other"}


def list_sides(scratch: Path) -> dict[str, list[str]]:
    sides = {}
    for side, run in OURS.items():
        words = ["compare", str(scratch / "before"), str(scratch / run), "--within", "domain"]
        sides[side] = [sys.executable, "-m", "curate", *words]
    for name in PEERS:
        sides[name] = [sys.executable, __file__, "--child", str(scratch), "--peer", name]
    return sides


def render(rows: int, turns: dict[str, list[dict[str, float]]]) -> str:
    lines = [
        f"{rows:,} rows a side, {DOMAINS} domains; {describe_machine()}",
        "",
        "| side | seconds | CPU s | peak memory | intervals |",
        "|---|---:|---:|---:|---|",
    ]
    for side, some in turns.items():
        best = min(some, key=lambda one: one["seconds"])
        kind = "51 joint, 1,000 draws" if side in OURS else "50, 1,000 draws" if side == "loop" else "none"
        cpu = "–" if side == "loop" else f"{best['cpu_seconds']:.1f}"
        lines.append(f"| {side} | {best['seconds']:.1f} | {cpu} | {best['peak_bytes'] / 1e9:.2f} GB | {kind} |")
    return "\n".join(lines)


def put_into_readme(text: str) -> None:
    path, first, last = HERE / "README.md", "<!-- compare -->", "<!-- /compare -->"
    before, _, rest = path.read_text(encoding="utf-8").partition(first)
    _, mark, behind = rest.partition(last)
    if not mark:
        raise SystemExit(f"{path} has no {first} … {last}")
    path.write_text(f"{before}{first}\n\n{text}\n\n{last}{behind}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, help="of each side (10,000,000)")
    parser.add_argument("--repeats", type=int, default=2, help="turns of each side (2)")
    parser.add_argument("--sides", help="with commas: " + ", ".join([*OURS, *PEERS]))
    parser.add_argument("--scratch", type=Path, help="a folder to work in, kept; made where it has no runs")
    parser.add_argument("--readme", action="store_true", help="put the table into benchmarks/README.md")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        PEERS[options.peer](options.child)
        return
    with tempfile.TemporaryDirectory() as made:
        scratch = options.scratch or Path(made)
        scratch.mkdir(parents=True, exist_ok=True)
        if not (scratch / "other" / "run.json").exists():
            write_all(scratch, options.rows)
        sides = list_sides(scratch)
        chosen = [side.strip() for side in options.sides.split(",")] if options.sides else list(sides)
        turns: dict[str, list[dict[str, float]]] = {side: [] for side in chosen}
        for _ in range(options.repeats):
            for side in chosen:
                turns[side].append(measure(sides[side]))
                print(side, json.dumps(turns[side][-1]), file=sys.stderr, flush=True)
    text = render(options.rows, turns)
    print(text)
    if options.readme:
        put_into_readme(text)


if __name__ == "__main__":
    main()
