"""``curate order``: the order in which the kept documents are to be read, as a position for each.

The narrow table is ranked (``curate.ranking``), arranged by a schedule (``curate.curriculum``), and written as one
position for each row of the scores; no text is touched. A kept document whose key is null or NaN is not lost: such
documents stand last, in the order of the corpus, whatever the schedule, and are counted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from curate.errors import GateError, TableError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from curate.curriculum import Ranks
    from curate.ranking import Ranked, Scratch
    from curate.rejections import Rejections
    from curate.runs import Run
    from curate.schedules import Schedule
    from curate.tenths import Tenth

WIDTH = 100
LABEL = 16
STRATA = 12  # shown
Name = Literal["sort", "shuffle", "fold", "zigzag", "segment", "stair", "saw", "competence", "warmup"]


@dataclass(frozen=True, slots=True)
class Stratum:
    """The documents of one value of the column that is stratified by."""

    value: str | None
    tokens: int
    share: float
    """Of all tokens."""
    lowest: float
    """The lowest share that it has in a tenth of the order."""
    highest: float


@dataclass(frozen=True, slots=True)
class Arrangement:
    """An order that was written, or with ``dry_run`` would have been."""

    run: str
    documents: int
    """That are kept, and so have a position."""
    tokens: int
    by: str
    parameters: Mapping[str, Any]
    described: str
    """The schedule and its parameters in words."""
    median: float
    """Of the key."""
    unmeasured: int
    """Kept documents without a key; they stand last."""
    tenths: "tuple[Tenth, ...]"
    strata: tuple[Stratum, ...] = ()
    dry_run: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def render(self) -> str:
        return "\n".join([*self._head(), *self._tenths(), *self._strata(), *self._next()])

    def _head(self) -> list[str]:
        from curate.console import count
        from curate.evidence.screen import lay_out

        asked = self.parameters
        how = f"by {self.by}, {asked['direction']}; {self.described}; seed {asked['seed']}"
        if asked.get("jitter"):
            how += f"; jitter in windows of {asked['jitter']:,} documents"
        lines = [f"{self.documents:,} document{'' if self.documents == 1 else 's'}, {count(self.tokens)} tokens"]
        lines += [line.rstrip() for line in lay_out("order", how.split())]
        if self.unmeasured:
            many = "" if self.unmeasured == 1 else "s"
            lines.append(
                f"{'not measured':<{LABEL}}{self.unmeasured:,} document{many} without {self.by}: last, as in the corpus"
            )
        return lines

    def _tenths(self) -> list[str]:
        from curate.statistics import sparkline
        from curate.tenths import figure

        medians = [one.median for one in self.tenths]
        row = {"median": medians, "mean": [one.mean for one in self.tenths]}
        lines = [f"{self.by:<{LABEL}}median {figure(self.median)}; along the order, by tenths of its tokens:"]
        for name, values in row.items():
            cells = "".join(f"{'–' if value is None else figure(value):>8}" for value in values)
            lines.append(f"{'  ' + name:<{LABEL}}{cells}")
        return [*lines, f"{'':<{LABEL}}" + "".join(f"{bar:>8}" for bar in sparkline(_heights(medians))).rstrip()]

    def _strata(self) -> list[str]:
        from curate.console import count
        from curate.evidence.screen import shorten
        from curate.evidence.wording import fold

        lines = []
        if self.strata:
            lines.append(
                f"{shorten(fold(self.parameters['stratify']), 32):<34}{'tokens':>14}{'share':>10}   in a tenth"
            )
        for one in self.strata[:STRATA]:
            name = "(none)" if one.value is None else shorten(fold(one.value), 30)
            tenths = f"{100 * one.lowest:.1f} … {100 * one.highest:.1f} %"
            lines.append(f"  {name:<32}{count(one.tokens):>14}{100 * one.share:>8.1f} %   {tenths}")
        more = len(self.strata) - STRATA
        return [*lines, f"  and {more:,} more"] if more > 0 else lines

    def _next(self) -> list[str]:
        if self.dry_run:
            return ["", "nothing was written; the same command without --dry-run writes the order"]
        at = "" if self.run == "curated" else f" --run {self.run}"
        return ["", f"next: curate export out/{at}", "      curate verify out/     does your trainer keep the order?"]


def _heights(medians: list[float | None]) -> list[float]:
    """Medians as heights from 1 to 8, so that the lowest shows, too; 0 for none."""
    import math

    known = [value for value in medians if value is not None and math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    spread = (high - low) or 1.0
    return [0.0 if value is None else 1 + 7 * min(max((value - low) / spread, 0), 1) for value in medians]


def order(
    run: Annotated[str, typer.Option(help="Run directory.")] = "curated",
    by: Annotated[str, typer.Option(help="Column to rank by: ppl, bpb, or any column of numbers.")] = "ppl",
    direction: Annotated[Literal["ascending", "descending"], typer.Option(help="Lowest or highest first.")] = (
        "ascending"
    ),
    schedule: Annotated[Name, typer.Option(help="Rule for the order; see below.")] = "sort",
    folds: Annotated[int | None, typer.Option(help="Of fold (3), zigzag (5), stair (3) and saw (2).")] = None,
    segments: Annotated[str | None, typer.Option(help="Of segment: LOW:HIGH percent of the tokens (10:10).")] = None,
    sections: Annotated[int | None, typer.Option(help="Of stair (2) and saw (3).")] = None,
    band: Annotated[float | None, typer.Option(help="Of stair (.225) and saw (.075): ± share of N.")] = None,
    warmup_share: Annotated[float | None, typer.Option(help="Of warmup: share of the tokens (.2).")] = None,
    start: Annotated[float | None, typer.Option(help="Of competence and warmup: share open at first (.01).")] = None,
    jitter: Annotated[int | None, typer.Option(help="Shuffle inside consecutive windows of so many documents.")] = None,
    stratify: Annotated[str | None, typer.Option(help="Column whose values keep their shares along the order.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    memory_limit: Annotated[str, typer.Option(help="Memory for the ranking; files beyond.")] = "1GB",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the order and write nothing.")] = False,
) -> Arrangement:
    """Decide the order in which the kept documents are read: a curriculum, seeded, and checked to be a permutation.

    ``sort`` from the lowest key to the highest; ``shuffle``; ``fold`` rises over the whole range L times; ``zigzag``
    folds with every second rise turned; ``segment`` puts the lowest 10 % first, the highest last, each shuffled;
    ``stair`` and ``saw`` sort, with bands around the borders of sections folded or zigzagged; ``competence`` draws from
    an easiest share that grows; ``warmup`` does so for the first fifth and then shuffles. Shares are of tokens; folds,
    sections, bands and jitter count documents. Ties go by the order of the corpus. A document without a key is last.
    """
    from curate import ranking, rejections, runs, schedules, shards, tables
    from curate.tables import ALIASES

    given = {"folds": folds, "segments": segments, "sections": sections, "band": band}
    asked = schedules.schedule_of(schedule, {**given, "warmup_share": warmup_share, "start": start})
    _check_options(direction, jitter, seed)
    limit = shards.parse_size(memory_limit)
    opened = runs.open_run(run)
    read = opened.finished_scores()["counts"]["read"]
    found = rejections.open_rejections(opened)
    column = ALIASES.get(by, by)
    parameters = {"by": column, "direction": direction, "schedule": schedule, **asked.parameters}
    parameters |= {"jitter": jitter, "stratify": stratify, "seed": seed, "generator": "PCG64"}
    with ranking.open_scratch(opened.path / ".scratch", read, limit) as scratch:
        ranked = rank_documents(opened, column, stratify, direction == "descending", scratch, read, found)
        ranks = arrange(ranked, asked, jitter, seed, scratch)
        summary = summarise_order(opened, ranked, ranks, parameters, asked)
        if dry_run:
            from dataclasses import replace

            return replace(summary, dry_run=True)
        positions = place(ranked, ranks, scratch)
        tables.remove_leftovers(opened.path)
        write_positions(opened, positions, summary, found, read)
    return summary


def _check_options(direction: str, jitter: int | None, seed: int) -> None:
    if direction not in ("ascending", "descending"):
        raise UsageError(f"--direction {direction} is not known", "ascending or descending")
    if jitter is not None and jitter < 1:
        raise UsageError(f"--jitter {jitter} is no window: it is a number of documents", "leave it out for none")
    if seed < 0:
        raise UsageError(f"--seed {seed} is negative", "any number from 0 on")


def rank_documents(
    run: "Run", by: str, stratify: str | None, descending: bool, scratch: "Scratch", read: int, found: "Rejections"
) -> "Ranked":
    """The kept documents by rank. GateError where nothing is kept, UsageError where nothing has a key."""
    from curate import narrow, placebook, ranking

    kind, own = placebook.kind_of(run, by)
    carry = list(dict.fromkeys([*(() if own else (by,)), *((stratify,) if stratify else ())]))
    collector = ranking.Collector(read, scratch, kind, stratify is not None)
    columns = list(dict.fromkeys(["tokens", *((by,) if own else ())]))
    for part in narrow.read_parts(run, columns, carry, found=found):
        table = part.table.filter(part.keep)
        collector.add(table.column(by), table.column("tokens"), table.column(stratify) if stratify else None)
    ranked = collector.rank(descending)
    if not ranked.kept:
        raise GateError("nothing is kept, so there is nothing to order", f"curate status --run {run.path} says why")
    if not len(ranked.places):
        raise UsageError(f"no document that is kept has a {by}", "order by another column, as in --by bytes")
    return ranked


def arrange(ranked: "Ranked", asked: "Schedule", jitter: int | None, seed: int, scratch: "Scratch") -> "Ranks":
    """The order as ranks: each stratum by itself, merged by tokens, then jittered. The same for the same seed."""
    from curate import curriculum, ranking, schedules

    orders = []
    for number, ranks in enumerate(ranking.part_strata(ranked, scratch)):
        tokens = take(ranked.tokens, ranks, scratch)
        bits = curriculum.random_bits(seed, 0, number)
        orders.append(take(ranks, schedules.arrange(asked, tokens, bits, scratch.empty), scratch))
    found = orders[0] if len(orders) == 1 else curriculum.merge(orders, ranked.tokens, scratch.empty)
    if jitter is not None:
        curriculum.jitter(found, jitter, curriculum.random_bits(seed, 1))
    return found


def take(values: "Ranks", places: "Ranks", scratch: "Scratch") -> "Ranks":
    """The values at some places."""
    from curate.curriculum import blocks

    out = scratch.empty(len(places))
    for block in blocks(len(places)):
        out[block] = values[places[block]]
    return out


def place(ranked: "Ranked", order: "Ranks", scratch: "Scratch") -> "Ranks":
    """The position of each kept document, in the order of the corpus; TableError where it is no permutation.

    As many documents as there are places take a place each; that no place is left empty proves that none was taken
    twice.
    """
    import numpy as np

    from curate.curriculum import blocks

    out = scratch.empty(ranked.kept)
    for block in blocks(len(out)):
        out[block] = -1
    for block in blocks(len(order)):
        out[ranked.places[order[block]]] = np.arange(block.start, block.stop)
    out[ranked.missing] = np.arange(len(order), len(order) + len(ranked.missing))
    empty = sum(int((out[block] < 0).sum()) for block in blocks(len(out)))
    if empty or len(order) + len(ranked.missing) != ranked.kept:
        raise TableError(f"the order is no permutation: {empty:,} of {ranked.kept:,} documents have no position")
    return out


def write_positions(run: "Run", positions: "Ranks", summary: Arrangement, found: "Rejections", read: int) -> None:
    """Write the table, then its record; one fingerprint in both shows a reader a half replacement."""
    from dataclasses import asdict

    from curate import placebook, runs, tables

    made_from = placebook.sources_of(run, found)
    note: dict[str, Any] = {"made_from": made_from, "parameters": dict(summary.parameters)}
    note["fingerprint"] = runs.fingerprint(note)
    rows = placed_rows(run, found, positions)
    placebook.write_placements(run.order, tables.ORDER, rows, note)
    counts = {"read": read, "kept": summary.documents, "unmeasured": summary.unmeasured, "kept_tokens": summary.tokens}
    tenths = [asdict(one) for one in summary.tenths]
    run.save("order", {**note, "counts": counts, "summary": {"median": summary.median, "tenths": tenths}})


def placed_rows(run: "Run", found: "Rejections", positions: "Ranks") -> "Iterator[pa.Table]":
    """The rows of the table, part by part."""
    import numpy as np
    import pyarrow as pa

    from curate import narrow

    done = 0
    for part in narrow.read_parts(run, ["file", "row"], found=found):
        assert part.keep is not None
        values = np.zeros(len(part), np.int64)
        many = int(part.keep.sum())
        values[part.keep] = positions[done : done + many]
        done += many
        yield part.table.append_column("position", pa.array(values, mask=~part.keep))
    if done != len(positions):
        raise TableError(f"{done:,} documents are kept, but {len(positions):,} were ordered", "run curate order again")


def summarise_order(
    run: "Run", ranked: "Ranked", ranks: "Ranks", parameters: Mapping[str, Any], asked: "Schedule"
) -> Arrangement:
    from curate import tenths

    found = tenths.summarise(ranks, ranked.tokens, ranked.keys, ranked.strata, ranked.names)
    middle = len(ranked.keys) - 1
    median = (float(ranked.keys[middle // 2]) + float(ranked.keys[(middle + 1) // 2])) / 2
    return Arrangement(
        run=str(run.path),
        documents=ranked.kept,
        tokens=ranked.all_tokens,
        by=str(parameters["by"]),
        parameters={key: value for key, value in parameters.items() if value is not None},
        described=asked.describe(),
        median=median,
        unmeasured=len(ranked.missing),
        tenths=found,
        strata=_strata(found, ranked.names) if ranked.strata is not None else (),
    )


def _strata(found: "tuple[Tenth, ...]", names: tuple[Any, ...]) -> tuple[Stratum, ...]:
    """The strata, those of the most tokens first."""
    total = sum(one.tokens for one in found) or 1
    strata = []
    for number, name in enumerate(names):
        tokens = sum(one.strata[number] for one in found)
        shares = [one.strata[number] / one.tokens for one in found if one.tokens]
        text = None if name is None else str(name)
        strata.append(Stratum(text, tokens, tokens / total, min(shares, default=0.0), max(shares, default=0.0)))
    return tuple(sorted(strata, key=lambda one: (-one.tokens, one.value or "")))
