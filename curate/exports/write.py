"""One export from end to end: shards, the state files of ``datasets``, the card, the manifest."""

import itertools
import shutil
from functools import partial
from pathlib import Path

from curate.errors import GateError, Interrupted
from curate.exports import dataset_card, dataset_folder, leaked_passages, manifest, slice_rows, training_md
from curate.exports.counts import ExportCounts, check_counts
from curate.exports.dataset_folder import DatasetDescription
from curate.exports.formats.depot import ShardDepot
from curate.exports.formats.features import build_schema
from curate.exports.formats.shard_writer import ShardWriter, WrittenShard
from curate.exports.formats.shards import FORMATS
from curate.exports.job import ExportChoice, ExportJob, TokenSpelling
from curate.exports.joined_slices import NameTakenError
from curate.exports.ordered import tasks
from curate.exports.ordered.tasks import PartitionTask
from curate.exports.ordered.write import OrderedMeans, make_spill
from curate.exports.parts.folder import PartsFolder
from curate.exports.prefixes import choose_prefix, follow_prefix
from curate.exports.slice_rows import OutputRows
from curate.exports.spilled import passes
from curate.exports.spilled.kinds import make_spilled
from curate.exports.summary import ExportSummary
from curate.exports.tokens import options
from curate.exports.tokens import ordered as ordered_tokens
from curate.exports.tokens.writer import TokenWriter
from curate.rundir.run import Run
from curate.runtime import console, numbers
from curate.runtime.redaction import NO_REDACTION, Redactor
from curate.runtime.text import command
from curate.runtime.work import processes, threads

SHARD_BYTES = "500MB"
"""Largest size of a shard where nobody chose one."""
STREAMED_BYTES = 16_000_000
"""What a thread reads of the corpus at once."""


def check_any_kept(run: Run, choice: ExportChoice, rejected: bool) -> None:
    """Raise GateError where the export would be an empty folder."""
    if rejected and not choice.rejected:
        raise GateError("nothing was rejected, so there is nothing to export", "leave out --rejected")
    if not rejected and not choice.kept:
        raise GateError("nothing was kept, so there is nothing to export", f"{command('status', run.path)} says why")


def write_choice(
    run: Run, choice: ExportChoice, folder: Path, out: str, redactor: Redactor = NO_REDACTION
) -> ExportSummary:
    """Write the documents that a decision table keeps, as ``hf`` in the order of the corpus, into an empty folder.

    ``out`` is the final path of the folder, which the summary shows. Orders and buckets are ignored. Raises GateError
    where nothing is kept.
    """
    corpus = run.corpus()
    check_any_kept(run, choice, False)
    treatment = leaked_passages.choose_treatment(run, choice.rejections, corpus)
    shard_bytes, prefix = numbers.parse_size(SHARD_BYTES, "--shard-size"), choose_prefix(corpus.columns)
    job = ExportJob(run, corpus, choice, treatment, False, "hf", shard_bytes, prefix, redactor=redactor)
    return build_export(job, folder, out, OrderedMeans(0, 1))


def build_export(
    job: ExportJob,
    folder: Path,
    out: str,
    means: OrderedMeans,
    parts: PartsFolder | None = None,
    depot: ShardDepot | None = None,
) -> ExportSummary:
    """Write an export into an empty folder; ``out`` is its final path, which the summary shows.

    ``parts`` is what tasks of a job array have spilled of it; what they have not is done here. ``depot`` takes complete
    shards out of the folder. Where a column of the corpus turns out to have the name of one that is added, all is
    written again under another prefix. Raises Interrupted at Ctrl-C, CorpusError or TableError where the corpus or a
    table of the run has changed.
    """
    try:
        job = job if parts is None else parts.follow_prefixes(job)
        spills = job.placed.moves or parts is not None or means.start is not processes.start_workers
        if job.spelling is not None:
            return _write_tokens(job, job.spelling, folder, out, means, depot)
        if spills:
            return _write_spilled(job, folder, out, means, parts, depot)
        return _write_streamed(job, folder, out, means, depot)
    except NameTakenError as taken:
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
        if parts is not None:
            parts.note_taken(job, taken)
        if depot is not None:
            depot.clear()
        return build_export(follow_prefix(job, taken), folder, out, means, parts, depot)
    except KeyboardInterrupt:
        raise Interrupted(*_explain_interruption(parts)) from None


def _explain_interruption(parts: PartsFolder | None) -> tuple[str, str]:
    if parts is None:
        return "stopped; nothing was left behind", "the same command begins again"
    return f"stopped; what is done stays in {parts.path}", "the same command goes on"


def _write_spilled(
    job: ExportJob,
    folder: Path,
    out: str,
    means: OrderedMeans,
    parts: PartsFolder | None,
    depot: ShardDepot | None,
) -> ExportSummary:
    """Write documents by way of a spill: in another order than that of the corpus, or by workers on other machines."""
    spill = make_spill(job, folder) if parts is None else parts.make_spill(job)
    written = passes.write_spilled(make_spilled(job, spill, means), folder, means.start, means.workers, depot)
    return _finish_export(job, written, written.counts, written.files, out)


def _write_tokens(
    job: ExportJob, spelling: TokenSpelling, folder: Path, out: str, means: OrderedMeans, depot: ShardDepot | None
) -> ExportSummary:
    """Write token files, in the order of the corpus or in another one."""
    if not job.placed.moves:
        return _write_streamed(job, folder, out, means, depot)
    writer, counts = ordered_tokens.write_ordered_tokens(job, spelling, folder, means, depot)
    files = writer.finish()
    ordered_tokens.write_token_order(writer)
    return _finish_export(job, writer, counts, files, out)


def _write_streamed(
    job: ExportJob, folder: Path, out: str, means: OrderedMeans, depot: ShardDepot | None
) -> ExportSummary:
    """Write documents in the order of the corpus."""
    writer = options.open_writer(job, folder, depot)
    try:
        counts = _write_shards(job, writer, means.workers)
        return _finish_export(job, writer, counts, writer.finish(), out)
    finally:
        writer.abandon()


def _write_shards(job: ExportJob, writer: ShardWriter | TokenWriter, workers: int) -> ExportCounts:
    """Write the rows in the order of the corpus; so many threads read ahead."""
    counts = ExportCounts()
    found = threads.map_in_order(partial(_read_rows, job), tasks.list_tasks(job, STREAMED_BYTES), workers)
    with console.progress("exporting", job.corpus.size) as progress:
        for rows in itertools.chain.from_iterable(found):
            counts.add(rows.counts)
            if rows.lines is not None and isinstance(writer, ShardWriter):
                writer.add_lines(rows.lines, rows.shape, rows.misread)
            else:
                writer.add(rows.table)
            progress.advance(documents=rows.counts.read, done_bytes=rows.num_bytes)
    check_counts(job, counts)
    return counts


def _read_rows(job: ExportJob, task: PartitionTask) -> list[OutputRows]:
    """Return the rows of the slices of a task. Raises what ``slice_rows.read_task`` raises."""
    return list(slice_rows.read_task(job, task))


def _finish_export(
    job: ExportJob, writer: DatasetDescription, counts: ExportCounts, files: list[WrittenShard], out: str
) -> ExportSummary:
    """Write state files, card and manifest, once the shards have their final names, and return the summary."""
    folder, shard_format = writer.folder, FORMATS[job.format]
    identity = manifest.compute_identity(job.format, files)
    if shard_format.loads_from_disk:
        dataset_folder.write_states(folder, build_schema(writer.shape), files, identity, writer.buckets)
    head = dataset_folder.make_front_matter(writer, identity) + "\n" if shard_format.holds_text else ""
    dataset_folder.write_text(folder / "README.md", head + dataset_card.make_card(job, writer, counts))
    written = manifest.build_manifest(job, writer, counts, files, identity)
    if job.placed.order is not None:
        training_md.write_training(folder, written)
    dataset_folder.write_json(folder / "manifest.json", written)
    for note in dataset_card.list_warnings(writer):
        console.warn(note)
    return _summarise(job, writer, counts, files, out)


def _summarise(
    job: ExportJob, writer: DatasetDescription, counts: ExportCounts, files: list[WrittenShard], out: str
) -> ExportSummary:
    ids = writer if isinstance(writer, TokenWriter) else None
    return ExportSummary(
        out=out,
        format=job.format,
        documents=writer.rows,
        tokens=ids.tokens if ids else counts.tokens,
        bytes=sum(file.bytes for file in files),
        shards=len(ids.counts) if ids else len(files),
        counts=manifest.list_counts(counts),
        rejected=job.rejected,
        filtered=job.choice.filter is not None,
        verbs=job.choice.rejections.verbs(),
        prefix=job.prefix,
        address=None,
        ordered=job.placed.order is not None,
        buckets=tuple(writer.buckets.values()),
        redacted=manifest.describe_redaction(job, counts) if job.redactor else None,
    )
