"""``curate order``: the order in which the kept documents are to be read, as a position for each.

The narrow table is ranked (``curate.stages.order.ranks``), arranged by a schedule
(``curate.stages.order.permutations``), and written as one position for each row of the scores; no text is touched. A
kept document whose key is null or NaN is not lost: such documents stand last, in the order of the corpus, whatever the
schedule, and are counted.
"""

from typing import Annotated, Literal

import typer

from curate.errors import UsageError
from curate.runtime.options import (
    DEFAULT_MEMORY,
    DryRunOption,
    MemoryLimitOption,
    RunOption,
    SeedOption,
    verb_function,
)
from curate.runtime.text import DEFAULT_RUN
from curate.stages.order.summary import OrderSummary


@verb_function()
def order(
    run: RunOption = DEFAULT_RUN,
    by: Annotated[str, typer.Option(help="Column to rank by: ppl, bpb, or any column of numbers.")] = "ppl",
    direction: Annotated[Literal["ascending", "descending"], typer.Option(help="Lowest or highest first.")] = (
        "ascending"
    ),
    schedule: Annotated[
        Literal["sort", "shuffle", "fold", "zigzag", "segment", "stair", "saw", "competence", "warmup"],
        typer.Option(help="Rule that arranges the documents; the text above describes each."),
    ] = "sort",
    folds: Annotated[
        int | None, typer.Option(help="Folds of a schedule.  [default: 3 for fold and stair, 5 for zigzag, 2 for saw]")
    ] = None,
    segments: Annotated[
        str | None,
        typer.Option(help="Percent of the tokens that segment puts first and last, as LOW:HIGH.  [default: 10:10]"),
    ] = None,
    sections: Annotated[
        int | None, typer.Option(help="Sections of a schedule.  [default: 2 for stair, 3 for saw]")
    ] = None,
    band: Annotated[
        float | None,
        typer.Option(
            help="Half width of a band, as a share of the documents.  [default: 0.225 for stair, 0.075 for saw]"
        ),
    ] = None,
    warmup_share: Annotated[
        float | None, typer.Option(help="Share of the tokens that warmup orders from easy to hard.  [default: 0.2]")
    ] = None,
    start: Annotated[
        float | None, typer.Option(help="Share that competence and warmup draw from at first.  [default: 0.01]")
    ] = None,
    jitter: Annotated[
        int | None,
        typer.Option(help="Shuffle within consecutive windows of this many documents.  [default: no shuffling]"),
    ] = None,
    stratify: Annotated[str | None, typer.Option(help="Column whose values keep their shares along the order.")] = None,
    seed: SeedOption = 0,
    memory_limit: MemoryLimitOption = None,
    dry_run: DryRunOption = False,
) -> OrderSummary:
    """Decide the order in which the kept documents are read, a curriculum, and return how it runs.

    ``sort`` goes from the lowest key to the highest; ``shuffle`` is uniform; ``fold`` rises over the full range L
    times; ``zigzag`` folds with every second rise turned; ``segment`` puts the lowest 10 % first, the highest last,
    each shuffled; ``stair`` and ``saw`` sort, with bands around the borders of sections folded or zigzagged;
    ``competence`` draws from an easiest share that grows; ``warmup`` does so for the first fifth and then shuffles.
    Shares are of tokens; folds, sections, bands and jitter count documents. Ties go by the order of the corpus. A
    document without a key is last.

    The order is seeded, and checked to be a permutation.

    Raises UsageError for a parameter that the schedule does not read or a column that is not there, and TableError
    where a table of the run is stale.
    """
    from curate.rundir.columns.names import read_name
    from curate.rundir.guards.claims import open_claimed
    from curate.rundir.schemas import ALIASES
    from curate.rundir.verdicts import rejections
    from curate.runtime import numbers
    from curate.runtime.disk.writers import name_temporary
    from curate.stages.order import schedules
    from curate.stages.order.positions import (
        arrange_documents,
        compute_positions,
        rank_documents,
        summarise_order,
        write_positions,
    )
    from curate.stages.order.ranks import open_scratch

    given = {"folds": folds, "segments": segments, "sections": sections, "band": band}
    asked = schedules.schedule_of(schedule, {**given, "warmup_share": warmup_share, "start": start})
    _check_options(jitter, seed)
    limit = numbers.parse_size(DEFAULT_MEMORY if memory_limit is None else memory_limit, "--memory-limit")
    opened = open_claimed(run, "order", reads_only=dry_run)
    if not dry_run:
        opened.reserve("order.parquet")
    read = opened.finished_scores()["counts"]["read"]
    found = rejections.open_rejections(opened)
    column = ALIASES.get(read_name(by), read_name(by))
    stratify = None if stratify is None else read_name(stratify)
    parameters = {"by": column, "direction": direction, "schedule": schedule, **asked.parameters}
    parameters |= {"jitter": jitter, "stratify": stratify, "seed": seed, "generator": "PCG64"}
    with open_scratch(name_temporary(opened.path / "scratch"), read, limit) as scratch:
        ranked = rank_documents(opened, column, stratify, direction == "descending", scratch, read, found)
        ranks = arrange_documents(ranked, asked, jitter, seed, scratch)
        summary = summarise_order(opened, ranked, ranks, parameters, asked)
        if dry_run:
            from dataclasses import replace

            return replace(summary, dry_run=True)
        positions = compute_positions(ranked, ranks, scratch)
        write_positions(opened, positions, summary, found, read)
    return summary


def _check_options(jitter: int | None, seed: int) -> None:
    if jitter is not None and jitter < 1:
        raise UsageError(f"--jitter must be at least 1 (a number of documents), not {jitter}", "--jitter 1000")
    if seed < 0:
        raise UsageError(f"--seed must be 0 or greater, not {seed}", "--seed 0")
