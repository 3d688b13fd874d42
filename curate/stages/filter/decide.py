"""The decision of ``curate filter``: criteria applied to every document, the table written, dry runs compared."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from curate.errors import GateError, UsageError
from curate.rundir.tally import Share
from curate.runtime.numbers import figure
from curate.runtime.text import command
from curate.stages.filter.summary import FilterSummary, FilterTrial

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from curate.rundir.document_blocks import BlockReader
    from curate.rundir.rejections import Rejections
    from curate.rundir.run import Run
    from curate.stages.filter.counts import CountedDecision, DecisionCount, Judgement
    from curate.stages.filter.criteria import Criteria, FilterOptions


SHARES = {"min": 0.0, "5 %": 0.05, "25 %": 0.25, "50 %": 0.5, "75 %": 0.75, "95 %": 0.95}


def decide_documents(
    run: str,
    options: "FilterOptions",
    memory_limit: str | None = None,
    ledger: str | None = None,
    *,
    show: bool = False,
    dry_run: bool = False,
) -> FilterSummary:
    """Decide which documents of a run to keep, or with ``dry_run`` compare what criteria would keep."""
    from curate.rundir import rejections
    from curate.rundir.run import open_run
    from curate.stages.filter import criteria

    trials = [criteria.criteria_of(one) for one in criteria.split_trials(options)] if dry_run else []
    asked = criteria.criteria_of(options) if len(trials) <= 1 else trials[0]
    if show and (len(trials) > 1 or not asked):
        raise UsageError("--show is about the boundaries of one decision", "name one criterion, with one value each")
    opened = open_run(run)
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


@dataclass(slots=True)
class FilterJob:
    """One call of ``filter``: where it reads and writes."""

    run: "Run"
    found: "Rejections"
    memory_limit: str | None
    ledger: str | None
    domain: list[str] = field(default_factory=list)

    def open(self, asked: "Criteria") -> "BlockReader":
        """The narrow tables with the columns that are asked for, after a look whether these exist."""
        from curate.rundir import aligned_parts, document_columns, scores_view
        from curate.rundir.document_blocks import BlockReader
        from curate.rundir.schemas import SCORES, SIGNALS
        from curate.stages.filter import criteria

        within = list(asked.band.within) if asked.band else []
        self.domain = self._choose_domain(within)
        own = [name for name in asked.columns() if name not in SCORES.names and name not in SIGNALS]
        corpus = self.run.corpus() if asked.where or own else None
        known = document_columns.list_carried(self.run)
        own = [name for name in own if name in known or (corpus is not None and document_columns.holds(corpus, name))]
        named = document_columns.mentioned(corpus, asked.where, known) if asked.where and corpus is not None else []
        kinds = document_columns.carry(self.run, list(dict.fromkeys([*self.domain, *within, *own, *named])))
        criteria.check_columns(aligned_parts.schema(self.run), asked, {name: _kind(kinds[name]) for name in kinds})
        if asked.where is not None or self.found:
            with scores_view.open_scores(self.run, self.memory_limit, self.found, named) as connection:
                scores_view.check_met(connection, self.run, self.found)
                if asked.where is not None:
                    criteria.check_where(connection, asked.where)
        columns = list(dict.fromkeys(["row", "perplexity", *asked.columns()]))
        where = None if asked.where is None else lambda: self._answers(asked, named)
        held_bytes = _half(self.memory_limit)
        return BlockReader(self.run, self.found, columns, self.domain, within, where=where, held_bytes=held_bytes)

    def _choose_domain(self, within: list[str]) -> list[str]:
        from curate.rundir import document_columns

        if self.ledger == "none":
            return []
        if self.ledger is not None:
            return document_columns.split(self.ledger)
        found = document_columns.default_domain(self.run)
        return within or ([found] if found else [])

    def _answers(self, asked: "Criteria", named: list[str]) -> "Iterator[pa.RecordBatch]":
        """What the user's SQL says of each row; what it meets in one (a failed cast) is a mistake of usage."""
        from curate.rundir import scores_view, sql, tally
        from curate.stages.filter import criteria

        with scores_view.open_scores(self.run, self.memory_limit, self.found, named) as connection, tally.blaming_sql():
            yield from sql.stream(connection, criteria.ask(asked))

    def suggest(self, source: "BlockReader") -> "list[tuple[BlockReader, Criteria]]":
        """Upper bounds near the quartiles, and the middle half: of all, and of each domain where there are several."""
        from curate.rundir.document_blocks import BlockReader
        from curate.stages.filter import criteria
        from curate.stages.filter.criteria import FilterOptions

        bounds = [FilterOptions(max_ppl=float(figure(value))) for value in _perplexity_quantiles(source)[2:]]
        middle = FilterOptions(keep="middle", rate=0.5)
        found = [(source, criteria.criteria_of(options)) for options in [*bounds, middle]]
        if len(source.domains.names) > 1:
            grouped = BlockReader(self.run, self.found, source.columns, self.domain, held_bytes=source.held_bytes)
            grouped.load()
            found.append((grouped, criteria.criteria_of(replace(middle, within=",".join(self.domain)))))
        return found

    def sweep(self, source: "BlockReader", trials: "list[tuple[BlockReader, Criteria]]") -> FilterSummary:
        """What several sets of criteria would keep."""
        from curate.stages.filter import apply, criteria
        from curate.stages.filter.counts import Judgement, medians, weigh

        nothing = Judgement(source, apply.prepare(source, criteria.NOTHING))
        before, found = medians(nothing, kept=False), []
        for own, asked in trials:
            judgement = Judgement(own, apply.prepare(own, asked))
            found.append(_trial(asked, weigh(judgement, before, _count(judgement))))
        summary = self._summary(weigh(nothing, before, _count(nothing)), {})
        return replace(summary, kept=Share(), dry_run=True, sweep=tuple(found), ledger=())

    def decide(self, source: "BlockReader", asked: "Criteria", dry_run: bool, show: bool) -> FilterSummary:
        """Decide on every document, write the table unless this is a dry run, and sum up."""
        from curate.stages.filter import apply, boundary_examples, criteria
        from curate.stages.filter.counts import Judgement, medians

        judgement, parameters = Judgement(source, apply.prepare(source, asked)), criteria.parameters_of(asked)
        if dry_run:
            before = medians(judgement, kept=False)
            summary = replace(self._summarise(judgement, _count(judgement), parameters, before), dry_run=True)
        else:
            summary = self._write(judgement, parameters)
        return replace(summary, boundaries=boundary_examples.find(self.run, judgement)) if show else summary

    def _write(self, judgement: "Judgement", parameters: Mapping[str, Any]) -> FilterSummary:
        """Write the decision table, then its record; one fingerprint in both shows a reader a half replacement.

        GateError, with the old table left as it was, where nothing would be kept.
        """
        from concurrent.futures import ThreadPoolExecutor

        from curate.rundir.run import compute_fingerprint
        from curate.runtime import files
        from curate.stages.filter.counts import medians

        made_from = {"made_from": self.run.finished_scores()["fingerprint"], **self.found.fingerprints()}
        note: dict[str, Any] = {**made_from, "parameters": dict(parameters)}
        note["fingerprint"] = compute_fingerprint(note)
        with ThreadPoolExecutor(1) as pool, files.replacing(self.run.filter) as beside:
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
        self,
        judgement: "Judgement",
        count: "DecisionCount",
        parameters: Mapping[str, Any],
        before: "list[float | None]",
    ) -> FilterSummary:
        from curate.stages.filter.counts import weigh

        return self._summary(weigh(judgement, before, count), parameters)

    def _summary(self, weighed: "CountedDecision", parameters: Mapping[str, Any]) -> FilterSummary:
        """What was weighed as a selection; TableError when documents are missing from it."""
        from curate.rundir import tally

        read = self.run.finished_scores()["counts"]["read"]
        sums = tally.sum_up("filter", weighed.tally, read)
        return FilterSummary(
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
    from curate.rundir import decision_table

    with decision_table.coded_writer(path, judgement.source.reasons, note) as writer:
        for block, codes in judgement.blocks():
            writer.add(block.file, block.rows, codes)


def _count(judgement: "Judgement") -> "DecisionCount":
    from curate.stages.filter.counts import DecisionCount

    count = DecisionCount()
    for block, codes in judgement.blocks():
        count.add(block, codes)
    return count


def _kind(kind: "pa.DataType") -> str:
    return {"large_string": "string"}.get(str(kind), str(kind))


def _half(memory_limit: str | None) -> int | None:
    """Half of a memory limit in bytes, for rows that are held; DuckDB has the other half."""
    from curate.runtime.numbers import parse_size

    return None if memory_limit is None else parse_size(memory_limit) // 2


def _trial(asked: "Criteria", weighed: "CountedDecision") -> FilterTrial:
    from curate.stages.filter import criteria

    parameters = criteria.parameters_of(asked)
    named = " ".join(f"--{name.replace('_', '-')} {_plain(value)}" for name, value in _as_typed(asked).items())
    changes = {}
    for line in weighed.domains if len(weighed.domains) > 1 else ():
        before = line.before.tokens / max(weighed.scored.tokens, 1)
        after = line.after.tokens / max(weighed.kept.tokens, 1)
        changes[line.name] = after / before - 1 if before else 0.0
    ranked = dict(sorted(changes.items(), key=lambda pair: (-abs(pair[1]), pair[0])))
    return FilterTrial(named, weighed.kept, ranked, parameters)


def _as_typed(asked: "Criteria") -> dict[str, Any]:
    """The criteria as a person would type them."""
    from curate.stages.filter import criteria

    found = criteria.parameters_of(asked)
    if found.get("keep") == "25:75":
        found |= {"keep": "middle", "rate": 0.5}
    found.pop("by", None) if found.get("by") == "perplexity" else None
    order = ["keep", "rate", "tokens", "by", "within", "temperature", "seed", "where"]
    names = [name for name in found if name not in order] + [name for name in order if name in found]
    return {name: found[name] for name in names}


def _plain(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _counts(summary: FilterSummary) -> dict[str, Any]:
    return {
        "read": summary.read.documents,
        "kept": summary.kept.documents,
        "kept_tokens": summary.kept.tokens,
        "rejected": {reason: share.documents for reason, share in summary.rejected.items()},
        "rejected_tokens": {reason: share.tokens for reason, share in summary.rejected.items()},
        "unreadable": summary.unreadable,
    }


def _medians(summary: FilterSummary) -> dict[str, Any]:
    before, after = summary.scored.median_perplexity, summary.kept.median_perplexity
    return {"median_perplexity_before": before, "median_perplexity_after": after}


# Without a criterion, or without a document that meets it: what this corpus is like.


def _perplexity_quantiles(source: "BlockReader") -> list[float]:
    from curate.stages.filter import counts

    found = counts.quantiles(source, list(SHARES.values()))
    if any(value != value for value in found):
        raise UsageError("no document of this run has a perplexity, so there is nothing to choose by", "curate status")
    return found


def _list_quantiles(found: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {figure(value)}" for name, value in found.items())


def no_criterion(source: "BlockReader", run: str) -> UsageError:
    found = dict(zip(SHARES, _perplexity_quantiles(source), strict=True))
    return UsageError(
        f"no criterion given, and none suits every corpus. Perplexity of this one: {_list_quantiles(found)}",
        f"{command('filter --dry-run', run)} shows what thresholds keep; "
        f"then for example --max-ppl {figure(found['75 %'])}, or --keep middle --rate 0.5",
    )


def _nothing_kept(source: "BlockReader", summary: FilterSummary) -> GateError:
    """What the criteria met, where no document meets them all."""
    from curate.runtime.text import fold
    from curate.stages.filter import counts

    found = dict(zip(SHARES, counts.quantiles(source, list(SHARES.values())), strict=True))
    most = [f"{fold(why)}: {share.documents:,}" for why, share in list(summary.rejected.items())[:3]]
    listed = f"; perplexity of this corpus: {_list_quantiles(found)}" if found["min"] == found["min"] else ""
    message = f"nothing would be kept of {summary.read.documents:,} documents ({'; '.join(most)}){listed}"
    return GateError(message, "nothing was written; curate filter --dry-run shows what thresholds keep")
