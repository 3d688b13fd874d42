"""Filter ten million scores, order a corpus and export it: ours beside what one would write otherwise.

    python benchmarks/choosing.py                          # 1 M documents, 10 M scores: some minutes and 6 GB of disk
    python benchmarks/choosing.py --documents 5_000_000    # the size of the goal: 3 GB of text, 30 GB of disk
    python benchmarks/choosing.py --only export --sides curate,sort --readme

Every turn of a side is a process of its own, its start included, whose resident memory is watched, children too; the
sides take turns. No model is needed: texts are pieces of the sample corpus of log-normal lengths, scores are made up.

**filter**: 100 parts of scores with a carried column ``domain`` of 22 values, and their manifests. Two questions: the
middle half by perplexity within each domain, of a zlib ratio of at least .2; and perplexity at most 60.

    curate     ``python -m curate filter …``: compares the bytes of all parts with their manifests, writes the decision
               on each row with its reason, prints the ledger
    duckdb     SQL over one Parquet file of the five columns it needs: ``quantile_disc`` by domain, or the threshold;
               writes the decision on each row, prints documents, tokens and median perplexity by domain
    pandas     the same of the same file, by ``groupby``

**export**: all documents as JSON lines in ascending order of the perplexity.

    curate     ``curate.order(run)`` and ``curate.export(OUT, run, format="jsonl", memory_limit="1GB")``: ranks, reads
               the corpus, checks the hash of every text, adds its eleven columns (``curate_*``), and writes shards,
               checksums, card, manifest and order.parquet, flushed to the disk
    sort       ``LC_ALL=C sort -S1G`` (GNU coreutils, as many threads as cores) of the same lines by the same key, which
               stands before each line with a tab, zero-padded; nothing is checked, added, cut off or flushed
    datasets   ``load_dataset("json")`` (not timed), then timed: a column with the scores, ``.sort``, ``.to_json``
    sort-sync  the same as sort, then ``sync`` of the result: as curate, which flushes what it writes

In the order of the corpus: **plain** is ``curate.export(OUT, run, format="jsonl", no_order=True)``, beside ``cp`` of
the files, and ``cp-sync``, which flushes them. From Parquet to Parquet: **parquet** is curate's order and export, and
**duckdb** sorts files that have the key as a column: ``COPY (SELECT * FROM … ORDER BY perplexity)`` with zstd, two
threads and ``memory_limit``; like sort it neither checks nor adds anything. Both have 1 GB.

"""

import argparse
import json
import os
import platform
import random
import re
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from process_tree import watch_memory

HERE = Path(__file__).parent
SAMPLE = HERE.parent / "recipes" / "sample" / "documents.jsonl"
FILES, MEMORY = 8, "1GB"


# ---- a corpus and its scores ----------------------------------------------------------------------------------------


def make_corpus(folder: Path, documents: int, octets: int, source: Path) -> None:
    """JSON lines: id, text, domain; lengths are log-normal around ``octets``."""
    chance = random.Random(0)
    with source.open(encoding="utf-8") as lines:
        texts = [text for line in lines if len(text := json.loads(line)["text"]) > 200]
    folder.mkdir(parents=True)
    for number in range(FILES):
        with (folder / f"part-{number:02d}.jsonl").open("w", encoding="utf-8") as out:
            for place in range(number * documents // FILES, (number + 1) * documents // FILES):
                out.write(make_line(place, octets, texts, chance))


def make_line(place: int, octets: int, texts: Sequence[str], chance: random.Random) -> str:
    text = texts[chance.randrange(len(texts))]
    size = max(40, int(octets / 1.2 * chance.lognormvariate(0, 0.6)))
    piece = text
    while len(piece) < 2 * size:
        piece += "\n" + texts[chance.randrange(len(texts))]
    start = chance.randrange(len(piece) - size)
    row = {"id": f"doc-{place:09d}", "text": piece[start : start + size], "domain": f"domain-{place % 7}"}
    return json.dumps(row, ensure_ascii=False) + "\n"


def make_run(run: Path, corpus: Path) -> None:
    """The scores that ``curate score`` would leave, with made-up numbers."""
    from dataclasses import asdict

    from curate.corpus import open_corpus
    from curate.rundir import parquet
    from curate.rundir.run import compute_fingerprint, open_run

    opened = open_corpus([str(corpus)])
    made_from = {
        "corpus": opened.fingerprint(),
        "model": {"model": "made-up"},
        "parameters": {"signals": ["zlib_ratio"]},
    }
    identity, place, chance = compute_fingerprint(made_from), open_run(run, create=True), np.random.default_rng(0)
    counts = dict.fromkeys(("read", "ok", "empty", "unreadable", "tokens", "bytes"), 0)
    index = {source.name: number for number, source in enumerate(opened.sources)}
    for documents in opened.slices():
        table = make_scores(documents, chance)
        name = f"{index[documents.mark.file]:05d}-{documents.mark.number:06d}.parquet"
        parquet.write_part(place.scores / name, table, {"made_from": identity, "slice": asdict(documents.mark)})
        counts["read"] += len(table)
        counts["ok"] += len(table)
        for column in ("tokens", "bytes"):
            counts[column] += int(table.column(column).to_numpy().sum())
    record = {"complete": True, "made_from": made_from, "fingerprint": identity, "corpus": opened.spec()}
    place.save("score", {**record, "counts": counts, "summary": {}})


def make_scores(documents: Any, chance: np.random.Generator) -> pa.Table:
    import xxhash

    from curate.rundir import schemas

    encoded = [text.encode() for text in documents.texts]
    octets, rows = np.array(list(map(len, encoded))), len(encoded)
    perplexity = np.exp(chance.normal(3.6, 0.8, rows))
    tokens = octets // 4 + 1
    nats = np.log(perplexity) * tokens
    columns = {
        "file": [documents.mark.file] * rows, "row": documents.rows, "id": documents.ids,
        "hash": np.array(list(map(xxhash.xxh3_64_intdigest, encoded)), np.uint64), "status": ["ok"] * rows,
        "reason": pa.nulls(rows, pa.large_string()), "nats": nats, "tokens": tokens, "bytes": octets,
        "scored_bytes": octets, "scored_tokens": tokens,
        "chars": list(map(len, documents.texts)), "windows": np.ones(rows, np.int32),
        "truncated": [False] * rows, "first_nats": chance.normal(7, 1, rows), "perplexity": perplexity,
        "bits_per_byte": nats / np.log(2) / octets, "zlib_ratio": chance.random(rows, np.float32),
    }  # fmt: skip
    schema = schemas.scores_schema(["zlib_ratio"])
    return pa.table([pa.array(columns[column.name], column.type) for column in schema], schema=schema)


def key_lines(corpus: Path, run: Path, out: Path) -> None:
    """The lines of the corpus, each with its score and a tab before it; zero-padded, so that bytes sort as numbers."""
    from curate.rundir import parquet

    parts = parquet.list_parts(run / "scores")
    scores = np.concatenate([pq.read_table(part, columns=["perplexity"])["perplexity"].to_numpy() for part in parts])
    keys = iter(scores)
    with out.open("wb") as sink:
        for path in sorted(corpus.iterdir()):
            with path.open("rb") as lines:
                sink.writelines(b"%023.12f\t%b" % (next(keys), line) for line in lines)


# ---- the sides ------------------------------------------------------------------------------------------------------


def run_curate(scratch: Path) -> list[str]:
    code = """import sys, curate
curate.order(sys.argv[2])
curate.export(sys.argv[1], sys.argv[2], format="jsonl", memory_limit=sys.argv[3])"""
    return [sys.executable, "-c", code, str(scratch / "out"), str(scratch / "run"), MEMORY]


def run_sort(scratch: Path) -> list[str]:
    """All of the line is compared, as the key is its start: no tie is left to chance."""
    (scratch / "sort").mkdir(exist_ok=True)
    words = ["sort", "-S1G", "-T", str(scratch / "sort"), "-t", "\t", "-k1,1", "-o", str(scratch / "sorted")]
    return ["env", "LC_ALL=C", *words, str(scratch / "keyed")]


def run_datasets(scratch: Path) -> list[str]:
    return [sys.executable, __file__, "--child", str(scratch)]


def sort_dataset(scratch: Path) -> None:
    """In a process of its own: the documents and their scores through ``datasets``.  → seconds on stdout"""
    import datasets

    datasets.disable_progress_bars()
    loaded = datasets.load_dataset(
        "json", data_dir=str(scratch / "corpus"), split="train", cache_dir=str(scratch / "hf")
    )
    parts = sorted((scratch / "run" / "scores").iterdir())
    scores = np.concatenate([pq.read_table(part, columns=["perplexity"])["perplexity"].to_numpy() for part in parts])
    began = time.perf_counter()
    loaded.add_column("perplexity", scores).sort("perplexity").to_json(str(scratch / "sorted.jsonl"))
    print(f"seconds {time.perf_counter() - began:.3f}")


def run_sort_sync(scratch: Path) -> list[str]:
    return ["sh", "-c", f"{shlex.join(run_sort(scratch))} && sync {scratch / 'sorted'}"]


def run_plain(scratch: Path) -> list[str]:
    code = """import sys, curate
curate.export(sys.argv[1], sys.argv[2], format="jsonl", memory_limit=sys.argv[3], no_order=True)"""
    return [sys.executable, "-c", code, str(scratch / "plain"), str(scratch / "run"), MEMORY]


def run_cp(scratch: Path) -> list[str]:
    return ["cp", "-r", str(scratch / "corpus"), str(scratch / "copy")]


def run_cp_sync(scratch: Path) -> list[str]:
    return ["sh", "-c", f"{shlex.join(run_cp(scratch))} && sync {scratch / 'copy'}/*"]


def run_parquet(scratch: Path) -> list[str]:
    code = """import sys, curate
curate.order(sys.argv[2])
curate.export(sys.argv[1], sys.argv[2], format="parquet", memory_limit=sys.argv[3])"""
    run = scratch / "parquet" / "run"
    return [sys.executable, "-c", code, str(scratch / "parquet" / "out"), str(run), MEMORY]


def run_duckdb(scratch: Path) -> list[str]:
    code = """import sys, duckdb
duckdb.sql(f"set memory_limit='{sys.argv[2]}'; set threads=2; set temp_directory='{sys.argv[1]}/spill'")
duckdb.sql(f"copy (select * from read_parquet('{sys.argv[1]}/keyed/*.parquet') order by perplexity)"
           f" to '{sys.argv[1]}/sorted.parquet' (format parquet, compression zstd)")"""
    return [sys.executable, "-c", code, str(scratch / "parquet"), MEMORY]


def make_parquet(scratch: Path) -> None:
    """The same corpus as Parquet with its run, and the same files with the key as a column."""
    from pyarrow import json as lines

    from curate.rundir import parquet

    for path in sorted((scratch / "corpus").iterdir()):
        name = f"{path.stem}.parquet"
        (scratch / "parquet" / "corpus").mkdir(parents=True, exist_ok=True)
        table = lines.read_json(path)
        pq.write_table(table, scratch / "parquet" / "corpus" / name, compression="zstd", row_group_size=20_000)
    make_run(scratch / "parquet" / "run", scratch / "parquet" / "corpus")
    parts = parquet.list_parts(scratch / "parquet" / "run" / "scores")
    scores = np.concatenate([pq.read_table(part, columns=["perplexity"])["perplexity"].to_numpy() for part in parts])
    (scratch / "parquet" / "keyed").mkdir()
    for path in sorted((scratch / "parquet" / "corpus").iterdir()):
        table = pq.read_table(path)
        table, scores = table.append_column("perplexity", pa.array(scores[: len(table)])), scores[len(table) :]
        pq.write_table(table, scratch / "parquet" / "keyed" / path.name, compression="zstd", row_group_size=20_000)


SIDES: dict[str, Callable[[Path], list[str]]] = {
    "curate": run_curate,
    "sort": run_sort,
    "sort-sync": run_sort_sync,
    "datasets": run_datasets,
    "plain": run_plain,
    "cp": run_cp,
    "cp-sync": run_cp_sync,
    "parquet": run_parquet,
    "duckdb": run_duckdb,
}
GROUPS = {
    "To JSON lines in order": ("curate", "sort", "sort-sync", "datasets"),
    "To JSON lines in the order of the corpus": ("plain", "cp", "cp-sync"),
    "From Parquet to Parquet in order": ("parquet", "duckdb"),
}
"""Sides by what they do; the first is curate."""

MADE = {
    "curate": ("out",),
    "sort": ("sort", "sorted"),
    "sort-sync": ("sort", "sorted"),
    "datasets": ("sorted.jsonl",),
    "plain": ("plain",),
    "cp": ("copy",),
    "cp-sync": ("copy",),
    "parquet": ("parquet/out",),
    "duckdb": ("parquet/sorted.parquet", "parquet/spill"),
}


def clean(scratch: Path, side: str) -> None:
    for path in (scratch / name for name in MADE[side]):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


# ---- memory and time ------------------------------------------------------------------------------------------------


def measure(words: Sequence[str]) -> dict[str, float]:
    """One process: seconds, CPU seconds and peak resident bytes, with the load before."""
    load = os.getloadavg()[0]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    with watch_memory(process.pid) as memory:
        said, _ = process.communicate()
    seconds = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{' '.join(words)[:200]} failed with code {process.returncode}")
    told = re.search(r"^seconds ([0-9.]+)$", said, re.MULTILINE)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "seconds": float(told[1]) if told else seconds,
        "cpu_seconds": cpu,
        "peak_bytes": memory.resident,
        "load": load,
    }


def take_turns(sides: dict[str, Callable[[], list[str]]], repeats: int) -> dict[str, list[dict[str, float]]]:
    """Turns of each side, which begin with another side each time; ``datasets`` has one."""
    turns: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    names = list(sides)
    for turn in range(repeats):
        for side in names[turn % len(names) :] + names[: turn % len(names)]:
            if side != "datasets" or turn == 0:
                turns[side].append(measure(sides[side]()))
                print(f"turn {turn + 1}, {side}: {turns[side][-1]}", file=sys.stderr, flush=True)
    return turns


def check_same_order(scratch: Path) -> None:
    """Whether curate and sort agree on every document."""
    with (scratch / "sorted").open("rb") as lines:
        for path in sorted((scratch / "out" / "data").iterdir()):
            with path.open("rb") as rows:
                for row in rows:
                    if json.loads(next(lines).split(b"\t", 1)[1])["id"] != json.loads(row)["id"]:
                        raise SystemExit(f"curate and sort do not agree: {row[:80]!r}")
        if next(lines, None) is not None:
            raise SystemExit("sort has more lines than curate")


def measure_export(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    if not (scratch / "keyed").exists():
        make_corpus(scratch / "corpus", options.documents, options.bytes, options.corpus)
        make_run(scratch / "run", scratch / "corpus")
        key_lines(scratch / "corpus", scratch / "run", scratch / "keyed")
    sides = options.sides.split(",")
    if {"parquet", "duckdb"} & set(sides) and not (scratch / "parquet" / "keyed").exists():
        make_parquet(scratch)
    size = sum(path.stat().st_size for path in (scratch / "corpus").iterdir())

    def begin(side: str) -> list[str]:
        clean(scratch, side)
        return SIDES[side](scratch)

    turns: dict[str, list[dict[str, float]]] = {}
    for group in GROUPS.values():
        chosen = {side: partial(begin, side) for side in group if side in sides}
        turns |= take_turns(chosen, options.repeats) if chosen else {}
        if options.check and {"curate", "sort"} <= turns.keys() and "curate" in group:
            check_same_order(scratch)
        for side in group:
            clean(scratch, side)
    return {"documents": options.documents, "bytes": size, "turns": turns, "checked": options.check}


# ---- filter ---------------------------------------------------------------------------------------------------------

DOMAINS, PART_ROWS = 22, 100_000
QUESTIONS = {
    "the middle half within domain, zlib ratio ≥ .2": "--keep middle --rate 0.5 --within domain --min-zlib 0.2",
    "a changed threshold: perplexity ≤ 60": "--max-ppl 60",
}


def make_scores_alone(scratch: Path, rows: int) -> None:
    """A run of made-up scores with a carried domain, and a Parquet file of the columns that the others need."""
    from curate.corpus import open_corpus
    from curate.rundir import parquet
    from curate.rundir.document_columns import complete_carried
    from curate.rundir.guards import manifests
    from curate.rundir.run import compute_fingerprint, open_run

    (scratch / "corpus.jsonl").write_text('{"text":"x","domain":"domain 00"}\n')
    opened = open_corpus([str(scratch / "corpus.jsonl")])
    corpus, place = opened.fingerprint(), open_run(scratch / "run", create=True)
    made_from = {"corpus": corpus, "model": {"model": "made-up"}, "parameters": {"signals": ["zlib_ratio"]}}
    identity, chance, tokens = compute_fingerprint(made_from), np.random.default_rng(0), 0
    names = np.array([f"domain {number:02d}" for number in range(DOMAINS)])
    narrow = pa.schema([("file", pa.string()), ("row", pa.int64()), ("perplexity", pa.float64())])
    narrow = pa.schema([*narrow, ("tokens", pa.int64()), ("zlib_ratio", pa.float32()), ("domain", pa.string())])
    with pq.ParquetWriter(scratch / "narrow.parquet", narrow, compression="zstd") as writer:
        for number, first in enumerate(range(0, rows, PART_ROWS)):
            table = make_part(first, min(first + PART_ROWS, rows), chance)
            domains = pa.array(names[chance.integers(0, DOMAINS, len(table))], pa.large_string())
            mark = {"file": "corpus.jsonl", "number": number, "first_row": first, "next_row": first + len(table)}
            mark |= {"next_offset": None, "documents": len(table), "last": first + len(table) == rows}
            name = f"00000-{number:06d}.parquet"
            parquet.write_part(place.scores / name, table, {"made_from": identity, "slice": mark})
            value = pa.table({"value": domains})
            parquet.write_part(place.carried / "domain" / name, value, {"made_from": corpus, "slice": mark})
            held = [table.column(one.name) if one.name != "domain" else domains for one in narrow]
            writer.write_table(pa.table(held, narrow.names).cast(narrow))
            tokens += int(table.column("tokens").to_numpy().sum())
    counts = {"read": rows, "ok": rows, "empty": 0, "unreadable": 0, "tokens": tokens, "bytes": 4 * tokens}
    record = {"complete": True, "made_from": made_from, "fingerprint": identity, "corpus": opened.spec()}
    record |= {"counts": counts, "summary": {}, manifests.KEY: place.record_manifest("scores")}
    place.save("score", record)
    complete_carried(place, ["domain"], corpus)


def make_part(first: int, stop: int, chance: np.random.Generator) -> pa.Table:
    from curate.rundir import schemas

    rows = stop - first
    mean, tokens = chance.normal(4, 0.7, rows), np.maximum(1, chance.lognormal(5, 1, rows).astype(np.int64))
    columns = {
        "file": ["corpus.jsonl"] * rows, "row": np.arange(first, stop), "id": [f"d{row}" for row in range(first, stop)],
        "hash": chance.integers(0, 2**63, rows).astype(np.uint64), "status": ["ok"] * rows,
        "reason": pa.nulls(rows, pa.large_string()), "nats": mean * tokens, "tokens": tokens, "bytes": 4 * tokens,
        "scored_bytes": 4 * tokens, "scored_tokens": tokens, "chars": 4 * tokens,
        "windows": np.ones(rows, np.int32),
        "truncated": [False] * rows, "first_nats": mean, "perplexity": np.exp(mean),
        "bits_per_byte": mean / np.log(2) / 4, "zlib_ratio": chance.uniform(0.1, 0.9, rows).astype(np.float32),
    }  # fmt: skip
    schema = schemas.scores_schema(["zlib_ratio"])
    return pa.table([pa.array(columns[column.name], column.type) for column in schema], schema=schema)


SQL = {
    True: """create table decided as with cut as (
        select domain, quantile_disc(perplexity, [.25, .75]) as bounds
        from {path} where zlib_ratio >= .2 group by domain)
        select file, row, domain, tokens, perplexity,
               zlib_ratio >= .2 and perplexity between bounds[1] and bounds[2] as keep
        from {path} join cut using (domain)""",
    False: "create table decided as select file, row, domain, tokens, perplexity, perplexity <= 60 as keep from {path}",
}
LEDGER = """select domain, count(*), sum(tokens), median(perplexity), count(*) filter (keep),
            sum(tokens) filter (keep), median(perplexity) filter (keep) from decided group by domain order by domain"""


def filter_duckdb(scratch: Path, within: bool) -> None:
    import duckdb

    source = f"read_parquet('{scratch / 'narrow.parquet'}')"
    duckdb.sql(SQL[within].format(path=source))
    duckdb.sql(f"copy (select file, row, keep from decided) to '{scratch / 'decided.parquet'}' (compression zstd)")
    print(duckdb.sql(LEDGER))


def filter_pandas(scratch: Path, within: bool) -> None:
    import pandas

    frame = pandas.read_parquet(scratch / "narrow.parquet")
    keep = frame["perplexity"] <= 60
    if within:
        fit = frame["zlib_ratio"] >= 0.2
        rank = frame["perplexity"].where(fit).groupby(frame["domain"]).rank(pct=True)
        keep = rank.between(0.25, 0.75)
    frame = frame.assign(keep=keep)
    frame[["file", "row", "keep"]].to_parquet(scratch / "decided.parquet", compression="zstd")
    sums = {"documents": ("tokens", "size"), "tokens": ("tokens", "sum"), "median": ("perplexity", "median")}
    print(frame.groupby("domain").agg(**sums), frame[keep].groupby("domain").agg(**sums))


PEERS = {"duckdb": filter_duckdb, "pandas": filter_pandas}


def measure_filter(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    make_scores_alone(scratch, options.scores)
    found = {}
    for question, words in QUESTIONS.items():
        ours = [sys.executable, "-m", "curate", "filter", *words.split(), "--run", str(scratch / "run")]
        sides: dict[str, Callable[[], list[str]]] = {"curate": lambda ours=ours: ours}  # type: ignore[misc]
        for name in PEERS:
            child = [
                sys.executable,
                __file__,
                "--child",
                str(scratch),
                "--peer",
                name,
                *["--within"][: "within" in words],
            ]
            sides[name] = lambda child=child: child  # type: ignore[misc]
        found[question] = take_turns(sides, options.repeats)
    return {"scores": options.scores, "questions": found}


# ---- the report -----------------------------------------------------------------------------------------------------


def render(results: dict[str, Any]) -> str:
    parts = [render_filter(results["filter"])] if "filter" in results else []
    parts += [render_export(results["export"])] if "export" in results else []
    return "\n\n".join([f"{results['machine']}.", *parts]) + "\n"


def render_filter(found: dict[str, Any]) -> str:
    tables = [
        f"{question[0].upper()}{question[1:]} ({repeats(turns)}):\n\n{render_turns(turns, found['scores'])}"
        for question, turns in found["questions"].items()
    ]
    return f"### Filter\n\n{found['scores']:,} scores in parts of {PART_ROWS:,}.\n\n" + "\n\n".join(tables)


def render_export(found: dict[str, Any]) -> str:
    checked = "; curate and sort agree on every document" if found["checked"] else ""
    size = f"{found['documents']:,} documents, {found['bytes'] / 1e9:.2f} GB of JSON lines"
    head = f"### Order and export\n\n{size} ({repeats(found['turns'])}){checked}."
    tables = [
        f"{title}:\n\n{render_turns(turns, found['documents'], group[0])}"
        for title, group in GROUPS.items()
        if (turns := {side: found["turns"][side] for side in group if side in found["turns"]})
    ]
    return "\n\n".join([head, *tables])


def repeats(turns: dict[str, Any]) -> str:
    return "medians of " + ", ".join(f"{len(many)} of {side}" for side, many in turns.items())


def render_turns(turns: dict[str, Any], rows: int, ours: str = "curate") -> str:
    middle = {
        kind: {side: statistics.median(turn[kind] for turn in many) for side, many in turns.items()}
        for kind in ("seconds", "cpu_seconds", "load")
    }
    lines = [
        f"| {side} | {seconds:.1f} | {middle['cpu_seconds'][side]:.1f} | {middle['load'][side]:.1f} | "
        f"{rows / seconds:,.0f} | {max(turn['peak_bytes'] for turn in turns[side]) / 1e6:,.0f} MB | "
        f"{compare(side, middle['seconds'], ours)} | {compare(side, middle['cpu_seconds'], ours)} |"
        for side, seconds in middle["seconds"].items()
    ]
    head = "| side | seconds | CPU seconds | load before | rows/s | peak memory | curate is | by CPU |"
    return "\n".join([head, "| --- |" + 7 * " --: |", *lines])


def compare(side: str, seconds: dict[str, float], ours: str) -> str:
    """How many times as fast ours is."""
    return "" if side == ours or ours not in seconds else f"{seconds[side] / seconds[ours]:.2f} ×"


def describe_machine() -> str:
    names = ", ".join(
        f"{name} {version(name)}" for name in ("pyarrow", "numpy", "orjson", "datasets", "duckdb", "pandas")
    )
    sort = subprocess.run(["sort", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    return f"{platform.machine()}, {cores} cores; {names}; {sort}; {time.strftime('%Y-%m-%d')}; load {load:.1f} before"


def put_into_readme(text: str) -> None:
    """Replace what lies between the marks of this script in benchmarks/README.md."""
    path, first, last = HERE / "README.md", "<!-- select -->", "<!-- /select -->"
    whole = path.read_text(encoding="utf-8")
    before, _, rest = whole.partition(first)
    _, mark, behind = rest.partition(last)
    if not mark:
        raise SystemExit(f"{path} has no {first} … {last}")
    path.write_text(f"{before}{first}\n\n{text}\n{last}{behind}", encoding="utf-8")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--documents", type=int, default=1_000_000, help="of the made-up corpus (1,000,000)")
    add("--bytes", type=int, default=600, help="of a document, about (600)")
    add("--corpus", type=Path, default=SAMPLE, help="JSON lines whose texts are cut up")
    add("--scores", type=int, default=10_000_000, help="rows of the made-up scores to filter (10,000,000)")
    add("--only", choices=tuple(PARTS), help="one part alone")
    add("--made", type=Path, help="folder in which the corpus of export is made once, kept, and found again")
    add("--sides", default=",".join(SIDES), help=",".join(SIDES))
    add("--repeats", type=int, default=3, help="turns of each side; datasets has one (3)")
    add("--check", action="store_true", help="compare the order of curate and sort, document by document")
    add("--scratch", type=Path, help="folder for everything that is made (the system's)")
    add("--out", type=Path, default=HERE / "results", help="folder for select.json and select.md (benchmarks/results)")
    add("--readme", action="store_true", help="put the table into benchmarks/README.md, too")
    add("--child", type=Path, help=argparse.SUPPRESS)
    add("--peer", choices=tuple(PEERS), help=argparse.SUPPRESS)
    add("--within", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = set(options.sides.split(",")) - set(SIDES)
    if unknown:
        parser.error(f"--sides: {', '.join(sorted(unknown))} is none of {', '.join(SIDES)}")
    return options


PARTS: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    "filter": measure_filter,
    "export": measure_export,
}


def main() -> None:
    options = read_options()
    if options.child:
        PEERS[options.peer](options.child, options.within) if options.peer else sort_dataset(options.child)
        return
    results: dict[str, Any] = {"machine": describe_machine()}
    for name, part in PARTS.items():
        if options.only not in (None, name):
            continue
        if name == "export" and options.made:
            options.made.mkdir(parents=True, exist_ok=True)
            results[name] = part(options, options.made)
        else:
            with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
                results[name] = part(options, Path(scratch))
    print(render(results))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "select.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (options.out / "select.md").write_text(render(results), encoding="utf-8")
    if options.readme:
        put_into_readme(render(results))


if __name__ == "__main__":
    main()
