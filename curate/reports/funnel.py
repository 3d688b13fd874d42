"""``curate status``: the funnel of a run, from the documents read to those kept, and what is stale in the run."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from curate.corpus import Corpus
from curate.errors import CurateError, DamageError, TableError
from curate.reports.progress.tables import RunProgress, read_progress
from curate.rundir import decision_table, parquet, placements, scores_view, sql
from curate.rundir.guards.claims import describe_writing
from curate.rundir.run import Run, hint_changed_corpus, spell_first_score_command, spell_score_command
from curate.rundir.verdicts import overlaps, reasons
from curate.rundir.verdicts import rejections as rundir_rejections
from curate.rundir.verdicts import tally as rundir_tally
from curate.rundir.verdicts.rejections import Rejections, hits_source
from curate.runtime.console import WIDTH, format_count
from curate.runtime.numbers import format_share
from curate.runtime.text import command, count_columns, fold_whitespace, pad_columns, shorten, wrap_parts

LABEL_CHARS = 50
"""Characters of a reason on the screen."""


@dataclass(frozen=True, slots=True)
class Aside:
    """Documents with eval items that are not rejected for them."""

    review: int = 0
    """Documents that stay as they are; a person should judge them."""
    page: str | None = None
    """The path of ``contamination.html``, which shows them; None where there is none."""
    marked: int = 0
    cut: int = 0
    """Documents of which ``export`` cuts passages."""
    passages: int = 0
    """Passages that it cuts; two that overlap count twice."""
    variants: int = 0
    """Documents with an eval item that has other numbers, which stay."""

    def lines(self) -> list[str]:
        """Return a line for each kind of document that there is."""
        lines = []
        if self.review:
            where = self.page or "curate explain ID shows the evidence"
            lines.append(f"{self.review:,} document{_s(self.review)} for review: {where}")
        if self.variants:
            lines.append(f"{self.variants:,} document{_s(self.variants)} with eval items that have other numbers, kept")
        if self.marked:
            lines.append(f"{self.marked:,} document{_s(self.marked)} with eval items marked, not rejected")
        if self.cut:
            what = f"{self.passages:,} passage{_s(self.passages)} of {self.cut:,} document{_s(self.cut)}"
            lines.append(f"{what} with eval items to be cut out by curate export")
        return lines


@dataclass(frozen=True, slots=True)
class Funnel:
    """What became of the documents of a run: read = kept + rejected by reason + unreadable."""

    run: str
    model: str
    complete: bool
    """Whether all of the corpus was scored."""
    read: int
    unreadable: int
    rejected: Mapping[str, int]
    """Documents by reason. Without a filter: those without a score, and those that the hits and duplicates reject."""
    kept: int
    tokens: int
    """Of the documents that are kept."""
    filtered: bool
    """Whether there is a usable decision table."""
    parameters: Mapping[str, Any]
    """Those of ``filter``; empty without a filter."""
    stale: tuple[str, ...]
    """One sentence for each table that is stale or not complete."""
    verbs: tuple[str, ...] = ()
    """The verbs whose tables reject documents here."""
    keeper: str | None = None
    """The rule (``dedup --keep``) that chooses the document of a cluster that is kept; None without duplicates."""
    aside: Aside = Aside()
    also: tuple[str, ...] = ()
    """Lines on documents for which more than one reason applies."""
    buckets: Mapping[str, int] | None = None
    """Documents of each bucket; None where there are no buckets that may be used."""
    order: Mapping[str, Any] | None = None
    """The parameters of the order; None where there is none that may be used."""
    writing: tuple[str, ...] = ()
    """One sentence for each verb that is writing in the run now: its tables are as they were, or in the making."""
    progress: RunProgress | None = None
    """How far the tables are that are in the making; None where none is."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def render(self) -> str:
        progress = [] if self.progress is None else self.progress.lines()
        counts = [*self._counts(), *self.also, *self.aside.lines(), *self._places()]
        return "\n".join([*counts, *progress, *self._notes()])

    def _places(self) -> list[str]:
        """Return the lines of the buckets and of the order."""
        lines = []
        if self.buckets is not None:
            named = [f"{fold_whitespace(name)} {many:,}" for name, many in self.buckets.items()]
            shown = ", ".join([*named[:8], *([f"and {len(named) - 8} more"] if len(named) > 8 else [])])
            lines += [line.rstrip() for line in wrap_parts("buckets", shown.split())]
        if self.order is not None:
            text = f"{self.order['schedule']} by {fold_whitespace(str(self.order['by']))}, {self.order['direction']}"
            lines += [line.rstrip() for line in wrap_parts("order", text.split())]
        return lines

    def _counts(self) -> list[str]:
        groups = [
            (shorten(fold_whitespace(line.label), LABEL_CHARS), line) for line in reasons.group_reasons(self.rejected)
        ]
        width = max([22, *(count_columns(label) + 2 for label, _ in groups)])
        share = format_share(self.kept, self.read)
        lines = [f"{'read':<{width}}{self.read:>13,}   reference {self.model}"]
        if self.unreadable:
            lines.append(f"{'  ' + reasons.UNREADABLE:<{width}}{self.unreadable:>13,}   {self.run}/unreadable.jsonl")
        for label, line in groups:
            note = self._note(line, WIDTH - width - 16)
            lines.append(f"{pad_columns('  ' + label, width)}{line.documents:>13,}   {note}".rstrip())
        last = "kept" if self.filtered or self.verbs else "scored"
        return [*lines, f"{last:<{width}}{self.kept:>13,}   {share:>7}   {format_count(self.tokens)} tokens"]

    def _note(self, line: reasons.ReasonCount, most: int) -> str:
        """Return what follows a number: the eval sets, or the rule that chooses the copy that is kept."""
        if line.sets:
            return list_sets(line.sets, most)
        return f"keeper: {self.keeper}" if self.keeper and line.is_of_duplicates else ""

    def _notes(self) -> list[str]:
        lines = [line for note in self.writing for line in wrap_parts("now:", note.split(), indent=7)]
        if self.writing:
            return [*lines, *(line for note in self.stale for line in wrap_parts("stale:", note.split(), indent=7))]
        lines = [line for note in self.stale for line in wrap_parts("stale:", note.split(), indent=7)]
        if not self.complete:
            lines.append(
                "scoring is not finished: these are the documents so far; the same curate score command continues"
            )
        elif not self.filtered and not self.stale:
            lines += ["", f"next: {command('filter --dry-run', self.run)}     see what thresholds would keep"]
        elif not self.stale:
            lines += ["", f"next: {command('export out/', self.run)}"]
        return lines


def _s(number: int) -> str:
    return "" if number == 1 else "s"


def list_sets(sets: Mapping[str, int], most: int) -> str:
    """Return ``gsm8k 210, humaneval 12`` in at most ``most`` characters, with ``and 3 more`` for those that do not fit.

    Where not even one fits, it is ``3 eval sets``.
    """
    named = [f"{fold_whitespace(name)} {many:,}" for name, many in sets.items()]
    for shown in range(len(named), 0, -1):
        rest = f", and {len(named) - shown} more" if shown < len(named) else ""
        if len(text := ", ".join(named[:shown]) + rest) <= most:
            return text
    return f"{len(named)} eval sets"


def read_funnel(run: Run) -> Funnel:
    """Return the funnel of a run from its tables as they are.

    Raises TableError where there are no scores, or the counts do not add up.
    """
    score = run.stage("score")
    if score is None:
        raise TableError(f"{run.path} has no scores", spell_first_score_command(run))
    run.check_scores()
    run.warn_of_partial_counts()
    corpus, stale = check_corpus(run)
    identity = corpus.identity() if corpus is not None and rundir_rejections.has_rejections(run) else None
    rejections, problems = rundir_rejections.find_rejections(run, identity)
    filtered = filter_record(run)
    stale += problems
    if isinstance(filtered, str):
        stale, filtered = [*stale, filtered], None
    buckets, order = open_placement(run, "bucket", stale), open_placement(run, "order", stale)
    tally = count_reasons(run, rejections)
    read = sum(share.documents for share in tally.values())
    sums = rundir_tally.sum_tally("status", tally, score["counts"]["read"] if score.get("complete") else read)
    kept, tokens = sums.kept.documents, sums.kept.tokens
    rejected = {reason: share.documents for reason, share in sums.rejected.items()}
    if filtered is not None:
        counts = filtered["counts"]
        kept, tokens, rejected = counts["kept"], counts["kept_tokens"], counts["rejected"]
        reasons.check_documents_add_up("status", read, kept, sum(rejected.values()), sums.unreadable)
    return Funnel(
        run=str(run.path),
        model=str(score["made_from"]["model"].get("model", "unknown")),
        complete=bool(score.get("complete")),
        read=read,
        unreadable=sums.unreadable,
        rejected=rejected,
        kept=kept,
        tokens=tokens,
        filtered=filtered is not None,
        parameters=filtered["parameters"] if filtered else {},
        stale=tuple(stale),
        verbs=rejections.verbs(),
        keeper=None if rejections.duplicates is None else rejections.duplicates["parameters"].get("keep"),
        also=tuple(describe_several_reasons(run, rejections, filtered is not None)),
        aside=Aside() if rejections.hits is None else count_aside(run, rejections.hits),
        buckets=None if buckets is None else buckets["counts"].get("buckets", {}),
        order=None if order is None else order["parameters"],
        writing=describe_writing(run.path),
        progress=find_progress(run),
    )


def find_progress(run: Run) -> RunProgress | None:
    """Return how far the tables of a run are that are in the making; None where none is."""
    progress = read_progress(run.path)
    return progress if progress.tables else None


def describe_several_reasons(run: Run, rejections: Rejections, filtered: bool) -> list[str]:
    """Return a line for each kind of document for which more than one reason applies.

    ``filtered`` says whether there is a usable decision table.
    """
    lines = overlaps.explain_several_reasons(run, rejections)
    lost = overlaps.count_lost_copies(run, rejections) if filtered else 0
    return [*lines, *overlaps.describe_lost_copies(lost)]


def count_reasons(run: Run, rejections: Rejections) -> rundir_tally.Tally:
    """Count the documents of the parts that exist by the reasons that precede all criteria."""
    with scores_view.open_scores(run, rejections=rejections) as connection:
        return rundir_tally.count_by_reason(connection, reasons.status_reason_sql())


def count_aside(run: Run, record: Mapping[str, Any]) -> Aside:
    """Count the documents with hits that do not reject them.

    ``record`` is that of ``decontaminate``; the counts of ``mark`` and ``cut`` come from the hits, not from it.
    """
    page = run.path / "contamination.html"
    review, shown = record["counts"].get("review", 0), str(page) if page.exists() else None
    kept = record["parameters"].get("variants", "keep") == "keep"
    variants = record["counts"].get("variant", 0) if kept else 0
    if not parquet.list_parts(run.hits):
        return Aside(review, shown, variants=variants)
    key = "count(DISTINCT (file, row)) FILTER (action = '{0}'), count(*) FILTER (action = '{0}')"
    gone = "bool_or(action = 'drop') OVER (PARTITION BY file, row)"
    hits = f"SELECT file, row, action FROM {hits_source(run)} QUALIFY NOT {gone}"
    query = f"SELECT {key.format('mark')}, {key.format('cut')} FROM ({hits})"
    marked, _, cut, passages = sql.ask(query)[0]
    return Aside(review, shown, marked, cut, passages, variants)


def filter_record(run: Run) -> dict[str, Any] | str | None:
    """Return the record of the decision table, a sentence where it is stale, or None where there is none."""
    try:
        return decision_table.open_filter(run)
    except DamageError:
        raise
    except TableError as error:
        return f"{error.message} (run curate filter again)"


def open_placement(run: Run, verb: str, stale: list[str]) -> dict[str, Any] | None:
    """Return the record of the buckets (``verb`` is bucket) or of the order; None where there is none that can be used.

    A table that is stale adds a sentence to ``stale``.
    """
    try:
        return placements.open_buckets(run) if verb == "bucket" else placements.open_order(run)
    except DamageError:
        raise
    except TableError as error:
        stale.append(f"{error.message} (run curate {verb} again)")
        return None


def check_corpus(run: Run) -> tuple[Corpus | None, list[str]]:
    """Return the corpus that was scored and no sentence, or None and a sentence where it has changed.

    Paths that are not absolute (URLs, the Hub) can be slow and are not checked: None and no sentence.
    """
    score = run.stage("score") or {}
    if not all(os.path.isabs(path) for path in score["corpus"]["paths"]):
        return None, []
    try:
        corpus = Corpus.from_spec(score["corpus"])
        now = corpus.fingerprint()
    except CurateError as error:
        where = f" ({spell_score_command(run, score)} takes it up where it is now)" if "request" in score else ""
        return None, [f"the corpus that was scored cannot be opened: {error.message}{where}"]
    if now == score["made_from"]["corpus"]:
        return corpus, []
    hint = hint_changed_corpus(run, score) if "request" in score else "curate score … --restart"
    return None, [f"the corpus has changed since it was scored ({hint})"]
