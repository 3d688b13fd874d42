"""``curate export``: the documents that were kept, with their scores, as a dataset that others can load.

The corpus is read once more, slice by slice (``curate.exports.joined_slices``). Original columns stay as they are, but
for passages that are cut out of the text; the scores come behind them under names that begin with ``curate_``
(``curate2_`` where that is taken).
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from curate.errors import TableError, UsageError
from curate.exports.parts.summary import ExportPartSummary
from curate.exports.summary import ExportSummary
from curate.runtime.options import (
    DEFAULT_MEMORY,
    AddressOption,
    CpusOption,
    EngineOption,
    MemoryLimitOption,
    PartOption,
    RedactOption,
    RunOption,
    WorkersOption,
    verb_function,
)
from curate.runtime.text import DEFAULT_RUN, command

if TYPE_CHECKING:
    from curate.exports.job import ExportChoice, Placements
    from curate.rundir.run import Run


@verb_function()
def export(
    out: Annotated[str, typer.Argument(help="Folder or URL (s3://…) to write; it must not exist yet.")],
    run: RunOption = DEFAULT_RUN,
    format: Annotated[
        Literal["hf", "parquet", "jsonl", "tokens"], typer.Option(help="Arrow, Parquet, JSON Lines or token ids.")
    ] = "hf",
    shard_size: Annotated[str, typer.Option(help="Largest size of a shard, as in 500MB.")] = "500MB",
    tokenizer: Annotated[
        str | None, typer.Option(help="Tokenizer of --format tokens: a folder, a Hub id, or builtin.")
    ] = None,
    layout: Annotated[
        Literal["megatron", "numpy"], typer.Option(help="Files of --format tokens: .bin and .idx, or .npy.")
    ] = "megatron",
    append: Annotated[
        Literal["eos", "none"], typer.Option(help="Token that --format tokens puts after each document.")
    ] = "eos",
    rejected: Annotated[
        bool, typer.Option("--rejected", help="Write the rejected documents, with the reasons.")
    ] = False,
    by_bucket: Annotated[bool, typer.Option("--by-bucket", help="Write a folder and a config for each bucket.")] = (
        False
    ),
    no_order: Annotated[bool, typer.Option("--no-order", help="Ignore the order: write as the corpus has them.")] = (
        False
    ),
    no_buckets: Annotated[bool, typer.Option("--no-buckets", help="Ignore the buckets: write no column of them.")] = (
        False
    ),
    memory_limit: MemoryLimitOption = None,
    workers: WorkersOption = None,
    push_to_hub: Annotated[
        str | None, typer.Option(help="Upload the export as this dataset of the Hub, as in me/name.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new dataset on the Hub private.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
    part: PartOption = None,
    engine: EngineOption = "local",
    address: AddressOption = None,
    cpus_per_worker: CpusOption = None,
    redact: RedactOption = None,
) -> ExportSummary | ExportPartSummary:
    """Write the kept documents as a dataset with their columns, scores, a card and a manifest; return what was written.

    ``datasets.load_dataset(OUT)`` reads every format, ``load_from_disk(OUT)`` reads ``hf``. Without a filter every
    scored document is written that is neither contaminated nor a duplicate. After ``decontaminate --action mark`` the
    column ``curate_eval_sets`` names the sets that a document leaks; after ``cut-span`` the passages are cut out of the
    text, and ``curate_cut_characters`` counts what went.

    With ``redact`` labels stand for personal data and secrets in the text, or in the columns of the conversation, and
    ``curate_redacted`` counts them; other columns stay as they are. Scores are those of the original text.

    After ``curate order`` the documents stand in its order, in shards whose sorted names are the reading order, and
    ``order.parquet`` gives the position of each and the tokens read so far; ``curate_position`` is a column. After
    ``curate bucket`` ``curate_bucket`` is one, and ``--by-bucket`` gives each bucket a folder, its order kept. Both
    work out of core within ``--memory-limit``, with as much temporary disk space as the export takes. Rejected
    documents have no order.

    With ``part``, as in 2/64, only that share is read and spilled into .OUT.parts, beside other processes that do
    others, on any machine with the same file system; once every share is, the same again writes shards. The plain
    command then does what is left, to the same bytes as alone, and removes .OUT.parts.

    OUT may be in an object store (``s3://bucket/dataset``, or another URL of fsspec): its objects are what the files of
    a local folder are, and ``manifest.json`` comes last. It is built on this machine, so ``part`` and the engine of Ray
    need a folder.

    With ``engine="ray"`` workers in actors of Ray read the files and write the shards, to the same bytes
    (``curate.score``); token formats are written on one machine.

    Raises UsageError for options that contradict one another or a folder that exists, CorpusError where the corpus has
    changed since it was scored, and TableError where a table of the run is stale.
    """
    from curate.exports import dataset_folder, hub, leaked_passages
    from curate.exports.job import ExportJob, open_choice
    from curate.exports.ordered import write
    from curate.exports.parts import folder as parts_folder
    from curate.exports.parts import share
    from curate.exports.prefixes import choose_prefix
    from curate.exports.stores import names, output
    from curate.exports.tokens import options
    from curate.exports.tokens.ordered import check_token_buckets
    from curate.exports.write import build_export, check_any_kept
    from curate.rundir import decision_table
    from curate.rundir.guards.claims import open_claimed
    from curate.rundir.guards.ownership import check_outside
    from curate.rundir.run import list_local_paths
    from curate.rundir.verdicts import rejections
    from curate.runtime.disk.filenames import expand_home
    from curate.runtime.disk.files import open_scratch_folder
    from curate.runtime.numbers import parse_size
    from curate.runtime.redaction import make_redactor
    from curate.runtime.work.array_tasks import parse_part
    from curate.runtime.work.engines import choose_engine, open_pool, refuse_with_engine

    redactor = make_redactor(redact)
    options.check_token_options(format, tokenizer, layout, append, push_to_hub)
    check_token_buckets(format, by_bucket)
    if private and push_to_hub is None:
        raise UsageError("--private has no effect without --push-to-hub", "--push-to-hub me/name --private")
    hiring = choose_engine(engine, address, workers, cpus_per_worker=cpus_per_worker)
    refuse_with_engine(hiring, part=part, tokenizer=tokenizer)
    stored = None
    if names.is_output_url(out):
        names.check_url_options(part, engine, push_to_hub)
        stored = output.open_output(out)
    task = None if part is None else parse_part(part)
    if task is not None:
        share.check_part_options(format, push_to_hub)
    shard_bytes, target = parse_size(shard_size, "--shard-size"), expand_home(out)
    memory = parse_size(DEFAULT_MEMORY if memory_limit is None else memory_limit, "--memory-limit")
    opened = open_claimed(run, "export")
    decision_table.open_filter(opened)
    corpus = opened.corpus()
    spelled = options.open_spelling(corpus, tokenizer, layout, append)
    found = rejections.open_rejections(opened, corpus)
    placed = choose_placements(opened, rejected, by_bucket, no_order, no_buckets)
    means = write.choose_means(memory, workers if hiring is None else None, corpus)
    treatment = leaked_passages.choose_treatment(opened, found, corpus)
    if stored is not None:
        names.check_url_outside(list_local_paths(opened), opened.path, out)
        stored.claim("export")
        stored.check(overwrite)
    else:
        check_outside(list_local_paths(opened), target, "")
        dataset_folder.claim_output_folder(target, "export", task)
        dataset_folder.check_output_folder(target, overwrite)
        dataset_folder.warn_of_misread_path(target)
    if push_to_hub is not None:
        hub.check_hub(push_to_hub)

    def make_job(choice: "ExportChoice") -> ExportJob:
        check_any_kept(opened, choice, rejected)
        prefix = choose_prefix(corpus.columns)
        how = rejected, format, shard_bytes, prefix, placed, spelled, redactor
        return ExportJob(opened, corpus, choice, treatment, *how)

    if task is not None:
        with open_scratch_folder("curate-export-", target) as folder, open_choice(opened, found, folder) as choice:
            return share.write_share(make_job(choice), target, task, means, overwrite)
    with (
        open_pool(hiring) as pool,
        dataset_folder.build_folder(target, overwrite) if stored is None else stored.build(overwrite) as folder,
        open_choice(opened, found, folder) as choice,
    ):
        job = make_job(choice)
        parts = parts_folder.find_parts(target, job, overwrite) if stored is None else None
        if pool is not None:
            means = replace(means, workers=pool.count, start=pool.start_workers)
        result = build_export(job, folder, out, means, parts, None if stored is None else stored.depot)
    if parts is not None:
        parts.remove()
    if push_to_hub is None:
        return result
    return replace(result, address=hub.push_dataset(target, push_to_hub, private))


def choose_placements(run: "Run", rejected: bool, by_bucket: bool, no_order: bool, no_buckets: bool) -> "Placements":
    """Return the order and the buckets to follow.

    Raises UsageError for options that contradict one another, TableError for a stale table.
    """
    from curate.exports.job import Placements
    from curate.rundir import placements

    if by_bucket and (rejected or no_buckets):
        other = "--rejected" if rejected else "--no-buckets"
        raise UsageError(f"--by-bucket and {other} cannot go together", "leave one of them out")
    if rejected:  # Rejected documents have neither.
        return Placements()
    order = None if no_order else _open_table(run, placements.open_order, "--no-order")
    bucket = None if no_buckets else _open_table(run, placements.open_buckets, "--no-buckets")
    if by_bucket and bucket is None:
        raise UsageError(f"--by-bucket: {run.path} has no buckets", command("bucket …", run.path))
    return Placements(order, bucket, by_bucket)


def _open_table(run: "Run", opener: Any, option: str) -> Any:
    """Return the record of a table. Raises TableError for a stale one; its hint names the option that ignores it."""
    try:
        return opener(run)
    except TableError as error:
        raise type(error)(error.message, f"{error.hint}; or ignore it with {option}") from None
