"""What ``curate filter`` decided, as a value and on the screen: the funnel, the domains, a sweep, a probe."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from curate.rundir.reasons import UNREADABLE, group, is_unscored
from curate.rundir.tally import DomainChange, Share
from curate.runtime.numbers import figure, format_change, percent
from curate.runtime.text import command

if TYPE_CHECKING:
    from curate.stages.filter.boundary_examples import Boundary

LABEL_CHARS = 50  # of a reason on the screen
NAME_CHARS = 22  # of a domain
LINES = 20  # of the ledger; the others are one line
EVEN = 0.02  # a change of a domain's share below which a sweep names none


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
    """What the criteria are about: scored, and rejected by neither the hits nor the duplicates."""
    kept: Share
    rejected: Mapping[str, Share]
    unreadable: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool = False
    sweep: tuple[FilterTrial, ...] = ()
    verbs: tuple[str, ...] = ()
    """The verbs whose tables rejected documents before."""
    domain: str | None = None
    """The column that the ledger is kept by."""
    ledger: tuple[DomainChange, ...] = ()
    """What the criteria are about and what is kept of it, by domain, the largest first."""
    boundaries: "tuple[Boundary, ...] | None" = None
    """With ``show``: documents on both sides of what parts kept from rejected; None without."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def render(self) -> str:
        if self.sweep:
            return "\n".join(_render_sweep(self))
        from curate.stages.filter import boundary_examples

        lines = [*_render_counts(self), *_render_ledger(self), *boundary_examples.describe(self.boundaries)]
        return "\n".join([*lines, "", *_render_next(self)])


@dataclass(frozen=True, slots=True)
class ProbeSubset:
    """One of the three."""

    side: str
    documents: int
    tokens: int
    lowest: float
    """Of the column, over its documents."""
    median: float
    highest: float


@dataclass(frozen=True, slots=True)
class ProbeSummary:
    """Three exports for proxies."""

    run: str
    out: str
    by: str
    within: tuple[str, ...]
    budget: int
    """Tokens that none of them exceeds."""
    documents: int
    """What they were taken from: kept by the other criteria, with a number in the column."""
    tokens: int
    parameters: Mapping[str, Any]
    """The other criteria."""
    subsets: tuple[ProbeSubset, ...]
    read_tokens: int | None = None
    """How many tokens of each document were scored at most, and so are counted; None for all."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def render(self) -> str:
        from curate.runtime.console import count

        by = _short(self.by, 30)
        within = _short(f" within {', '.join(self.within)}", 40) if self.within else ""
        lines = [f"{self.out}   low, middle and high of {by}{within}"]
        lines += [
            f"up to {self.budget:,} tokens each, of {self.documents:,} documents with {count(self.tokens)} tokens", "",
            f"{'':<10}{'documents':>12}{'tokens':>16}{'lowest':>12}{'median':>12}{'highest':>12}   {by}".rstrip(),
        ]  # fmt: skip
        for one in self.subsets:
            numbers = "".join(f"{figure(value):>12}" for value in (one.lowest, one.median, one.highest))
            lines.append(f"{one.side:<10}{one.documents:>12,}{one.tokens:>16,}{numbers}")
        if self.read_tokens:
            lines += ["", f"only the first {self.read_tokens:,} tokens of a document were scored, and are counted here"]
        return "\n".join([*lines, "", "nothing was decided: what curate filter keeps is as it was", self._say_load()])

    def _say_load(self) -> str:
        return f">>> datasets.load_dataset({self.out!r}, 'low')    or 'middle', 'high'"


def _short(text: str, most: int) -> str:
    from curate.runtime.text import fold, shorten

    return str(shorten(fold(text), most))


def _median(share: Share) -> str:
    return "–" if share.median_perplexity is None else figure(share.median_perplexity)


def _line(label: str, share: Share, total: Share, width: int) -> str:
    from curate.runtime.console import count

    documents = f"{share.documents:>13,}  {percent(share.documents, total.documents):>7}"
    tokens = f"{count(share.tokens):>10} tokens  {percent(share.tokens, total.tokens):>7}"
    return f"{label:<{width}}{documents}{tokens}".rstrip()


def _render_counts(found: FilterSummary) -> list[str]:
    reasons = {UNREADABLE: Share(found.unreadable)} if found.unreadable else {}
    labelled = [(f"  {_short(why, LABEL_CHARS)}", one) for why, one in {**reasons, **found.rejected}.items()]
    width = max([34, *(len(label) for label, _ in labelled)])
    listed = [("read", found.read), *labelled, ("kept", found.kept)]
    lines = [_line(label, share, found.read, width) for label, share in listed]
    lines.append(f"median perplexity {_median(found.scored)} before, {_median(found.kept)} after")
    return lines


# The ledger: what the criteria were about and what is kept, by domain.


def _render_ledger(found: FilterSummary) -> list[str]:
    if not found.ledger:
        return []
    head = f"{'':<22}{'documents':>21}{'tokens':>20}{'share of tokens':>18}{'median ppl':>16}"
    shown, rest = found.ledger[:LINES], found.ledger[LINES:]
    if len(rest) == 1:
        shown, rest = found.ledger, ()
    lines = [_ledger_line(line, found) for line in [*shown, *([_sum(rest)] if rest else [])]]
    width = len(found.domain or "")
    return ["", f"{_short(found.domain or '', NAME_CHARS)}{head[width:]}" if width < 20 else head, *lines]


def _sum(lines: tuple[DomainChange, ...]) -> DomainChange:
    """Several lines as one; medians of medians mean nothing and are left out."""

    def total(shares: list[Share]) -> Share:
        return Share(sum(one.documents for one in shares), sum(one.tokens for one in shares))

    return DomainChange(
        f"{len(lines):,} others", total([line.before for line in lines]), total([line.after for line in lines])
    )


def _ledger_line(line: DomainChange, found: FilterSummary) -> str:
    from curate.runtime.console import count

    before, after = line.before, line.after
    documents = f"{before.documents:>10,} → {after.documents:>8,}"
    tokens = f"{count(before.tokens):>9} → {count(after.tokens):>8}"
    shares = [percent(before.tokens, found.scored.tokens), percent(after.tokens, found.kept.tokens) or "–"]
    return (
        f"{_short(line.name, NAME_CHARS):<22}{documents}{tokens}{shares[0]:>8} →{shares[1]:>8}"
        f"{_median(before):>8} →{_median(after):>6}"
    )


# A sweep: a line for each trial.


def _render_sweep(found: FilterSummary) -> list[str]:
    from curate.runtime.console import count

    lines = [f"{'':<26}{'documents':>19}{'tokens':>17}{'median ppl':>12}   largest change"]
    if not found.domain:
        lines = [lines[0].removesuffix("   largest change")]
    left = ", ".join(verb.removeprefix("curate ") for verb in found.verbs)
    first = f"after {left}" if left else "all that was scored"
    for name, share, trial in [(first, found.scored, None), *((one.criterion, one.kept, one) for one in found.sweep)]:
        documents = f"{share.documents:>11,} {percent(share.documents, found.read.documents):>7}"
        tokens = f"{count(share.tokens):>9} {percent(share.tokens, found.read.tokens):>7}"
        changes = _changes(trial) if trial is not None and found.domain else ""
        label = [name] if len(name) <= 26 else [name, ""]
        lines += label[:-1]
        lines.append(f"{label[-1]:<26}{documents}{tokens}{_median(share):>12}   {changes}".rstrip()[:100])
    before = group({why: one.documents for why, one in found.rejected.items()})
    named = [line for line in before if not is_unscored(line.label)]
    if named:
        lines.append("rejected before: " + ", ".join(f"{line.label} {line.documents:,}" for line in named))
    return [*lines, "", "nothing was written; name one criterion to decide"]


def _changes(trial: FilterTrial) -> str:
    """The domain whose share in the tokens shrinks or grows most."""
    if not trial.kept.documents:
        return "nothing kept"
    name, change = next(iter(trial.changes.items()), ("", 0.0))
    return f"{_short(name, 14)} {format_change(change)}" if abs(change) >= EVEN else "none"


def _render_next(found: FilterSummary) -> list[str]:
    if found.dry_run:
        return ["nothing was written; the same command without --dry-run decides"]
    return [f"next: {command('export out/', found.run)}", f"      {command('status', found.run)}"]
