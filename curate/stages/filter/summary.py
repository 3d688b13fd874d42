"""What ``curate filter`` returns, and how it prints: the funnel, the domains, a sweep, a probe."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from curate.rundir.verdicts.reasons import UNREADABLE, group_reasons, is_unscored
from curate.rundir.verdicts.tally import DomainChange, Share
from curate.runtime.console import WIDTH
from curate.runtime.numbers import format_change, format_figure, format_share
from curate.runtime.text import align_right, command, count_columns, pad_columns, shorten

if TYPE_CHECKING:
    from curate.stages.filter.boundary_examples import Boundary

LABEL_CHARS = 50
"""Of a reason on the screen."""
NAME_CHARS = 22
"""Of a domain."""
LINES = 20
"""Of the ledger; the others are one line."""
EVEN = 0.02
"""A change of a domain's share below which a sweep names none."""


@dataclass(frozen=True, slots=True)
class FilterTrial:
    """What one set of criteria would keep."""

    criterion: str
    kept: Share
    changes: Mapping[str, float]
    """How the share of each domain in the tokens would change: −.5 is half of what it was; the largest first."""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FilterSummary:
    """What ``filter`` decided, or with ``dry_run`` would have."""

    run: str
    read: Share
    scored: Share
    """What the criteria are about: scored documents that neither the hits nor the duplicates reject."""
    kept: Share
    rejected: Mapping[str, Share]
    unreadable: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool = False
    sweep: tuple[FilterTrial, ...] = ()
    verbs: tuple[str, ...] = ()
    """The verbs whose tables rejected documents before."""
    also: tuple[str, ...] = ()
    """Lines on documents that more than one reason rejects."""
    domain: str | None = None
    """The column by which the ledger counts."""
    ledger: tuple[DomainChange, ...] = ()
    """What the criteria are about and what is kept of it, by domain, the largest first."""
    boundaries: "tuple[Boundary, ...] | None" = None
    """With ``show``: documents on both sides of each boundary between kept and rejected; None without."""

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as JSON has it."""
        return asdict(self)

    def render(self) -> str:
        """Return the summary as lines of text."""
        if self.sweep:
            return "\n".join(_render_sweep(self))
        from curate.stages.filter.boundary_examples import render_boundaries

        lines = [*_render_counts(self), *_render_ledger(self), *render_boundaries(self.boundaries)]
        return "\n".join([*lines, "", *_render_next(self)])


@dataclass(frozen=True, slots=True)
class ProbeSubset:
    """One of the low, middle and high subsets that ``filter --probe`` writes."""

    side: str
    documents: int
    tokens: int
    lowest: float
    """Of the column, over its documents."""
    median: float
    highest: float


@dataclass(frozen=True, slots=True)
class ProbeSummary:
    """The three exports that ``filter --probe`` wrote, to train small proxy models on."""

    run: str
    out: str
    by: str
    within: tuple[str, ...]
    budget: int
    """The tokens that no subset exceeds."""
    documents: int
    """Documents to choose from: the other criteria keep them, and they have a number in the column."""
    tokens: int
    parameters: Mapping[str, Any]
    """The other criteria."""
    subsets: tuple[ProbeSubset, ...]
    read_tokens: int | None = None
    """The limit of tokens that were scored, and so are counted, of each document; None for no limit."""

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as JSON has it."""
        return asdict(self)

    def render(self) -> str:
        """Return the summary as lines of text."""
        from curate.runtime.console import format_count

        by = _short(self.by, 30)
        within = _short(f" within {', '.join(self.within)}", 40) if self.within else ""
        lines = [f"{self.out}   low, middle and high of {by}{within}"]
        there = f"{self.documents:,} documents with {format_count(self.tokens)} tokens"
        lines += [
            f"up to {self.budget:,} tokens each, of {there}", "",
            f"{'':<10}{'documents':>12}{'tokens':>16}{'lowest':>12}{'median':>12}{'highest':>12}   {by}".rstrip(),
        ]  # fmt: skip
        for one in self.subsets:
            numbers = "".join(f"{format_figure(value):>12}" for value in (one.lowest, one.median, one.highest))
            lines.append(f"{one.side:<10}{one.documents:>12,}{one.tokens:>16,}{numbers}")
        if self.read_tokens:
            lines += ["", f"only the first {self.read_tokens:,} tokens of a document were scored, and are counted here"]
        return "\n".join([*lines, "", "nothing was decided: what curate filter keeps is as it was", self._load_line()])

    def _load_line(self) -> str:
        from curate.runtime.text import spell_dataset_path

        return f">>> datasets.load_dataset({spell_dataset_path(self.out)!r}, 'low')    or 'middle', 'high'"


def _short(text: str, most: int) -> str:
    from curate.runtime.text import fold_whitespace, shorten

    return str(shorten(fold_whitespace(text), most))


def _median(share: Share) -> str:
    return "–" if share.median_perplexity is None else format_figure(share.median_perplexity)


def _line(label: str, share: Share, total: Share, width: int) -> str:
    from curate.runtime.console import format_count

    documents = f"{share.documents:>13,}  {format_share(share.documents, total.documents):>7}"
    tokens = f"{format_count(share.tokens):>10} tokens  {format_share(share.tokens, total.tokens):>7}"
    return f"{pad_columns(label, width)}{documents}{tokens}".rstrip()


def _render_counts(summary: FilterSummary) -> list[str]:
    reasons = {UNREADABLE: Share(summary.unreadable)} if summary.unreadable else {}
    labelled = [(f"  {_short(why, LABEL_CHARS)}", one) for why, one in {**reasons, **summary.rejected}.items()]
    width = max([34, *(count_columns(label) for label, _ in labelled)])
    listed = [("read", summary.read), *labelled, ("kept", summary.kept)]
    lines = [*(_line(label, share, summary.read, width) for label, share in listed), *summary.also]
    lines.append(f"median perplexity {_median(summary.scored)} before, {_median(summary.kept)} after")
    return lines


def _render_ledger(summary: FilterSummary) -> list[str]:
    if not summary.ledger:
        return []
    head = f"{'':<22}{'documents':>21}{'tokens':>20}{'share of tokens':>18}{'median ppl':>16}"
    shown, rest = summary.ledger[:LINES], summary.ledger[LINES:]
    if len(rest) == 1:
        shown, rest = summary.ledger, ()
    lines = [_render_ledger_line(line, summary) for line in [*shown, *([_sum_lines(rest)] if rest else [])]]
    return ["", pad_columns(_short(summary.domain or "", NAME_CHARS), 22) + head[22:], *lines]


def _sum_lines(lines: tuple[DomainChange, ...]) -> DomainChange:
    """Return several lines as one, without medians: they cannot be computed from medians."""

    def total(shares: list[Share]) -> Share:
        return Share(sum(one.documents for one in shares), sum(one.tokens for one in shares))

    return DomainChange(
        f"{len(lines):,} others", total([line.before for line in lines]), total([line.after for line in lines])
    )


def _render_ledger_line(line: DomainChange, summary: FilterSummary) -> str:
    from curate.runtime.console import format_count

    before, after = line.before, line.after
    documents = f"{before.documents:>10,} → {after.documents:>8,}"
    tokens = f"{format_count(before.tokens):>9} → {format_count(after.tokens):>8}"
    shares = [
        format_share(before.tokens, summary.scored.tokens),
        format_share(after.tokens, summary.kept.tokens) or "–",
    ]
    return (
        f"{pad_columns(_short(line.name, NAME_CHARS), 22)}{documents}{tokens}{shares[0]:>8} →{shares[1]:>8}"
        f"{align_right(_median(before), 8)} →{align_right(_median(after), 6)}"
    )


def _render_sweep(summary: FilterSummary) -> list[str]:
    from curate.runtime.console import format_count

    lines = [f"{'':<26}{'documents':>19}{'tokens':>17}{'median ppl':>12}   largest change"]
    if not summary.domain:
        lines = [lines[0].removesuffix("   largest change")]
    left = ", ".join(verb.removeprefix("curate ") for verb in summary.verbs)
    first = f"after {left}" if left else "all that was scored"
    for name, share, trial in [
        (first, summary.scored, None),
        *((one.criterion, one.kept, one) for one in summary.sweep),
    ]:
        documents = f"{share.documents:>11,} {format_share(share.documents, summary.read.documents):>7}"
        tokens = f"{format_count(share.tokens):>9} {format_share(share.tokens, summary.read.tokens):>7}"
        changes = _spell_largest_change(trial) if trial is not None and summary.domain else ""
        label = [name] if count_columns(name) <= 26 else [name, ""]
        lines += label[:-1]
        line = f"{pad_columns(label[-1], 26)}{documents}{tokens}{_median(share):>12}   {changes}".rstrip()
        lines.append(shorten(line, WIDTH))
    before = group_reasons({why: one.documents for why, one in summary.rejected.items()})
    named = [line for line in before if not is_unscored(line.label)]
    if named:
        lines.append("rejected before: " + ", ".join(f"{line.label} {line.documents:,}" for line in named))
    lines += summary.also
    return [*lines, "", "nothing was written; name one criterion to decide"]


def _spell_largest_change(trial: FilterTrial) -> str:
    """Return the domain whose share of the tokens changes most, and by how much."""
    if not trial.kept.documents:
        return "nothing kept"
    name, change = next(iter(trial.changes.items()), ("", 0.0))
    return f"{_short(name, 14)} {format_change(change)}" if abs(change) >= EVEN else "none"


def _render_next(summary: FilterSummary) -> list[str]:
    if summary.dry_run:
        return ["nothing was written; the same command without --dry-run decides"]
    return [f"next: {command('export out/', summary.run)}", f"      {command('status', summary.run)}"]
