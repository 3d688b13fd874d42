"""What ``curate order`` returns, and how it prints."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from curate.runtime.text import command

if TYPE_CHECKING:
    from curate.stages.order.profile import ProfileTenth


WIDTH = 100
LABEL = 16
STRATA = 12  # shown


@dataclass(frozen=True, slots=True)
class OrderStratum:
    """The documents of one value of the column that is stratified by."""

    value: str | None
    tokens: int
    share: float
    """Of all tokens."""
    lowest: float
    """The lowest share that it has in a tenth of the order."""
    highest: float


@dataclass(frozen=True, slots=True)
class OrderSummary:
    """An order that was written, or with ``dry_run`` would have been."""

    run: str
    documents: int
    """That are kept, and so have a position."""
    tokens: int
    by: str
    parameters: Mapping[str, Any]
    described: str
    """The schedule and its parameters in words."""
    median: float
    """Of the key."""
    unmeasured: int
    """Kept documents without a key; they stand last."""
    tenths: "tuple[ProfileTenth, ...]"
    strata: tuple[OrderStratum, ...] = ()
    dry_run: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def render(self) -> str:
        return "\n".join([*self._head(), *self._tenths(), *self._strata(), *self._next()])

    def _head(self) -> list[str]:
        from curate.runtime.console import format_count
        from curate.runtime.text import wrap_parts

        asked = self.parameters
        how = f"by {self.by}, {asked['direction']}; {self.described}; seed {asked['seed']}"
        if asked.get("jitter"):
            how += f"; jitter in windows of {asked['jitter']:,} documents"
        lines = [f"{self.documents:,} document{'' if self.documents == 1 else 's'}, {format_count(self.tokens)} tokens"]
        lines += [line.rstrip() for line in wrap_parts("order", how.split())]
        if self.unmeasured:
            many = "" if self.unmeasured == 1 else "s"
            lines.append(
                f"{'not measured':<{LABEL}}{self.unmeasured:,} document{many} without {self.by}: last, as in the corpus"
            )
        return lines

    def _tenths(self) -> list[str]:
        from curate.runtime.histogram import sparkline
        from curate.runtime.numbers import format_figure
        from curate.runtime.text import align_columns, fold_whitespace, pad_columns, shorten

        medians = [one.median for one in self.tenths]
        row = {"median": medians, "mean": [one.mean for one in self.tenths]}
        by = pad_columns(shorten(fold_whitespace(self.by), 30), LABEL)
        lines = [f"{by}median {format_figure(self.median)}; along the order, by tenths of its tokens:"]
        cells = [["–" if value is None else format_figure(value) for value in values] for values in row.values()]
        *figures, bars = align_columns([*cells, list(sparkline(_heights(medians)))], 8)
        lines += [f"{'  ' + name:<{LABEL}}{figure}" for name, figure in zip(row, figures, strict=True)]
        return [*lines, f"{'':<{LABEL}}{bars}".rstrip()]

    def _strata(self) -> list[str]:
        from curate.runtime.console import format_count
        from curate.runtime.text import fold_whitespace, pad_columns, shorten

        lines = []
        if self.strata:
            column = shorten(fold_whitespace(self.parameters["stratify"]), 32)
            lines.append(f"{pad_columns(column, 34)}{'tokens':>14}{'share':>10}   in a tenth")
        for one in self.strata[:STRATA]:
            name = "(none)" if one.value is None else shorten(fold_whitespace(one.value), 30)
            tenths = f"{100 * one.lowest:.1f} … {100 * one.highest:.1f} %"
            lines.append(f"  {pad_columns(name, 32)}{format_count(one.tokens):>14}{100 * one.share:>8.1f} %   {tenths}")
        more = len(self.strata) - STRATA
        return [*lines, f"  and {more:,} more"] if more > 0 else lines

    def _next(self) -> list[str]:
        if self.dry_run:
            return ["", "nothing was written; the same command without --dry-run writes the order"]
        return [
            "",
            f"next: {command('export out/', self.run)}",
            "      curate verify out/     does your trainer keep the order?",
        ]


def _heights(medians: list[float | None]) -> list[float]:
    """Medians as heights from 1 to 8, so that the lowest shows, too; 0 for none."""
    import math

    known = [value for value in medians if value is not None and math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    spread = (high - low) or 1.0
    return [0.0 if value is None else 1 + 7 * min(max((value - low) / spread, 0), 1) for value in medians]
