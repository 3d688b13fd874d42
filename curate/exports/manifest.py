"""``manifest.json`` of an export: what is in the folder, what it was made from, and a checksum of every file."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from curate.exports.counts import ExportCounts
from curate.exports.dataset_card import list_json, list_texts
from curate.exports.dataset_folder import MADE_BY, DatasetDescription
from curate.exports.formats.shard_writer import WrittenShard, describe_file
from curate.exports.job import ExportChoice, ExportJob
from curate.exports.tokens.writer import TokenWriter
from curate.rundir.run import compute_fingerprint, publish_model
from curate.runtime.published import hide_folders
from curate.runtime.redaction import LABELS


def compute_identity(format: str, files: Sequence[WrittenShard]) -> str:
    """Return the fingerprint of the data of an export: equal where a format has the same files with the same bytes.

    It has no path of the export and nothing of the run, so that a copy keeps it. The card carries it, since datasets
    keeps what ``load_dataset`` prepared by the card and the folder's name, and never looks at the data.
    """
    return compute_fingerprint([format, *([file.path, file.rows, file.sha256] for file in files)])


def build_manifest(
    job: ExportJob, writer: DatasetDescription, counts: ExportCounts, files: Sequence[WrittenShard], identity: str
) -> dict[str, Any]:
    """Return the manifest of shards that have their final names.

    ``order.parquet``, where the export is in order, is described from the disk.
    """
    placed, counted = job.placed, job.run.counted_tokens()
    manifest: dict[str, Any] = {
        "made_by": MADE_BY,
        "fingerprint": identity,
        "format": job.format,
        "documents": "rejected" if job.rejected else "kept",
        "rows": writer.rows,
        "tokens": counts.tokens,
        **({"tokens_counted": counted} if counted is not None else {}),
        **({"tokenised": hide_folders(writer.describe())} if isinstance(writer, TokenWriter) else {}),
        "text_field": job.corpus.text_field,
        "counts": list_counts(counts),
        "rejected": hide_folders(job.choice.rejected),
        **({"redacted": describe_redaction(job, counts)} if job.redactor else {}),
        "made_from": hide_folders({"scores": _describe_scores(job), **_describe_choice(job.choice)}),
        "columns": {column.name: str(column.type) for column in writer.shape.schema()},
        "added": list(job.names.values()),
        "json": list_json(writer),
        "turned_to_text": list_texts(writer),
        "files": [asdict(file) for file in files],
    }
    if placed.order is not None:
        manifest |= {"ordered": True, "order": hide_folders(placed.order["parameters"])}
        manifest["files"].append(asdict(describe_file(writer.folder, "order.parquet", writer.rows)))
    if placed.bucket is not None:
        parameters = hide_folders(placed.bucket["parameters"])
        manifest |= {"buckets": {"parameters": parameters, "folders": writer.buckets or None}}
    return manifest


def describe_redaction(job: ExportJob, counts: ExportCounts) -> dict[str, Any]:
    """Return what was replaced in the documents that were written: the option, documents, and replacements by kind."""
    kinds = {kind: counts.redacted.get(kind, 0) for kind in job.redactor.choice.kinds}
    return {
        "redact": job.redactor.choice.spell(),
        "labels": {kind: LABELS[kind] for kind in kinds},
        "documents": counts.redacted_documents,
        "replacements": kinds,
    }


def list_counts(counts: ExportCounts) -> dict[str, int]:
    """Return the documents of an export: read = kept + rejected + unreadable."""
    return {"read": counts.read, "kept": counts.kept, "rejected": counts.rejected, "unreadable": counts.unreadable}


def _describe_scores(job: ExportJob) -> dict[str, Any]:
    """Return what the scores were made from; the model by its name and its fingerprints."""
    record = job.run.finished_scores()
    return {**record["made_from"], "model": publish_model(record)}


def _describe_choice(choice: ExportChoice) -> dict[str, Mapping[str, Any] | None]:
    """Return the parameters and counts of each table that decided; None for a table that the run does not have."""
    records = {"filter": choice.filter, "decontaminate": choice.rejections.hits, "dedup": choice.rejections.duplicates}
    shown = ("fingerprint", "parameters", "counts")
    return {
        name: None if record is None else {key: record[key] for key in shown if key in record}
        for name, record in records.items()
    }
