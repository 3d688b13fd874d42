"""``curate filter``: which documents to keep, with one reason for each that is not.

``curate.criteria`` says what can be asked and in which order, ``curate.sieve`` asks it; here the answers are written,
counted and given back. ``curate.choice`` puts them on the screen.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate.choice import Probed, Selection, Trial
from curate.errors import GateError, UsageError
from curate.ledger import Share
from curate.quantities import figure, parse_numbers

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from curate.criteria import Criteria
    from curate.rejections import Rejections
    from curate.runs import Run
    from curate.sieve import Source
    from curate.weighing import Count, Judgement, Weighed

SHARES = {"min": 0.0, "5 %": 0.05, "25 %": 0.25, "50 %": 0.5, "75 %": 0.75, "95 %": 0.95}
NUMBERS = {"parser": parse_numbers, "metavar": "NUMBER"}


def filter(
    run: Annotated[str, typer.Option(help="Run directory.")] = "curated",
    max_ppl: Annotated[float | None, typer.Option(help="Keep perplexity up to this, included.", **NUMBERS)] = None,
    min_ppl: Annotated[float | None, typer.Option(help="Keep perplexity from this on, included.", **NUMBERS)] = None,
    max_bpb: Annotated[float | None, typer.Option(help="Keep bits per byte up to this, included.", **NUMBERS)] = None,
    min_bpb: Annotated[float | None, typer.Option(help="Keep bits per byte from this on, included.", **NUMBERS)] = None,
    min_tokens: Annotated[
        float | None, typer.Option(help="Keep documents of so many tokens or more.", **NUMBERS)
    ] = None,
    max_tokens: Annotated[
        float | None, typer.Option(help="Keep documents of so many tokens or fewer.", **NUMBERS)
    ] = None,
    min_zlib: Annotated[
        float | None, typer.Option(help="Keep zlib ratios from this on: drops repetition.", **NUMBERS)
    ] = None,
    max_repeated_5grams: Annotated[
        float | None, typer.Option(help="Keep up to this share of repeated word 5-grams.", **NUMBERS)
    ] = None,
    max_repeated_lines: Annotated[
        float | None, typer.Option(help="Keep up to this share of repeated lines.", **NUMBERS)
    ] = None,
    keep: Annotated[str | None, typer.Option(help="Percentiles: low, middle, high or LO:HI, as in 10:60.")] = None,
    rate: Annotated[float | None, typer.Option(help="Share that --keep low|middle|high keeps.  [default: 0.5]")] = None,
    tokens: Annotated[str | None, typer.Option(help="Tokens that --keep keeps instead of a share, as in 2B.")] = None,
    by: Annotated[str | None, typer.Option(help="Column that --keep orders by.  [default: ppl]")] = None,
    within: Annotated[
        str | None, typer.Option(help="Columns whose groups --keep takes one by one, as in domain,language.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Let --keep draw by chance: 1 softly, near 0 strictly, 10 nearly evenly.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The seed of --temperature.")] = 0,
    where: Annotated[str | None, typer.Option(help="SQL condition over the columns of the scores.")] = None,
    ledger: Annotated[
        str | None, typer.Option(help="Column to count by, or none.  [default: --within, else the domain]")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Show ten documents on each side of every boundary.")] = False,
    probe: Annotated[
        str | None, typer.Option(help="Decide nothing; write low, middle and high of equal --tokens into this folder.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be kept and write nothing.")] = False,
    memory_limit: Annotated[str | None, typer.Option(help="Memory for the tables, as in 4GB.")] = None,
) -> Selection | Probed:
    """Choose documents by their scores: bounds, percentiles, a token budget or SQL, with a reason for each dropped.

    Replaces what an earlier filter decided. Without a criterion it explains the choice with the quantiles of this
    corpus; with ``dry_run`` it writes nothing: alone it tries a few thresholds, and bounds may have several values
    (``--max-ppl 20,30,50``), each of which is tried. The first criterion that fails is the reason: not scored,
    contaminated, a duplicate, the bounds in the order below, ``where``, ``keep``. Percentiles, medians, and the table
    ``scores`` that ``where`` may ask, are of the documents that are neither contaminated nor duplicates. TableError
    where the hits or the duplicates of the run are stale or not complete, GateError where nothing would be kept.

    ``probe`` names a folder, new or empty, for three exports that share no document: the lowest, the middle and the
    highest tokens ``by`` a column, of what the other criteria keep, each of ``tokens`` or a tenth of what is kept. They
    are for small proxy models, trained to see which end suits a purpose; what an earlier filter decided stays.
    """
    options = dict(locals())
    from curate import criteria, rejections, runs

    if probe is not None:
        return _probe(options, probe)
    trials = [criteria.criteria_of(one) for one in criteria.trials_of(options)] if dry_run else []
    asked = criteria.criteria_of(options) if len(trials) <= 1 else trials[0]
    if show and (len(trials) > 1 or not asked):
        raise UsageError("--show is about the boundaries of one decision", "name one criterion, with one value each")
    opened = runs.open_run(run)
    opened.finished_scores()
    desk = FilterJob(opened, rejections.open_rejections(opened), memory_limit, ledger)
    source = desk.open(asked)
    if not asked and not dry_run:
        raise no_criterion(source, run)
    source.load()
    if not asked or len(trials) > 1:
        pairs = [(source, one) for one in trials] if asked else desk.suggest(source)
        return desk.sweep(source, pairs)
    return desk.decide(source, asked, dry_run, show)


def _probe(options: dict[str, Any], out: str) -> Probed:
    """Three subsets of equal tokens, written and not decided."""
    from curate import rejections, runs, subsets

    subsets.check(options, out)
    asked = subsets.criteria_for("low", options, 1)
    opened = runs.open_run(options["run"])
    opened.finished_scores()
    desk = FilterJob(opened, rejections.open_rejections(opened), options["memory_limit"], "none")
    source = desk.open(asked)
    source.load()
    return subsets.write(source, options, out)


@dataclass(slots=True)
class FilterJob:
    """One call of ``filter``: where it reads and writes."""

    run: "Run"
    found: "Rejections"
    memory_limit: str | None
    ledger: str | None
    domain: list[str] = field(default_factory=list)

    def open(self, asked: "Criteria") -> "Source":
        """The narrow tables with the columns that are asked for, after a look whether these exist."""
        from curate import carried, criteria, decisions, narrow
        from curate.sieve import HELD_BYTES, Source
        from curate.tables import SCORES, SIGNALS

        within = list(asked.band.within) if asked.band else []
        self.domain = self._choose_domain(within)
        own = [name for name in asked.columns() if name not in SCORES.names and name not in SIGNALS]
        corpus = self.run.corpus() if asked.where or own else None
        known = carried.list_carried(self.run)
        own = [name for name in own if name in known or (corpus is not None and carried.holds(corpus, name))]
        named = carried.mentioned(corpus, asked.where, known) if asked.where and corpus is not None else []
        kinds = carried.carry(self.run, list(dict.fromkeys([*self.domain, *within, *own, *named])))
        criteria.check_columns(narrow.schema(self.run), asked, {name: _kind(kinds[name]) for name in kinds})
        if asked.where is not None or self.found:
            with decisions.open_scores(self.run, self.memory_limit, self.found, named) as connection:
                decisions.check_met(connection, self.run, self.found)
                if asked.where is not None:
                    criteria.check_where(connection, asked.where)
        columns = tuple(dict.fromkeys(["perplexity", *asked.columns()]))
        source = Source(self.run, self.found, columns, self.domain, within)
        source.held_bytes = _half(self.memory_limit) or HELD_BYTES
        if asked.where is not None:
            source.where = lambda: self._answers(asked, named)
        return source

    def _choose_domain(self, within: list[str]) -> list[str]:
        from curate import carried

        if self.ledger == "none":
            return []
        if self.ledger is not None:
            return carried.split(self.ledger)
        found = carried.default_domain(self.run)
        return within or ([found] if found else [])

    def _answers(self, asked: "Criteria", named: list[str]) -> "Iterator[pa.RecordBatch]":
        """What the user's SQL says of each row; what it meets in one (a failed cast) is a mistake of usage."""
        from curate import criteria, decisions, ledger

        with decisions.open_scores(self.run, self.memory_limit, self.found, named) as connection, ledger.blaming_sql():
            yield from decisions.stream(connection, criteria.ask(asked))

    def suggest(self, source: "Source") -> "list[tuple[Source, Criteria]]":
        """Upper bounds near the quartiles, and the middle half: of all, and of each domain where there are several."""
        from curate import criteria
        from curate.sieve import Source

        asked: list[dict[str, Any]] = [{"max_ppl": float(figure(value))} for value in _perplexity_quantiles(source)[2:]]
        middle = {"keep": "middle", "rate": 0.5}
        found = [(source, criteria.criteria_of(options)) for options in [*asked, middle]]
        if len(source.domains.names) > 1:
            grouped = Source(self.run, self.found, source.columns, self.domain, self.domain)
            grouped.held_bytes = source.held_bytes
            grouped.load()
            found.append((grouped, criteria.criteria_of({**middle, "within": ",".join(self.domain)})))
        return found

    def sweep(self, source: "Source", trials: "list[tuple[Source, Criteria]]") -> Selection:
        """What several sets of criteria would keep."""
        from curate import criteria, sieve
        from curate.weighing import Judgement, medians, weigh

        nothing = Judgement(source, sieve.prepare(source, criteria.NOTHING))
        before, found = medians(nothing, kept=False), []
        for own, asked in trials:
            judgement = Judgement(own, sieve.prepare(own, asked))
            found.append(_trial(asked, weigh(judgement, before, _count(judgement))))
        summary = self._summary(weigh(nothing, before, _count(nothing)), {})
        return replace(summary, kept=Share(), dry_run=True, sweep=tuple(found), ledger=())

    def decide(self, source: "Source", asked: "Criteria", dry_run: bool, show: bool) -> Selection:
        """Decide on every document, write the table unless this is a dry run, and sum up."""
        from curate import criteria, neighbours, sieve
        from curate.weighing import Judgement, medians

        judgement, parameters = Judgement(source, sieve.prepare(source, asked)), criteria.parameters_of(asked)
        if dry_run:
            before = medians(judgement, kept=False)
            summary = replace(self._summarise(judgement, _count(judgement), parameters, before), dry_run=True)
        else:
            summary = self._write(judgement, parameters)
        return replace(summary, boundaries=neighbours.find(self.run, judgement)) if show else summary

    def _write(self, judgement: "Judgement", parameters: Mapping[str, Any]) -> Selection:
        """Write the decision table, then its record; one fingerprint in both shows a reader a half replacement.

        GateError, with the old table left as it was, where nothing would be kept.
        """
        from concurrent.futures import ThreadPoolExecutor

        from curate import runs, tables
        from curate.weighing import medians

        made_from = {"made_from": self.run.finished_scores()["fingerprint"], **self.found.fingerprints()}
        note: dict[str, Any] = {**made_from, "parameters": dict(parameters)}
        note["fingerprint"] = runs.fingerprint(note)
        with ThreadPoolExecutor(1) as pool, tables.replacing(self.run.filter) as beside:
            judgement.settle()
            writing = pool.submit(_write_codes, beside, judgement, note)
            if not judgement.source.is_held():
                writing.result()  # both would read the tables again, and ask the same SQL
            summary = self._summarise(judgement, _count(judgement), parameters, medians(judgement, kept=False))
            writing.result()
            if not summary.kept.documents:
                raise _nothing_kept(judgement.source, summary)
        self.run.save("filter", {**note, "counts": _counts(summary), "summary": _medians(summary)})
        return summary

    def _summarise(
        self, judgement: "Judgement", count: "Count", parameters: Mapping[str, Any], before: "list[float | None]"
    ) -> Selection:
        from curate.weighing import weigh

        return self._summary(weigh(judgement, before, count), parameters)

    def _summary(self, weighed: "Weighed", parameters: Mapping[str, Any]) -> Selection:
        """What was weighed as a selection; TableError when documents are missing from it."""
        from curate import ledger

        read = self.run.finished_scores()["counts"]["read"]
        sums = ledger.sum_up("filter", weighed.tally, read)
        return Selection(
            run=str(self.run.path),
            read=Share(read, sum(one.tokens for one in weighed.tally.values())),
            scored=weighed.scored,
            kept=weighed.kept,
            rejected=sums.rejected,
            unreadable=sums.unreadable,
            parameters=parameters,
            verbs=self.found.verbs(),
            domain=" / ".join(self.domain) or None,
            ledger=weighed.domains if self.domain else (),
        )


def _write_codes(path: "Path", judgement: "Judgement", note: Mapping[str, Any]) -> None:
    from curate import decisions

    with decisions.coded_writer(path, judgement.source.names, note) as writer:
        for rows, codes in judgement.rows():
            writer.add(rows.file, rows.rows, codes)


def _count(judgement: "Judgement") -> "Count":
    from curate.weighing import Count

    count = Count()
    for rows, codes in judgement.rows():
        count.add(rows, codes)
    return count


def _kind(kind: "pa.DataType") -> str:
    return {"large_string": "string"}.get(str(kind), str(kind))


def _half(memory_limit: str | None) -> int | None:
    """Half of a memory limit in bytes, for rows that are held; DuckDB has the other half."""
    from curate.shards import parse_size

    return None if memory_limit is None else parse_size(memory_limit) // 2


def _trial(asked: "Criteria", weighed: "Weighed") -> Trial:
    from curate import criteria

    parameters = criteria.parameters_of(asked)
    named = " ".join(f"--{name.replace('_', '-')} {_plain(value)}" for name, value in _as_typed(asked).items())
    changes = {}
    for line in weighed.domains if len(weighed.domains) > 1 else ():
        before = line.before.tokens / max(weighed.scored.tokens, 1)
        after = line.after.tokens / max(weighed.kept.tokens, 1)
        changes[line.name] = after / before - 1 if before else 0.0
    ranked = dict(sorted(changes.items(), key=lambda pair: (-abs(pair[1]), pair[0])))
    return Trial(named, weighed.kept, ranked, parameters)


def _as_typed(asked: "Criteria") -> dict[str, Any]:
    """The criteria as a person would type them."""
    from curate import criteria

    found = criteria.parameters_of(asked)
    if found.get("keep") == "25:75":
        found |= {"keep": "middle", "rate": 0.5}
    found.pop("by", None) if found.get("by") == "perplexity" else None
    order = ["keep", "rate", "tokens", "by", "within", "temperature", "seed", "where"]
    names = [name for name in found if name not in order] + [name for name in order if name in found]
    short = {"max_perplexity": "max_ppl"}
    return {short.get(name, name): found[name] for name in names}


def _plain(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _counts(summary: Selection) -> dict[str, Any]:
    return {
        "read": summary.read.documents,
        "kept": summary.kept.documents,
        "kept_tokens": summary.kept.tokens,
        "rejected": {reason: share.documents for reason, share in summary.rejected.items()},
        "rejected_tokens": {reason: share.tokens for reason, share in summary.rejected.items()},
        "unreadable": summary.unreadable,
    }


def _medians(summary: Selection) -> dict[str, Any]:
    before, after = summary.scored.median_perplexity, summary.kept.median_perplexity
    return {"median_perplexity_before": before, "median_perplexity_after": after}


# Without a criterion, or without a document that meets it: what this corpus is like.


def _perplexity_quantiles(source: "Source") -> list[float]:
    from curate import weighing

    found = weighing.quantiles(source, list(SHARES.values()))
    if any(value != value for value in found):
        raise UsageError("no document of this run has a perplexity, so there is nothing to choose by", "curate status")
    return found


def _list_quantiles(found: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {figure(value)}" for name, value in found.items())


def no_criterion(source: "Source", run: str) -> UsageError:
    found = dict(zip(SHARES, _perplexity_quantiles(source), strict=True))
    at = "" if run == "curated" else f" --run {run}"
    return UsageError(
        f"no criterion given, and none suits every corpus. Perplexity of this one: {_list_quantiles(found)}",
        f"curate filter --dry-run{at} shows what thresholds keep; "
        f"then for example --max-ppl {figure(found['75 %'])}, or --keep middle --rate 0.5",
    )


def _nothing_kept(source: "Source", summary: Selection) -> GateError:
    """What the criteria met, where no document meets them all."""
    from curate import weighing
    from curate.evidence.wording import fold

    found = dict(zip(SHARES, weighing.quantiles(source, list(SHARES.values())), strict=True))
    most = [f"{fold(why)}: {share.documents:,}" for why, share in list(summary.rejected.items())[:3]]
    listed = f"; perplexity of this corpus: {_list_quantiles(found)}" if found["min"] == found["min"] else ""
    message = f"nothing would be kept of {summary.read.documents:,} documents ({'; '.join(most)}){listed}"
    return GateError(message, "nothing was written; curate filter --dry-run shows what thresholds keep")
