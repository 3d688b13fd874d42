"""What an engine costs: the driver's time for a unit of work, and scoring on Ray beside processes of `score --part`.

    python benchmarks/ray_engine.py --scheduling                     # 10,000 units that do nothing, 1, 8, 64 workers
    python benchmarks/ray_engine.py --scoring CORPUS [--model NAME]  # two workers of a core beside two processes
    python benchmarks/ray_engine.py --scheduling --scoring CORPUS --readme

Units that do nothing are files of one document that workers open and read, handed out as verbs do it: the driver's
processor time a unit is what the scheduler costs. All workers are on this machine, so that the wall time is of these
cores too, which run the workers.

Scoring: both sides take turns, with one thread a worker; what is compared is the time in which documents are scored,
from the first to the last, without starting Python, Ray or the model, which is in the seconds beside it.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from idle_work import CountNothing, name_process
from report import put_into

from curate.corpus import Corpus, open_corpus
from curate.corpus.units import list_units
from curate.runtime.work import threads
from curate.runtime.work.engines import EngineOptions, open_pool
from curate.stages.pool_executor import PoolExecutor
from curate.stages.slice_runner import SliceJob

HERE = Path(__file__).parent
MARKS = ("<!-- ray_engine -->", "<!-- /ray_engine -->")
WORKERS = (1, 8, 64)


def measure_scheduling(corpus: Corpus, folder: Path, workers: int) -> dict[str, float]:
    """Return the seconds of starting the workers, and per unit the wall time and the driver's processor time (ms)."""
    began, units = time.monotonic(), list_units(corpus.sources, corpus.slice_bytes)
    with open_pool(EngineOptions(workers=workers)) as pool:
        assert pool is not None
        kept, ready = pool.keep(time.sleep), set[int]()
        while len(ready) < workers:  # every worker has had an item
            ready |= {each.result() for each in [pool.submit(name_process, kept, 0.1) for _ in range(2 * workers)]}
        started = time.monotonic() - began
        before, spent = time.monotonic(), time.process_time()
        job = SliceJob(corpus, CountNothing(folder), {})
        documents = sum(PoolExecutor(pool).map(job, units, lambda **_: None))
        wall, spent = time.monotonic() - before, time.process_time() - spent
        assert documents == len(units)
    return {
        "workers": workers, "units": len(units), "start": started, "wall_ms": 1000 * wall / len(units),
        "driver_ms": 1000 * spent / len(units),
    }  # fmt: skip


def measure_schedulings(units: int, counts: list[int]) -> list[dict[str, float]]:
    """Return what ``measure_scheduling`` finds for each number of workers, over so many files of one document."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(units if counts else 0):
            (Path(folder) / f"{number:06d}.jsonl").write_text('{"text": "one document"}\n')
        corpus = replace(open_corpus([folder]), slice_bytes=1) if counts else None
        return [measure_scheduling(corpus, Path(folder), count) for count in counts if corpus is not None]


def run_json(words: list[str]) -> tuple[dict[str, Any], float]:
    """Return what a command of curate prints as JSON, and its seconds."""
    began = time.monotonic()
    process = start(words)
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"curate {' '.join(words)} failed")
    return json.loads(out), time.monotonic() - began


def start(words: list[str]) -> "subprocess.Popen[str]":
    """Start a command of curate with one thread a process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "curate", *words, "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)


def score_in_processes(words: list[str], run: Path, count: int) -> tuple[float, float]:
    """Return the seconds of scoring of the process that took longest, and of all with the closing command."""
    began = time.monotonic()
    processes = [start([*words, "--run", str(run), "--part", f"{index}/{count}"]) for index in range(count)]
    seconds = [json.loads(process.communicate()[0])["seconds"] for process in processes]
    run_json([*words, "--run", str(run)])
    return max(seconds), time.monotonic() - began


def measure_scoring(corpus: str, model: str, count: int, turns: int, truncate: int | None) -> dict[str, Any]:
    """Return the seconds of both sides, and the ratio: above 1 where Ray's workers take less time."""
    words = ["score", corpus, "--model", model, "--signals", "none", "--carry", "none"]
    words += [] if truncate is None else ["--truncate", str(truncate)]
    found: dict[str, list[float]] = {"ray": [], "ray, all": [], "parts": [], "parts, all": []}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(turns):
            rays, parts = Path(folder) / f"ray{turn}", Path(folder) / f"parts{turn}"
            summary, whole = run_json([*words, "--run", str(rays), "--engine", "ray", "--workers", str(count)])
            found["ray"].append(summary["seconds"])
            found["ray, all"].append(whole)
            scoring, whole = score_in_processes(words, parts, count)
            found["parts"].append(scoring)
            found["parts, all"].append(whole)
            same = subprocess.run(
                ["diff", "-r", "-q", rays / "scores", parts / "scores"], capture_output=True, check=False
            )
            if same.returncode:
                raise SystemExit("the two sides wrote different bytes")
            shutil.rmtree(rays), shutil.rmtree(parts)
    ratios = [other / ours for ours, other in zip(found["ray"], found["parts"], strict=True)]
    return {
        "model": model,
        "workers": count,
        "tokens": summary["scored_tokens"],
        "ratio": statistics.median(ratios),
        **found,
    }


def render(scheduling: list[dict[str, float]], scoring: dict[str, Any] | None) -> str:
    """Return the tables."""
    lines = [f"{platform.machine()}, {threads.count_cores()} cores, load {os.getloadavg()[0]:.1f} at the end.", ""]
    if scheduling:
        lines += [
            "| workers | units | s until all have worked | ms a unit | ms of the driver a unit |",
            "|--:|--:|--:|--:|--:|",
        ]
        for row in scheduling:
            cells = f"{row['workers']} | {row['units']:,} | {row['start']:.1f} | {row['wall_ms']:.2f}"
            lines.append(f"| {cells} | {row['driver_ms']:.2f} |")
        lines.append("")
    if scoring:
        head = f"{scoring['workers']} workers of one core, {scoring['model']}, {scoring['tokens']:,} tokens"
        lines += [f"| {head} | s of scoring | s in all |", "|---|--:|--:|"]
        for name, label in (("ray", "--engine ray"), ("parts", "processes of --part, and the closing command")):
            times, whole = (", ".join(f"{value:.1f}" for value in scoring[key]) for key in (name, f"{name}, all"))
            lines.append(f"| {label} | {times} | {whole} |")
        lines += ["", f"Ray scores at {scoring['ratio']:.2f} × the rate of the processes (median of the turns)."]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheduling", action="store_true", help="units that do nothing")
    parser.add_argument("--units", type=int, default=10_000)
    parser.add_argument("--workers", default=",".join(map(str, WORKERS)), help="of --scheduling, with commas")
    parser.add_argument("--scoring", metavar="CORPUS", help="a corpus of several files")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--truncate", type=int, help="tokens of a document that are scored, its first")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--readme", action="store_true", help="put the tables into benchmarks/README.md too")
    options = parser.parse_args()
    counts = [int(count) for count in options.workers.split(",")] if options.scheduling else []
    scheduling = measure_schedulings(options.units, counts)
    scoring = (
        measure_scoring(options.scoring, options.model, 2, options.turns, options.truncate) if options.scoring else None
    )
    text = render(scheduling, scoring)
    print(text)
    if options.readme:
        put_into(HERE / "README.md", *MARKS, text)


if __name__ == "__main__":
    main()
