"""What a sieve keeps, in numbers: documents and tokens by reason and by domain, and medians before and after."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from curate.rundir import quantiles as rundir_quantiles
from curate.rundir.document_blocks import BlockReader, DocumentBlock, is_refusal
from curate.rundir.tally import DomainChange, Share, Tally
from curate.runtime.arrays import Int16Array
from curate.stages.filter.apply import CompiledCriteria

REASONS = 1 << 12  # more than can be told apart in one run


@dataclass(slots=True)
class Judgement:
    """The decision of one sieve on all rows, made once and given again where the rows are held, else made again."""

    source: BlockReader
    sieve: CompiledCriteria
    _held: list[Int16Array] | None = None

    def settle(self) -> None:
        """Decide now on rows that are held, so that several may ask for the decision at a time."""
        if self.source.is_held():
            for _ in self.blocks():
                pass

    def blocks(self) -> Iterator[tuple[DocumentBlock, Int16Array]]:
        """All rows, part by part, with the reasons."""
        if self._held is not None:
            yield from zip(self.source.blocks(), self._held, strict=True)
            return
        fresh, held, keeps = self.sieve.afresh(), list[Int16Array](), self.source.is_held()
        for block in self.source.blocks():
            codes = fresh.judge(block)
            if keeps:
                held.append(codes)
            yield block, codes
        self._held = held if keeps else None


@dataclass(slots=True)
class DecisionCount:
    """Documents and tokens by domain and reason."""

    cells: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)

    def add(self, block: DocumentBlock, codes: Int16Array) -> None:
        lanes = block.domain * REASONS + codes
        size = int(lanes.max(initial=-1)) + 1
        documents, tokens = np.bincount(lanes, minlength=size), rundir_quantiles.count(lanes, block.tokens, size)
        for lane in np.flatnonzero(documents).tolist():
            key, (many, much) = divmod(lane, REASONS), self.cells.get(divmod(lane, REASONS), (0, 0))
            self.cells[key] = many + int(documents[lane]), much + int(tokens[lane])

    def tally(self, names: list[str | None]) -> Tally:
        """By reason, over all domains."""
        found: Tally = {}
        for (_, code), (documents, tokens) in sorted(self.cells.items()):
            before = found.get(names[code], Share())
            found[names[code]] = Share(before.documents + documents, before.tokens + tokens)
        return found

    def of(self, domain: int, codes: set[int]) -> Share:
        """The documents of a domain whose reason is one of some."""
        held = [count for (own, code), count in self.cells.items() if own == domain and code in codes]
        return Share(sum(many for many, _ in held), sum(much for _, much in held))


def medians(judgement: Judgement, kept: bool) -> list[float | None]:
    """The median perplexity of each domain, and last of all; of what criteria are about, or of what they keep."""
    many = len(judgement.source.domains.names)

    def passes() -> Iterator[rundir_quantiles.Batch]:
        for block, codes in (
            judgement.blocks() if kept else ((block, block.codes) for block in judgement.source.blocks())
        ):
            values = block.numbers("perplexity")
            inside = (codes == 0) & ~np.isnan(values)
            own = values[inside]
            yield own, block.domain[inside], None
            if many > 1:
                yield own, np.full(len(own), many, np.int64), None

    counts = rundir_quantiles.totals(passes, many + 1)
    if many == 1:
        counts[1] = counts[0]
    found = rundir_quantiles.quantiles(passes, range(many + (many > 1)), [0.5], counts)
    values = [found[group][0] for group in range(many)]
    values.append(found[many][0] if many > 1 else values[0])
    return [None if np.isnan(value) else value for value in values]


@dataclass(frozen=True, slots=True)
class CountedDecision:
    """The sums of one decision."""

    tally: Tally
    scored: Share
    kept: Share
    domains: tuple[DomainChange, ...]
    """The largest first, in tokens before."""


def weigh(judgement: Judgement, before: list[float | None], count: DecisionCount) -> CountedDecision:
    """The sums of a decision that was counted; ``before`` are the medians of what the criteria are about."""
    source = judgement.source
    refused = {code for code, reason in enumerate(source.reasons) if reason is not None and is_refusal(reason)}
    after = medians(judgement, kept=True)
    codes = {code for _, code in count.cells}
    lines = []
    for number, name in enumerate(source.domains.names):
        one, other = count.of(number, codes - refused), count.of(number, {0})
        lines.append(DomainChange(name, _with(one, before[number]), _with(other, after[number])))
    scored = Share(sum(line.before.documents for line in lines), sum(line.before.tokens for line in lines))
    kept = Share(sum(line.after.documents for line in lines), sum(line.after.tokens for line in lines))
    lines = [line for line in lines if line.before.documents]
    lines.sort(key=lambda line: (-line.before.tokens, -line.before.documents, line.name))
    return CountedDecision(count.tally(source.reasons), _with(scored, before[-1]), _with(kept, after[-1]), tuple(lines))


def _with(share: Share, median: float | None) -> Share:
    return Share(share.documents, share.tokens, median)


def quantiles(source: BlockReader, shares: list[float]) -> list[float]:
    """Quantiles of the perplexity of what criteria are about; NaN where nothing was measured."""

    def passes() -> Iterator[rundir_quantiles.Batch]:
        for block in source.blocks():
            values = block.numbers("perplexity")
            own = values[block.eligible & ~np.isnan(values)]
            yield own, np.zeros(len(own), np.int64), None

    return rundir_quantiles.quantiles(passes, [0], shares)[0]
