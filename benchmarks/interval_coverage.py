"""How often the intervals of ``curate rank-sft`` contain the truth, and how often equal sources are told apart.

    python benchmarks/interval_coverage.py             # five sets, three sizes of samples: some minutes
    python benchmarks/interval_coverage.py --small    # 40 samples each: does it work?

The measured examples of a real dataset are a population, whose values are the truth. Samples are drawn from it with
repetition, and ranked by the code that the command runs. The populations stand in ``tests/sft/ranking/``: numbers of
examples under the model in the box, no texts. ``--measured FOLDER`` takes those of a ranking instead (its
``responses/MODEL`` folder). See benchmarks/README.md.
"""

import argparse
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from report import put_into

from curate.sft.measuring.reader import RankingOptions
from curate.sft.ranking import bootstrap, intervals
from curate.sft.ranking.measured_dataset import MeasuredDataset
from curate.sft.ranking.measures import MEASURES, SUMS, Sums, build_columns, evaluate_measures, fit_length
from curate.sft.ranking.rank import measure_and_rank
from curate.sft.ranking.session import RankingSession
from curate.sft.ranking.table import RankingTable, rank_measured

HERE = Path(__file__).parent
MEASURED = HERE.parent / "tests" / "sft" / "ranking" / "measured_examples.parquet"
SIZES = (40, 100, 1000)
LEAST = 0.92
"""Coverage of a nominal 95 % that is good enough."""
FIRST, MOST = 40, 2560
"""Examples of the first sample and of a dataset where samples grow: seven looks."""


def read_populations(measured: Path) -> dict[str, dict[str, NDArray[np.float64]]]:
    """The columns of ``SUMS`` of every set, by its name."""
    if measured.is_dir():
        tables = {path.stem: pq.read_table(path) for path in sorted(measured.glob("*.parquet"))}
        tables = {name: table.filter(pc.equal(table["status"], "ok")) for name, table in tables.items()}
    else:
        whole = pq.read_table(measured)
        names = pc.unique(whole["dataset"]).to_pylist()
        tables = {name: whole.filter(pc.equal(whole["dataset"], name)) for name in names}
    return {
        name: {column: table[column].cast(pa.float64()).to_numpy() for column in SUMS} for name, table in tables.items()
    }


class CoverageCounts:
    """Of one set and one size of samples: how often an interval contains the truth, by measure."""

    def __init__(self) -> None:
        self.runs = 0
        self.before = dict.fromkeys(MEASURES, 0)
        self.covered = dict.fromkeys(MEASURES, 0)
        self.given = dict.fromkeys(MEASURES, 0)
        self.ratios: dict[str, list[float]] = {name: [] for name in MEASURES}

    def add(self, name: str, truth: float, before: tuple[float, float], after: intervals.Interval) -> None:
        """Count one sample's percentile interval, and the one that is given now."""
        self.before[name] += before[0] <= truth <= before[1]
        self.covered[name] += after.low <= truth <= after.high
        self.given[name] += not after.withheld
        if not after.withheld and before[1] > before[0]:
            self.ratios[name].append((after.high - after.low) / (before[1] - before[0]))


def cover(sums: Sums, count: int, runs: int, draws: int) -> CoverageCounts:
    """Draw samples of ``count`` examples, and count. The slope of ``residual`` is that of the population."""
    columns = build_columns(sums, *fit_length([sums]))
    truth = evaluate_measures(columns.sum(axis=0))
    generator, counts = np.random.default_rng(count), CoverageCounts()
    for _ in range(runs):
        sample = columns[generator.integers(len(columns), size=count)]
        drawn = bootstrap.resample(intervals.add_products(sample), draws, generator)
        found = intervals.find_intervals(sample, drawn)
        plain = evaluate_measures(drawn[:, : sample.shape[1]])
        for name in MEASURES:
            low, high = bootstrap.find_interval(plain[name])
            counts.add(name, float(truth[name]), (float(low), float(high)), found[name])
        counts.runs += 1
    return counts


class SimulatedSession(RankingSession):
    """A ranking of sources that are samples of populations, without a model."""

    def __init__(self, populations: Mapping[str, Sums], generator: np.random.Generator, by: str, draws: int) -> None:
        seed = int(generator.integers(2**31))
        datasets = [SimpleNamespace(name=name) for name in populations]
        super().__init__(datasets, None, RankingOptions(sample=FIRST, seed=seed, draws=draws, by=by))
        self.rows = {
            name: {column: values[picked] for column, values in sums.items()}
            for name, sums in populations.items()
            for picked in [generator.integers(len(sums["nats"]), size=MOST)]
        }
        self.draw_all()

    def draw(self, name: str, count: int | None) -> None:
        self.samples[name] = SimpleNamespace(examples=range(count or MOST), available=MOST)

    def draw_all(self) -> None:
        for dataset in self.datasets:
            self.draw(dataset.name, self.options.sample)

    def measure(self, _: object) -> dict[str, MeasuredDataset]:
        measured = {}
        for name, sums in self.rows.items():
            count = len(self.samples[name].examples)
            taken = {column: values[:count] for column, values in sums.items()}
            measured[name] = MeasuredDataset(name, taken, np.arange(count, dtype=np.uint64))
        return measured

    def rank(self, name_to_responses: Mapping[str, MeasuredDataset]) -> RankingTable:
        options = self.options
        return rank_measured([*name_to_responses.values()], options.by, options.draws, options.seed, self.looks)


class UncorrectedSession(SimulatedSession):
    """The same by the rule of before: neighbours are apart where a percentile interval of their difference says so."""

    def plan_looks(self) -> None:
        """Leave it at one look."""

    def rank(self, name_to_responses: Mapping[str, MeasuredDataset]) -> RankingTable:
        table = super().rank(name_to_responses)
        pairs = [replace(pair, separated=not 0.025 < pair.reversed_share < 0.975) for pair in table.pairs]
        return replace(table, pairs=tuple(pairs))


def stop_looking(session: SimulatedSession) -> tuple[RankingTable, int, int]:
    """Look until neighbours are separated.  → the last table, looks, examples of all sources together"""
    _, table = measure_and_rank(session, None, until_separated=True)
    return table, session.look, sum(len(sample.examples) for sample in session.samples.values())


def count_false_claims(sums: Sums, sources: int, by: str, runs: int, draws: int, kind: type[SimulatedSession]) -> float:
    """The share of rankings of equal sources that tell any neighbours apart at the stop."""
    generator = np.random.default_rng(sources)
    populations = {f"source-{number}": sums for number in range(sources)}
    tables = (stop_looking(kind(populations, generator, by, draws))[0] for _ in range(runs))
    return sum(any(pair.separated for pair in table.pairs) for table in tables) / runs


def shift(sums: Sums, nats: float) -> dict[str, NDArray[np.float64]]:
    """The same examples with so many nats more for each token."""
    changed = {name: np.array(values) for name, values in sums.items()}
    changed["nats"] = changed["nats"] + nats * changed["tokens"]
    return changed


def measure_power(
    sums: Sums, nats: float, by: str, runs: int, draws: int, kind: type[SimulatedSession]
) -> tuple[float, float]:
    """Two sources that differ.  → the share told apart the right way, and the mean examples of both at the stop"""
    generator = np.random.default_rng(round(nats * 1000))
    populations = {"source-0": sums, "source-1": shift(sums, nats)}
    right, examples = 0, 0
    for _ in range(runs):
        table, _, count = stop_looking(kind(populations, generator, by, draws))
        right += table.pairs[0].separated and table.pairs[0].better == "source-0"
        examples += count
    return right / runs, examples / runs


# ---- what is said -------------------------------------------------------------------------------------------------


def render_coverage(found: Mapping[tuple[str, int], CoverageCounts], names: list[str]) -> Iterator[str]:
    """A row for each measure and size, a column for each set: before → now."""
    yield f"| measure | n |{' | '.join(f' {name}' for name in names)} | width |"
    yield f"|---|--:|{'--:|' * len(names)}--:|"
    for measure in MEASURES:
        for count in SIZES:
            cells = [render_cell(found[name, count], measure) for name in names]
            ratios = [ratio for name in names for ratio in found[name, count].ratios[measure]]
            width = f"{np.median(ratios):.2f} ×" if ratios else "–"
            yield f"| {MEASURES[measure].phrase} | {count:,} | {' | '.join(cells)} | {width} |"


def render_cell(counts: CoverageCounts, measure: str) -> str:
    """Such as ``89.1 → 93.4`` or ``38.0 → 94.1 (21 % given)`` or ``38.0 → withheld``."""
    runs, given, covered = counts.runs, counts.given[measure], counts.covered[measure]
    before = f"{100 * counts.before[measure] / runs:.1f}"
    if given <= 0.01 * runs:
        return f"{before} → withheld"
    share = "" if given >= 0.995 * runs else f" ({100 * given / runs:.0f} % given)"
    low = "**" if covered < LEAST * given else ""
    return f"{before} → {low}{100 * covered / given:.1f}{low}{share}"


def judge(found: Mapping[tuple[str, int], CoverageCounts]) -> str:
    """How many cells are covered well enough, and the most intervals of a cell that are given and miss."""
    cells = [(counts, name) for counts in found.values() for name in MEASURES]
    given = [(counts, name) for counts, name in cells if counts.given[name]]
    good = sum(counts.covered[name] >= LEAST * counts.given[name] for counts, name in given)
    missed = max((counts.given[name] - counts.covered[name]) / counts.runs for counts, name in cells)
    before = sum(counts.before[name] >= LEAST * counts.runs for counts, name in cells)
    return (
        f"Of {len(cells)} cells {len(cells) - len(given)} have no interval, and {good} of the other {len(given)} "
        f"contain the truth in at least {100 * LEAST:.0f} % of those that are given; before, {before} did. At worst "
        f"{100 * missed:.1f} % of the samples of a cell have an interval that misses."
    )


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--measured", type=Path, default=MEASURED, help="examples: a file, or the responses/MODEL folder of a ranking")
    add("--sets", help="comma-separated names (all)")
    add("--runs", type=int, help="samples of each cell, and rankings of each row (1,000; 40 with --small)")
    add("--draws", type=int, default=400, help="bootstrap draws")
    add("--parts", default="coverage,separation", help="comma-separated, of coverage, separation")
    add("--small", action="store_true", help="40 samples: shows that everything works, proves nothing")
    add("--readme", action="store_true", help="put the tables into benchmarks/README.md too")
    options = parser.parse_args()
    options.runs = options.runs or (40 if options.small else 1000)
    return options


def report_coverage(populations: Mapping[str, Sums], runs: int, draws: int) -> str:
    """The table of coverage, with what it is of."""
    found = {}
    for name, sums in populations.items():
        for count in SIZES:
            found[name, count] = cover(sums, count, runs, draws)
            print(f"{name} {count:,}: done", flush=True)
    sizes = ", ".join(f"{name} {len(sums['nats']):,}" for name, sums in populations.items())
    head = f"{runs:,} samples of each cell, {draws:,} draws; examples: {sizes}. {judge(found)}"
    return "\n".join([head, "", *render_coverage(found, list(populations))])


def report_separation(populations: Mapping[str, Sums], runs: int, draws: int) -> str:
    """The table of false claims among equal sources, and of what a difference costs."""
    few, draws = math.ceil(runs / 5), min(draws, 200)
    lines = [
        f"Looks at {FIRST}, {2 * FIRST} … {MOST:,} examples of each source, {draws} draws; rankings in brackets.",
        "",
        "| equal sources | of | by | any neighbours told apart: before | now |",
        "|--:|---|---|--:|--:|",
    ]
    for sources, many in ((2, runs), (10, few)):
        names = list(zip(populations, ("perplexity", "rsr", "perplexity"), strict=False))
        for name, by in names if sources == 2 else names[-1:]:
            before = count_false_claims(populations[name], sources, by, few, draws, UncorrectedSession)
            now = count_false_claims(populations[name], sources, by, many, draws, SimulatedSession)
            rates = f"{100 * before:.1f} % ({few:,}) | {100 * now:.1f} % ({many:,})"
            lines.append(f"| {sources} | {name} | {by} | {rates} |")
            print(lines[-1], flush=True)
    lines += [
        "",
        "| two sources of | perplexity higher by | told apart: before | now | examples of both: before | now |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    name, sums = next(iter(populations.items()))
    for nats in (0.1, 0.2, 0.4):
        powers = [
            measure_power(sums, nats, "perplexity", few, draws, kind) for kind in (UncorrectedSession, SimulatedSession)
        ]
        apart, examples = zip(*powers, strict=True)
        higher = f"{100 * math.expm1(nats):.0f} %"
        shares = " | ".join(f"{100 * share:.0f} %" for share in apart)
        lines.append(f"| {name} | {higher} | {shares} | {examples[0]:,.0f} | {examples[1]:,.0f} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    options = read_options()
    populations = read_populations(options.measured)
    if options.sets:
        populations = {name: populations[name] for name in options.sets.split(",")}
    parts = {"coverage": report_coverage, "separation": report_separation}
    for part in options.parts.split(","):
        text = parts[part](populations, options.runs, options.draws)
        print(text)
        if options.readme:
            put_into(HERE / "README.md", f"<!-- coverage {part} -->", f"<!-- /coverage {part} -->", text)


if __name__ == "__main__":
    main()
