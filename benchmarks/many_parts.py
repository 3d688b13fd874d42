"""What a part of a table costs a verb that is not about its rows: status, filter, and verbs with nothing left to do.

    python benchmarks/many_parts.py                                # 1,000 and 5,000 parts, some ten minutes
    python benchmarks/many_parts.py --before ../curate-of-before    # the same commands by another checkout beside it
    python benchmarks/many_parts.py --parts 500,2000 --turns 1

A part has some three short documents, so that nearly all of the time is that of opening, comparing and closing parts.
The slope between the two sizes, times 47,000, is what parts alone add where a billion documents are in slices of 64 MB.
Each side has a run of its own. Sides take turns; the cheapest turn counts.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from process_tree import measure_command

HERE = Path(__file__).parent
ROWS_OF_PART, ROW_BYTES = 3, 150
PARTS_OF_A_BILLION = 47_000
EVALS = HERE.parent / "recipes" / "sample-evals"


def write_corpus(folder: Path, num_parts: int) -> None:
    """Write two files of rows of one length, ``ROWS_OF_PART`` of them a slice."""
    folder.mkdir(parents=True)
    for file in range(2):
        with open(folder / f"part-{file}.jsonl", "w", encoding="utf-8") as out:
            for number in range(num_parts * ROWS_OF_PART // 2):
                text = f"Document {number:08d} of file {file} has a number that no other has: {number * 7919:012d}."
                row = json.dumps({"id": f"{file}-{number:08d}", "text": text, "domain": f"d{number % 5}"})
                out.write(row[:-1].ljust(ROW_BYTES - 2) + "}\n")


def list_commands(corpus: Path, run: Path) -> dict[str, list[str]]:
    """Return the commands that are measured, by what they are called in the table."""
    of_run = ["--run", str(run)]
    return {
        "status": ["status", *of_run],
        "filter": ["filter", "--min-zlib", "0.01", *of_run],
        "score, nothing to do": ["score", str(corpus), "--model", "none", *of_run],
        "decontaminate, nothing to do": ["decontaminate", str(EVALS), *of_run],
        "export": ["export", f"{run}-out", "--format", "jsonl", "--overwrite", *of_run],
    }


def measure_side(words: Sequence[str], tree: Path) -> float:
    """Return the CPU seconds of a command by the code of a checkout."""
    env = {**os.environ, "PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1"}  # not the code in the working directory
    env |= {"PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    return measure_command([sys.executable, "-m", "curate", *words], env, allowed=(0, 3)).cpu_seconds


def measure_size(
    folder: Path, num_parts: int, sides: Mapping[str, Path], turns: int
) -> tuple[int, dict[str, dict[str, float]]]:
    """Return how many parts were made, about ``num_parts``, and CPU seconds by command and side."""
    corpus, made = folder / "corpus", folder / "run"
    write_corpus(corpus, num_parts)
    slice_bytes = ["--slice-bytes", str(ROWS_OF_PART * ROW_BYTES)]
    measure_side(["score", str(corpus), "--model", "none", *slice_bytes, "--run", str(made)], HERE.parent)
    measure_side(["decontaminate", str(EVALS), "--run", str(made)], HERE.parent)
    found = len(list((made / "scores").iterdir()))
    runs = {side: folder / f"run-{number}" for number, side in enumerate(sides)}
    spent: dict[str, dict[str, float]] = {}
    for side, run in runs.items():
        shutil.copytree(made, run)
        for name, words in list_commands(corpus, run).items():  # the manifests become those of the side
            if name.endswith("nothing to do"):
                measure_side(words, sides[side])
    for turn in range(turns):
        for side, run in runs.items():
            for name, words in list_commands(corpus, run).items():
                seconds = measure_side(words, sides[side])
                least = spent.setdefault(name, {}).get(side, seconds)
                spent[name][side] = min(least, seconds)
                load = os.getloadavg()[0]
                print(
                    f"{found:,} parts, turn {turn}, {side}: {name} {seconds:.2f} s, load {load:.1f}",
                    file=sys.stderr,
                )
    shutil.rmtree(folder)
    return found, spent


def render(size_to_spent: Mapping[int, Mapping[str, Mapping[str, float]]], sides: Sequence[str]) -> str:
    """Return the table in Markdown: CPU seconds at the largest size, and the slope between smallest and largest."""
    low, high = min(size_to_spent), max(size_to_spent)
    cells = ["CPU s", "ms a part", f"s for {PARTS_OF_A_BILLION:,}"]
    head = [f"{high:,} parts", *(f"{side}: {cell}" for side in sides for cell in cells)]
    lines = ["| " + " | ".join(head) + " |", "|---|" + (len(head) - 1) * "--:|"]
    for name, of_side in size_to_spent[high].items():
        row = [name]
        for side in sides:
            slope = (of_side[side] - size_to_spent[low][name][side]) / (high - low)
            row += [f"{of_side[side]:.1f}", f"{1e3 * slope:.2f}", f"{slope * PARTS_OF_A_BILLION:.0f}"]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="1000,5000", help="the two sizes, with a comma (1000,5000)")
    parser.add_argument("--before", type=Path, help="another checkout, measured beside this one")
    parser.add_argument("--turns", type=int, default=2)
    options = parser.parse_args()
    sides = {} if options.before is None else {"before": options.before.resolve()}
    sides["now"] = HERE.parent
    sizes = sorted(int(size) for size in options.parts.split(","))
    with tempfile.TemporaryDirectory() as scratch:
        spent = dict(measure_size(Path(scratch, str(size)), size, sides, options.turns) for size in sizes)
    print(render(spent, list(sides)))


if __name__ == "__main__":
    main()
