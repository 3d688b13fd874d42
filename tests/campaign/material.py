"""What the verbs of a campaign work on: a corpus, eval sets, instruction datasets and a random model, all tiny.

The corpus has four files in three formats, several slices a file under ``SLICE_BYTES``, rows that cannot be read,
copies of documents, and documents that leak eval items. Everything is drawn with a fixed seed, and files get one fixed
time, so that two campaigns read the same bytes.
"""

import gzip
import json
import os
import random
from pathlib import Path
from typing import Any

SLICE_BYTES = "2500"
TIME = 1_700_000_000
"""Modification time of every file, in seconds: a corpus may be known by it."""
SUBJECTS = ("The river", "An old clock", "My neighbour", "Nobody", "The committee", "A small engine", "Her letter")
VERBS = ("reached", "forgot", "repaired", "described", "followed", "measured", "sold")
OBJECTS = ("the northern gate", "twelve apples", "a house in 1984", "déjà vu 🙂", "the second draft", "every bridge")
BAD_ROWS = ('{"id": "bad", "text": "not closed', '{"id": "null", "text": null}', '{"id": "number", "text": 12}')
RECIPE = """description: The chain of a campaign.
run: p
steps:
  - score: {corpus: corpus, model: none, slice-bytes: 2500}
  - decontaminate: {evals: evals, canaries: 4, workers: 1}
  - dedup: {workers: 1}
  - filter: {min-zlib: 0.1}
  - export: {out: out, format: jsonl}
"""


def write_sentences(draw: random.Random, count: int) -> str:
    """Return ``count`` sentences of a small grammar, with numbers so that no two documents agree by chance."""
    return " ".join(
        f"{draw.choice(SUBJECTS)} {draw.choice(VERBS)} {draw.choice(OBJECTS)} number {draw.randrange(9999)}."
        for _ in range(count)
    )


def write_material(folder: Path, with_model: bool = True) -> None:
    """Write everything below ``folder``, which is made; ``with_model`` also the model, which imports torch."""
    draw = random.Random(17)
    folder.mkdir(parents=True)
    questions = [f"{write_sentences(draw, 2)} How many are left after {n} days?" for n in range(8)]
    documents = [
        {
            "id": f"d{n}",
            "text": write_sentences(draw, draw.randint(3, 9)),
            "domain": "news web"[n % 2 * 5 :][:4].strip(),
        }
        for n in range(44)
    ]
    for n in (3, 19, 30):
        documents[n]["text"] += " " + questions[n % 8] + " " + write_sentences(draw, 2)
    for n in (5, 22, 37):
        documents[n]["text"] = documents[n - 4]["text"] + " " * (n % 2) + "Again." * (n == 37)
    lines = [json.dumps(one, ensure_ascii=False) for one in documents]
    lines[9:9], lines[25:25] = BAD_ROWS[:2], BAD_ROWS[2:]
    _write(folder / "corpus/a.jsonl", lines[:18])
    _write(folder / "corpus/b.jsonl", lines[18:34])
    _write(folder / "corpus/sub/c.jsonl.gz", lines[34:])
    _write(folder / "more/d.jsonl", [json.dumps({"id": f"m{n}", "text": write_sentences(draw, 6)}) for n in range(12)])
    _write(folder / "evals/quiz.jsonl", [json.dumps({"question": one, "answer": "7"}) for one in questions])
    for name in ("plain", "other"):
        rows = [
            {"instruction": write_sentences(draw, 1), "input": "", "output": write_sentences(draw, draw.randint(1, 3))}
            for _ in range(12)
        ]
        _write(folder / f"sft/{name}.jsonl", [json.dumps(row) for row in rows])
    (folder / "recipe.yaml").write_text(RECIPE)
    if with_model:
        _save_model(folder / "model")
    for path in sorted(folder.rglob("*")):
        os.utime(path, (TIME, TIME))


def _write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def _save_model(folder: Path) -> None:
    from helpers import models

    saved: Any = models.save
    saved(folder, "llama")
