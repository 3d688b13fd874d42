"""Folders of many small files, in several formats, and runs in which each file has a part of its own."""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.corpus import gathering, open_corpus, units
from curate.rundir import parquet
from curate.rundir.run import name_part

WORDS = ["ledger", "window", "token", "byte", "sum", "slice", "corpus", "model", "prefix", "nat", "bit", "pack"]
COLUMNS = {"json": ["domain", "n"], "csv": ["domain", "n"]}


def make_text(number: int) -> str:
    draw = np.random.default_rng(number)
    return " ".join(draw.choice(WORDS, size=int(draw.integers(5, 40)))) + f" {number}."


def write_texts(root: Path, first: int, stop: int) -> None:
    """A text file for each number."""
    root.mkdir(parents=True, exist_ok=True)
    for number in range(first, stop):
        (root / f"d{number:03d}.txt").write_text(make_text(number))


def write_mixed(root: Path) -> None:
    """Files of all kinds, each small but one: texts, lines, tables, archives, empty ones, ones that cannot be read."""
    write_texts(root / "a", 0, 6)
    rows = [{"text": make_text(number), "domain": f"k{number % 3}", "n": number} for number in range(20, 90)]

    def lines(first, stop):
        return "".join(json.dumps(row) + "\n" for row in rows[first:stop])

    (root / "b.jsonl").write_text(lines(0, 3))
    (root / "c.csv").write_text("text,n\n" + "".join(f"{row['text']},{row['n']}.5\n" for row in rows[3:6]))
    (root / "d.jsonl").write_text("")
    (root / "e.jsonl.gz").write_bytes(gzip.compress(lines(6, 9).encode()))
    (root / "f.jsonl").write_text(lines(9, 10) + '{"oops\n' + lines(10, 11) + '{"text": " "}\n')
    (root / "g.txt").write_bytes(b"\x00\x01\x02\x03" * 50)
    (root / "h.json").write_text(json.dumps([{"text": make_text(3), "domain": "copy", "n": "many"}]))
    (root / "i.jsonl.gz").write_bytes(b"this is no archive")
    (root / "j.jsonl").write_text(lines(11, 60))
    pq.write_table(pa.Table.from_pylist(rows[60:64]), root / "k.parquet")
    write_texts(root / "z", 6, 12)
    (root / "z" / "empty.txt").write_text("")


def read_scores(run: Path) -> list[dict]:
    """The rows of the scores, in the order of the corpus."""
    return [row for path in parquet.list_parts(Path(run) / "scores") for row in pq.read_table(path).to_pylist()]


def read_carried(run: Path, name: str) -> list:
    paths = parquet.list_parts(Path(run) / "carried" / name)
    return [row for path in paths for row in pq.read_table(path, partitioning=None).column("value").to_pylist()]


def list_bytes(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(Path(run).rglob("*")) if path.is_file()}


def list_parts(run: Path, table: str = "scores") -> list[str]:
    return [path.name for path in parquet.list_parts(Path(run) / table)]


def name_parts(folder: Path, share) -> list[str]:
    """The names of the parts of some units of a folder in slices of 700 bytes, in order."""
    opened = open_corpus([str(folder)], slice_bytes=700)
    numbers = {source.name: number for number, source in enumerate(opened.sources)}
    marks = (documents.marks[0] for documents in gathering.read_gathered(opened, units=share))
    return [name_part(numbers[mark.file], mark.number) for mark in marks]


@pytest.fixture
def one_part_a_file(monkeypatch):
    """A function that switches to the layout of earlier versions, or back."""

    def switch(on=True):
        monkeypatch.setattr(units, "MOST_FILES", 1 if on else 1000)

    return switch
