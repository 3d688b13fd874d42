"""``curate export``: the documents that were kept, with their scores, as a dataset that others can load.

The corpus is read once more, slice by slice beside the parts of its scores; a document meets its decision by its place,
and its bytes and hash are checked, so that a corpus that changed is refused and not mislabelled. Original columns stay
as they are; the scores come behind them under names that begin with ``curate_`` (``curate2_`` where that is taken).
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from curate.errors import CorpusError, GateError, Interrupted, TableError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from curate.corpus import Corpus, Documents
    from curate.decisions import Decisions
    from curate.runs import Run
    from curate.shards import Writer, Written

ADDED = ("file", "row", "perplexity", "bits_per_byte", "nats", "tokens", "bytes", "first_nats", "truncated")


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
            could = "could not be" if self.rejected else "was"
            lines.append(f"no filter was run: this is every document that {could} scored")
        lines.append(f">>> datasets.load_dataset({self.out!r})")
        if self.address:
            lines.append(f"pushed to {self.address}")
        return "\n".join(lines)


def export(
    out: Annotated[str, typer.Argument(help="Folder to write; it must not exist yet.")],
    run: Annotated[str, typer.Option(help="Run directory.")] = "curated",
    format: Annotated[Literal["hf", "parquet", "jsonl"], typer.Option(help="Arrow, Parquet or JSON lines.")] = "hf",
    shard_size: Annotated[str, typer.Option(help="Largest size of a shard, as in 500MB.")] = "500MB",
    rejected: Annotated[bool, typer.Option("--rejected", help="Write what was rejected, with the reasons.")] = False,
    push_to_hub: Annotated[str | None, typer.Option(help="Then upload it as this dataset, as in me/name.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new dataset on the Hub a private one.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
) -> Exported:
    """Write the kept documents as a dataset: all original columns, the scores, a dataset card and a manifest.

    ``datasets.load_dataset(OUT)`` reads every format, ``load_from_disk(OUT)`` reads ``hf``. Without a filter every
    scored document is written. A corpus that has changed since it was scored is refused, with the place.
    """
    from pathlib import Path

    from curate import dataset, decisions, runs
    from curate.shards import FORMATS, parse_size

    if format not in FORMATS:
        raise UsageError(f"--format {format} is not known", f"one of {', '.join(FORMATS)}")
    if private and push_to_hub is None:
        raise UsageError("--private says nothing without --push-to-hub", "--push-to-hub me/name --private")
    shard_bytes, place = parse_size(shard_size), Path(out)
    opened = runs.open_run(run)
    decided, corpus = decisions.open_filter(opened), opened.corpus()
    _check_some(opened, decided, rejected)
    dataset.check_place(place, overwrite)
    if push_to_hub is not None:
        dataset.check_hub(push_to_hub)
    job = Job(opened, corpus, decided, rejected, format, shard_bytes, choose_prefix(corpus.columns))
    with dataset.building(place, overwrite) as folder:
        result = _build(job, folder, out)
    if push_to_hub is None:
        return result
    from dataclasses import replace

    return replace(result, address=dataset.push(place, push_to_hub, private))


@dataclass(frozen=True, slots=True)
class Job:
    """One export: what is read, what is written and how."""

    run: "Run"
    corpus: "Corpus"
    decided: Mapping[str, Any] | None
    rejected: bool
    format: str
    shard_bytes: int
    prefix: str

    @property
    def names(self) -> dict[str, str]:
        """The columns that are added: from the name in the tables to the name in the dataset."""
        from curate.tables import SIGNALS

        signals = self.run.finished_scores()["made_from"]["parameters"].get("signals", ())
        own = [*(("reason",) if self.rejected else ()), *ADDED, *(name for name in SIGNALS if name in signals)]
        return {name: self.prefix + name for name in own}


@dataclass(slots=True)
class Counts:
    """Running totals of one export."""

    read: int = 0
    kept: int = 0
    rejected: int = 0
    unreadable: int = 0
    tokens: int = 0


class _NameTakenError(Exception):
    """A column of the corpus, met on the way, has the name of one that is added."""


def _check_some(run: "Run", decided: Mapping[str, Any] | None, rejected: bool) -> None:
    """GateError where the export would be an empty folder."""
    counts = run.finished_scores()["counts"]
    kept = decided["counts"]["kept"] if decided else counts["ok"]
    left_out = counts["read"] - counts["unreadable"] - kept
    if rejected and not left_out:
        raise GateError("nothing was rejected, so there is nothing to export", "leave out --rejected")
    if not rejected and not kept:
        raise GateError("nothing was kept, so there is nothing to export", "curate status says why")


def choose_prefix(columns: "tuple[str, ...] | list[str]", first: int = 1) -> str:
    """The first of ``curate_``, ``curate2_`` … with which no column begins."""
    while True:
        prefix = "curate_" if first == 1 else f"curate{first}_"
        if not any(name.startswith(prefix) for name in columns):
            return prefix
        first += 1


def _build(job: Job, folder: "Path", out: str) -> Exported:
    """Write shards, card and manifest into an empty folder; once more, should a name turn out to be taken."""
    import shutil
    from dataclasses import replace

    from curate.shards import Writer
    from curate.widening import Shape

    writer = Writer(folder, job.format, job.shard_bytes, Shape(last=tuple(job.names.values())))
    try:
        counts = _write_shards(job, writer)
        return _describe(job, writer, counts, writer.finish(), out)
    except _NameTakenError as taken:
        writer.abandon()
        for path in folder.iterdir():
            shutil.rmtree(path)
        return _build(replace(job, prefix=choose_prefix([str(taken), job.prefix])), folder, out)
    except KeyboardInterrupt:
        raise Interrupted("stopped; nothing was left behind", "the same command begins again") from None
    finally:
        writer.abandon()


def _write_shards(job: Job, writer: "Writer") -> Counts:
    from curate import console, decisions

    counts, names = Counts(), job.names
    with console.progress("exporting", job.corpus.size) as progress:
        for documents, scores, choice in _slices(job):
            mask = _count(counts, scores, choice, job.rejected)
            table = documents.table
            if table is None:
                raise TableError(f"{documents.mark.file} was read without its columns")
            taken = set(table.column_names) & set(names.values())
            if taken:
                raise _NameTakenError(min(taken))
            writer.add(_with_scores(table, scores, choice, names).filter(mask))
            progress.advance(documents=len(documents.rows), done_bytes=documents.read_bytes)
    record = job.run.finished_scores()["counts"]
    decisions.conserve("export", record["read"], counts.kept, counts.rejected, counts.unreadable)
    if job.decided is not None and counts.kept != job.decided["counts"]["kept"]:
        raise TableError(
            f"filter kept {job.decided['counts']['kept']:,}, export met {counts.kept:,}", "curate filter again"
        )
    return counts


def _slices(job: Job) -> "Iterator[tuple[Documents, pa.Table, pa.Table]]":
    """Each slice of the corpus with its part of the scores and of the decision table, checked to belong together."""
    import pyarrow.parquet as pq

    from curate import tables
    from curate.corpus import SliceMark
    from curate.decisions import Decisions

    score = job.run.finished_scores()
    taker = Decisions(job.run.filter) if job.decided is not None else None
    parts = iter(tables.parts(job.run.scores))
    for documents in job.corpus.slices(columns="all"):
        path = next(parts, None)
        if path is None:
            raise _changed(documents.mark.file, documents.mark.first_row, "it has more documents than were scored")
        note = tables.read_metadata(path)
        if note.get("made_from") != score["fingerprint"]:
            raise TableError(f"{path} belongs to other scores", "score again with --restart")
        scores = pq.read_table(path, partitioning=None)
        if SliceMark(**note["slice"]) != documents.mark:
            raise _changed(documents.mark.file, documents.mark.first_row, "the documents lie elsewhere")
        _check_same(documents, scores)
        yield documents, scores, _choice(scores, taker)
    rest = next(parts, None)
    if rest is not None:
        raise _changed(rest.name, 0, "it has fewer documents than were scored")


def _changed(file: str, row: int, what: str) -> CorpusError:
    hint = "score it again (curate score … --restart), or bring the old files back"
    return CorpusError(f"the corpus has changed since it was scored: {file}, row {row}: {what}", hint)


def _check_same(documents: "Documents", scores: "pa.Table") -> None:
    """CorpusError, with the place, where a text is not the one that was scored."""
    import xxhash

    columns = (scores.column(name).to_pylist() for name in ("row", "bytes", "hash", "status"))
    rows = zip(documents.rows.tolist(), documents.texts, *columns, strict=True)
    for row, text, scored_row, octets, digest, status in rows:
        encoded = None if text is None else text.encode()
        if row != scored_row or (encoded is None) != (status == "unreadable"):
            raise _changed(documents.mark.file, row, "another document stands there")
        if encoded is not None and (len(encoded) != octets or xxhash.xxh3_64_intdigest(encoded) != digest):
            raise _changed(documents.mark.file, row, "its text is another one")


def _choice(scores: "pa.Table", taker: "Decisions | None") -> "pa.Table":
    """Whether each row is kept and why not: what ``filter`` decided, or else whether it was scored."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if taker is None:
        status = scores.column("status")
        kept = pc.equal(status, "ok")
        unscored = pc.binary_join_element_wise("unscored", status, ": ")
        return pa.table({"keep": kept, "reason": pc.if_else(kept, pa.scalar(None, pa.string()), unscored)})
    choice = taker.take(len(scores))
    if not (choice.column("file").equals(scores.column("file")) and choice.column("row").equals(scores.column("row"))):
        raise TableError("the decision table does not follow the order of the scores", "run curate filter again")
    return choice.select(["keep", "reason"])


def _count(counts: Counts, scores: "pa.Table", choice: "pa.Table", rejected: bool) -> "pa.ChunkedArray":
    """Count a slice, and give the mask of the rows to write."""
    import pyarrow.compute as pc

    unreadable = pc.equal(scores.column("status"), "unreadable")
    keep = choice.column("keep")
    refused = pc.and_(pc.invert(keep), pc.invert(unreadable))
    written = refused if rejected else keep
    counts.read += len(scores)
    counts.kept += pc.sum(keep).as_py() or 0
    counts.rejected += pc.sum(refused).as_py() or 0
    counts.unreadable += pc.sum(unreadable).as_py() or 0
    counts.tokens += pc.sum(scores.column("tokens").filter(written)).as_py() or 0
    return written


def _with_scores(table: "pa.Table", scores: "pa.Table", choice: "pa.Table", names: Mapping[str, str]) -> "pa.Table":
    for name, new in names.items():
        table = table.append_column(new, choice.column(name) if name == "reason" else scores.column(name))
    return table


# The card and the manifest.


def _describe(job: Job, writer: "Writer", counts: Counts, files: "list[Written]", out: str) -> Exported:
    """Write card, state and manifest, once the shards have their names."""
    from curate import dataset, runs

    score, folder = job.run.finished_scores(), writer.folder
    chosen = job.decided["fingerprint"] if job.decided else None
    identity = runs.fingerprint([score["fingerprint"], chosen, job.rejected, job.format, job.shard_bytes])
    if job.format == "hf":
        dataset.write_state(folder, writer.shape.schema(), files, identity)
    dataset.write_text(folder / "README.md", dataset.front_matter(writer) + "\n" + _card(job, writer, counts))
    totals = {"read": counts.read, "kept": counts.kept, "rejected": counts.rejected, "unreadable": counts.unreadable}
    manifest = {
        "made_by": dataset.MADE_BY,
        "fingerprint": identity,
        "format": job.format,
        "documents": "rejected" if job.rejected else "kept",
        "rows": writer.rows,
        "tokens": counts.tokens,
        "counts": totals,
        "made_from": {"scores": score["made_from"], "filter": _filter_note(job)},
        "columns": {column.name: str(column.type) for column in writer.shape.schema()},
        "added": list(job.names.values()),
        "turned_to_text": sorted(writer.shape.texts),
        "files": [asdict(file) for file in files],
    }
    dataset.write_json(folder / "manifest.json", manifest)
    _warn(writer)
    octets = sum(file.bytes for file in files)
    filtered = job.decided is not None
    return Exported(
        out,
        job.format,
        writer.rows,
        counts.tokens,
        octets,
        len(files),
        totals,
        job.rejected,
        filtered,
        job.prefix,
        None,
    )


def _filter_note(job: Job) -> dict[str, Any] | None:
    if job.decided is None:
        return None
    return {"parameters": job.decided["parameters"], "counts": job.decided["counts"]}


def _warn(writer: "Writer") -> None:
    from curate import console

    for note in _notes(writer):
        console.warn(note)


def _notes(writer: "Writer") -> list[str]:
    """What a reader of the columns should know."""
    notes = []
    if writer.shape.texts:
        names = ", ".join(map(code, sorted(writer.shape.texts)))
        notes.append(f"values of different kinds met in {names}: those that are no strings were written as their JSON")
    if writer.misread:
        names = ", ".join(map(code, sorted(writer.misread)))
        notes.append(f"load_dataset takes {names} of JSON lines for times and rewrites them; hf and parquet keep them")
    return notes


def _card(job: Job, writer: "Writer", counts: Counts) -> str:
    """The dataset card: what was read, which model scored it, what was asked and dropped, how to load it."""
    score, what = job.run.finished_scores(), "rejected" if job.rejected else "kept"
    sections = {
        "What was read": _read_lines(job, score),
        "Which model scored it": _model_lines(score["made_from"]["model"]),
        "How it was chosen": _choice_lines(job, counts),
        "Columns": _column_lines(job, writer),
        "How to load it": _load_lines(job),
    }
    share = f"{writer.rows / counts.read:.1%}".replace("%", " %")
    head = f"{writer.rows:,} of {counts.read:,} documents ({share}), {counts.tokens:,} tokens: those that were {what}."
    body = [f"## {title}\n\n" + "\n".join(lines) for title, lines in sections.items()]
    return "\n\n".join(["# Curated text" if not job.rejected else "# Rejected text", head, *body]) + "\n"


def code(text: object) -> str:
    """Any text as inline code of Markdown: on one line, its control characters escaped, whatever backticks it has."""
    import re

    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text))
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence} {shown} {fence}" if len(fence) > 1 or not shown.strip() else f"`{shown}`"


def _read_lines(job: Job, score: Mapping[str, Any]) -> list[str]:
    from curate.console import size

    sources, counts = job.corpus.sources, score["counts"]
    lines = [f"- {code(source.name)}" + (f", {size(source.size)}" if source.size else "") for source in sources[:20]]
    if len(sources) > 20:
        lines.append(f"- and {len(sources) - 20:,} more files")
    text = f"The text is the column {code(job.corpus.text_field)}."
    return [*lines, "", f"{counts['read']:,} documents, {counts['bytes']:,} bytes of text. {text}"]


def _model_lines(identity: Mapping[str, Any]) -> list[str]:
    """All that identifies the model; of a local folder the name alone, for the card may be published."""
    import os

    shown = {key: value for key, value in identity.items() if not isinstance(value, (dict, list))}
    model = shown.get("model")
    if isinstance(model, str) and os.path.isabs(model):
        shown["model"] = os.path.basename(model.rstrip("/"))
    lines = [f"- {key}: {code(value)}" for key, value in shown.items() if value is not None]
    note = "Perplexities compare only under one tokenizer, bits per byte across tokenizers."
    return [
        *lines,
        "",
        f"`perplexity` is exp(nats / tokens) of a document, `bits_per_byte` is nats / (ln 2 · bytes). {note}",
    ]


def _choice_lines(job: Job, counts: Counts) -> list[str]:
    if job.decided is None:
        asked = ["No filter was run: every document that could be scored is kept.", ""]
        reasons = {f"unscored: {key}": number for key, number in job.run.finished_scores()["counts"].items()}
        skip = {f"unscored: {key}" for key in ("read", "ok", "unreadable", "tokens", "bytes")}
        dropped = {reason: number for reason, number in reasons.items() if reason not in skip and number}
    else:
        parameters = job.decided["parameters"]
        asked = [f"- {key.replace('_', '-')}: {code(value)}" for key, value in parameters.items()] + [""]
        dropped = job.decided["counts"]["rejected"]
    lines = [f"- rejected, {code(reason)}: {number:,}" for reason, number in dropped.items()]
    unreadable = [f"- unreadable: {counts.unreadable:,}"] if counts.unreadable else []
    return [*asked, f"- read: {counts.read:,}", *unreadable, *lines, f"- kept: {counts.kept:,}"]


def _column_lines(job: Job, writer: "Writer") -> list[str]:
    added = job.names.values()
    original = [name for name in writer.shape.schema().names if name not in added]
    lines = [
        f"- of the corpus, unchanged: {', '.join(map(code, original)) or 'none'}",
        f"- added: {', '.join(map(code, added))}",
    ]
    lines += [f"- {note}" for note in _notes(writer)]
    return lines


def _load_lines(job: Job) -> list[str]:
    lines = ["```python", "import datasets", "", 'documents = datasets.load_dataset("PATH_OR_NAME", split="train")']
    if job.format == "hf":
        lines.append('documents = datasets.load_from_disk("PATH")["train"]')
    return [*lines, "```"]
