"""A position for each kept document: ranked, arranged by a schedule, checked to be a permutation, and written."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from curate.errors import GateError, TableError, UsageError
from curate.runtime.text import command
from curate.stages.order.summary import OrderStratum, OrderSummary

if TYPE_CHECKING:
    import pyarrow as pa

    from curate.rundir.run import Run
    from curate.rundir.verdicts.rejections import Rejections
    from curate.stages.order.permutations import Ranks
    from curate.stages.order.profile import ProfileTenth
    from curate.stages.order.ranks import RankedDocuments, RankScratch
    from curate.stages.order.schedules import Schedule


def rank_documents(
    run: "Run",
    by: str,
    stratify: str | None,
    descending: bool,
    scratch: "RankScratch",
    read: int,
    rejections: "Rejections",
) -> "RankedDocuments":
    """Return the kept documents by rank. Raises GateError where nothing is kept, UsageError where nothing has a key."""
    from curate.rundir import aligned_parts, placements
    from curate.rundir.columns.names import qualify_name
    from curate.stages.order.ranks import RankCollector

    stratify = None if stratify is None else qualify_name(stratify)
    kind, is_of_scores = placements.find_column_type(run, by)
    carry = list(dict.fromkeys([*(() if is_of_scores else (by,)), *((stratify,) if stratify else ())]))
    collector = RankCollector(read, scratch, kind, stratify is not None)
    columns = list(dict.fromkeys(["tokens", *((by,) if is_of_scores else ())]))
    for part in aligned_parts.read_parts(run, columns, carry, rejected_by=rejections):
        table = part.table.filter(part.keep)
        collector.add(table.column(by), table.column("tokens"), table.column(stratify) if stratify else None)
    ranked = collector.rank(descending)
    if not ranked.kept:
        raise GateError("nothing is kept, so there is nothing to order", f"{command('status', run.path)} says why")
    if not len(ranked.places):
        raise UsageError(f"no document that is kept has a {by}", "order by another column, as in --by bytes")
    return ranked


def arrange_documents(
    ranked: "RankedDocuments", schedule: "Schedule", jitter: int | None, seed: int, scratch: "RankScratch"
) -> "Ranks":
    """Return the order as ranks: each stratum arranged alone, merged by tokens, then jittered by a seed."""
    from curate.stages.order import permutations, schedules
    from curate.stages.order.ranks import part_strata

    orders = []
    for number, ranks in enumerate(part_strata(ranked, scratch)):
        tokens = take(ranked.tokens, ranks, scratch)
        bits = permutations.random_bits(seed, 0, number)
        orders.append(take(ranks, schedules.arrange(schedule, tokens, bits, scratch.empty), scratch))
    found = orders[0] if len(orders) == 1 else permutations.merge(orders, ranked.tokens, scratch.empty)
    if jitter is not None:
        permutations.jitter(found, jitter, permutations.random_bits(seed, 1))
    return found


def take(values: "Ranks", indices: "Ranks", scratch: "RankScratch") -> "Ranks":
    """Return the values at some indices, block by block."""
    from curate.stages.order.permutations import blocks

    out = scratch.empty(len(indices))
    for block in blocks(len(indices)):
        out[block] = values[indices[block]]
    return out


def compute_positions(ranked: "RankedDocuments", order: "Ranks", scratch: "RankScratch") -> "Ranks":
    """Return the position of each kept document, in the order of the corpus; documents without a key come last.

    Raises TableError where the order is not a permutation: as many documents as there are positions get one each, so
    that no position is left empty proves that none was given twice.
    """
    import numpy as np

    from curate.stages.order.permutations import blocks

    out = scratch.empty(ranked.kept)
    for block in blocks(len(out)):
        out[block] = -1
    for block in blocks(len(order)):
        out[ranked.places[order[block]]] = np.arange(block.start, block.stop)
    out[ranked.missing] = np.arange(len(order), len(order) + len(ranked.missing))
    empty = sum(int((out[block] < 0).sum()) for block in blocks(len(out)))
    if empty or len(order) + len(ranked.missing) != ranked.kept:
        raise TableError(f"the order is not a permutation: {empty:,} of {ranked.kept:,} documents have no position")
    return out


def write_positions(run: "Run", positions: "Ranks", summary: OrderSummary, rejections: "Rejections", read: int) -> None:
    """Write the table, then its record; one fingerprint in both shows a reader a half replacement."""

    from curate.rundir import placements, schemas
    from curate.rundir.guards import manifests
    from curate.rundir.run import compute_fingerprint

    made_from = placements.list_sources(run, rejections)
    note: dict[str, Any] = {"made_from": made_from, "parameters": dict(summary.parameters)}
    note["fingerprint"] = compute_fingerprint(note)
    rows = list_rows(run, rejections, positions)
    run.enter()
    placements.write_placements(run.order, schemas.ORDER, rows, note)
    counts = {"read": read, "kept": summary.documents, "unmeasured": summary.unmeasured, "kept_tokens": summary.tokens}
    tenths = [asdict(one) for one in summary.tenths]
    note[manifests.KEY] = run.record_manifest(run.order.name)
    run.save("order", {**note, "counts": counts, "summary": {"median": summary.median, "tenths": tenths}})


def list_rows(run: "Run", rejections: "Rejections", positions: "Ranks") -> "Iterator[pa.Table]":
    """Yield the rows of the table, part by part. Raises TableError where other documents are kept than were ordered."""
    import numpy as np
    import pyarrow as pa

    from curate.rundir import aligned_parts

    done = 0
    for part in aligned_parts.read_parts(run, ["file", "row"], rejected_by=rejections):
        assert part.keep is not None
        values = np.zeros(len(part), np.int64)
        many = int(part.keep.sum())
        values[part.keep] = positions[done : done + many]
        done += many
        yield part.table.append_column("position", pa.array(values, mask=~part.keep))
    if done != len(positions):
        raise TableError(f"{done:,} documents are kept, but {len(positions):,} were ordered", "run curate order again")


def summarise_order(
    run: "Run", ranked: "RankedDocuments", ranks: "Ranks", parameters: Mapping[str, Any], schedule: "Schedule"
) -> OrderSummary:
    """Return the summary of an order of ranks."""
    from curate.stages.order import profile

    tenths = profile.compute_profile(ranks, ranked.tokens, ranked.keys, ranked.strata, ranked.names)
    return OrderSummary(
        run=str(run.path),
        documents=ranked.kept,
        tokens=ranked.all_tokens,
        by=str(parameters["by"]),
        parameters={key: value for key, value in parameters.items() if value is not None},
        described=schedule.describe(),
        median=profile.median_of_ranked(ranked.keys),
        unmeasured=len(ranked.missing),
        tenths=tenths,
        strata=_list_strata(tenths, ranked.names) if ranked.strata is not None else (),
    )


def _list_strata(tenths: "tuple[ProfileTenth, ...]", names: tuple[Any, ...]) -> tuple[OrderStratum, ...]:
    """Return the strata, those of the most tokens first."""
    from curate.rundir.aligned_parts import name_value

    total = sum(tenth.tokens for tenth in tenths) or 1
    strata = []
    for number, name in enumerate(names):
        tokens = sum(tenth.strata[number] for tenth in tenths)
        shares = [tenth.strata[number] / tenth.tokens for tenth in tenths if tenth.tokens]
        text = None if name is None else name_value(name)
        strata.append(OrderStratum(text, tokens, tokens / total, min(shares, default=0.0), max(shares, default=0.0)))
    return tuple(sorted(strata, key=lambda one: (-one.tokens, one.value or "")))
