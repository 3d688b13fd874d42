"""A run with a funnel, and comparisons of runs with made-up numbers, each made once."""

import math
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers.compared_runs import make_side, write_corpus
from helpers.published import write_comparison
from helpers.s3 import memory_store

import curate

__all__ = ["compared", "memory_store"]


def worse_code(number, steps=1):
    return 0.001 * math.sin(7 * number * steps) + (0.05 * steps if number % 3 == 0 else 0.0)


@dataclass(frozen=True)
class Compared:
    """A folder with the runs ``before`` and ``worse``, and files of their comparison."""

    folder: Path
    gate: Path
    """Within domain, tolerance 1 %: code is beyond, news is missing now."""
    series: Path
    """Three steps, each worse than the one before."""


@pytest.fixture(scope="session")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    corpus = write_corpus(folder / "corpus.jsonl")
    make_side(folder, "before", corpus)
    make_side(folder, "worse", corpus, worse_code)
    make_side(folder, "twice", corpus, lambda number: worse_code(number, 2))
    lines = [line for line in corpus.read_text().splitlines() if '"news"' not in line]
    (folder / "fewer.jsonl").write_text("\n".join(lines) + "\n")
    make_side(folder, "fewer", folder / "fewer.jsonl", worse_code)
    gate = curate.compare([folder / "before", folder / "fewer"], within="domain", tolerance="1%")
    steps = [folder / name for name in ("before", "worse", "twice")]
    series = curate.compare(steps, within="domain", time=True, tolerance="1%")
    return Compared(
        folder,
        write_comparison(folder / "gate.json", gate),
        write_comparison(folder / "series.json", series),
    )
