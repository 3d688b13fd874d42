"""What criteria keep, in numbers: documents and tokens by reason and by domain, and medians before and after."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from curate.rundir import quantiles
from curate.rundir.document_blocks import BlockReader, DocumentBlock
from curate.rundir.verdicts.reasons import precedes_criteria
from curate.rundir.verdicts.tally import DomainChange, Share, Tally
from curate.runtime.arrays import Int16Array
from curate.stages.filter.apply import CompiledCriteria


@dataclass(slots=True)
class Judgement:
    """The decision of compiled criteria on all documents.

    It is made once where the blocks of the reader are held, else again in every pass.
    """

    reader: BlockReader
    compiled: CompiledCriteria
    _held: list[Int16Array] | None = None

    def decide_held(self) -> None:
        """Decide now where blocks are held, so that several threads may read the decision at a time."""
        if self.reader.is_held():
            for _ in self.blocks():
                pass

    def blocks(self) -> Iterator[tuple[DocumentBlock, Int16Array]]:
        """Yield all blocks in order, each with the codes of the reasons of its documents; 0 for what is kept."""
        if self._held is not None:
            yield from zip(self.reader.blocks(), self._held, strict=True)
            return
        compiled, held, keeps = self.compiled.restart(), list[Int16Array](), self.reader.is_held()
        for block in self.reader.blocks():
            codes = compiled.judge(block)
            if keeps:
                held.append(codes)
            yield block, codes
        self._held = held if keeps else None


@dataclass(slots=True)
class DecisionCount:
    """Documents and tokens by domain and reason."""

    cells: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """(domain, code) → (documents, tokens)"""

    def add(self, block: DocumentBlock, codes: Int16Array) -> None:
        """Count the documents of a block, whose reasons are ``codes``."""
        width = int(codes.max(initial=0)) + 1
        cells = block.domain * width + codes
        size = (int(block.domain.max(initial=-1)) + 1) * width
        documents, tokens = np.bincount(cells, minlength=size), quantiles.count_weights(cells, block.tokens, size)
        for cell in np.flatnonzero(documents).tolist():
            key = divmod(cell, width)
            documents_before, tokens_before = self.cells.get(key, (0, 0))
            self.cells[key] = documents_before + int(documents[cell]), tokens_before + int(tokens[cell])

    def tally(self, reasons: Sequence[str | None]) -> Tally:
        """Return the documents and tokens of each reason over all domains; None is the reason of what is kept."""
        sums: Tally = {}
        for (_, code), (documents, tokens) in sorted(self.cells.items()):
            before = sums.get(reasons[code], Share())
            sums[reasons[code]] = Share(before.documents + documents, before.tokens + tokens)
        return sums

    def sum_domain(self, domain: int, codes: set[int]) -> Share:
        """Return the documents and tokens of a domain whose reason is one of ``codes``."""
        cells = [cell for (number, code), cell in self.cells.items() if number == domain and code in codes]
        return Share(sum(documents for documents, _ in cells), sum(tokens for _, tokens in cells))


def compute_medians(judgement: Judgement, *kept: bool) -> list[list[float | None]]:
    """Return the median perplexity of each domain, and last that of all; None where no document has one.

    For each of ``kept`` of other documents, all in the same passes: with False of those that criteria are about, with
    True of those that they keep.
    """
    num_domains = len(judgement.reader.domains.names)
    width = num_domains + (num_domains > 1)

    def passes() -> Iterator[quantiles.Batch]:
        decided = judgement.blocks() if any(kept) else ((block, block.codes) for block in judgement.reader.blocks())
        for block, codes in decided:
            every, unknown = block.numbers("perplexity"), np.isnan(block.numbers("perplexity"))
            for number, is_of_kept in enumerate(kept):
                inside = ((codes if is_of_kept else block.codes) == 0) & ~unknown
                chosen = slice(None) if inside.all() else np.flatnonzero(inside)
                values, first = every[chosen], number * width
                yield values, block.domain[chosen] + first if first else block.domain[chosen], None
                if num_domains > 1:
                    yield values, first + num_domains, None

    group_to_quantiles = quantiles.compute_quantiles(passes, range(width * len(kept)), [0.5])
    found = []
    for number in range(len(kept)):
        medians = [group_to_quantiles[number * width + group][0] for group in range(width)]
        medians = medians if num_domains > 1 else [*medians, *medians]
        found.append([None if np.isnan(value) else value for value in medians])
    return found


@dataclass(frozen=True, slots=True)
class CountedDecision:
    """The sums of one decision."""

    tally: Tally
    scored: Share
    """What the criteria are about."""
    kept: Share
    domains: tuple[DomainChange, ...]
    """The largest first, in tokens before."""


def sum_up_decision(
    judgement: Judgement, before: Sequence[float | None], after: Sequence[float | None], count: DecisionCount
) -> CountedDecision:
    """Return the sums of a decision that was counted.

    ``before`` are the medians of what the criteria are about, ``after`` those of what they keep.
    """
    reader = judgement.reader
    refused = {code for code, reason in enumerate(reader.reasons) if reason is not None and precedes_criteria(reason)}
    eligible = {code for _, code in count.cells} - refused
    lines = []
    for domain, name in enumerate(reader.domains.names):
        scored, kept = count.sum_domain(domain, eligible), count.sum_domain(domain, {0})
        lines.append(DomainChange(name, _with_median(scored, before[domain]), _with_median(kept, after[domain])))
    scored = Share(sum(line.before.documents for line in lines), sum(line.before.tokens for line in lines))
    kept = Share(sum(line.after.documents for line in lines), sum(line.after.tokens for line in lines))
    lines = [line for line in lines if line.before.documents]
    lines.sort(key=lambda line: (-line.before.tokens, -line.before.documents, line.name))
    totals = _with_median(scored, before[-1]), _with_median(kept, after[-1])
    return CountedDecision(count.tally(reader.reasons), *totals, tuple(lines))


def _with_median(share: Share, median: float | None) -> Share:
    return Share(share.documents, share.tokens, median)


def compute_quantiles(reader: BlockReader, shares: Sequence[float]) -> list[float]:
    """Return quantiles of the perplexity of the documents that criteria are about; NaN where none has one."""

    def passes() -> Iterator[quantiles.Batch]:
        for block in reader.blocks():
            values = block.numbers("perplexity")
            values = values[block.eligible & ~np.isnan(values)]
            yield values, np.zeros(len(values), np.int64), None

    return quantiles.compute_quantiles(passes, [0], shares)[0]
