"""``curate status``: the funnel of a run, from what was read to what is kept, and what is stale in it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from curate.errors import CurateError, TableError
from curate.rundir import reasons
from curate.rundir import tally as rundir_tally
from curate.runtime.numbers import percent
from curate.runtime.text import command

if TYPE_CHECKING:
    from curate.corpus import Corpus
    from curate.rundir.rejections import Rejections
    from curate.rundir.run import Run


LABEL_CHARS = 50  # of a reason on the screen
WIDTH = 100


@dataclass(frozen=True, slots=True)
class Aside:
    """Documents with eval items that are not rejected for it."""

    review: int = 0
    """Nothing happens to them; a person should look."""
    page: str | None = None
    """The page that shows them."""
    marked: int = 0
    cut: int = 0
    passages: int = 0
    """To be cut out of these documents; two that overlap count twice."""

    def lines(self) -> list[str]:
        found = []
        if self.review:
            where = self.page or "curate explain ID shows the evidence"
            found.append(f"{self.review:,} document{_s(self.review)} for review: {where}")
        if self.marked:
            found.append(f"{self.marked:,} document{_s(self.marked)} with eval items marked, not rejected")
        if self.cut:
            what = f"{self.passages:,} passage{_s(self.passages)} of {self.cut:,} document{_s(self.cut)}"
            found.append(f"{what} with eval items to be cut out by curate export")
        return found


@dataclass(frozen=True, slots=True)
class Funnel:
    """Where the documents of a run are: read = kept + rejected by reason + unreadable."""

    run: str
    model: str
    complete: bool
    """Whether the corpus is scored to its end."""
    read: int
    unreadable: int
    rejected: Mapping[str, int]
    """By reason. Without a filter: what could not be scored, and what the hits and the duplicates reject."""
    kept: int
    tokens: int
    """Of the documents that are kept."""
    filtered: bool
    parameters: Mapping[str, Any]
    stale: tuple[str, ...]
    """What is stale or half done, and why, one sentence each."""
    verbs: tuple[str, ...] = ()
    """The verbs whose tables reject documents here."""
    keeper: str | None = None
    """By which rule one document of each cluster of copies stays."""
    aside: Aside = Aside()
    buckets: Mapping[str, int] | None = None
    """Documents of each bucket; None where there are no buckets that may be used."""
    order: Mapping[str, Any] | None = None
    """The parameters of the order; None where there is none that may be used."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def render(self) -> str:
        return "\n".join([*self._counts(), *self.aside.lines(), *self._places(), *self._notes()])

    def _places(self) -> list[str]:
        """A line for the buckets, a line for the order."""
        from curate.runtime.text import fold, lay_out

        lines = []
        if self.buckets is not None:
            named = [f"{fold(name)} {many:,}" for name, many in self.buckets.items()]
            shown = ", ".join([*named[:8], *([f"and {len(named) - 8} more"] if len(named) > 8 else [])])
            lines += [line.rstrip() for line in lay_out("buckets", shown.split())]
        if self.order is not None:
            found = f"{self.order['schedule']} by {fold(str(self.order['by']))}, {self.order['direction']}"
            lines += [line.rstrip() for line in lay_out("order", found.split())]
        return lines

    def _counts(self) -> list[str]:
        from curate.runtime.console import count
        from curate.runtime.text import fold, shorten

        groups = [(shorten(fold(line.label), LABEL_CHARS), line) for line in reasons.group(self.rejected)]
        width = max([22, *(len(label) + 2 for label, _ in groups)])
        share = percent(self.kept, self.read)
        lines = [f"{'read':<{width}}{self.read:>13,}   reference {self.model}"]
        if self.unreadable:
            lines.append(f"{'  ' + reasons.UNREADABLE:<{width}}{self.unreadable:>13,}   {self.run}/unreadable.jsonl")
        for label, line in groups:
            note = self._note(line, WIDTH - width - 16)
            lines.append(f"{'  ' + label:<{width}}{line.documents:>13,}   {note}".rstrip())
        last = "kept" if self.filtered or self.verbs else "scored"
        return [*lines, f"{last:<{width}}{self.kept:>13,}   {share:>7}   {count(self.tokens)} tokens"]

    def _note(self, line: reasons.ReasonCount, most: int) -> str:
        """What stands behind a number: the eval sets, or by which rule one of the copies stays."""
        if line.sets:
            return list_sets(line.sets, most)
        return f"keeper: {self.keeper}" if self.keeper and line.is_of_duplicates else ""

    def _notes(self) -> list[str]:
        from curate.runtime.text import lay_out

        lines = [line for note in self.stale for line in lay_out("stale:", note.split(), indent=7)]
        if not self.complete:
            lines.append(
                "scoring is not finished: these are the documents so far; the same curate score command goes on"
            )
        elif not self.filtered and not self.stale:
            lines += ["", f"next: {command('filter --dry-run', self.run)}     see what thresholds would keep"]
        elif not self.stale:
            lines += ["", f"next: {command('export out/', self.run)}"]
        return lines


def _s(number: int) -> str:
    return "" if number == 1 else "s"


def list_sets(sets: Mapping[str, int], most: int) -> str:
    """``gsm8k 210, humaneval 12`` in at most so many characters, with ``and 3 more`` for those that do not fit."""
    from curate.runtime.text import fold

    named = [f"{fold(name)} {many:,}" for name, many in sets.items()]
    for shown in range(len(named), 0, -1):
        rest = f", and {len(named) - shown} more" if shown < len(named) else ""
        if len(text := ", ".join(named[:shown]) + rest) <= most:
            return text
    return f"{len(named)} eval sets"


def read_funnel(run: "Run") -> Funnel:
    """Return the funnel of a run as its tables stand. TableError without scores, or where documents are missing."""
    from curate.rundir import rejections

    score = run.stage("score")
    if score is None:
        raise TableError(f"{run.path} holds no scores", command("score CORPUS", run.path))
    corpus, stale = check_corpus(run)
    identity = corpus.identity() if corpus is not None and rejections.is_there(run) else None
    found, problems = rejections.find_rejections(run, identity)
    filtered = filter_record(run)
    stale += problems
    if isinstance(filtered, str):
        stale, filtered = [*stale, filtered], None
    buckets, order = open_placement(run, "bucket", stale), open_placement(run, "order", stale)
    tally = count_reasons(run, found)
    read = sum(share.documents for share in tally.values())
    sums = rundir_tally.sum_up("status", tally, score["counts"]["read"] if score.get("complete") else read)
    kept, tokens = sums.kept.documents, sums.kept.tokens
    rejected = {reason: share.documents for reason, share in sums.rejected.items()}
    if filtered is not None:
        counts = filtered["counts"]
        kept, tokens, rejected = counts["kept"], counts["kept_tokens"], counts["rejected"]
        check_conserved(read, kept, rejected, sums.unreadable)
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
        verbs=found.verbs(),
        keeper=None if found.duplicates is None else found.duplicates["parameters"].get("keep"),
        aside=Aside() if found.hits is None else count_aside(run, found.hits),
        buckets=None if buckets is None else buckets["counts"].get("buckets", {}),
        order=None if order is None else order["parameters"],
    )


def check_conserved(read: int, kept: int, rejected: Mapping[str, int], unreadable: int) -> None:
    from curate.rundir import reasons

    reasons.conserve("status", read, kept, sum(rejected.values()), unreadable)


def count_reasons(run: "Run", found: "Rejections") -> rundir_tally.Tally:
    """What would be decided without a criterion, over the parts that exist."""
    from curate.rundir import reasons, scores_view

    with scores_view.open_scores(run, rejections=found) as connection:
        return rundir_tally.count(connection, reasons.status_reason_sql())


def count_aside(run: "Run", record: Mapping[str, Any]) -> Aside:
    """Documents with hits that do not reject; the counts of ``mark`` and ``cut`` are of the hits themselves."""
    from curate.rundir import parquet, sql

    page = run.path / "contamination.html"
    review, shown = record["counts"].get("review", 0), str(page) if page.exists() else None
    if not parquet.parts(run.hits):
        return Aside(review, shown)
    key = "count(DISTINCT (file, row)) FILTER (action = '{0}'), count(*) FILTER (action = '{0}')"
    query = f"SELECT {key.format('mark')}, {key.format('cut')} FROM {sql.parquet_source(run.hits)}"
    marked, _, cut, passages = sql.connect().execute(query).fetchall()[0]
    return Aside(review, shown, marked, cut, passages)


def filter_record(run: "Run") -> "dict[str, Any] | str | None":
    """The record of a usable decision table, what is wrong with it, or None where there is none."""
    from curate.rundir import decision_table

    try:
        return decision_table.open_filter(run)
    except TableError as error:
        return f"{error.message} (run curate filter again)"


def open_placement(run: "Run", verb: str, stale: list[str]) -> dict[str, Any] | None:
    """The record of the buckets or of the order; ``stale`` grows by what is wrong with it."""
    from curate.rundir import placements

    try:
        return placements.open_buckets(run) if verb == "bucket" else placements.open_order(run)
    except TableError as error:
        stale.append(f"{error.message} (run curate {verb} again)")
        return None


def check_corpus(run: "Run") -> "tuple[Corpus | None, list[str]]":
    """The corpus that was scored, or why the scores no longer speak of it; a URL may be slow and is not looked at."""
    import os

    from curate.corpus import Corpus

    score = run.stage("score") or {}
    if not all(os.path.isabs(path) for path in score["corpus"]["paths"]):
        return None, []
    try:
        corpus = Corpus.from_spec(score["corpus"])
        now = corpus.fingerprint()
    except CurateError as error:
        return None, [f"the corpus that was scored cannot be opened: {error.message}"]
    if now == score["made_from"]["corpus"]:
        return corpus, []
    return None, ["the corpus has changed since it was scored (curate score … --restart)"]
