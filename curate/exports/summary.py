"""What ``curate export`` returns, and how it prints."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from curate.runtime.console import count, size


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """A dataset that was written."""

    out: str
    format: str
    documents: int
    tokens: int
    bytes: int
    shards: int
    counts: Mapping[str, int]
    """read = kept + rejected + unreadable, whichever of them were written."""
    rejected: bool
    filtered: bool
    verbs: tuple[str, ...]
    """The verbs whose tables rejected documents."""
    prefix: str
    address: str | None
    ordered: bool = False
    """Whether the shards are to be read in the order of their names; ``order.parquet`` says what stands where."""
    buckets: tuple[str, ...] = ()
    """The configs of the dataset, where it has a folder for each bucket."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def render(self) -> str:
        from curate.exports.shards import FORMATS  # It imports pyarrow.

        what = "rejected documents" if self.rejected else "documents"
        many = "" if self.shards == 1 else "s"
        lines = [
            f"{self.out}   {self.documents:,} {what}, {count(self.tokens)} tokens, {size(self.bytes)} in "
            f"{self.shards} shard{many}, README.md (dataset card), manifest.json"
        ]
        if not self.filtered:
            lines += self._say_unfiltered()
        if self.ordered:
            lines.append("in order: order.parquet says what stands where; trainers shuffle by default, see TRAINING.md")
        config = f", {self.buckets[0]!r}" if self.buckets else ""
        if FORMATS[self.format].holds_text:
            lines.append(f">>> datasets.load_dataset({self.out!r}{config})")
        else:
            lines.append(f"where each document lies: {self.out}/documents.parquet")
        if self.address:
            lines.append(f"pushed to {self.address}")
        return "\n".join(lines)

    def _say_unfiltered(self) -> list[str]:
        """What the documents are, where no filter says so."""
        if not self.verbs:
            could = "could not be" if self.rejected else "was"
            return [f"no filter was run: this is every document that {could} scored"]
        named = " and ".join(self.verbs)
        joined = "or that was rejected by" if self.rejected else "but for what was rejected by"
        could = "could not be scored," if self.rejected else "was scored,"
        return [f"no filter was run: this is every document that {could}", f"{joined} {named}"]
