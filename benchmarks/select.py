"""Order a corpus and export it: ours beside ``sort`` and ``datasets``, on the same files.

    python benchmarks/select.py                          # 1 M documents, some minutes and 5 GB of disk
    python benchmarks/select.py --documents 5_000_000    # the size of the goal: 3 GB of text, 18 GB of disk
    python benchmarks/select.py --only export --sides curate,sort --readme

One made-up corpus of JSON lines (pieces of the sample corpus, log-normal lengths), one made-up score a document, no
model. Every side writes all documents as JSON lines in ascending order of the score, each in processes of its own whose
resident memory is watched, children included; the sides take turns.

    curate     ``curate.export(OUT, run, format="jsonl", memory_limit="1GB")`` of a run with an order table: reads the
               corpus, checks the hash of every text, adds its eleven columns, and writes shards, checksums, card,
               manifest and order.parquet, flushed to the disk
    sort       ``LC_ALL=C sort -S1G`` (GNU coreutils, as many threads as cores) of the same lines by the same key, which
               stands before each line with a tab, zero-padded; nothing is checked, added, cut off or flushed
    datasets   ``load_dataset("json")`` (not timed), then timed: a column with the scores, ``.sort``, ``.to_json``

"""

import sys

sys.path.pop(0)  # The folder of this file, whose name is that of a module of Python's own.

import argparse
import json
import os
import platform
import random
import re
import resource
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

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
    """The scores that ``curate score`` would leave, with made-up numbers, and an order table by perplexity."""
    from dataclasses import asdict

    from curate import runs, tables
    from curate.corpus import open_corpus

    opened = open_corpus([str(corpus)])
    made_from = {
        "corpus": opened.fingerprint(),
        "model": {"model": "made-up"},
        "parameters": {"signals": ["zlib_ratio"]},
    }
    identity, place, chance = runs.fingerprint(made_from), runs.open_run(run, create=True), np.random.default_rng(0)
    counts = dict.fromkeys(("read", "ok", "empty", "unreadable", "tokens", "bytes"), 0)
    index = {source.name: number for number, source in enumerate(opened.sources)}
    for documents in opened.slices():
        table = make_scores(documents, chance)
        name = f"{index[documents.mark.file]:05d}-{documents.mark.number:06d}.parquet"
        tables.write_part(place.scores / name, table, {"made_from": identity, "slice": asdict(documents.mark)})
        counts["read"] += len(table)
        counts["ok"] += len(table)
        for column in ("tokens", "bytes"):
            counts[column] += int(table.column(column).to_numpy().sum())
    record = {"complete": True, "made_from": made_from, "fingerprint": identity, "corpus": opened.spec()}
    place.save("score", {**record, "counts": counts, "summary": {}})
    make_order(run)


def make_scores(documents: Any, chance: np.random.Generator) -> pa.Table:
    import xxhash

    from curate import tables

    encoded = [text.encode() for text in documents.texts]
    octets, rows = np.array(list(map(len, encoded))), len(encoded)
    perplexity = np.exp(chance.normal(3.6, 0.8, rows))
    tokens = octets // 4 + 1
    nats = np.log(perplexity) * tokens
    columns = {
        "file": [documents.mark.file] * rows, "row": documents.rows, "id": documents.ids,
        "hash": np.array(list(map(xxhash.xxh3_64_intdigest, encoded)), np.uint64), "status": ["ok"] * rows,
        "reason": pa.nulls(rows, pa.large_string()), "nats": nats, "tokens": tokens, "bytes": octets,
        "scored_bytes": octets, "chars": list(map(len, documents.texts)), "windows": np.ones(rows, np.int32),
        "truncated": [False] * rows, "first_nats": chance.normal(7, 1, rows), "perplexity": perplexity,
        "bits_per_byte": nats / np.log(2) / octets, "zlib_ratio": chance.random(rows, np.float32),
    }  # fmt: skip
    schema = tables.scores_schema(["zlib_ratio"])
    return pa.table([pa.array(columns[column.name], column.type) for column in schema], schema=schema)


def make_order(run: Path) -> None:
    """The table that ``curate order --by ppl`` leaves; made here, since only the export is timed."""
    from curate import placebook, rejections, runs, tables

    place = runs.open_run(run)
    names = ["file", "row", "perplexity"]
    keys = pa.concat_tables(pq.read_table(part, columns=names) for part in tables.parts(place.scores))
    positions = np.empty(len(keys), np.int64)
    positions[np.argsort(keys.column("perplexity").to_numpy(), kind="stable")] = np.arange(len(keys))
    parameters = {"by": "perplexity", "direction": "ascending", "schedule": "sort"}
    found = rejections.open_rejections(place)
    note = {"made_from": placebook.sources_of(place, found), "parameters": parameters}
    note["fingerprint"] = runs.fingerprint(note)
    table = keys.select(["file", "row"]).append_column("position", pa.array(positions))
    placebook.write_placements(place.order, tables.ORDER, [table], note)
    place.save("order", {**note, "counts": {"read": len(keys), "kept": len(keys), "unmeasured": 0}})


def key_lines(corpus: Path, run: Path, out: Path) -> None:
    """The lines of the corpus, each with its score and a tab before it; zero-padded, so that bytes sort as numbers."""
    from curate import tables

    parts = tables.parts(run / "scores")
    scores = np.concatenate([pq.read_table(part, columns=["perplexity"])["perplexity"].to_numpy() for part in parts])
    keys = iter(scores)
    with out.open("wb") as sink:
        for path in sorted(corpus.iterdir()):
            with path.open("rb") as lines:
                sink.writelines(b"%023.12f\t%b" % (next(keys), line) for line in lines)


# ---- the sides ------------------------------------------------------------------------------------------------------


def run_curate(scratch: Path) -> list[str]:
    code = "import sys, curate; curate.export(sys.argv[1], sys.argv[2], format='jsonl', memory_limit=sys.argv[3])"
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


SIDES: dict[str, Callable[[Path], list[str]]] = {"curate": run_curate, "sort": run_sort, "datasets": run_datasets}


def clean(scratch: Path) -> None:
    for name in ("out", "sort", "sorted", "sorted.jsonl"):
        path = scratch / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


# ---- memory and time ------------------------------------------------------------------------------------------------


@contextmanager
def watched(process: "subprocess.Popen[str]") -> Iterator[list[int]]:
    """The resident bytes of a process and all below it, four times a second; the most is the last element's."""
    seen, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.25):
            seen[0] = max(seen[0], sum(map(resident, family(process.pid))))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def family(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        below = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(one for child in below for one in family(child))]


def resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


def measure(side: str, scratch: Path) -> dict[str, float]:
    """One turn of one side: seconds and peak resident bytes."""
    clean(scratch)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(SIDES[side](scratch), stdout=subprocess.PIPE, text=True)
    with watched(process) as seen:
        said, _ = process.communicate()
    seconds = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{side} failed with code {process.returncode}")
    told = re.search(r"^seconds ([0-9.]+)$", said, re.MULTILINE)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": float(told[1]) if told else seconds, "cpu_seconds": cpu, "peak_bytes": seen[0]}


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
    make_corpus(scratch / "corpus", options.documents, options.bytes, options.corpus)
    make_run(scratch / "run", scratch / "corpus")
    key_lines(scratch / "corpus", scratch / "run", scratch / "keyed")
    size = sum(path.stat().st_size for path in (scratch / "corpus").iterdir())
    sides = options.sides.split(",")
    turns: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for turn in range(options.repeats):
        for side in sides[turn % len(sides) :] + sides[: turn % len(sides)]:
            if side != "datasets" or turn == 0:
                turns[side].append(measure(side, scratch))
                print(f"turn {turn + 1}, {side}: {turns[side][-1]}", file=sys.stderr, flush=True)
    if options.check:
        for side in ("curate", "sort"):
            process = subprocess.run(SIDES[side](scratch), check=False) if not made(side, scratch) else None
            if process is not None and process.returncode:
                raise SystemExit(f"{side} failed")
        check_same_order(scratch)
    return {"documents": options.documents, "bytes": size, "turns": turns, "checked": options.check}


def made(side: str, scratch: Path) -> bool:
    return (scratch / ("out" if side == "curate" else "sorted")).exists()


# ---- the report -----------------------------------------------------------------------------------------------------


def render(results: dict[str, Any]) -> str:
    parts = [render_export(results["export"])] if "export" in results else []
    return "\n\n".join([f"{results['machine']}.", *parts]) + "\n"


def render_export(found: dict[str, Any]) -> str:
    seconds = {side: statistics.median(turn["seconds"] for turn in turns) for side, turns in found["turns"].items()}
    cpu = {side: statistics.median(turn["cpu_seconds"] for turn in turns) for side, turns in found["turns"].items()}
    rows = [
        f"| {side} | {seconds[side]:.1f} | {cpu[side]:.1f} | {found['documents'] / seconds[side]:,.0f} | "
        f"{found['bytes'] / seconds[side] / 1e6:,.0f} | {max(turn['peak_bytes'] for turn in turns) / 1e6:,.0f} MB | "
        f"{compare(side, seconds)} |"
        for side, turns in found["turns"].items()
    ]
    many = {side: len(turns) for side, turns in found["turns"].items()}
    checked = "; curate and sort agree on every document" if found["checked"] else ""
    head = f"{found['documents']:,} documents, {found['bytes'] / 1e9:.2f} GB of JSON lines; medians of turns ({many})"
    columns = "| side | seconds | CPU seconds | documents/s | MB/s | peak memory | curate is |\n| --- |" + 6 * " --: |"
    return f"### Order and export\n\n{head.replace('{', '').replace('}', '')}{checked}.\n\n{columns}\n" + "\n".join(
        rows
    )


def compare(side: str, seconds: dict[str, float]) -> str:
    """How many times as fast ours is."""
    return "" if side == "curate" or "curate" not in seconds else f"{seconds[side] / seconds['curate']:.2f} ×"


def describe_machine() -> str:
    names = ", ".join(f"{name} {version(name)}" for name in ("pyarrow", "numpy", "orjson", "datasets"))
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
    add("--only", choices=("export",), help="one part alone")
    add("--sides", default="curate,sort,datasets", help="curate,sort,datasets")
    add("--repeats", type=int, default=3, help="turns of each side; datasets has one (3)")
    add("--check", action="store_true", help="compare the order of curate and sort, document by document")
    add("--scratch", type=Path, help="folder for everything that is made (the system's)")
    add("--out", type=Path, default=HERE / "results", help="folder for select.json and select.md (benchmarks/results)")
    add("--readme", action="store_true", help="put the table into benchmarks/README.md, too")
    add("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = set(options.sides.split(",")) - set(SIDES)
    if unknown:
        parser.error(f"--sides: {', '.join(sorted(unknown))} is none of {', '.join(SIDES)}")
    return options


PARTS: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {"export": measure_export}


def main() -> None:
    options = read_options()
    if options.child:
        sort_dataset(options.child)
        return
    results: dict[str, Any] = {"machine": describe_machine()}
    for name, part in PARTS.items():
        if options.only in (None, name):
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
