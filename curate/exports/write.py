"""An export written: shards, the dataset folder, the manifest, the card."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from curate.errors import GateError, Interrupted, TableError
from curate.exports.summary import ExportSummary

if TYPE_CHECKING:
    from pathlib import Path

    from curate.exports.joined_slices import ExportChoice, ExportCounts, ExportJob
    from curate.exports.ordered.write import OrderedMeans
    from curate.exports.shards import WrittenShard
    from curate.rundir.run import Run


def check_any_kept(choice: "ExportChoice", rejected: bool) -> None:
    """GateError where the export would be an empty folder."""
    if rejected and not choice.rejected:
        raise GateError("nothing was rejected, so there is nothing to export", "leave out --rejected")
    if not rejected and not choice.kept:
        raise GateError("nothing was kept, so there is nothing to export", "curate status says why")


def choose_prefix(columns: "tuple[str, ...] | list[str]", first: int = 1) -> str:
    """The first of ``curate_``, ``curate2_`` … with which no column begins."""
    while True:
        prefix = "curate_" if first == 1 else f"curate{first}_"
        if not any(name.startswith(prefix) for name in columns):
            return prefix
        first += 1


def write_choice(run: "Run", choice: "ExportChoice", folder: "Path", out: str) -> ExportSummary:
    """The documents that a decision table keeps, as ``hf`` in the order of the corpus, into an empty folder.

    ``out`` is what the folder will be called. Orders and buckets are left aside. GateError where nothing is kept.
    """
    from curate.exports import joined_slices, leaked_passages
    from curate.exports.ordered import write
    from curate.runtime import numbers

    corpus = run.corpus()
    check_any_kept(choice, False)
    treatment = leaked_passages.choose_treatment(run, choice.found, corpus)
    shard_bytes, prefix = numbers.parse_size("500MB"), choose_prefix(corpus.columns)
    job = joined_slices.ExportJob(run, corpus, choice, treatment, False, "hf", shard_bytes, prefix)
    return build_export(job, folder, out, write.OrderedMeans(0, 1))


def build_export(job: "ExportJob", folder: "Path", out: str, means: "OrderedMeans") -> ExportSummary:
    """Write shards, card and manifest into an empty folder; once more, should a name turn out to be taken."""
    import shutil
    from dataclasses import replace

    from curate.exports.joined_slices import NameTakenError

    try:
        return _lay_out(job, folder, out, means) if job.placed.moves else _stream(job, folder, out)
    except NameTakenError as taken:
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
        return build_export(replace(job, prefix=choose_prefix([str(taken), job.prefix])), folder, out, means)
    except KeyboardInterrupt:
        raise Interrupted("stopped; nothing was left behind", "the same command begins again") from None


def _lay_out(job: "ExportJob", folder: "Path", out: str, means: "OrderedMeans") -> ExportSummary:
    """Documents in another order than that of the corpus."""
    from curate.exports.ordered import write
    from curate.exports.tokens.ordered import lay_out, write_order

    if job.spelling is None:
        laid = write.lay_out(job, folder, means)
        return _describe(job, laid, laid.counts, laid.files, out)
    writer, counts = lay_out(job, folder, means)
    files = writer.finish()
    write_order(writer)
    return _describe(job, writer, counts, files, out)


def _stream(job: "ExportJob", folder: "Path", out: str) -> ExportSummary:
    """Documents in the order of the corpus."""
    from curate.exports.tokens import options

    writer = options.open_writer(job, folder)
    try:
        counts = _write_shards(job, writer)
        return _describe(job, writer, counts, writer.finish(), out)
    finally:
        writer.abandon()


def _write_shards(job: "ExportJob", writer: Any) -> "ExportCounts":
    from curate.exports import joined_slices
    from curate.runtime import console

    counts = joined_slices.ExportCounts()
    with console.progress("exporting", job.corpus.size) as progress:
        for piece in joined_slices.read_pieces(job):
            mask, documents = joined_slices.count_piece(counts, piece, job.rejected), piece.documents
            table = documents.table
            if table is None:
                raise TableError(f"{documents.mark.file} was read without its columns")
            joined_slices.check_names(table.column_names, job)
            writer.add(joined_slices.add_columns(table, piece, job).filter(mask))
            progress.advance(documents=len(documents.rows), done_bytes=documents.read_bytes)
    joined_slices.check_counts(job, counts)
    return counts


# The manifest, and what is said.


def _describe(
    job: "ExportJob", writer: Any, counts: "ExportCounts", files: "list[WrittenShard]", out: str
) -> ExportSummary:
    """Write card, state and manifest, once the shards have their names."""
    from curate.exports import dataset_card, dataset_folder, shards, training_md
    from curate.rundir.run import compute_fingerprint

    score, folder, choice = job.run.finished_scores(), writer.folder, job.choice
    chosen = choice.filter["fingerprint"] if choice.filter else None
    others = list(choice.found.fingerprints().values())
    made_from = [score["fingerprint"], chosen, *others, job.rejected, job.format, job.shard_bytes]
    order, bucket, buckets = job.placed.order, job.placed.bucket, getattr(writer, "buckets", {})
    made_from += [["placed", record["fingerprint"]] for record in (order, bucket) if record is not None]
    made_from += ["by bucket"] * job.placed.by_bucket
    if job.spelling is not None:
        made_from += [["spelled", writer.vocabulary.encoder.name, writer.layout, writer.append]]
    identity = compute_fingerprint(made_from)
    if job.format == "hf":
        dataset_folder.write_states(folder, writer.shape.schema(), files, identity, buckets)
    head = "" if job.format == "tokens" else dataset_folder.front_matter(writer) + "\n"
    dataset_folder.write_text(folder / "README.md", head + dataset_card.make_card(job, writer, counts))
    totals = {"read": counts.read, "kept": counts.kept, "rejected": counts.rejected, "unreadable": counts.unreadable}
    manifest = {
        "made_by": dataset_folder.MADE_BY,
        "fingerprint": identity,
        "format": job.format,
        "documents": "rejected" if job.rejected else "kept",
        "rows": writer.rows,
        "tokens": counts.tokens,
        **({"tokenised": writer.describe()} if writer.kind == "tokens" else {}),
        "text_field": job.corpus.text_field,
        "counts": totals,
        "rejected": dict(choice.rejected),
        "made_from": {"scores": score["made_from"], **_notes_of(choice)},
        "columns": {column.name: str(column.type) for column in writer.shape.schema()},
        "added": list(job.names.values()),
        "turned_to_text": sorted(writer.shape.texts),
        "files": [asdict(file) for file in files],
    }
    if order is not None:
        manifest |= {"ordered": True, "order": dict(order["parameters"])}
        manifest["files"].append(asdict(shards.describe_file(folder, "order.parquet", writer.rows)))
    if bucket is not None:
        manifest |= {"buckets": {"parameters": dict(bucket["parameters"]), "folders": buckets or None}}
    if order is not None:
        training_md.write_training(folder, manifest)
    dataset_folder.write_json(folder / "manifest.json", manifest)
    _warn(writer)
    octets, filtered = sum(file.bytes for file in files), choice.filter is not None
    return ExportSummary(
        out,
        job.format,
        writer.rows,
        writer.tokens if writer.kind == "tokens" else counts.tokens,
        octets,
        len(writer.counts) if writer.kind == "tokens" else len(files),
        totals,
        job.rejected,
        filtered,
        choice.found.verbs(),
        job.prefix,
        None,
        order is not None,
        tuple(buckets.values()),
    )


def _notes_of(choice: "ExportChoice") -> dict[str, Any]:
    """What the tables that decided were asked and what they counted; null for those that the run does not have."""
    records = {"filter": choice.filter, "decontaminate": choice.found.hits, "dedup": choice.found.duplicates}
    shown = ("fingerprint", "parameters", "counts")
    return {
        name: None if record is None else {key: record[key] for key in shown if key in record}
        for name, record in records.items()
    }


def _warn(writer: Any) -> None:
    from curate.exports import dataset_card
    from curate.runtime import console

    for note in dataset_card.list_notes(writer):
        console.warn(note)
