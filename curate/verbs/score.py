"""The verb ``score``: one row of sums for every document of a corpus, written slice by slice."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Annotated, Any

import typer

from curate.errors import UsageError
from curate.stages.score.summary import ScoreSummary, summarise


def score(
    corpus: Annotated[list[str], typer.Argument(help="Files, folders, globs, URLs, or Hub datasets as NAME:SPLIT.")],
    model: Annotated[
        str, typer.Option(help="A local folder or Hub id of a causal language model; none: measure nothing.")
    ] = "builtin",
    run: Annotated[str, typer.Option(help="The run directory.")] = "curated",
    text_field: Annotated[
        str | None, typer.Option(help="The column with the text, or @SCHEMA of conversations (detected).")
    ] = None,
    id_field: Annotated[str | None, typer.Option(help="The column with the document's id.")] = None,
    limit: Annotated[int | None, typer.Option(help="Read the first so many documents.")] = None,
    sample: Annotated[float | None, typer.Option(help="Read this share of the documents, seeded, e.g. 0.01.")] = None,
    seed: Annotated[int, typer.Option(help="The seed of --sample.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    devices: Annotated[
        str | None, typer.Option(help="Several at once, a process for each: 0,1 or all (CUDA), or cpu,cpu.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="auto, fp32, bf16, fp16.")] = "auto",
    exact: Annotated[bool, typer.Option("--exact", help="fp32 throughout: 1e-5 nats a token, slower.")] = False,
    prefix: Annotated[str, typer.Option(help="The token read before each text: auto, bos, eos, none.")] = "auto",
    window: Annotated[int | None, typer.Option(help="Tokens read at a time (default: all the model can).")] = None,
    overlap: Annotated[int, typer.Option(help="Tokens that a later window re-reads without scoring them.")] = 0,
    window_prefix: Annotated[
        bool, typer.Option("--window-prefix", help="Put the prefix token first in every window.")
    ] = False,
    max_tokens: Annotated[int | None, typer.Option(help="Score the first so many tokens of a document.")] = None,
    convention: Annotated[
        str, typer.Option(help="Whose numbers to give: curate, lm-eval, evaluate, hf-guide.")
    ] = "curate",
    signals: Annotated[
        str, typer.Option(help="Extra columns: zlib_ratio, repeated_5grams, repeated_lines, max_nats; all; none.")
    ] = "zlib_ratio",
    carry: Annotated[
        str, typer.Option(help="Columns to keep beside the scores, for --within: auto (domain, source …), none, names.")
    ] = "auto",
    revision: Annotated[str | None, typer.Option(help="The revision of a Hub model.")] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Let a Hub model run code of its own.")
    ] = False,
    compile: Annotated[
        str, typer.Option(help="Compile the model first: auto (on CUDA, where there is much to read), on, off.")
    ] = "auto",
    pack_tokens: Annotated[int | None, typer.Option(help="Tokens of a forward pass (default: chosen).")] = None,
    slice_bytes: Annotated[int | None, typer.Option(help="Text of a slice, the unit of resuming.")] = None,
    on_error: Annotated[str, typer.Option(help="A bad row: quarantine it and go on, or stop.")] = "quarantine",
    restart: Annotated[bool, typer.Option("--restart", help="Throw away the scores of this run and begin.")] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Print where the time went at the end.")] = False,
) -> ScoreSummary:
    """Score every document of a corpus by its perplexity under a reference model.

    Writes the scores table of the run: one row a document, with nats, tokens and bytes as sums. Started again, it
    goes on where it was; it refuses to mix scores of another corpus, model or reading (TableError). A row that cannot
    be read or scored keeps its place with a status and a reason.
    """
    from curate.corpus import open_corpus
    from curate.reference import load
    from curate.reference.announce import announce
    from curate.reference.protocol import ScoringConfig
    from curate.rundir import document_columns
    from curate.rundir.run import compute_fingerprint, open_run
    from curate.runtime import console, profiler
    from curate.stages.score.signals import choose_signals
    from curate.stages.score.slices import ScoreWork, choose_slice_bytes, cut_corpus
    from curate.stages.score.table import begin, complete
    from curate.stages.slice_runner import run_slices

    wanted_signals = choose_signals(signals)
    for name, value in {"limit": limit, "pack-tokens": pack_tokens, "slice-bytes": slice_bytes}.items():
        if value is not None and value < 1:
            raise UsageError(f"--{name} must be at least 1, not {value}")
    opened = open_run(run, create=True)
    before = (None if restart else opened.stage("score")) or {}
    read = open_corpus(
        corpus, text_field=text_field, id_field=id_field, limit=limit, sample=sample, seed=seed, on_error=on_error
    )
    console.say("reading", read.describe())
    names = document_columns.choose(read, carry)
    settled = before.get("made_from", {}).get("model", {})
    reading = ScoringConfig(
        dtype=dtype,
        exact=exact,
        device=device,
        prefix=prefix,
        window=window,
        overlap=overlap,
        window_prefix=window_prefix,
        max_tokens=max_tokens,
        convention=convention,
        pack_tokens=pack_tokens or (settled.get("pack_tokens") if settled.get("model") == model else None),
        revision=revision,
        trust_remote_code=trust_remote_code,
        compiled=settle_compiling(compile, settled if settled.get("model") == model else {}),
        text_bytes=0 if limit or max_tokens else int(sum(source.size or 0 for source in read.sources) * (sample or 1)),
    )
    if devices is not None and device != "auto":
        raise UsageError(f"--device {device} and --devices {devices} say different things", "leave one of them out")
    reference = load(model, reading, devices)
    announce(reference, devices)
    try:
        read = cut_corpus(read, slice_bytes or choose_slice_bytes(reference))
        made_from = {
            "corpus": read.fingerprint(),
            "model": reference.identity,
            "parameters": {"signals": wanted_signals},
        }
        begin(opened, read, made_from, restart)
        with profiler.measuring() if profile else nullcontext() as watch:
            fingerprint, corpus_fingerprint = compute_fingerprint(made_from), read.fingerprint()
            work = ScoreWork(opened, reference, wanted_signals, names, fingerprint, corpus_fingerprint)
            seconds = run_slices(read, work, leftovers=[opened.path]).seconds
    finally:
        reference.close()
    document_columns.settle(opened, names, read.fingerprint())
    summary = summarise(opened, reference.identity["model"], seconds, reference)
    kept = {name: getattr(summary, name) for name in ("perplexity", "mean_perplexity", "bits_per_byte", "quantiles")}
    complete(opened, read, made_from, kept)
    return summary if watch is None else replace(summary, profile=profiler.describe(watch))


def settle_compiling(wanted: str, settled: dict[str, Any]) -> str:
    """What ``--compile auto`` means: what the run began with, where it has begun, since it shows in the last digits."""
    if wanted != "auto" or "compiled" not in settled:
        return wanted
    return "on" if settled["compiled"] else "off"
