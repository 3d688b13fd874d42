"""The comparison of some opened sides, by the options of ``curate compare``."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from curate.errors import TableError, UsageError
from curate.monitoring.compare.baseline import MOST_PAIRED, build_baseline
from curate.monitoring.compare.by_kind import compare_kinds
from curate.monitoring.compare.calibration import compare_calibration
from curate.monitoring.compare.conditions import (
    ReadingConditions,
    check_conditions,
    choose_metric,
    fingerprint_evaluator,
    list_noise,
)
from curate.monitoring.compare.cost import find_costs
from curate.monitoring.compare.distributions import describe_distribution
from curate.monitoring.compare.documents import Grouping
from curate.monitoring.compare.extremes import ExtremePairs
from curate.monitoring.compare.groups import Drawing, measure_apart
from curate.monitoring.compare.leak import find_leak
from curate.monitoring.compare.measures import divide, show_level
from curate.monitoring.compare.pair import (
    ComparedPair,
    GatheredSides,
    PairingSettings,
    compare_pair,
    gather_sides,
    measure_groups,
    sum_side,
)
from curate.monitoring.compare.pairing import ReadSide, read_apart
from curate.monitoring.compare.series import Series, make_rows
from curate.monitoring.compare.sides import ComparedSide
from curate.monitoring.compare.steps import read_steps
from curate.monitoring.compare.summary import SideComparison, SideSummary
from curate.monitoring.compare.totals import SideTotals
from curate.monitoring.compare.verdicts import Metric, Tolerance
from curate.monitoring.compare.worst import ChangedDocument, add_spans, list_changed
from curate.runtime.published import hide_folders
from curate.runtime.redaction import NO_REDACTION, Redactor
from curate.runtime.text import command


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What is compared, and how."""

    within: tuple[str, ...]
    cluster: str | None
    metric: Metric | None
    tolerance: Tolerance | None
    unsure: Literal["pass", "fail"] | None
    anyway: bool
    draws: int
    seed: int
    pairing: PairingSettings
    leak: bool = False
    time: bool = False
    time_column: str | None = None
    costs: dict[str, dict[str, float]] | None = None
    by_kind: bool = False
    calibration: bool = False
    worst: int = 0
    spans: bool = False
    redactor: Redactor = NO_REDACTION


def compare_sides(sides: Sequence[ComparedSide], options: CompareOptions) -> SideComparison:
    """Return some sides compared: each with the first, or as steps of a series.

    Raises UsageError where they cannot be compared: read differently, other tokenizers under perplexity, a baseline
    whose groups are others.
    """
    _check_baselines(sides, options)
    known = [ReadingConditions(side.label, side.identity, 1) for side in sides]
    check_conditions(known, options.anyway)
    metric, reason = choose_metric(known, options.metric, options.tolerance)
    drawing = Drawing(metric, options.draws, options.seed)
    if len(sides) == 1 and options.time_column is None:
        return _describe_side(sides[0], metric, options)
    if options.time_column is not None:
        return _compare_steps(sides[0], options, drawing)
    if options.time:
        return _compare_series(sides, options, drawing, reason)
    pairs: list[ComparedPair] = []
    totals: list[SideTotals | None] = [None] * len(sides)
    changed: list[ChangedDocument] = []
    leak = None
    ignored: list[str] = []
    for number in range(1, len(sides)):
        two = (sides[0], sides[number])
        grouping = Grouping(options.within, options.cluster)
        extremes = ExtremePairs(options.worst) if options.worst else None
        gathered = gather_sides(two, grouping, options.pairing, extremes)
        ignored += _check_read(two, gathered, options)
        pairs.append(compare_pair(two, gathered, grouping, drawing, options.tolerance))
        totals[0], totals[number] = gathered.totals
        if extremes is not None:
            changed += _list_changed(two, gathered, grouping, extremes, metric, options)
        if options.leak:
            leak = find_leak(pairs[-1], gathered.totals[1])
    summaries = [summarise_side(side, sum_side(side, total)) for side, total in zip(sides, totals, strict=True)]
    costs = () if options.costs is None else tuple(find_costs(options.costs, [_price(one) for one in summaries]))
    return SideComparison(
        tuple(summaries),
        metric,
        reason if options.metric is None and metric != "perplexity" else "",
        tuple(dict.fromkeys(ignored)),
        tuple(list_noise(known)),
        options.within,
        options.cluster,
        options.tolerance,
        options.unsure,
        tuple(pairs),
        costs=costs,
        changed=tuple(changed),
        leak=leak,
        kinds=tuple(compare_kinds(sides, options.cluster, drawing, options.pairing)) if options.by_kind else (),
        calibration=compare_calibration(sides, options.cluster, drawing) if options.calibration else None,
        distributions=tuple(
            describe_distribution(side, total, metric) for side, total in zip(sides, totals, strict=True)
        ),
    )


def _describe_side(side: ComparedSide, metric: Metric, options: CompareOptions) -> SideComparison:
    """Return one side, compared with nothing."""
    total = None
    if side.read is not None and side.baseline is None:
        grouping = Grouping(options.within, options.cluster)
        total = read_apart(ReadSide(side.read, side.num_documents, side.has_hashes), grouping).totals
    summary = summarise_side(side, sum_side(side, total))
    return SideComparison(
        (summary,), metric, "", (), (), options.within, options.cluster, options.tolerance, options.unsure, ()
    )


def _check_baselines(sides: Sequence[ComparedSide], options: CompareOptions) -> None:
    for side in sides:
        if side.baseline is None:
            continue
        known = side.baseline.within
        if options.within and known != options.within:
            saved = f"--within {','.join(known)}" if known else "without --within"
            message = f"{side.label} was saved {saved}, so that it has no groups by {','.join(options.within)}"
            again = f"--within {','.join(known)}" if known else "save it again with --within"
            raise UsageError(message, again)
        if options.cluster is not None:
            message = f"{side.label} is a baseline, which keeps no clusters of {options.cluster}"
            raise UsageError(message, "name the run directory that it was saved from, or leave out --cluster")


def _check_read(sides: Sequence[ComparedSide], gathered: GatheredSides, options: CompareOptions) -> list[str]:
    """Check the reading again, now that it is known whether documents were longer than a window."""
    found = []
    for side, total in zip(sides, gathered.totals, strict=True):
        check_measured(side, sum_side(side, total)["documents"])
        windows = side.baseline.windows if side.baseline is not None else total.windows if total is not None else 0
        found.append(ReadingConditions(side.label, side.identity, windows))
    return check_conditions(found, options.anyway)


def check_measured(side: ComparedSide, documents: float) -> None:
    """Raise TableError where a side has no document with numbers: nothing could be compared, and nothing must pass."""
    if not documents:
        message = f"{side.label} has no document with numbers"
        raise TableError(message, "" if side.run is None else command("status", side.run.path))


def _list_changed(
    sides: Sequence[ComparedSide],
    gathered: GatheredSides,
    grouping: Grouping,
    extremes: ExtremePairs,
    metric: Metric,
    options: CompareOptions,
) -> list[ChangedDocument]:
    if gathered.paired is None and options.pairing.pairs == "never":
        raise UsageError("--worst needs pairs of documents, and --pairs never makes none", "leave out --pairs never")
    if gathered.paired is None:
        message = (
            f"--worst needs documents that {sides[0].label} and {sides[1].label} both hold, and they share too few"
        )
        raise UsageError(message, "leave out --worst, or compare runs of one corpus")
    changed = list_changed(sides, extremes, grouping.names if grouping.within else [], metric, options.redactor)
    return add_spans(sides, changed, options.redactor) if options.spans else changed


def summarise_side(side: ComparedSide, sums: dict[str, float]) -> SideSummary:
    """Return what a side is, from the sums of its documents."""
    numbers = sums["nats"], sums["tokens"], sums["bytes"]
    perplexity, bits = (show_level(divide(*numbers, name), name) for name in ("perplexity", "bits_per_byte"))
    tokenizer = side.identity.get("tokenizer")
    return SideSummary(
        side.label,
        side.path,
        side.kind,
        hide_folders(side.model),
        None if tokenizer is None else str(tokenizer),
        int(sums["documents"]),
        int(sums["tokens"]),
        int(sums["bytes"]),
        perplexity,
        bits,
        evaluator=fingerprint_evaluator(side.identity),
    )


def _price(side: SideSummary) -> tuple[str, str, float, float, float]:
    return side.label, side.model, side.bits_per_byte, side.tokens, side.bytes


def _compare_series(
    sides: Sequence[ComparedSide], options: CompareOptions, drawing: Drawing, reason: str
) -> SideComparison:
    """Return sides compared as the steps of a series."""
    grouping = Grouping(options.within, options.cluster)
    gathered = gather_sides(sides, grouping, options.pairing)
    ignored = _check_read(sides, gathered, options)
    rows = make_rows(measure_groups(sides, gathered, grouping, drawing), drawing.metric, options.tolerance)
    num_pairs = 0 if gathered.paired is None else gathered.paired.num_pairs
    labels = tuple(side.label for side in sides)
    series = Series(labels, gathered.paired is not None, num_pairs, rows[-1], tuple(rows[:-1]))
    summaries = [
        summarise_side(side, sum_side(side, total)) for side, total in zip(sides, gathered.totals, strict=True)
    ]
    known = [ReadingConditions(side.label, side.identity, 1) for side in sides]
    return _make_series(series, summaries, options, drawing.metric, reason, ignored, list_noise(known))


def _compare_steps(side: ComparedSide, options: CompareOptions, drawing: Drawing) -> SideComparison:
    """Return the steps of a time column of one run compared as a series."""
    assert options.time_column is not None
    grouping = Grouping(options.within, options.cluster, options.time_column)
    steps, units, without = read_steps(side, grouping)
    size = len(grouping.names)
    names = [*(grouping.names if options.within else []), "all"]
    tables = [one.sums.tabulate(size)[-len(names) :] for one in units]
    groups = [measure_apart(name, each, drawing) for name, *each in zip(names, *tables, strict=True)]
    rows = make_rows(groups, drawing.metric, options.tolerance)
    series = Series(tuple(steps), False, 0, rows[-1], tuple(rows[:-1]), without)
    summaries = []
    for label, one in zip(steps, units, strict=True):
        step = replace(side, label=label)
        summaries.append(replace(summarise_side(step, sum_side(step, one.totals)), kind="step"))
    return _make_series(series, summaries, options, drawing.metric, "", [], [])


def _make_series(
    series: Series,
    sides: Sequence[SideSummary],
    options: CompareOptions,
    metric: Metric,
    reason: str,
    ignored: Sequence[str],
    noise: Sequence[str],
) -> SideComparison:
    return SideComparison(
        tuple(sides),
        metric,
        reason if options.metric is None and metric != "perplexity" else "",
        tuple(ignored),
        tuple(noise),
        options.within,
        options.cluster,
        options.tolerance,
        options.unsure,
        (),
        series,
    )


def save_side(side: ComparedSide, within: tuple[str, ...]) -> dict[str, Any]:
    """Return the JSON of a baseline of a side. Raises UsageError for a baseline of which sums alone are known."""
    if side.baseline is not None or side.read is None:
        raise UsageError(f"{side.label} is a baseline already", f"cp {side.path} FILE")
    grouping = Grouping(within)
    units = read_apart(ReadSide(side.read, side.num_documents, side.has_hashes), grouping)
    keeps = side.has_hashes and units.totals.documents <= MOST_PAIRED
    check_measured(side, units.totals.documents)
    batches = side.read(grouping) if keeps else None
    counts = {**side.counts, "ok": units.totals.documents}
    identity = hide_folders(dict(side.identity))
    return build_baseline(
        side.label, hide_folders(side.model), identity, grouping.names, within, units, batches, counts
    )
