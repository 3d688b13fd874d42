"""``curate status``: the funnel of a run, from what was read to what is kept, and what is stale in it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate.errors import CurateError, TableError

if TYPE_CHECKING:
    from curate.runs import Run


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
    """By reason. Without a filter: what could not be scored."""
    kept: int
    tokens: int
    """Of the documents that are kept."""
    filtered: bool
    parameters: Mapping[str, Any]
    stale: tuple[str, ...]
    """What is stale or half done, and why, one sentence each."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def render(self) -> str:
        return "\n".join([*self._counts(), *self._notes()])

    def _counts(self) -> list[str]:
        from curate.console import count

        width = max([22, *(len(reason) + 2 for reason in self.rejected)])
        share = f"{self.kept / self.read:.1%}".replace("%", " %") if self.read else ""
        lines = [f"{'read':<{width}}{self.read:>13,}   reference {self.model}"]
        if self.unreadable:
            lines.append(f"{'  unreadable':<{width}}{self.unreadable:>13,}   {self.run}/unreadable.jsonl")
        lines += [f"{'  ' + reason:<{width}}{number:>13,}" for reason, number in self.rejected.items()]
        last = "kept" if self.filtered else "scored"
        return [*lines, f"{last:<{width}}{self.kept:>13,}   {share:>7}   {count(self.tokens)} tokens"]

    def _notes(self) -> list[str]:
        at = "" if self.run == "curated" else f" --run {self.run}"
        lines = [f"stale: {note}" for note in self.stale]
        if not self.complete:
            lines.append(
                "scoring is not finished: these are the documents so far; the same curate score command goes on"
            )
        elif not self.filtered and not self.stale:
            lines += ["", f"next: curate filter --dry-run{at}     see what thresholds would keep"]
        elif not self.stale:
            lines += ["", f"next: curate export out/{at}"]
        return lines


def status(run: Annotated[str, typer.Option(help="Run directory.")] = "curated") -> Funnel:
    """Show the funnel of a run: what was read, what was lost at each stage and why, and what is kept.

    Works while scores are being made, and says which stages are stale. TableError where documents are missing from it.
    """
    from curate import decisions, runs

    opened = runs.open_run(run)
    score = opened.stage("score")
    if score is None:
        raise TableError(f"{opened.path} holds no scores", f"curate score CORPUS --run {opened.path}")
    statuses = _statuses(opened)
    read = sum(number for number, _ in statuses.values())
    unreadable = statuses.pop("unreadable", (0, 0))[0]
    kept, tokens = statuses.pop("ok", (0, 0))
    rejected = {f"unscored: {name}": number for name, (number, _) in statuses.items()}
    filtered, stale = _filter_of(opened), _stale_scores(opened)
    if isinstance(filtered, str):
        stale, filtered = [*stale, filtered], None
    if filtered is not None:
        counts = filtered["counts"]
        kept, tokens, rejected = counts["kept"], counts["kept_tokens"], counts["rejected"]
    expected = score["counts"]["read"] if score.get("complete") else read
    decisions.conserve("status", expected, kept, sum(rejected.values()), unreadable)
    return Funnel(
        run=str(opened.path),
        model=str(score["made_from"]["model"].get("model", "unknown")),
        complete=bool(score.get("complete")),
        read=read,
        unreadable=unreadable,
        rejected=rejected,
        kept=kept,
        tokens=tokens,
        filtered=filtered is not None,
        parameters=filtered["parameters"] if filtered else {},
        stale=tuple(stale),
    )


def _statuses(run: "Run") -> dict[str, tuple[int, int]]:
    """Documents and tokens by status, over the parts that exist, the most frequent first."""
    from curate import decisions

    counted = "SELECT status, count(*) AS many, coalesce(sum(tokens), 0) FROM scores"
    query = f"{counted} GROUP BY status ORDER BY many DESC, status"
    with decisions.open_scores(run) as connection:
        found = connection.execute(query).fetchall()
    return {str(name): (int(number), int(tokens)) for name, number, tokens in found}


def _filter_of(run: "Run") -> "dict[str, Any] | str | None":
    """The record of a usable decision table, what is wrong with it, or None where there is none."""
    from curate import decisions

    try:
        return decisions.open_filter(run)
    except TableError as error:
        return f"{error.message} (run curate filter again)"


def _stale_scores(run: "Run") -> list[str]:
    """Why the scores no longer speak of their corpus; only local files are looked at, a URL may be slow."""
    import os

    from curate.corpus import Corpus

    score = run.stage("score") or {}
    if not all(os.path.isabs(path) for path in score["corpus"]["paths"]):
        return []
    try:
        now = Corpus.from_spec(score["corpus"]).fingerprint()
    except CurateError as error:
        return [f"the corpus that was scored cannot be opened: {error.message}"]
    if now == score["made_from"]["corpus"]:
        return []
    return ["the corpus has changed since it was scored (curate score … --restart)"]
