"""The decision of ``curate filter``: criteria applied to every document, the table written, dry runs compared."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.errors import GateError, UsageError
from curate.rundir import aligned_parts, decision_table, document_columns, scores_view, sql
from curate.rundir.columns.names import (
    find_path,
    has_column,
    is_score_name,
    join_names,
    resolve_name,
    split_group_columns,
)
from curate.rundir.document_blocks import BlockReader
from curate.rundir.guards import manifests
from curate.rundir.guards.claims import open_claimed
from curate.rundir.run import Run, compute_fingerprint
from curate.rundir.signals import find_signal
from curate.rundir.verdicts import overlaps, tally
from curate.rundir.verdicts.rejections import Rejections, open_rejections
from curate.rundir.verdicts.tally import Share
from curate.runtime import console
from curate.runtime.disk import files
from curate.runtime.numbers import format_figure, parse_size
from curate.runtime.text import command, fold_whitespace
from curate.stages.filter.apply import compile_criteria
from curate.stages.filter.boundary_examples import find_boundaries
from curate.stages.filter.condition import ConditionSettler, SettledCondition
from curate.stages.filter.counts import (
    CountedDecision,
    DecisionCount,
    Judgement,
    compute_medians,
    compute_quantiles,
    sum_up_decision,
)
from curate.stages.filter.criteria import (
    NOTHING,
    Criteria,
    FilterOptions,
    build_criteria,
    check_columns,
    parameters_of,
    split_trials,
)
from curate.stages.filter.steadiness import has_subquery
from curate.stages.filter.summary import FilterSummary, FilterTrial
from curate.stages.filter.where import build_where_query, check_where

SHARES = {"min": 0.0, "5 %": 0.05, "25 %": 0.25, "50 %": 0.5, "75 %": 0.75, "95 %": 0.95}
"""Quantiles of perplexity that explain a corpus, by their labels."""


def decide_documents(
    run: str,
    options: FilterOptions,
    memory_limit: str | None = None,
    ledger: str | None = None,
    *,
    verb: str = "filter",
    show: bool = False,
    dry_run: bool = False,
) -> FilterSummary:
    """Decide which documents of a run to keep, or with ``dry_run`` compare what criteria would keep.

    ``verb`` is what was typed: ``filter`` or ``select-sft``. Raises UsageError for options that are wrong or name no
    criterion, TableError where a table of the run is stale or not complete, and GateError where nothing would be kept;
    then the decisions of the run stay as they are.
    """
    trials = [build_criteria(trial) for trial in split_trials(options)] if dry_run else []
    criteria = build_criteria(options) if len(trials) <= 1 else trials[0]
    if show and (len(trials) > 1 or not criteria):
        raise UsageError("--show is about the boundaries of one decision", "name one criterion, with one value each")
    opened = open_claimed(run, verb, reads_only=dry_run or not criteria)
    if not dry_run:
        opened.reserve("filter.parquet")
    opened.finished_scores()
    job = FilterJob(opened, open_rejections(opened), memory_limit, ledger)
    reader = job.open(criteria)
    if not criteria and not dry_run:
        raise _explain_no_criterion(reader, run)
    reader.load()
    if not criteria or len(trials) > 1:
        return job.sweep(reader, [(reader, trial) for trial in trials] if criteria else job.suggest(reader))
    return job.decide(reader, criteria, dry_run, show)


@dataclass(slots=True)
class FilterJob:
    """One call of ``filter``: where it reads and writes."""

    run: Run
    rejections: Rejections
    memory_limit: str | None
    ledger: str | None
    """The columns to count by, as ``--ledger`` takes them: ``none`` for no ledger, None for the default."""
    domain: list[str] = field(default_factory=list)
    """The columns to count by; set by ``open``."""

    def open(self, criteria: Criteria) -> BlockReader:
        """Return a reader of the columns that criteria need. It has read nothing yet.

        Raises UsageError where neither the scores nor the documents have a column, and for SQL that cannot be bound.
        """
        within = list(criteria.band.within) if criteria.band else []
        self.domain = self._choose_domain(within)
        schema = aligned_parts.read_schema(self.run)
        others, near = self._find_measures(criteria, schema)
        condition = None if criteria.where is None else self._settle_condition(criteria.where, schema.names)
        carry = {} if condition is None else condition.carry
        types = document_columns.carry_columns(self.run, list(dict.fromkeys([*self.domain, *within, *others, *carry])))
        check_columns(schema, criteria, types, near)
        if condition is not None or self.rejections:
            with scores_view.open_scores(self.run, self.memory_limit, self.rejections, carry) as connection:
                scores_view.check_rejections_are_scored(connection, self.run, self.rejections)
                if condition is not None:
                    corpus = self.run.corpus()
                    check_where(connection, condition.sql, corpus.columns, corpus.is_typed)
        return BlockReader(
            self.run,
            self.rejections,
            list(dict.fromkeys(["row", "perplexity", *criteria.columns()])),
            self.domain,
            within,
            where=None if condition is None else lambda: self._answer_where(condition),
            # DuckDB has the other half.
            held_bytes=None if self.memory_limit is None else parse_size(self.memory_limit, "--memory-limit") // 2,
        )

    def _find_measures(self, criteria: Criteria, schema: pa.Schema) -> tuple[list[str], Sequence[str]]:
        """Return the columns of the documents that the criteria need, and the names that an unknown one may mean.

        Says where a name is that of a column of the scores and of the documents.
        """
        measured = criteria.band.column if criteria.band else None
        if measured is not None and measured in schema.names:
            document_columns.tell_clash(self.run, measured)
        elif measured is not None and find_signal(measured) is not None:
            raise document_columns.explain_missing_signal(self.run, "--by", measured)
        others = [name for name in criteria.columns() if not is_score_name(name)]
        unknown = [name for name in others if document_columns.find_carried(self.run, name) is None]
        if not unknown:
            return others, ()
        corpus = self.run.corpus()
        found = {name for name in unknown if has_column(corpus, find_path(resolve_name(corpus, name))) or "." in name}
        return [name for name in others if name not in unknown or name in found], corpus.columns

    def _settle_condition(self, where: str, of_scores: Sequence[str]) -> SettledCondition:
        rejecting = {"decontaminate": self.rejections.hits, "dedup": self.rejections.duplicates}
        added = [name for name, verb in scores_view.REJECTION_COLUMNS.items() if rejecting[verb] is not None]
        carried = document_columns.list_carried(self.run)
        settled = ConditionSettler(self.run.corpus(), [*of_scores, *added], carried).settle(where)
        for note in settled.notes:
            console.say("columns", note)
        return settled

    def _choose_domain(self, within: list[str]) -> list[str]:
        if self.ledger == "none":
            return []
        if self.ledger is not None:
            return split_group_columns(self.ledger)
        default = document_columns.default_domain(self.run)
        return within or ([default] if default else [])

    def _answer_where(self, condition: SettledCondition) -> Iterator[pa.RecordBatch]:
        """Yield what the user's SQL gives for each row. Raises UsageError where it fails on one, as a cast can."""
        threads = 1 if has_subquery(condition.sql) else None  # a sum of several threads ends in other digits each time
        views = scores_view.open_scores(self.run, self.memory_limit, self.rejections, condition.carry, threads)
        with tally.blaming_sql(), views as connection:
            yield from sql.stream_batches(connection, build_where_query(condition.sql))

    def suggest(self, reader: BlockReader) -> list[tuple[BlockReader, Criteria]]:
        """Return criteria to try: upper bounds near the quartiles, and the middle half of all and of each domain."""
        bounds = [FilterOptions(max_ppl=float(format_figure(value))) for value in _perplexity_quantiles(reader)[2:]]
        middle = FilterOptions(keep="middle", rate=0.5)
        trials = [(reader, build_criteria(options)) for options in [*bounds, middle]]
        if len(reader.domains.names) > 1:
            grouped = BlockReader(self.run, self.rejections, reader.columns, self.domain, held_bytes=reader.held_bytes)
            grouped.load()
            trials.append((grouped, build_criteria(replace(middle, within=join_names(self.domain)))))
        return trials

    def sweep(self, reader: BlockReader, trials: list[tuple[BlockReader, Criteria]]) -> FilterSummary:
        """Return what each of several sets of criteria would keep; nothing is written."""
        nothing = Judgement(reader, compile_criteria(reader, NOTHING))
        (before,), rows = compute_medians(nothing, False), []
        for trial_reader, criteria in trials:
            judgement = Judgement(trial_reader, compile_criteria(trial_reader, criteria))
            (after,) = compute_medians(judgement, True)
            rows.append(_make_trial(criteria, sum_up_decision(judgement, before, after, _count(judgement))))
        summary = self._summarise(sum_up_decision(nothing, before, before, _count(nothing)), {})
        return replace(summary, kept=Share(), dry_run=True, sweep=tuple(rows), ledger=())

    def decide(self, reader: BlockReader, criteria: Criteria, dry_run: bool, show: bool) -> FilterSummary:
        """Decide on every document, write the table unless this is a dry run, and sum up.

        Raises GateError where nothing would be kept; the table of an earlier decision then stays.
        """
        judgement, parameters = Judgement(reader, compile_criteria(reader, criteria)), parameters_of(criteria)
        if dry_run:
            before, after = compute_medians(judgement, False, True)
            decision = sum_up_decision(judgement, before, after, _count(judgement))
            summary = replace(self._summarise(decision, parameters), dry_run=True)
        else:
            summary = self._write(judgement, parameters)
        return replace(summary, boundaries=find_boundaries(self.run, judgement)) if show else summary

    def _write(self, judgement: Judgement, parameters: Mapping[str, Any]) -> FilterSummary:
        """Write the decision table, then its record; one fingerprint in both shows a reader a half replacement."""
        made_from = {"made_from": self.run.finished_scores()["fingerprint"], **self.rejections.fingerprints()}
        record: dict[str, Any] = {**made_from, "parameters": dict(parameters)}
        record["fingerprint"] = compute_fingerprint(record)
        self.run.enter()
        with ThreadPoolExecutor(1) as pool, files.replace_atomically(self.run.filter) as path:
            judgement.decide_held()
            count = None if judgement.reader.is_held() else DecisionCount()
            writing = pool.submit(_write_codes, path, judgement, record, count)
            if count is not None:
                writing.result()  # both would read the tables again, and run the same SQL
            before, after = compute_medians(judgement, False, True)
            decision = sum_up_decision(judgement, before, after, _count(judgement) if count is None else count)
            summary = self._summarise(decision, parameters)
            writing.result()
            if not summary.kept.documents:
                raise _explain_nothing_kept(judgement.reader, summary)
        record[manifests.KEY] = self.run.record_manifest(self.run.filter.name)
        self.run.save("filter", {**record, "counts": _counts(summary), "summary": _medians(summary)})
        return summary

    def _summarise(self, decision: CountedDecision, parameters: Mapping[str, Any]) -> FilterSummary:
        """Return the summary of a decision. Raises TableError where documents are missing from it."""
        read = self.run.finished_scores()["counts"]["read"]
        sums = tally.sum_tally("filter", decision.tally, read)
        return FilterSummary(
            run=str(self.run.path),
            read=Share(read, sum(share.tokens for share in decision.tally.values())),
            scored=decision.scored,
            kept=decision.kept,
            rejected=sums.rejected,
            unreadable=sums.unreadable,
            parameters=parameters,
            verbs=self.rejections.verbs(),
            also=tuple(overlaps.explain_several_reasons(self.run, self.rejections, self.memory_limit)),
            domain=" / ".join(self.domain) or None,
            ledger=decision.domains if self.domain else (),
        )


def _write_codes(
    path: Path, judgement: Judgement, metadata: Mapping[str, Any], count: DecisionCount | None = None
) -> None:
    """Write the decision table, and count into ``count`` what is decided, where that is given."""
    with decision_table.open_coded_writer(path, judgement.reader.reasons, metadata) as writer:
        for block, codes in judgement.blocks():
            writer.add(block.slices, block.rows, codes)
            if count is not None:
                count.add(block, codes)


def _count(judgement: Judgement) -> DecisionCount:
    count = DecisionCount()
    for block, codes in judgement.blocks():
        count.add(block, codes)
    return count


def _make_trial(criteria: Criteria, decision: CountedDecision) -> FilterTrial:
    typed = " ".join(f"--{name.replace('_', '-')} {_spell(value)}" for name, value in _as_typed(criteria).items())
    changes = {}
    for line in decision.domains if len(decision.domains) > 1 else ():
        before = line.before.tokens / max(decision.scored.tokens, 1)
        after = line.after.tokens / max(decision.kept.tokens, 1)
        changes[line.name] = after / before - 1 if before else 0.0
    ranked = dict(sorted(changes.items(), key=lambda pair: (-abs(pair[1]), pair[0])))
    return FilterTrial(typed, decision.kept, ranked, parameters_of(criteria))


def _as_typed(criteria: Criteria) -> dict[str, Any]:
    """Return the criteria as a person would type them: bounds first, no option that is a default."""
    parameters = parameters_of(criteria)
    if parameters.get("keep") == "25:75":
        parameters |= {"keep": "middle", "rate": 0.5}
    if parameters.get("by") == "perplexity":
        del parameters["by"]
    last = ["keep", "rate", "tokens", "by", "within", "temperature", "seed", "where"]
    names = [name for name in parameters if name not in last] + [name for name in last if name in parameters]
    return {name: parameters[name] for name in names}


def _spell(value: object) -> str:
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


def _perplexity_quantiles(reader: BlockReader) -> list[float]:
    quantiles = compute_quantiles(reader, list(SHARES.values()))
    if any(value != value for value in quantiles):
        raise UsageError("no document of this run has a perplexity to choose by", "--keep middle --by bytes")
    return quantiles


def _list_quantiles(label_to_value: Mapping[str, float]) -> str:
    return ", ".join(f"{label} {format_figure(value)}" for label, value in label_to_value.items())


def _explain_no_criterion(reader: BlockReader, run: str) -> UsageError:
    """Return the error for no criterion, with the perplexities of this corpus and thresholds to try."""
    quantiles = dict(zip(SHARES, _perplexity_quantiles(reader), strict=True))
    return UsageError(
        f"no criterion given, and none suits every corpus. Perplexity of this one: {_list_quantiles(quantiles)}",
        f"{command('filter --dry-run', run)} shows what thresholds keep; "
        f"then for example --max-ppl {format_figure(quantiles['75 %'])}, or --keep middle --rate 0.5",
    )


def _explain_nothing_kept(reader: BlockReader, summary: FilterSummary) -> GateError:
    """Return the error for criteria that keep nothing, with the most frequent reasons and the perplexities."""
    quantiles = dict(zip(SHARES, compute_quantiles(reader, list(SHARES.values())), strict=True))
    most = [f"{fold_whitespace(reason)}: {share.documents:,}" for reason, share in list(summary.rejected.items())[:3]]
    has_perplexity = quantiles["min"] == quantiles["min"]
    listed = f"; perplexity of this corpus: {_list_quantiles(quantiles)}" if has_perplexity else ""
    message = f"nothing would be kept of {summary.read.documents:,} documents ({'; '.join(most)}){listed}"
    hint = f"nothing was written; {command('filter --dry-run', summary.run)} shows what thresholds keep"
    return GateError(message, hint)
