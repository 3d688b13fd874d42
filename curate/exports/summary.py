"""What ``curate export`` returns, and how it prints."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from curate.runtime.console import format_count, format_size
from curate.runtime.disk.object_store import is_store_url
from curate.runtime.text import spell_dataset_path


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """A dataset that was written."""

    out: str
    format: str
    documents: int
    tokens: int
    """Of the tokenizer that scored the documents; of token files the ids that were written."""
    bytes: int
    """Of all shards, without card and manifest."""
    shards: int
    counts: Mapping[str, int]
    """read = kept + rejected + unreadable, whichever of them were written."""
    rejected: bool
    """Whether these are the rejected documents."""
    filtered: bool
    """Whether a filter decided."""
    verbs: tuple[str, ...]
    """The verbs whose tables rejected documents."""
    prefix: str
    """Begins the names of the columns that were added."""
    address: str | None
    """Of the dataset on the Hub, where it was pushed."""
    ordered: bool = False
    """Whether the documents are in the order of ``curate order``; ``order.parquet`` says which is where."""
    buckets: tuple[str, ...] = ()
    """The configs of the dataset, where it has a folder for each bucket."""
    redacted: Mapping[str, Any] | None = None
    """What was replaced, as the manifest says; None where nothing was to be."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, for ``--json``."""
        return asdict(self)

    def render(self) -> str:
        """Return the screen: what was written, and how to load it."""
        from curate.exports.formats.shards import FORMATS  # It imports pyarrow.

        what = "rejected documents" if self.rejected else "documents"
        many = "" if self.shards == 1 else "s"
        lines = [
            f"{self.out}   {self.documents:,} {what}, {format_count(self.tokens)} tokens, {format_size(self.bytes)} in "
            f"{self.shards} shard{many}, README.md (dataset card), manifest.json"
        ]
        if not self.filtered:
            lines += self._describe_unfiltered()
        if self.redacted is not None:
            lines.append(self._describe_redaction(self.redacted))
        if self.ordered:
            lines.append("in order: order.parquet says what stands where; trainers shuffle by default, see TRAINING.md")
        config = f", {self.buckets[0]!r}" if self.buckets else ""
        if FORMATS[self.format].holds_text and is_store_url(self.out):
            lines.append(self._describe_loading())
        elif FORMATS[self.format].holds_text:
            lines.append(f">>> datasets.load_dataset({spell_dataset_path(self.out)!r}{config})")
        else:
            lines.append(f"where each document lies: {self.out}/documents.parquet")
        if self.address:
            lines.append(f"pushed to {self.address}")
        return "\n".join(lines)

    def _describe_redaction(self, redacted: Mapping[str, Any]) -> str:
        """Return what was replaced, in how many documents."""
        kinds = ", ".join(f"{kind} {number:,}" for kind, number in redacted["replacements"].items() if number)
        return f"redacted in {redacted['documents']:,} documents: {kinds or 'nothing was found'}"

    def _describe_loading(self) -> str:
        """Return how an export in an object store is loaded, where ``load_dataset`` takes no folder."""
        from curate.exports.dataset_folder import make_shard_glob
        from curate.exports.formats.shards import TABLE_FORMATS, make_bucket_pattern

        url, bucket = self.out.rstrip("/"), self.buckets[0] if self.buckets else None
        shards = TABLE_FORMATS[self.format]
        if shards.loads_from_disk:
            return f">>> datasets.load_from_disk({(f'{url}/data/{bucket}' if bucket else url)!r})"
        pattern = make_bucket_pattern(self.format, bucket) if bucket else shards.pattern
        return f">>> datasets.load_dataset({shards.builder!r}, data_files={f'{url}/{make_shard_glob(pattern)}'!r})"

    def _describe_unfiltered(self) -> list[str]:
        """Return which documents these are, where no filter decided."""
        if not self.verbs:
            could = "could not be" if self.rejected else "was"
            return [f"no filter was run: this is every document that {could} scored"]
        named = " and ".join(self.verbs)
        joined = "or that was rejected by" if self.rejected else "but for what was rejected by"
        could = "could not be scored," if self.rejected else "was scored,"
        return [f"no filter was run: this is every document that {could}", f"{joined} {named}"]
