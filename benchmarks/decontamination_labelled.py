"""Precision and recall of decontamination on the labelled set, by language, kind and eval set, for both halves apart.

Called by ``decontamination.py --labelled``. Ours is the command, ``curate decontaminate EVALS --corpus DOCUMENTS``, and
what counts is the verdict on a document in the hits that it writes. The other sides are those of decontamination.py.
All rows of the set are one corpus, together with the clean documents of recipes/sample.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from decontamination import HERE, Asked, clip, find_side, installed, say, table
from decontamination_set.rows import HALVES, LABELS, read_rows
from report import put_into

EVALS = HERE / "decontamination_set" / "evals"
SAMPLE = HERE.parent / "recipes" / "sample" / "documents.jsonl"
OURS = "curate"
PEERS = ("datatrove", "datatrove, defaults", "any 13-gram", "any 8-gram")
SUMMED = ("datatrove, defaults",)
"""Sides of the first table alone."""
BEGIN, END = "<!-- labelled -->", "<!-- /labelled -->"
SURE = ("contaminated", "variant", "review")
"""Verdicts of ours on a document, the first that is met counts."""

Row = dict[str, Any]
Verdicts = dict[str, str]
"""Row to verdict; a row that is not there is clean."""


def run_curate(texts: dict[str, str]) -> Verdicts:
    """Run the command on the documents and return its verdicts."""
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory() as place:
        corpus, run = Path(place) / "documents.jsonl", Path(place) / "run"
        lines = (json.dumps({"id": name, "text": text}) + "\n" for name, text in texts.items())
        corpus.write_text("".join(lines), encoding="utf-8")
        words = ["decontaminate", str(EVALS), "--corpus", str(corpus), "--run", str(run), "--json"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), *sys.path])}
        command = [sys.executable, "-m", "curate", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise SystemExit(done.stderr[-3000:])
        found: dict[str, set[str]] = {}
        for part in sorted((run / "hits").glob("*.parquet")):
            for hit in pq.read_table(part, columns=["id", "verdict"]).to_pylist():
                found.setdefault(hit["id"], set()).add(hit["verdict"])
    return {name: next((one for one in SURE if one in verdicts), "review") for name, verdicts in found.items()}


def run_peer(name: str, items: Sequence[Asked], texts: dict[str, str]) -> Verdicts:
    """Return what a side of decontamination.py says of the documents."""
    names = list(texts)
    findings = find_side(name).open(items)(list(texts.values()))
    return {names[one.document]: "contaminated" for one in findings if one.sure}


def read_asked() -> list[Asked]:
    """Return the items of all eval sets as curate reads them."""
    from curate.stages.decontaminate.evalsets import open_evals

    sets = open_evals([str(EVALS)])
    return [
        Asked(item.set, item.id, item.questions, item.context, item.choices, item.answer)
        for one in sets
        for item in one.items
    ]


def measure() -> dict[str, Any]:
    """Return the verdicts of every side on every row, and how many documents of recipes/sample each flags."""
    rows = read_rows()
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    sample = {f"sample {number}": json.loads(line)["text"] for number, line in enumerate(lines)}
    texts = {row["id"]: row["text"] for row in rows} | sample
    items = read_asked()
    say(f"{len(rows):,} rows, {len(items):,} items, {len(sample)} sample documents")
    sides = {OURS: run_curate(texts)}
    for name in PEERS:
        if installed(find_side(name)):
            say(name)
            sides[name] = run_peer(name, items, texts)
    flagged = {name: sum(found.get(one) == "contaminated" for one in sample) for name, found in sides.items()}
    return {"rows": rows, "sides": sides, "sample": {"documents": len(sample), "flagged": flagged}}


# ---- what it comes to -----------------------------------------------------------------------------------------------


def count_flagged(rows: Sequence[Row], verdicts: Verdicts, verdict: str = "contaminated") -> int:
    return sum(verdicts.get(row["id"]) == verdict for row in rows)


def compute_rates(rows: Sequence[Row], verdicts: Verdicts) -> dict[str, tuple[int, int]]:
    """Return (flagged, rows) by label; precision is of leaks among the leaks and hard negatives that are flagged."""
    found = {}
    for label in LABELS:
        some = [row for row in rows if row["label"] == label]
        found[label] = (count_flagged(some, verdicts), len(some))
    leaks, negatives = found["leak"][0], found["not"][0]
    return found | {"precision": (leaks, leaks + negatives)}


def show(rate: tuple[int, int]) -> str:
    """Return a share with two digits, or nothing where it is a share of nothing."""
    part, whole = rate
    return f"{part / whole:.3f}" if whole else ""


def show_percent(rate: tuple[int, int]) -> str:
    part, whole = rate
    return f"{100 * part / whole:.1f} %" if whole else ""


def select(rows: Sequence[Row], **wanted: str) -> list[Row]:
    return [row for row in rows if all(row[column] == value for column, value in wanted.items())]


def list_values(rows: Sequence[Row], column: str) -> list[str]:
    return sorted({row[column] for row in rows})


def list_peers(results: dict[str, Any]) -> list[tuple[str, Verdicts]]:
    """Return the other sides that every table shows."""
    return [(name, verdicts) for name, verdicts in results["sides"].items() if name not in (OURS, *SUMMED)]


def describe_sides(results: dict[str, Any]) -> str:
    """A row for each side and half."""
    lines = []
    for name, verdicts in results["sides"].items():
        for half in HALVES:
            rows = select(results["rows"], half=half)
            rates = compute_rates(rows, verdicts)
            told = count_flagged(select(rows, label="variant"), verdicts, "variant")
            review = count_flagged(select(rows, label="leak"), verdicts, "review")
            lines.append(
                {
                    "side": name,
                    "half": half,
                    "leaks found": show(rates["leak"]),
                    "for review": show((review, rates["leak"][1])) if name == OURS else "",
                    "hard negatives flagged": show_percent(rates["not"]),
                    "precision": show(rates["precision"]),
                    "variants called contaminated": show_percent(rates["variant"]),
                    "called variants": show_percent((told, rates["variant"][1])) if name == OURS else "",
                }
            )
    return table(lines)


def describe_by(results: dict[str, Any], column: str) -> str:
    """A row for each language or set: leaks found and hard negatives flagged; ours by half, others of held-out."""
    lines = []
    rows, sides = results["rows"], results["sides"]
    for value in list_values(rows, column):
        some = select(rows, **{column: value})
        counts = Counter(row["label"] for row in some)
        line = {column: value, "leaks": str(counts["leak"]), "negatives": str(counts["not"])}
        ours = {half: compute_rates(select(some, half=half), sides[OURS]) for half in HALVES}
        for half in HALVES:
            line[f"found, {half}"] = show(ours[half]["leak"])
            line[f"flagged, {half}"] = show_percent(ours[half]["not"])
            line[f"precision, {half}"] = show(ours[half]["precision"])
        for name, verdicts in list_peers(results):
            rates = compute_rates(select(some, half="held-out"), verdicts)
            line[name] = f"{show(rates['leak']) or '–'}, {show_percent(rates['not']) or '–'}"
        lines.append(line)
    return table(lines)


def describe_kinds(results: dict[str, Any], label: str) -> str:
    """A row for each kind: how many of its rows are flagged."""
    lines = []
    rows = select(results["rows"], label=label)
    for kind in list_values(rows, "kind"):
        some = select(rows, kind=kind)
        line = {"kind": kind, "rows": str(len(some))}
        for half in HALVES:
            part = select(some, half=half)
            line[half] = f"{count_flagged(part, results['sides'][OURS])} of {len(part)}"
        for name, verdicts in list_peers(results):
            part = select(some, half="held-out")
            line[name] = f"{count_flagged(part, verdicts)} of {len(part)}"
        lines.append(line)
    return table(lines)


def list_failures(results: dict[str, Any], half: str) -> str:
    """What ours judges otherwise than the label, of one half."""
    verdicts, parts = results["sides"][OURS], []
    for label, title in (("leak", "Leaks missed"), ("not", "Hard negatives flagged"), ("variant", "Variants flagged")):
        rows = [
            row
            for row in select(results["rows"], half=half, label=label)
            if (verdicts.get(row["id"]) == "contaminated") != (label == "leak")
        ]
        named = [
            f"- {row['id']}, about {row['set']} {row['item']}, {row['kind']}, {verdicts.get(row['id'], 'clean')}: "
            f"{clip(row['text'])}"
            for row in rows
        ]
        parts.append("\n".join([f"{title}, {half}: {len(rows)}", "", *named]))
    return "\n\n".join(parts)


def render(results: dict[str, Any], machine: str) -> str:
    """The tables as Markdown."""
    rows, sample = results["rows"], results["sample"]
    labels = Counter(row["label"] for row in rows)
    flagged = "; ".join(f"{name} {count}" for name, count in sample["flagged"].items())
    return "\n\n".join(
        [
            f"{machine}.",
            f"{labels['leak']} leaks, {labels['not']} hard negatives and {labels['variant']} variants in "
            f"{len(list_values(rows, 'language')) - 1} languages and code. Of the {sample['documents']} documents of "
            f"recipes/sample, which contain no item, are flagged: {flagged}.",
            describe_sides(results),
            "#### By language\n\n"
            "*Found*: share of leaks. *Flagged*: share of hard negatives. The other sides: both, on the held-out half.",
            describe_by(results, "language"),
            "#### By eval set",
            describe_by(results, "set"),
            "#### By kind\n\nRows flagged. The other sides: of the held-out half.\n\nLeaks:",
            describe_kinds(results, "leak"),
            "Hard negatives:",
            describe_kinds(results, "not"),
            "Variants (called contaminated):",
            describe_kinds(results, "variant"),
        ]
    )


def run(options: Any, machine: str) -> None:
    """Measure, print, and write where the options say."""
    results = measure()
    text = render(results, machine)
    print(text)
    for half in options.list or ():
        print("\n" + list_failures(results, half))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "labelled.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (options.out / "labelled.md").write_text(text + "\n", encoding="utf-8")
    if options.readme:
        put_into(HERE / "README.md", BEGIN, END, text)
