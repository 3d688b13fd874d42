"""What the reference model in the box is worth: held-out text per domain beside two baselines, and each kind of junk.

    python benchmarks/builtin.py --held-out FOLDER --dirty FOLDER [--baselines FILE] [--card FILE]

`--held-out` holds a file of documents for each domain, `--dirty` one for each kind of junk and `clean_control`, both as
curate reads them. Of every document the first 1,024 tokens are read, in the dtype that curate takes here unless
`--dtype fp32`, and every side is measured on the bytes that they spell.

`--baselines` is what baselines.py wrote: bits per byte of xz -9 and of a 5-gram model after the same training text.

The area under the ROC curve (AUC) is the probability that a document of the junk has the higher number than one of the
clean control, ties counted half: 1 when all junk lies above, 0 when all lies below, .5 when the number says nothing.
The line of the control itself compares its even documents with its odd ones: how far from .5 chance alone goes.

Prints Markdown; `--card` also writes it between the marks of a model card.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

import curate
from curate.reference import likelihood

FIRST_TOKENS = 1024
CONTROL = "clean_control"
MARKS = ("<!-- builtin.py writes from here -->", "<!-- to here -->")
Floats = NDArray[np.float64]


def score_files(folder: str, model: str, dtype: str, run: Path) -> pa.Table:
    """The score table of every file of a folder, with the file's bare name as ``kind``."""
    curate.score([folder], model=model, run=str(run), truncate=FIRST_TOKENS, dtype=dtype)
    table = pa.concat_tables(pq.read_table(part) for part in sorted((run / "scores").glob("*.parquet")))
    kinds = [Path(name).name.split(".")[0] for name in table["file"].to_pylist()]
    return table.append_column("kind", pa.array(kinds))


def take_kinds(table: pa.Table) -> dict[str, pa.Table]:
    names = sorted(set(table["kind"].to_pylist()))
    return {name: table.filter(pc.equal(table["kind"], name)) for name in names}


def area_above(junk: Floats, clean: Floats) -> float:
    """The probability that a number of the junk lies above one of the clean documents; ties count half."""
    ordered = np.sort(clean)
    below, upto = np.searchsorted(ordered, junk, "left"), np.searchsorted(ordered, junk, "right")
    return float((below + upto).sum() / (2 * len(junk) * len(clean))) if len(junk) and len(clean) else float("nan")


def name_direction(perplexity: float, bits: float) -> str:
    """Where junk lies beside clean text, in words."""
    if np.isnan(perplexity):
        return "not scored"
    words = {name: name_side(area) for name, area in (("perplexity", perplexity), ("bits per byte", bits))}
    if len(set(words.values())) == 1:
        return words["perplexity"]
    return ", ".join(f"{side} by {name}" for name, side in words.items())


def name_side(area: float) -> str:
    bounds = ((0.1, "**low**"), (0.3, "leans low"), (0.7, "like clean text"), (0.9, "leans high"))
    return next((name for limit, name in bounds if area < limit), "high")


def tabulate_domains(table: pa.Table, sides: Mapping[str, Mapping[str, float]]) -> str:
    """The table of the domains: bits per byte of the builtin and of each side."""
    rows, columns = [], list(sides)
    for kind, part in take_kinds(table).items():
        size = pc.sum(part["scored_bytes"]).as_py()
        ours = float(likelihood.bits_per_byte(pc.sum(part["nats"]).as_py(), size))
        rows.append((kind, len(part), size / 1e6, ours, *(sides[name][kind] for name in columns)))
    lines = [
        f"| domain | documents | MB | builtin |{''.join(f' {name} |' for name in columns)}",
        "|---|---:|---:|---:|" + "---:|" * len(columns),
        *(
            f"| {kind} | {count:,} | {size:.2f} | {''.join(f'{value:.3f} | ' for value in values)}".rstrip()
            for kind, count, size, *values in rows
        ),
    ]
    means = [float(np.mean([row[place] for row in rows])) for place in range(3, 4 + len(columns))]
    documents, size = sum(row[1] for row in rows), sum(row[2] for row in rows)
    bold = "".join(f"**{value:.3f}** | " for value in means).rstrip()
    return "\n".join([*lines, f"| **mean of the {len(rows)} domains** | {documents:,} | {size:.2f} | {bold}"])


def tabulate_junk(table: pa.Table) -> str:
    """The table of the kinds of junk, from what lies lowest to what lies highest."""
    kinds = take_kinds(table)
    clean = kinds.pop(CONTROL)
    rows = []
    for kind, part in kinds.items():
        areas = [area_above(scored(part, name), scored(clean, name)) for name in ("perplexity", "bits_per_byte")]
        rows.append((kind, part, *areas))
    rows.sort(key=lambda row: (np.isnan(row[2]), row[2]))
    halves = tuple(clean.take(pa.array(range(at, len(clean), 2))) for at in (0, 1))
    chance = [area_above(scored(halves[0], name), scored(halves[1], name)) for name in ("perplexity", "bits_per_byte")]
    rows.append((f"*{CONTROL}*", clean, *chance))
    lines = [
        "| kind | documents | not scored | perplexity | bits per byte | AUC perplexity | AUC bits per byte | reads |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for kind, part, perplexity, bits in rows:
        values = ((scored(part, "perplexity"), 0), (scored(part, "bits_per_byte"), 2))
        medians = [f"{np.median(each):,.{digits}f}" if len(each) else "–" for each, digits in values]
        areas = [f"{area:.3f}" if not np.isnan(area) else "–" for area in (perplexity, bits)]
        reads = "halves of it" if part is clean else name_direction(perplexity, bits)
        left = len(part) - len(values[0][0])
        lines.append(f"| {kind} | {len(part):,} | {left:,} | {' | '.join([*medians, *areas])} | {reads} |")
    return "\n".join(lines)


def scored(table: pa.Table, name: str) -> Floats:
    values = table.filter(pc.equal(table["status"], "ok"))[name].to_numpy()
    return values[~np.isnan(values)]


def write_between(path: Path, text: str) -> None:
    """Put the text between the marks of a file."""
    before, rest = path.read_text(encoding="utf-8").split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    path.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", required=True)
    parser.add_argument("--dirty", required=True)
    parser.add_argument("--baselines", help="what baselines.py wrote")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--card", help="a model card with the marks")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        held_out = score_files(options.held_out, options.model, options.dtype, Path(folder) / "held-out")
        dirty = score_files(options.dirty, options.model, options.dtype, Path(folder) / "dirty")
    sides = json.loads(Path(options.baselines).read_text()) if options.baselines else {}
    text = f"{tabulate_domains(held_out, sides)}\n\n{tabulate_junk(dirty)}"
    print(text)
    if options.card:
        write_between(Path(options.card), text)


if __name__ == "__main__":
    main()
