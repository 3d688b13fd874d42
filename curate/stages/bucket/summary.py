"""What ``curate bucket`` returns, and how it prints."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from curate.runtime.text import command

GROUPS = 12  # shown


@dataclass(frozen=True, slots=True)
class BucketShare:
    """The documents of a bucket."""

    name: str
    documents: int = 0
    tokens: int = 0
    lowest: float | None = None
    """Of the column; None where the bucket is empty."""
    highest: float | None = None


@dataclass(frozen=True, slots=True)
class BucketSummary:
    """Buckets that were written."""

    run: str
    documents: int
    """That are kept."""
    tokens: int
    by: str
    within: tuple[str, ...]
    scheme: str
    chosen: str
    """Why the groups are what they are."""
    buckets: tuple[BucketShare, ...]
    groups: Mapping[str, tuple[BucketShare, ...]]
    unmeasured: int
    """Kept documents without a number; they are in no bucket."""
    cutoffs: str
    """The file of the cut-offs."""
    warnings: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def render(self) -> str:
        from curate.runtime.text import wrap_parts

        many = "" if self.documents == 1 else "s"
        said = f"{self.documents:,} document{many} by {self.by}, {self.scheme}, {self.chosen}"
        lines = [line.rstrip() for line in wrap_parts("cut", said.split())]
        by = fold_buckets(self.by, 30)
        lines += [f"{'':<24}{'documents':>22}{'tokens':>20}   {by}", *self._rows(self.buckets, "", 22)]
        if self.unmeasured:
            lines.append(f"{'in no bucket':<24}{self.unmeasured:>13,}   without {by}")
        if self.within and 1 < len(self.groups) <= GROUPS:
            for name, own in self.groups.items():
                lines += [fold_buckets(name, 60), *self._rows(own, "  ", 20)]
        elif self.within and len(self.groups) > GROUPS:
            lines.append(f"within {len(self.groups):,} groups; --json has them all")
        for text in self.warnings:
            lines += [line.rstrip() for line in wrap_parts("warning", text.split())]
        return "\n".join([*lines, f"cut-offs        {self.cutoffs}", "", f"next: {command('export out/', self.run)}"])

    def _rows(self, buckets: tuple[BucketShare, ...], indent: str, width: int) -> list[str]:
        from curate.runtime.console import format_count
        from curate.runtime.numbers import format_figure, format_share
        from curate.runtime.text import pad_columns

        many, tokens = sum(one.documents for one in buckets), sum(one.tokens for one in buckets)
        lines = []
        for one in buckets:
            span = "–" if one.lowest is None else f"{format_figure(one.lowest)} … {format_figure(one.highest or 0.0)}"
            documents = f"{one.documents:>13,} {format_share(one.documents, many):>8}"
            weight = f"{format_count(one.tokens):>11} {format_share(one.tokens, tokens):>8}"
            lines.append(f"{indent}{pad_columns(fold_buckets(one.name, width), width)}  {documents}{weight}   {span}")
        return lines


def fold_buckets(text: str, most: int) -> str:
    from curate.runtime.text import fold_whitespace, shorten

    return shorten(fold_whitespace(text), most)
