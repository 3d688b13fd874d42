"""Comparisons of small runs with made-up numbers."""

import math
from types import SimpleNamespace

import pytest
from helpers.compared_runs import make_side, write_corpus

import curate

SEVENTEEN = tuple(f"domain-{number:02d}" for number in range(17))


def noise(number):
    return 0.02 * math.sin(7 * number)


def move(number):
    """The first domain is dearer by a half, the others move a little."""
    return noise(number) + (0.4 if number % 17 == 0 else 0.0)


@pytest.fixture(scope="session")
def compared(tmp_path_factory):
    """Comparisons by name."""
    folder = tmp_path_factory.mktemp("pages")
    corpus = write_corpus(folder / "corpus.jsonl", 170, domains=SEVENTEEN)
    sides = [
        make_side(folder, name, corpus, shift) for name, shift in (("before", lambda number: 0.0), ("after", move))
    ]
    less = write_corpus(folder / "less.jsonl", 34, first=1000, domains=SEVENTEEN[1:])
    sides.append(make_side(folder, "less", less, noise))
    sides += [
        make_side(folder, f"step-{k}", corpus, lambda number, k=k: 0.3 * (k > 1) + noise(number + k)) for k in range(4)
    ]
    prices = folder / "prices.yaml"
    prices.write_text("".join(f"{name}: {{dollars_per_million_tokens: {n}}}\n" for n, name in
                              enumerate(("before", "after", "less"), 1)))  # fmt: skip
    curate.compare(sides[0], within="domain", save=str(folder / "baseline.json"))
    return SimpleNamespace(
        folder=folder,
        sides=sides,
        paired=curate.compare(sides[:2], within="domain", tolerance="1%", worst=3),
        samples=curate.compare([sides[0], sides[2]], within="domain", tolerance="1%"),
        plain=curate.compare(sides[:2], within="domain"),
        series=curate.compare(sides[3:], time=True, within="domain", tolerance="5%"),
        three=curate.compare(sides[:3], cost=str(prices)),
        saved=curate.compare([str(folder / "baseline.json"), sides[1]], within="domain"),
        leak=curate.compare([sides[0], sides[1]], leak=True, tolerance="1%"),
    )
