"""``curate filter``: which documents to keep, with one reason for each that is not.

``curate.criteria`` says what can be asked and in which order; here the answers are written, counted and shown.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate import ledger
from curate.errors import UsageError
from curate.ledger import Share

if TYPE_CHECKING:
    import duckdb

    from curate.rejections import Rejections
    from curate.runs import Run

LABEL_CHARS = 50  # of a reason on the screen
SHARES = {"min": 0.0, "5 %": 0.05, "25 %": 0.25, "50 %": 0.5, "75 %": 0.75, "95 %": 0.95}


@dataclass(frozen=True, slots=True)
class Trial:
    """What one criterion would keep."""

    criterion: str
    kept: Share


@dataclass(frozen=True, slots=True)
class Selection:
    """What ``filter`` decided, or with ``dry_run`` would have."""

    run: str
    read: Share
    scored: Share
    """What the criteria are about: scored, and rejected by neither the hits nor the duplicates."""
    kept: Share
    rejected: Mapping[str, Share]
    unreadable: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool = False
    sweep: tuple[Trial, ...] = ()
    verbs: tuple[str, ...] = ()
    """The verbs whose tables rejected documents before."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def render(self) -> str:
        if self.sweep:
            return "\n".join(_render_sweep(self))
        return "\n".join([*_render_counts(self), "", *_render_next(self)])


def filter(
    run: Annotated[str, typer.Option(help="Run directory.")] = "curated",
    max_ppl: Annotated[float | None, typer.Option(help="Keep perplexity up to this, included.")] = None,
    min_ppl: Annotated[float | None, typer.Option(help="Keep perplexity from this on, included.")] = None,
    max_bpb: Annotated[float | None, typer.Option(help="Keep bits per byte up to this, included.")] = None,
    min_bpb: Annotated[float | None, typer.Option(help="Keep bits per byte from this on, included.")] = None,
    min_tokens: Annotated[int | None, typer.Option(help="Keep documents of at least so many scored tokens.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Keep documents of at most so many scored tokens.")] = None,
    min_zlib: Annotated[float | None, typer.Option(help="Keep zlib ratios from this on: drops repetition.")] = None,
    keep: Annotated[str | None, typer.Option(help="Percentiles: low, middle, high or LO:HI, as in 10:60.")] = None,
    rate: Annotated[float | None, typer.Option(help="Share that --keep low|middle|high keeps.  [default: 0.5]")] = None,
    by: Annotated[str | None, typer.Option(help="Column that --keep orders by.  [default: ppl]")] = None,
    where: Annotated[str | None, typer.Option(help="SQL condition over the columns of the scores.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be kept and write nothing.")] = False,
    memory_limit: Annotated[str | None, typer.Option(help="Memory for DuckDB, as in 4GB; it spills beyond.")] = None,
) -> Selection:
    """Choose documents by their scores: bounds, percentiles or SQL, with a reason for each that is dropped.

    Replaces what an earlier filter decided. Without a criterion it explains the choice with the quantiles of this
    corpus; with ``dry_run`` alone it shows what a few thresholds would keep. The first criterion that fails is the
    reason: not scored, contaminated, a duplicate, the bounds in the order below, ``where``, ``keep``. Percentiles,
    medians, and the table ``scores`` that ``where`` may ask, are of the documents that are neither contaminated nor
    duplicates. TableError where the hits or the duplicates of the run are stale or not complete.
    """
    options = dict(locals())
    from curate import criteria, decisions, rejections, runs

    asked = criteria.criteria_of(options)
    opened = runs.open_run(run)
    opened.finished_scores()
    found = rejections.open_rejections(opened)
    with decisions.open_scores(opened, memory_limit, found) as connection:
        decisions.check_met(connection, opened, found)
        if not asked and not dry_run:
            raise _no_criterion(connection, run)
        if not asked:
            return replace(_sweep(opened, connection), verbs=found.verbs())
        criteria.check_columns(connection, asked)
        reason = criteria.reason_of(connection, asked)
        parameters = criteria.parameters_of(asked)
        if dry_run:
            summary = _summary(opened, connection, reason, ledger.count(connection, reason))
        else:
            summary = _write(opened, connection, reason, parameters, found)
        return replace(summary, dry_run=dry_run, parameters=parameters, verbs=found.verbs())


def _write(
    run: "Run",
    connection: "duckdb.DuckDBPyConnection",
    reason: str,
    parameters: Mapping[str, Any],
    found: "Rejections",
) -> Selection:
    """Write the decision table, then its record; one fingerprint in both shows a reader a half replacement."""
    from curate import decisions, runs

    made_from = {"made_from": run.finished_scores()["fingerprint"], **found.fingerprints()}
    note: dict[str, Any] = {**made_from, "parameters": dict(parameters)}
    note["fingerprint"] = runs.fingerprint(note)
    tally: ledger.Tally = {}
    decisions.write_decisions(run.filter, ledger.decide(connection, reason, tally), note)
    summary = _summary(run, connection, reason, tally)
    run.save("filter", {**note, "counts": _counts(summary), "summary": _medians(summary)})
    return summary


def _counts(summary: Selection) -> dict[str, Any]:
    return {
        "read": summary.read.documents,
        "kept": summary.kept.documents,
        "kept_tokens": summary.kept.tokens,
        "rejected": _documents(summary.rejected),
        "rejected_tokens": {reason: share.tokens for reason, share in summary.rejected.items()},
        "unreadable": summary.unreadable,
    }


def _documents(rejected: Mapping[str, Share]) -> dict[str, int]:
    return {reason: share.documents for reason, share in rejected.items()}


def _medians(summary: Selection) -> dict[str, Any]:
    before, after = summary.scored.median_perplexity, summary.kept.median_perplexity
    return {"median_perplexity_before": before, "median_perplexity_after": after}


def _summary(
    run: "Run",
    connection: "duckdb.DuckDBPyConnection",
    reason: str,
    tally: ledger.Tally,
    scored: Share | None = None,
) -> Selection:
    """The tally as a selection; TableError when documents are missing from it."""
    read = run.finished_scores()["counts"]["read"]
    sums = ledger.sum_up("filter", tally, read)
    chosen = f"SELECT perplexity FROM (SELECT perplexity, {reason} AS reason FROM documents AS scores)"
    median = _median(connection, f"{chosen} WHERE reason IS NULL")
    return Selection(
        run=str(run.path),
        read=Share(read, sum(one.tokens for one in tally.values())),
        scored=scored or _scored(connection),
        kept=replace(sums.kept, median_perplexity=median),
        rejected=sums.rejected,
        unreadable=sums.unreadable,
    )


def _median(connection: "duckdb.DuckDBPyConnection", query: str) -> float | None:
    """The median of a query's ``perplexity``, null and NaN left out; None for none."""
    from curate import decisions

    measured = f"({query}) WHERE perplexity IS NOT NULL"
    count = connection.execute(f"SELECT count(*) FROM {measured}").fetchall()[0][0]
    ordered = f"SELECT perplexity FROM {measured} ORDER BY perplexity"
    return decisions.quantiles(connection, ordered, count, [0.5])[0] if count else None


def _scored(connection: "duckdb.DuckDBPyConnection") -> Share:
    query = "SELECT count(*), coalesce(sum(tokens), 0) FROM scores WHERE status = 'ok'"
    documents, tokens = connection.execute(query).fetchall()[0]
    return Share(documents, int(tokens), _median(connection, "SELECT perplexity FROM scores WHERE status = 'ok'"))


# Without a criterion: what this corpus is like, and what a few thresholds would keep.


def _perplexity_quantiles(connection: "duckdb.DuckDBPyConnection") -> list[float]:
    from curate import decisions

    measured = "FROM scores WHERE status = 'ok' AND perplexity IS NOT NULL"
    count = connection.execute(f"SELECT count(*) {measured}").fetchall()[0][0]
    if not count:
        raise UsageError("no document of this run has a perplexity, so there is nothing to choose by", "curate status")
    query = f"SELECT perplexity {measured} ORDER BY perplexity"
    return decisions.quantiles(connection, query, count, list(SHARES.values()))


def _no_criterion(connection: "duckdb.DuckDBPyConnection", run: str) -> UsageError:
    found = dict(zip(SHARES, _perplexity_quantiles(connection), strict=True))
    listed = ", ".join(f"{name} {figure(value)}" for name, value in found.items())
    at = "" if run == "curated" else f" --run {run}"
    return UsageError(
        f"no criterion given, and none suits every corpus. Perplexity of this one: {listed}",
        f"curate filter --dry-run{at} shows what thresholds keep; "
        f"then for example --max-ppl {figure(found['75 %'])}, or --keep middle --rate 0.5",
    )


def _sweep(run: "Run", connection: "duckdb.DuckDBPyConnection") -> Selection:
    """What upper bounds near the quartiles would keep, and the middle half."""
    from curate import criteria

    trials: list[dict[str, Any]] = [
        {"max_ppl": float(figure(value))} for value in _perplexity_quantiles(connection)[2:]
    ]
    found, scored = [], _scored(connection)
    for options in [*trials, {"keep": "middle", "rate": 0.5}]:
        asked = criteria.criteria_of(options)
        reason = criteria.reason_of(connection, asked)
        summary = _summary(run, connection, reason, ledger.count(connection, reason), scored)
        named = " ".join(f"--{name.replace('_', '-')} {_plain(value)}" for name, value in options.items())
        found.append(Trial(named, summary.kept))
    before = ledger.count(connection, criteria.reason_of(connection, criteria.NOTHING))
    rejected = ledger.sum_up("filter", before, summary.read.documents).rejected
    return replace(summary, kept=Share(), rejected=rejected, dry_run=True, sweep=tuple(found))


# Showing.


def figure(value: float) -> str:
    """Three significant digits, never an exponent: 4.13, 38.9, 413, 90200."""
    return f"{float(f'{value:.3g}'):.10g}" if value < 1e10 else f"{value:.3g}"


def _plain(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _median_text(share: Share) -> str:
    return "–" if share.median_perplexity is None else figure(share.median_perplexity)


def _line(label: str, share: Share, total: Share, indent: str = "") -> str:
    from curate.console import count
    from curate.evidence.screen import shorten
    from curate.evidence.wording import fold

    documents = f"{share.documents:>13,}  {_share(share.documents, total.documents):>7}"
    tokens = f"{count(share.tokens):>10} tokens  {_share(share.tokens, total.tokens):>7}"
    return f"{indent + shorten(fold(label), LABEL_CHARS):<34}{documents}{tokens}".rstrip()


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}".replace("%", " %") if whole else ""


def _render_counts(found: Selection) -> list[str]:
    lines = [_line("read", found.read, found.read)]
    if found.unreadable:
        lines.append(_line("unreadable", Share(found.unreadable), found.read, "  "))
    lines += [_line(reason, share, found.read, "  ") for reason, share in found.rejected.items()]
    lines.append(_line("kept", found.kept, found.read))
    lines.append(f"median perplexity {_median_text(found.scored)} before, {_median_text(found.kept)} after")
    if not found.kept.documents:
        lines.append("nothing is kept: the criteria together are too narrow")
    return lines


def _at(found: Selection) -> str:
    return "" if found.run == "curated" else f" --run {found.run}"


def _render_next(found: Selection) -> list[str]:
    if found.dry_run:
        return ["nothing was written; the same command without --dry-run decides"]
    return [f"next: curate export out/{_at(found)}", f"      curate status{_at(found)}"]


def _render_sweep(found: Selection) -> list[str]:
    from curate.console import count

    lines = [f"{'':<26}{'documents':>19}{'tokens':>17}{'median perplexity':>21}"]
    left = ", ".join(verb.removeprefix("curate ") for verb in found.verbs)
    first = f"after {left}" if left else "all that was scored"
    for name, share in [(first, found.scored), *((one.criterion, one.kept) for one in found.sweep)]:
        documents = f"{share.documents:>11,} {_share(share.documents, found.read.documents):>7}"
        tokens = f"{count(share.tokens):>9} {_share(share.tokens, found.read.tokens):>7}"
        lines.append(f"{name:<26}{documents}{tokens}{_median_text(share):>21}")
    before = [line for line in ledger.group(_documents(found.rejected)) if not line.label.startswith("unscored: ")]
    if before:
        lines.append("rejected before: " + ", ".join(f"{line.label} {line.documents:,}" for line in before))
    return [*lines, "", "nothing was written; name a criterion to decide"]
