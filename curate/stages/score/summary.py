"""What ``curate score`` returns, and how it prints."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from curate.errors import CorpusError
from curate.runtime.numbers import count_noun
from curate.runtime.text import align_columns, command, quote_word

if TYPE_CHECKING:
    from curate.reference.protocol import ReferenceModel
    from curate.rundir.run import Run


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """What a corpus looked like to its reference model. Sums are over the documents whose status is ``ok``."""

    run: str
    """The run directory."""
    model: str
    documents: int
    tokens: int
    """All of the documents' tokens, scored or not."""
    scored_tokens: int
    """Those that were scored: fewer where documents were truncated, or have no prefix."""
    bytes: int
    perplexity: float | None
    """Token-weighted: exp of the corpus' nats over its scored tokens. None without any, as the next two."""
    mean_perplexity: float | None
    """The mean of the documents' perplexities, another number."""
    bits_per_byte: float | None
    quantiles: dict[str, float]
    """Quantiles of the documents' perplexities, by share, as in ``5%``; empty where nothing was measured."""
    histogram: dict[str, list[float]]
    """Edges (n + 1) and counts (n) of their perplexities, evenly spaced in the logarithm."""
    not_scored: dict[str, int]
    """Documents of any other status than ``ok``, by status, the most first."""
    truncated: int
    """Documents of which the end was not scored."""
    seconds: float
    """Seconds of scoring in this call."""
    tokens_per_second: float | None
    """None where this call scored no token."""
    padding: float | None
    """The share of the computed positions that were not scored, padding included; None where none was computed."""
    changed: tuple[str, ...] = ()
    """Files that changed while they were read; the next ``score`` reads them again."""
    notes: tuple[str, ...] = ()
    """What a reader of the numbers should know, a line each, which begins with what it is about."""
    profile: dict[str, Any] | None = None
    """With ``--profile``, where the time went (``profiler.describe_profile``)."""

    @property
    def exit_code(self) -> int:
        """Return 3 where rows could not be read, or files changed while they were read; else 0."""
        return 3 if self.not_scored.get("unreadable") or self.changed else 0

    def as_record(self) -> dict[str, Any]:
        """Return the numbers that ``run.json`` keeps."""
        return {name: getattr(self, name) for name in ("perplexity", "mean_perplexity", "bits_per_byte", "quantiles")}

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, JSON-able."""
        return asdict(self)

    def render(self) -> str:
        """Return the summary for the terminal."""
        from curate.runtime.console import format_count, format_size
        from curate.runtime.histogram import sparkline

        part = f" ({format_count(self.scored_tokens)} scored)" if self.scored_tokens != self.tokens else ""
        tokens = f"{format_count(self.tokens)} tokens{part}   " if self.model != "none" else ""
        lines = [f"{count_noun(self.documents, 'document')}   {tokens}{format_size(self.bytes)} of text"]
        if self.perplexity is not None:
            spelled = [f"{value:.4g}" for value in self.quantiles.values()]
            shares, values = align_columns([list(self.quantiles), spelled], 9)
            lines += [
                f"perplexity  {self.perplexity:.4g} token-weighted, {self.mean_perplexity:.4g} mean of documents     "
                f"bits per byte {self.bits_per_byte:.3f}",
                f"            {shares}",
                f"perplexity  {values}",
            ]
            if self.histogram["edges"]:
                bars = sparkline(self.histogram["counts"])
                low, high = self.histogram["edges"][0], self.histogram["edges"][-1]
                lines.append(f"            {bars}      log scale, {low:.3g} … {high:.4g}")
        lines += self._left_out()
        lines += self.notes
        if self.changed:
            shown = ", ".join(self.changed[:5]) + (f" and {len(self.changed) - 5:,} more" if self.changed[5:] else "")
            lines.append(f"changed     while they were read: {shown}; the same command reads them again")
        if self.tokens_per_second:
            from curate.runtime.console import format_clock

            lines.append(f"speed       {format_count(self.tokens_per_second)} tokens/s, {format_clock(self.seconds)}")
        if self.profile is not None:
            from curate.runtime.work import profiler

            lines += profiler.render_profile(self.profile)
        decontaminate = command("decontaminate EVALS", self.run)
        if self.perplexity is None:
            return "\n".join([*lines, "", f"next: {decontaminate}", f"      {command('dedup', self.run)}"])
        lines += ["", f"next: {command('filter --dry-run', self.run)}     see what thresholds would keep"]
        lines += [f"      {decontaminate}  take eval items out first"]
        return "\n".join(lines)

    def _left_out(self) -> list[str]:
        """Return lines about documents that were not scored, or not to their end."""
        lines = []
        if self.not_scored:
            reasons = ", ".join(f"{number:,} {status}" for status, number in self.not_scored.items())
            where = f" ({self.run}/unreadable.jsonl)" if "unreadable" in self.not_scored else ""
            lines.append(f"not scored  {reasons}{where}")
        if self.truncated:
            lines.append(
                f"truncated   {count_noun(self.truncated, 'document')} cut off by --truncate or the convention"
            )
        return lines


def check_anything_read(summary: ScoreSummary) -> None:
    """Raise CorpusError where a corpus had no documents, or none that could be read."""
    from curate.corpus.types import UNREADABLE

    if summary.documents or summary.not_scored.keys() - {UNREADABLE}:
        return
    count = summary.not_scored.get(UNREADABLE, 0)
    if not count:
        raise CorpusError("no document was read: the corpus has no rows", "see that its files are not empty")
    message = f"nothing can be read: all {count:,} rows are unreadable"
    raise CorpusError(message, f"head -3 {quote_word(f'{summary.run}/unreadable.jsonl')}")


def summarise_scores(run: "Run", model: str, seconds: float, reference: "ReferenceModel | None" = None) -> ScoreSummary:
    """Return the summary of a run from its scores table; the same table gives the same numbers to the last bit.

    ``reference`` is the model that scored for ``seconds``, for speed and padding; None leaves these two out.
    """
    from curate.reference.likelihood import bits_per_byte, perplexity
    from curate.rundir import sql
    from curate.stages.score.convention_notes import list_convention_notes
    from curate.stages.score.table import describe_perplexity, sum_parts

    sums = sum_parts(run)
    source = sql.parquet_source(run.scores)
    query = f"SELECT status, count(*) FROM {source} WHERE status <> 'ok' GROUP BY 1 ORDER BY 2 DESC, 1"
    not_scored = sql.ask(query)
    count, measured = int(sums["documents"]), sums["scored_tokens"] > 0
    quantiles, histogram = describe_perplexity(source) if measured else ({}, {"edges": [], "counts": []})
    computed, done = (reference.num_computed_tokens, reference.num_scored_tokens) if reference is not None else (0, 0)
    return ScoreSummary(
        run=str(run.path),
        model=model,
        documents=count,
        tokens=int(sums["tokens"]),
        scored_tokens=int(sums["scored_tokens"]),
        bytes=int(sums["bytes"]),
        perplexity=float(perplexity(sums["nats"], sums["scored_tokens"])) if measured else None,
        mean_perplexity=sums["perplexity"] / count if measured else None,
        bits_per_byte=float(bits_per_byte(sums["nats"], sums["scored_bytes"])) if measured else None,
        quantiles=quantiles,
        histogram=histogram,
        not_scored={status: int(number) for status, number in not_scored},
        truncated=int(sums["truncated"]),
        seconds=seconds,
        tokens_per_second=done / seconds if done else None,
        padding=1 - done / computed if computed else None,
        notes=tuple(list_convention_notes(run, sums, dict(not_scored))) if measured else (),
    )
