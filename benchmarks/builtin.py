"""What the reference model in the box is worth: held-out text per domain, junk, other languages, and a larger model.

    python benchmarks/builtin.py domains --held-out FOLDER --dirty FOLDER [--baselines FILE] [--card FILE]
    python benchmarks/builtin.py languages --dirty FOLDER --code FOLDER [--card FILE]
    python benchmarks/builtin.py beside --other MODEL --held-out FOLDER --dirty FOLDER --code FOLDER [--card FILE]

`--held-out` holds a file of documents for each domain, `--dirty` one for each kind of junk, `clean_control` and
`non_english` (whose `source` ends with the language, `… [el]`), `--code` one for each programming language
(code_samples.py writes it), all as curate reads them. Of every document the first 1,024 tokens are read, in the dtype
that curate takes here unless `--dtype` names one, and every side is measured on the bytes that they spell.

`beside` scores a sample with the builtin and with another model: the first `--characters` of `--sample` documents of
each kind (of domains, languages and code half as many, of the clean control three times as many), the same for both.
With `--work FOLDER` it goes on where it was stopped.

`--baselines` is what baselines.py wrote: bits per byte of xz -9 and of a 5-gram model after the same training text.

The area under the ROC curve (AUC) is the probability that a document of the junk has the higher number than one of the
clean control, ties counted half: 1 when all junk lies above, 0 when all lies below, .5 when the number says nothing.
The line of the control itself compares its even documents with its odd ones: how far from .5 chance alone goes.

Prints Markdown; `--card` also writes it between the marks of a model card.
"""

import argparse
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import report
from numpy.typing import NDArray

import curate
from curate.corpus import open_records
from curate.reference import likelihood

FIRST_TOKENS = 1024
LANGUAGE_DOCUMENTS, CONTROL_DOCUMENTS = 24, 100
"""Documents that are scored of each language, and of the clean control beside them."""
CONTROL = "clean_control"
FOREIGN = "non_english"
NUMBERS = ("perplexity", "bits_per_byte")
LEAST = 6
"""Documents of a language below which it has no line."""
MARKS = {
    "domains": ("<!-- builtin.py writes from here -->", "<!-- to here -->"),
    "languages": ("<!-- builtin.py languages writes from here -->", "<!-- languages to here -->"),
    "beside": ("<!-- builtin.py beside writes from here -->", "<!-- beside to here -->"),
}
Floats = NDArray[np.float64]


def score_files(folder: str, model: str, options: argparse.Namespace, run: Path) -> pa.Table:
    """Return the score table of every file of a folder, with the file's bare name as ``kind``."""
    curate.score([folder], model=model, run=str(run), truncate=options.tokens, dtype=options.dtype)
    table = pa.concat_tables(pq.read_table(part) for part in sorted((run / "scores").glob("*.parquet")))
    kinds = [Path(name).name.split(".")[0] for name in table["file"].to_pylist()]
    return table.append_column("kind", pa.array(kinds))


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the documents of a file."""
    return [row.record for row in open_records([str(path)]).records() if row.record is not None]


def read_texts(path: Path) -> list[str]:
    """Return the texts of a file."""
    return [row["text"] for row in read_records(path)]


def write_texts(path: Path, texts: list[str]) -> None:
    """Write texts as JSON lines, unless the file is there already, as where a run goes on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")


def list_files(folder: str) -> dict[str, Path]:
    """Return the files of documents of a folder by their bare names."""
    names = {path.name.split(".")[0]: path for path in sorted(Path(folder).iterdir()) if ".jsonl" in path.name}
    if not names:
        raise SystemExit(f"error: {folder} has no file of JSON lines")
    return names


def read_languages(dirty: str) -> dict[str, list[str]]:
    """Return the texts of each language of the junk that is not English, as its sources name them."""
    texts: dict[str, list[str]] = {}
    for row in read_records(list_files(dirty)[FOREIGN]):
        found = re.search(r"\[([a-z]+)[^]]*\]$", row["source"])
        if found:
            texts.setdefault(found[1], []).append(row["text"])
    return {code: each for code, each in sorted(texts.items()) if len(each) >= LEAST}


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


def tabulate_languages(table: pa.Table) -> str:
    """Return the table of languages and programming languages beside the clean control, by bits per byte."""
    kinds = take_kinds(table)
    clean = kinds.pop(CONTROL)
    lines = [
        "| text | documents | bytes per token | perplexity | bits per byte "
        "| AUC perplexity | AUC bits per byte | reads |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    medians = {kind: float(np.median(scored(part, "bits_per_byte"))) for kind, part in kinds.items()}
    for kind in [CONTROL, *sorted(kinds, key=lambda kind: (kind.split("-")[0] == "code", medians[kind]))]:
        part = clean if kind == CONTROL else kinds[kind]
        areas = [area_above(scored(part, name), scored(clean, name)) for name in NUMBERS]
        size = pc.sum(part["scored_bytes"]).as_py() / pc.sum(part["scored_tokens"]).as_py()
        perplexity, bits = (float(np.median(scored(part, name))) for name in NUMBERS)
        name = f"*{kind}*" if kind == CONTROL else kind.partition("-")[2]
        shown = ["–", "–", ""] if kind == CONTROL else [*(f"{area:.3f}" for area in areas), name_direction(*areas)]
        lines.append(f"| {name} | {len(part):,} | {size:.2f} | {perplexity:,.0f} | {bits:.2f} | {' | '.join(shown)} |")
    return "\n".join(lines)


def tabulate_beside(ours: pa.Table, others: pa.Table, name: str) -> str:
    """Return two tables of the same texts under two models: bits per byte of domains, and where all else lies."""
    sides = [take_kinds(table) for table in (ours, others)]
    lines = [f"| domain | documents | builtin | {name} |", "|---|---:|---:|---:|"]
    rows = []
    for kind in sorted(kind for kind in sides[0] if kind.startswith("domain-")):
        rows.append([float(likelihood.bits_per_byte(*sum_nats(side[kind]))) for side in sides])
        shown = " | ".join(f"{bits:.3f}" for bits in rows[-1])
        lines.append(f"| {kind.partition('-')[2]} | {len(sides[0][kind])} | {shown} |")
    means = " | ".join(f"**{np.mean(side):.3f}**" for side in zip(*rows, strict=True))
    lines.append(f"| **mean of the {len(rows)} domains** | | {means} |")
    lines += [
        "",
        f"| text | documents | bits per byte: builtin | {name} | AUC perplexity: builtin | {name} "
        f"| AUC bits per byte: builtin | {name} |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    order = {"junk": 0, "language": 1, "code": 2}
    kinds = [kind for kind in sides[0] if kind.partition("-")[0] in order]
    for kind in sorted(kinds, key=lambda kind: (order[kind.partition("-")[0]], kind)):
        clean = [side[CONTROL] for side in sides]
        bits = [f"{np.median(scored(side[kind], NUMBERS[1])):.2f}" for side in sides]
        areas = [
            f"{area_above(scored(side[kind], number), scored(control, number)):.2f}"
            for number in NUMBERS
            for side, control in zip(sides, clean, strict=True)
        ]
        shown = kind.partition("-")[2] if kind.startswith("junk-") else kind.replace("-", " ")
        lines.append(f"| {shown} | {len(scored(sides[0][kind], NUMBERS[1]))} | {' | '.join([*bits, *areas])} |")
    return "\n".join(lines)


def sum_nats(table: pa.Table) -> tuple[float, int]:
    """Return the nats of a table, and the bytes that they are of."""
    return pc.sum(table["nats"]).as_py(), pc.sum(table["scored_bytes"]).as_py()


def write_between(path: Path, part: str, text: str) -> None:
    """Put the text of a part between its marks in a file."""
    report.put_into(path, *MARKS[part], text)


def measure_domains(options: argparse.Namespace, work: Path) -> str:
    """Score the domains and the junk, and return their tables."""
    held_out = score_files(options.held_out, options.model, options, work / "held-out")
    dirty = score_files(options.dirty, options.model, options, work / "dirty")
    sides = json.loads(Path(options.baselines).read_text()) if options.baselines else {}
    return f"{tabulate_domains(held_out, sides)}\n\n{tabulate_junk(dirty)}"


def measure_languages(options: argparse.Namespace, work: Path) -> str:
    """Score texts of other languages and of programming languages, and return their table."""
    sample = work / "languages"
    texts = {f"language-{code}": each for code, each in read_languages(options.dirty).items()}
    texts |= {f"code-{name}": read_texts(path) for name, path in list_files(options.code).items()}
    for name, each in texts.items():
        write_texts(sample / f"{name}.jsonl", each[:LANGUAGE_DOCUMENTS])
    write_texts(sample / f"{CONTROL}.jsonl", read_texts(list_files(options.dirty)[CONTROL])[:CONTROL_DOCUMENTS])
    return tabulate_languages(score_files(str(sample), options.model, options, work / "languages-run"))


def measure_beside(options: argparse.Namespace, work: Path) -> str:
    """Score one sample with the builtin and with another model, and return both tables."""
    sample, most = work / "sample", options.sample
    sources = {f"domain-{name}": (path, most // 2) for name, path in list_files(options.held_out).items()}
    sources |= {f"junk-{name}": (path, most) for name, path in list_files(options.dirty).items() if name != FOREIGN}
    sources |= {f"code-{name}": (path, most // 2) for name, path in list_files(options.code).items()}
    sources[CONTROL] = (sources.pop(f"junk-{CONTROL}")[0], 3 * most)
    texts = {name: (read_texts(path), count) for name, (path, count) in sources.items()}
    texts |= {f"language-{code}": (each, most // 2) for code, each in read_languages(options.dirty).items()}
    for name, (each, count) in texts.items():
        spread = each[:: max(1, len(each) // count)][:count]
        write_texts(sample / f"{name}.jsonl", [text[: options.characters] for text in spread])
    ours = score_files(str(sample), options.model, options, work / "builtin-run")
    others = score_files(str(sample), options.other, options, work / "other-run")
    return tabulate_beside(ours, others, options.name or Path(options.other).name)


PARTS = {"domains": measure_domains, "languages": measure_languages, "beside": measure_beside}
NEEDS = {
    "domains": ("held_out", "dirty"),
    "languages": ("dirty", "code"),
    "beside": ("held_out", "dirty", "code", "other"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--held-out")
    parser.add_argument("--dirty")
    parser.add_argument("--code", help="what code_samples.py wrote")
    parser.add_argument("--baselines", help="what baselines.py wrote")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--other", help="the model of beside")
    parser.add_argument("--name", help="what the table calls it")
    parser.add_argument("--sample", type=int, default=16, help="documents of a kind that beside scores")
    parser.add_argument("--characters", type=int, default=600, help="characters of a document that beside scores")
    parser.add_argument("--tokens", type=int, default=FIRST_TOKENS, help="tokens of a document that are read")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--work", help="a folder to keep the runs in, and to go on in")
    parser.add_argument("--card", help="a model card with the marks")
    options = parser.parse_args()
    for name in NEEDS[options.part]:
        if getattr(options, name) is None:
            parser.error(f"{options.part} needs --{name.replace('_', '-')}")
    with tempfile.TemporaryDirectory() as folder:
        text = PARTS[options.part](options, Path(options.work or folder))
    print(text)
    if options.card:
        write_between(Path(options.card), options.part, text)


if __name__ == "__main__":
    main()
