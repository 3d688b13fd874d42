"""What a folder of small files costs beside one file of the same documents: time, disk, parts, and places of a model.

    python benchmarks/small_files.py                         # 4,000 documents, two minutes
    python benchmarks/small_files.py --documents 20000
    python benchmarks/small_files.py --model builtin --documents 400      # forward passes and places, too

Both sides have the same texts, cut from the sample corpus, and run the same commands, each in a process of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

SAMPLE = Path(__file__).parent.parent / "recipes" / "sample"
SIDES = ("one file", "small files")


def write_corpora(folder: Path, num_documents: int, length: int) -> dict[str, Path]:
    """Write the documents as JSON lines of one file and as a text file each, and return both folders by side."""
    lines = (SAMPLE / "documents.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    folders = {side: folder / side.replace(" ", "-") for side in SIDES}
    for each in folders.values():
        each.mkdir(parents=True)
    with open(folders["one file"] / "all.jsonl", "w", encoding="utf-8") as file:
        for number in range(num_documents):
            begin = number * 7919 % 1500
            text = f"{texts[number % len(texts)][begin:][:length]} Document {number} of {num_documents}."
            file.write(json.dumps({"text": text}) + "\n")
            (folders["small files"] / f"d{number:06d}.txt").write_text(text, encoding="utf-8")
    return folders


def list_commands(corpus: Path, run: Path, out: Path, model: str) -> dict[str, list[str]]:
    """Return the commands that are timed, by verb, in order."""
    evals = str(SAMPLE.parent / "sample-evals")
    of_run = ["--run", str(run)]
    return {
        "score": ["score", str(corpus), "--model", model, *of_run],
        "score again": ["score", str(corpus), "--model", model, *of_run],
        "decontaminate": ["decontaminate", evals, *of_run],
        "dedup": ["dedup", *of_run],
        "filter": ["filter", "--min-zlib", "0.01", *of_run],
        "bucket": ["bucket", "--by", "zlib_ratio", *of_run],
        "export": ["export", str(out), *of_run],
    }


def time_command(arguments: Sequence[str]) -> tuple[float, float]:
    """Run a command and return its seconds by the clock and of the processor."""
    began, before = time.monotonic(), os.times()
    done = subprocess.run([sys.executable, "-m", "curate", *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"curate {' '.join(arguments)}\n{done.stderr}")
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - began, spent


def measure_disk(folder: Path) -> tuple[int, int]:
    """Return the bytes on the disk below a folder, in blocks as allocated, and the number of files."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sum(path.stat().st_blocks * 512 for path in files), len(files)


def count_places(corpus: Path, run: Path, model: str) -> dict[str, Any]:
    """Score in this process and return the forward passes, the positions computed, and those that were scored."""
    import curate
    from curate.reference import causal

    counted, real = {"passes": 0, "places": 0, "scored": 0}, causal.CausalReference.count

    def count(self: Any, pack: Any) -> None:
        counted["passes"] += 1
        counted["places"] += pack.num_positions
        counted["scored"] += pack.tokens
        real(self, pack)

    causal.CausalReference.count = count  # type: ignore[method-assign]
    curate.score([str(corpus)], run=str(run), model=model)
    return counted


def print_table(rows: dict[str, dict[str, float]], unit: str) -> None:
    """Print a line for each row with both sides and their ratio."""
    print(f"| {unit} | {SIDES[0]} | {SIDES[1]} | ratio |\n|---|--:|--:|--:|")
    for name, sides in rows.items():
        one, many = (sides[side] for side in SIDES)
        print(f"| {name} | {one:,.2f} | {many:,.2f} | {many / one if one else float('nan'):.2f} |")
    print()


def main() -> None:
    """Measure both sides and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=4000)
    parser.add_argument("--length", type=int, default=1500, help="characters of a document, at most")
    parser.add_argument("--model", default="none", help="none, or a model whose forward passes are counted")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        corpora = write_corpora(Path(name, "corpora"), options.documents, options.length)
        if options.model != "none":
            counted = {side: count_places(corpora[side], Path(name, f"run {side}"), options.model) for side in SIDES}
            print_table({key: {side: counted[side][key] for side in SIDES} for key in counted[SIDES[0]]}, "places")
            return
        wall: dict[str, dict[str, float]] = {}
        spent: dict[str, dict[str, float]] = {}
        disk: dict[str, dict[str, float]] = {}
        for side, corpus in corpora.items():
            run = Path(name, f"run {side}")
            commands = list_commands(corpus, run, Path(name, f"out {side}"), options.model)
            for verb, arguments in commands.items():
                wall.setdefault(verb, {})[side], spent.setdefault(verb, {})[side] = time_command(arguments)
            num_bytes, num_files = measure_disk(run)
            disk.setdefault("kB on the disk", {})[side] = num_bytes / 1000
            disk.setdefault("files of the run", {})[side] = num_files
        print_table(wall, "seconds")
        print_table(spent, "seconds of the processor")
        print_table(disk, "run")


if __name__ == "__main__":
    main()
