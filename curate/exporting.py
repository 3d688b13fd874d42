"""``curate export``: the documents that were kept, with their scores, as a dataset that others can load.

The corpus is read once more, slice by slice (``curate.pairing``). Original columns stay as they are, but for passages
that are cut out of the text; the scores come behind them under names that begin with ``curate_`` (``curate2_`` where
that is taken).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from curate.errors import GateError, Interrupted, TableError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from curate.moving import Means
    from curate.pairing import Choice, Counts, Job, Placed
    from curate.runs import Run
    from curate.shards import Written


@dataclass(frozen=True, slots=True)
class Exported:
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
        from curate.console import count, size

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
        if self.format == "tokens":
            lines.append(f"where each document lies: {self.out}/documents.parquet")
        else:
            lines.append(f">>> datasets.load_dataset({self.out!r}{config})")
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


def export(
    out: Annotated[str, typer.Argument(help="Folder to write; it must not exist yet.")],
    run: Annotated[str, typer.Option(help="Run directory.")] = "curated",
    format: Annotated[
        Literal["hf", "parquet", "jsonl", "tokens"], typer.Option(help="Arrow, Parquet, JSON lines or ids.")
    ] = "hf",
    shard_size: Annotated[str, typer.Option(help="Largest size of a shard, as in 500MB.")] = "500MB",
    tokenizer: Annotated[str | None, typer.Option(help="For tokens: a folder, a Hub id, or builtin.")] = None,
    layout: Annotated[
        Literal["megatron", "numpy"], typer.Option(help="For tokens: .bin and .idx, or .npy.")
    ] = "megatron",
    append: Annotated[Literal["eos", "none"], typer.Option(help="For tokens: what ends each document.")] = "eos",
    rejected: Annotated[bool, typer.Option("--rejected", help="Write what was rejected, with the reasons.")] = False,
    by_bucket: Annotated[bool, typer.Option("--by-bucket", help="A folder and a config for each bucket.")] = False,
    no_order: Annotated[bool, typer.Option("--no-order", help="Ignore the order: as the corpus has them.")] = False,
    no_buckets: Annotated[bool, typer.Option("--no-buckets", help="Ignore the buckets: no column of them.")] = False,
    memory_limit: Annotated[str, typer.Option(help="Memory to order within, all processes.")] = "1GB",
    workers: Annotated[int | None, typer.Option(help="Processes to order with.  [default: one a core]")] = None,
    push_to_hub: Annotated[str | None, typer.Option(help="Then upload it as this dataset, as in me/name.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new dataset on the Hub a private one.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
) -> Exported:
    """Write the kept documents as a dataset: all original columns, the scores, a dataset card and a manifest.

    ``datasets.load_dataset(OUT)`` reads every format, ``load_from_disk(OUT)`` reads ``hf``. Without a filter every
    scored document is written that is neither contaminated nor a duplicate. After ``decontaminate --action mark`` the
    column ``curate_eval_sets`` names the sets that a document leaks; after ``cut-span`` the passages are cut out of the
    text, and ``curate_cut_characters`` counts what went.

    After ``curate order`` the documents stand in its order, in shards whose sorted names are the reading order, and
    ``order.parquet`` tells the place of each and the tokens read so far; ``curate_position`` is a column. After
    ``curate bucket`` ``curate_bucket`` is one, and ``--by-bucket`` gives each bucket a folder, its order kept. Both
    work out of core within ``--memory-limit``, and take about as much disk again for a while. What was rejected has no
    order. A corpus that has changed since it was scored is refused, with the place; TableError where a table of the run
    is stale.
    """
    from pathlib import Path

    from curate import dataset, decisions, moving, pairing, passages, rejections, runs, spelling, tokenorder
    from curate.shards import FORMATS, parse_memory, parse_size
    from curate.tokenfiles import TOKENS

    if format not in (*FORMATS, TOKENS):
        raise UsageError(f"--format {format} is not known", f"one of {', '.join((*FORMATS, TOKENS))}")
    spelling.check(format, tokenizer, layout, append, push_to_hub)
    tokenorder.check(format, by_bucket)
    if private and push_to_hub is None:
        raise UsageError("--private says nothing without --push-to-hub", "--push-to-hub me/name --private")
    shard_bytes, place, memory = parse_size(shard_size), Path(out), parse_memory(memory_limit)
    opened = runs.open_run(run)
    decisions.open_filter(opened)
    corpus = opened.corpus()
    spelled = spelling.open_spelling(corpus, tokenizer, layout, append)
    found = rejections.open_rejections(opened, corpus)
    placed = choose_places(opened, rejected, by_bucket, no_order, no_buckets)
    means = moving.choose_means(memory, workers, corpus)
    treatment = passages.choose_treatment(opened, found, corpus)
    dataset.check_place(place, overwrite)
    if push_to_hub is not None:
        dataset.check_hub(push_to_hub)
    with dataset.building(place, overwrite) as folder, pairing.open_choice(opened, found, folder) as choice:
        check_any_kept(choice, rejected)
        prefix = choose_prefix(corpus.columns)
        job = pairing.Job(opened, corpus, choice, treatment, rejected, format, shard_bytes, prefix, placed, spelled)
        result = build_export(job, folder, out, means)
    if push_to_hub is None:
        return result
    from dataclasses import replace

    return replace(result, address=dataset.push(place, push_to_hub, private))


def choose_places(run: "Run", rejected: bool, by_bucket: bool, no_order: bool, no_buckets: bool) -> "Placed":
    """The order and the buckets to follow. UsageError for options that mean nothing, TableError for a stale table."""
    from curate import pairing, placebook

    if by_bucket and (rejected or no_buckets):
        other = "--rejected" if rejected else "--no-buckets"
        raise UsageError(f"--by-bucket and {other} cannot go together", "leave one of them out")
    if rejected:  # What is not kept has neither.
        return pairing.Placed()
    order = None if no_order else _open_table(run, placebook.open_order, "--no-order")
    bucket = None if no_buckets else _open_table(run, placebook.open_buckets, "--no-buckets")
    if by_bucket and bucket is None:
        raise UsageError(f"--by-bucket: {run.path} has no buckets", f"curate bucket … --run {run.path}")
    return pairing.Placed(order, bucket, by_bucket)


def _open_table(run: "Run", opener: Any, option: str) -> Any:
    """The record of a table; where it may not be used, the hint tells of the option that ignores it, too."""
    try:
        return opener(run)
    except TableError as error:
        raise TableError(error.message, f"{error.hint}; or leave it aside with {option}") from None


def check_any_kept(choice: "Choice", rejected: bool) -> None:
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


def write_choice(run: "Run", choice: "Choice", folder: "Path", out: str) -> Exported:
    """The documents that a decision table keeps, as ``hf`` in the order of the corpus, into an empty folder.

    ``out`` is what the folder will be called. Orders and buckets are left aside. GateError where nothing is kept.
    """
    from curate import moving, pairing, passages, shards

    corpus = run.corpus()
    check_any_kept(choice, False)
    treatment = passages.choose_treatment(run, choice.found, corpus)
    shard_bytes, prefix = shards.parse_size("500MB"), choose_prefix(corpus.columns)
    job = pairing.Job(run, corpus, choice, treatment, False, "hf", shard_bytes, prefix)
    return build_export(job, folder, out, moving.Means(0, 1))


def build_export(job: "Job", folder: "Path", out: str, means: "Means") -> Exported:
    """Write shards, card and manifest into an empty folder; once more, should a name turn out to be taken."""
    import shutil
    from dataclasses import replace

    from curate.pairing import NameTakenError

    try:
        return _lay_out(job, folder, out, means) if job.placed.moves else _stream(job, folder, out)
    except NameTakenError as taken:
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
        return build_export(replace(job, prefix=choose_prefix([str(taken), job.prefix])), folder, out, means)
    except KeyboardInterrupt:
        raise Interrupted("stopped; nothing was left behind", "the same command begins again") from None


def _lay_out(job: "Job", folder: "Path", out: str, means: "Means") -> Exported:
    """Documents in another order than that of the corpus."""
    from curate import moving, tokenorder

    if job.spelling is None:
        laid = moving.lay_out(job, folder, means)
        return _describe(job, laid, laid.counts, laid.files, out)
    writer, counts = tokenorder.lay_out(job, folder, means)
    files = writer.finish()
    tokenorder.write_order(writer)
    return _describe(job, writer, counts, files, out)


def _stream(job: "Job", folder: "Path", out: str) -> Exported:
    """Documents in the order of the corpus."""
    from curate import spelling

    writer = spelling.open_writer(job, folder)
    try:
        counts = _write_shards(job, writer)
        return _describe(job, writer, counts, writer.finish(), out)
    finally:
        writer.abandon()


def _write_shards(job: "Job", writer: Any) -> "Counts":
    from curate import console, pairing

    counts = pairing.Counts()
    with console.progress("exporting", job.corpus.size) as progress:
        for piece in pairing.read_pieces(job):
            mask, documents = pairing.count_piece(counts, piece, job.rejected), piece.documents
            table = documents.table
            if table is None:
                raise TableError(f"{documents.mark.file} was read without its columns")
            pairing.check_names(table.column_names, job)
            writer.add(pairing.add_columns(table, piece, job).filter(mask))
            progress.advance(documents=len(documents.rows), done_bytes=documents.read_bytes)
    pairing.check_counts(job, counts)
    return counts


# The manifest, and what is said.


def _describe(job: "Job", writer: Any, counts: "Counts", files: "list[Written]", out: str) -> Exported:
    """Write card, state and manifest, once the shards have their names."""
    from curate import card, dataset, runs, shards, trainingnotes

    score, folder, choice = job.run.finished_scores(), writer.folder, job.choice
    chosen = choice.filter["fingerprint"] if choice.filter else None
    others = list(choice.found.fingerprints().values())
    made_from = [score["fingerprint"], chosen, *others, job.rejected, job.format, job.shard_bytes]
    order, bucket, buckets = job.placed.order, job.placed.bucket, getattr(writer, "buckets", {})
    made_from += [["placed", record["fingerprint"]] for record in (order, bucket) if record is not None]
    made_from += ["by bucket"] * job.placed.by_bucket
    if job.spelling is not None:
        made_from += [["spelled", writer.vocabulary.encoder.name, writer.layout, writer.append]]
    identity = runs.fingerprint(made_from)
    if job.format == "hf":
        dataset.write_states(folder, writer.shape.schema(), files, identity, buckets)
    head = "" if job.format == "tokens" else dataset.front_matter(writer) + "\n"
    dataset.write_text(folder / "README.md", head + card.make_card(job, writer, counts))
    totals = {"read": counts.read, "kept": counts.kept, "rejected": counts.rejected, "unreadable": counts.unreadable}
    manifest = {
        "made_by": dataset.MADE_BY,
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
        trainingnotes.write_training(folder, manifest)
    dataset.write_json(folder / "manifest.json", manifest)
    _warn(writer)
    octets, filtered = sum(file.bytes for file in files), choice.filter is not None
    return Exported(
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


def _notes_of(choice: "Choice") -> dict[str, Any]:
    """What the tables that decided were asked and what they counted; null for those that the run does not have."""
    records = {"filter": choice.filter, "decontaminate": choice.found.hits, "dedup": choice.found.duplicates}
    shown = ("fingerprint", "parameters", "counts")
    return {
        name: None if record is None else {key: record[key] for key in shown if key in record}
        for name, record in records.items()
    }


def _warn(writer: Any) -> None:
    from curate import card, console

    for note in card.list_notes(writer):
        console.warn(note)
