"""The rows of the labelled set: eval items, rows written by hand, and their halves.

    from decontamination_set.rows import read_items, read_rows

A row is a document of its own: ``id, text, language, kind, rule, set, item, label, half``. ``label`` is ``leak`` (the
document contains the item), ``not`` (it does not, though it reads alike) or ``variant`` (the same question with other
numbers or names). All rows of an item are in the same half.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LABELS = ("leak", "not", "variant")
HALVES = ("development", "held-out")
COLUMNS = ("id", "text", "language", "kind", "rule", "set", "item", "label", "half")

Record = dict[str, Any]


def read_jsonl(path: Path) -> list[Record]:
    """Return the rows of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read_rows() -> list[Record]:
    """Return all rows, written and derived."""
    return read_jsonl(HERE / "written.jsonl") + read_jsonl(HERE / "derived.jsonl")


def read_items() -> dict[str, list[Record]]:
    """Return the eval items of each set, with the columns that they are published with."""
    return {path.stem: read_jsonl(path) for path in sorted((HERE / "evals").glob("*.jsonl"))}


def choose_half(set_name: str, item: str) -> str:
    """Return the half of an item, by a hash of its name."""
    return HALVES[hashlib.sha256(f"{set_name} {item}".encode()).digest()[0] % 2]
