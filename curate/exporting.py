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

    from curate.corpus import Corpus
    from curate.pairing import Choice, Counts, Job
    from curate.reference.vocabulary import Vocabulary
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
        if self.format == "tokens":
            lines.append(f"where each document lies: {self.out}/documents.parquet")
        else:
            lines.append(f">>> datasets.load_dataset({self.out!r})")
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
    push_to_hub: Annotated[str | None, typer.Option(help="Then upload it as this dataset, as in me/name.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new dataset on the Hub a private one.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
) -> Exported:
    """Write the kept documents as a dataset: all original columns, the scores, a dataset card and a manifest.

    ``datasets.load_dataset(OUT)`` reads every format, ``load_from_disk(OUT)`` reads ``hf``. Without a filter every
    scored document is written that is neither contaminated nor a duplicate. After ``decontaminate --action mark`` the
    column ``curate_eval_sets`` names the sets that a document leaks; after ``cut-span`` the passages are cut out of the
    text, and ``curate_cut_characters`` counts what went. A corpus that has changed since it was scored is refused, with
    the place; TableError where a table of the run is stale.
    """
    from pathlib import Path

    from curate import dataset, decisions, pairing, passages, rejections, runs
    from curate.shards import FORMATS, parse_size
    from curate.tokenfiles import TOKENS

    if format not in (*FORMATS, TOKENS):
        raise UsageError(f"--format {format} is not known", f"one of {', '.join((*FORMATS, TOKENS))}")
    _check_tokens(format, tokenizer, layout, append, push_to_hub)
    if private and push_to_hub is None:
        raise UsageError("--private says nothing without --push-to-hub", "--push-to-hub me/name --private")
    shard_bytes, place = parse_size(shard_size), Path(out)
    opened = runs.open_run(run)
    decisions.open_filter(opened)
    corpus = opened.corpus()
    spelling = _open_spelling(corpus, tokenizer, layout, append)
    found = rejections.open_rejections(opened, corpus)
    treatment = passages.choose_treatment(opened, found, corpus)
    dataset.check_place(place, overwrite)
    if push_to_hub is not None:
        dataset.check_hub(push_to_hub)
    with dataset.building(place, overwrite) as folder, pairing.open_choice(opened, found, folder) as choice:
        _check_some(choice, rejected)
        prefix = choose_prefix(corpus.columns)
        job = pairing.Job(opened, corpus, choice, treatment, rejected, format, shard_bytes, prefix)
        result = _build(job, folder, out, spelling)
    if push_to_hub is None:
        return result
    from dataclasses import replace

    return replace(result, address=dataset.push(place, push_to_hub, private))


def _check_tokens(format: str, tokenizer: str | None, layout: str, append: str, push_to_hub: str | None) -> None:
    """UsageError where the options of token files are asked of another format, or are missing."""
    if format == "tokens":
        if tokenizer is None:
            raise UsageError("--format tokens needs a tokenizer", "--tokenizer FOLDER, a Hub id, or builtin")
        if push_to_hub is not None:
            raise UsageError(
                "token files are no data set of the Hub", "leave out --push-to-hub, or use --format parquet"
            )
    elif tokenizer is not None or layout != "megatron" or append != "eos":
        raise UsageError("--tokenizer, --layout and --append are about token files", "--format tokens")


@dataclass(frozen=True, slots=True)
class Spelling:
    """How ``--format tokens`` writes documents."""

    vocabulary: "Vocabulary"
    layout: str
    append: str


def _open_spelling(corpus: "Corpus", tokenizer: str | None, layout: str, append: str) -> Spelling | None:
    from curate.reference.vocabulary import open_vocabulary

    if tokenizer is None:
        return None
    if corpus.conversation is not None:
        message = f"the corpus holds conversations ({corpus.conversation}); token files are made of one column of text"
        raise UsageError(message, "--format parquet, and the chat template of your trainer")
    return Spelling(open_vocabulary(tokenizer), layout, append)


class _NameTakenError(Exception):
    """A column of the corpus, met on the way, has the name of one that is added."""


def _check_some(choice: "Choice", rejected: bool) -> None:
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


def _open_writer(job: "Job", folder: "Path", spelling: Spelling | None) -> Any:
    from curate.widening import Shape

    shape = Shape(last=tuple(job.names.values()))
    if spelling is None:
        from curate.shards import Writer

        return Writer(folder, job.format, job.shard_bytes, shape)
    from curate.tokenshards import TokenWriter

    key, text = (job.names["file"], job.names["row"]), job.corpus.text_field
    how = (spelling.vocabulary, spelling.layout, spelling.append)
    return TokenWriter(folder, *how, text, key, job.shard_bytes, shape)


def _build(job: "Job", folder: "Path", out: str, spelling: Spelling | None = None) -> Exported:
    """Write shards, card and manifest into an empty folder; once more, should a name turn out to be taken."""
    import shutil
    from dataclasses import replace

    writer = _open_writer(job, folder, spelling)
    try:
        counts = _write_shards(job, writer)
        return _describe(job, writer, counts, writer.finish(), out)
    except _NameTakenError as taken:
        writer.abandon()
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
        return _build(replace(job, prefix=choose_prefix([str(taken), job.prefix])), folder, out, spelling)
    except KeyboardInterrupt:
        raise Interrupted("stopped; nothing was left behind", "the same command begins again") from None
    finally:
        writer.abandon()


def _write_shards(job: "Job", writer: Any) -> "Counts":
    from curate import console, decisions, pairing

    counts, names = pairing.Counts(), job.names
    with console.progress("exporting", job.corpus.size) as progress:
        for piece in pairing.read_pieces(job):
            mask, documents = pairing.count_piece(counts, piece, job.rejected), piece.documents
            table = documents.table
            if table is None:
                raise TableError(f"{documents.mark.file} was read without its columns")
            taken = set(table.column_names) & set(names.values())
            if taken:
                raise _NameTakenError(min(taken))
            writer.add(pairing.add_columns(table, piece, job).filter(mask))
            progress.advance(documents=len(documents.rows), done_bytes=documents.read_bytes)
    record = job.run.finished_scores()["counts"]
    decisions.conserve("export", record["read"], counts.kept, counts.rejected, counts.unreadable)
    if counts.kept != job.choice.kept:
        raise TableError(f"{job.choice.kept:,} documents were to be kept, {counts.kept:,} were", "curate filter again")
    return counts


# The manifest, and what is said.


def _describe(job: "Job", writer: Any, counts: "Counts", files: "list[Written]", out: str) -> Exported:
    """Write card, state and manifest, once the shards have their names."""
    from curate import card, dataset, runs

    score, folder, choice = job.run.finished_scores(), writer.folder, job.choice
    chosen = choice.filter["fingerprint"] if choice.filter else None
    others = list(choice.found.fingerprints().values())
    identity = runs.fingerprint([score["fingerprint"], chosen, *others, job.rejected, job.format, job.shard_bytes])
    if job.format == "hf":
        dataset.write_state(folder, writer.shape.schema(), files, identity)
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
