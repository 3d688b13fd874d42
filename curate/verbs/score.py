"""``curate score``: one row of sums for every document of a corpus, written slice by slice."""

from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from curate.errors import UsageError
from curate.rundir.signals import SIGNALS
from curate.runtime.choices import Compile, Convention
from curate.runtime.options import (
    COMMAS,
    AddressOption,
    AllowMixedOption,
    CpusOption,
    DelimiterOption,
    DeviceOption,
    DtypeOption,
    EngineOption,
    ExactOption,
    GpusOption,
    IdFieldOption,
    LimitOption,
    OnErrorOption,
    OptionalCorpusArgument,
    PackTokensOption,
    PartOption,
    PrefixOption,
    QuotingOption,
    RestartOption,
    RevisionOption,
    RunOption,
    SampleByOption,
    SampleOption,
    SeedOption,
    TextFieldOption,
    TrustRemoteCodeOption,
    WindowOption,
    WorkersOption,
    as_list,
    verb_function,
)
from curate.runtime.text import DEFAULT_RUN
from curate.stages.score.summary import ScoreSummary, check_anything_read, summarise_scores

if TYPE_CHECKING:
    from curate.stages.score.texts import TextScores
    from curate.stages.share_summary import ShareSummary


@verb_function(max_tokens="truncate")
def score(
    corpus: OptionalCorpusArgument = None,
    model: Annotated[
        str,
        typer.Option(help="Reference model: a local folder, a Hub id, or builtin; none counts and hashes alone."),
    ] = "builtin",
    run: RunOption = DEFAULT_RUN,
    text_field: TextFieldOption = None,
    id_field: IdFieldOption = None,
    limit: LimitOption = None,
    sample: SampleOption = None,
    sample_by: SampleByOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    devices: Annotated[
        str | None, typer.Option(help="Several devices, a process for each: 0,1 or all (CUDA), or cpu,cpu."), COMMAS
    ] = None,
    dtype: DtypeOption = "auto",
    exact: ExactOption = False,
    prefix: PrefixOption = "auto",
    window: WindowOption = None,
    overlap: Annotated[int, typer.Option(help="Tokens that a later window reads again without scoring them.")] = 0,
    window_prefix: Annotated[
        bool, typer.Option("--window-prefix", help="Put the prefix token first in every window.")
    ] = False,
    truncate: Annotated[int | None, typer.Option(help="Score only this many tokens of a document, its first.")] = None,
    convention: Annotated[Convention, typer.Option(help="Reproduce the numbers of another tool.")] = "curate",
    convention_args: Annotated[
        str,
        typer.Option(
            help="That tool's own settings, name=value with commas: add_bos_token, prefix_token_id (lm-eval); "
            "add_start_token (evaluate); stride (hf-guide)."
        ),
    ] = "",
    logprobs_field: Annotated[
        str | None,
        typer.Option(help="Column with the log probabilities that a serving stack returned; then no model runs."),
    ] = None,
    logprobs_tokenizer: Annotated[
        str | None,
        typer.Option(help="Their tokenizer, to compare perplexity: a folder, a Hub id, or name:NAME.  [default: none]"),
    ] = None,
    signals: Annotated[
        str, typer.Option(help=f"Extra columns, with commas: {', '.join(SIGNALS)}; or all, or none."), COMMAS
    ] = "zlib_ratio",
    carry: Annotated[
        str,
        typer.Option(help="Columns to store next to the scores: auto (domain, source …), none, or names with commas."),
        COMMAS,
    ] = "auto",
    revision: RevisionOption = None,
    trust_remote_code: TrustRemoteCodeOption = False,
    compile: Annotated[
        Compile, typer.Option(help="Compile the model first; auto: on CUDA, where there is much to read.")
    ] = "auto",
    pack_tokens: PackTokensOption = None,
    slice_bytes: Annotated[
        int | None, typer.Option(help="Bytes of text in a slice, the unit of resuming.  [default: chosen by device]")
    ] = None,
    delimiter: DelimiterOption = None,
    quoting: QuotingOption = "auto",
    on_error: OnErrorOption = "quarantine",
    restart: RestartOption = False,
    allow_mixed: AllowMixedOption = False,
    part: PartOption = None,
    engine: EngineOption = "local",
    address: AddressOption = None,
    workers: WorkersOption = None,
    gpus_per_worker: GpusOption = None,
    cpus_per_worker: CpusOption = None,
    profile: Annotated[bool, typer.Option("--profile", help="Print at the end where the time went.")] = False,
    text: Annotated[
        list[str] | str | None,
        typer.Option(
            help="Score this text, not a corpus, and show what surprised the model; writes no run. Repeatable."
        ),
    ] = None,
) -> "ScoreSummary | ShareSummary | TextScores":
    """Score every document of a corpus by its perplexity under a reference model, and return the totals.

    Writes the scores table of the run: one row a document, with nats, tokens and bytes as sums. The same command
    resumes a run that was stopped, and scores what is new where the corpus grew, changed or moved: files are known by
    their content, and the scores of those that are gone are put aside. Signals, ids and columns to carry can be asked
    for later, and cost no forward pass. A row that cannot be read or scored keeps its row in the table, with a status
    and a reason. Another chip, or another version of torch or transformers, changes last digits: it goes on only with
    ``allow_mixed``, and ``run.json`` names both then.

    With ``part``, as in 2/64, only that share of the files is scored, beside other processes that score others into the
    same run, on this machine or another one with the same file system; ``auto`` reads it from the environment of a job
    array. The plain command afterwards reads nothing again, checks, and completes the run.

    With ``engine="ray"`` workers in actors of Ray, of this machine or of a cluster that sees the same files, score the
    files: each loads the model once, one that dies is replaced, and the run ends in the same bytes. Of those that would
    read differently (another chip, other versions) a warning says that they are left out.

    With ``logprobs_field`` no model runs: the numbers of a document are those of a column, in which a serving stack
    left the log probabilities of its tokens. They are checked against the text; what does not fit is ``unscorable``.

    With ``text``, no corpus is read and no run directory is written: the numbers of each text are returned, with the
    tokens that surprised the model most.

    Raises UsageError for options that contradict one another, CorpusError for a corpus that cannot be read, ModelError
    for a model that cannot be loaded or fails its self-check, and TableError, naming the option or the file, where the
    run holds scores of another model or reading, or of a corpus of which nothing is left (--restart discards them).
    """
    from curate.corpus import check_dialect_used, check_holds_text, open_corpus, spool_streams
    from curate.matching.languages import begin_loading
    from curate.reference import LOADING
    from curate.reference.checkpoints.model_files import WITHOUT_FILES
    from curate.reference.conventions.arguments import normalise_arguments
    from curate.reference.protocol import ScoringConfig
    from curate.rundir import document_columns
    from curate.rundir.guards.claims import open_claimed, sweep_written
    from curate.rundir.guards.ownership import SCORE_FOLDERS, SCORE_NAMES, check_apart
    from curate.runtime import console
    from curate.runtime.work import profiler
    from curate.runtime.work.array_tasks import parse_part
    from curate.runtime.work.engines import choose_engine, open_pool, refuse_with_engine
    from curate.stages.pool_executor import PoolExecutor
    from curate.stages.score.languages import describe_languages
    from curate.stages.score.logprobs import (
        check_logprobs_column,
        check_logprobs_options,
        choose_model,
        describe_unscorable,
    )
    from curate.stages.score.padding import measure_padding
    from curate.stages.score.request import choose_reading, describe_request, find_settled, settle_config
    from curate.stages.score.resume import resume_scores
    from curate.stages.score.signals import choose_signals
    from curate.stages.score.slices import check_scores_finite
    from curate.stages.score.texts import check_text_options, load_and_score
    from curate.stages.share_summary import check_share_options
    from curate.stages.slice_runner import run_slices

    wanted_signals, takes_all = choose_signals(signals), signals.strip() == "all"
    model = choose_model(model, logprobs_field, logprobs_tokenizer)
    if logprobs_field is not None:
        of_models = {
            "revision": revision, "trust_remote_code": trust_remote_code, "device": device, "devices": devices,
            "dtype": dtype, "exact": exact, "prefix": prefix, "window": window, "overlap": overlap,
            "window_prefix": window_prefix, "truncate": truncate, "convention": convention,
            "convention_args": convention_args, "compile": compile, "pack_tokens": pack_tokens,
            "allow_mixed": allow_mixed, "gpus_per_worker": gpus_per_worker,
        }  # fmt: skip
        wanted_signals = check_logprobs_options(of_models, wanted_signals, takes_all)
    for name, value in {"limit": limit, "slice-bytes": slice_bytes}.items():
        if value is not None and value < 1:
            raise UsageError(f"--{name} must be at least 1, not {value}", f"leave --{name} out for the default")
    if devices is not None and device != "auto":
        raise UsageError(f"--device {device} and --devices {devices} say different things", "leave one of them out")
    config = ScoringConfig(
        dtype=dtype, exact=exact, device=device, prefix=prefix, window=window, overlap=overlap,
        window_prefix=window_prefix, max_tokens=truncate, convention=convention,
        convention_args=normalise_arguments(convention, convention_args), pack_tokens=pack_tokens,
        revision=revision, trust_remote_code=trust_remote_code, compiled=compile,
        logprobs_field=logprobs_field, logprobs_tokenizer=logprobs_tokenizer,
    )  # fmt: skip
    options = {
        "text_field": text_field, "id_field": id_field, "limit": limit, "sample": sample, "seed": seed,
        "sample_by": sample_by,
        "on_error": on_error, "delimiter": delimiter, "quoting": quoting,
    }  # fmt: skip
    paths, texts = as_list(corpus), as_list(text)
    if texts:
        others = {"corpus": paths, "run": run, "carry": carry, "slice_bytes": slice_bytes, "restart": restart}
        others |= {"logprobs_field": logprobs_field}
        others |= {"allow_mixed": allow_mixed, "part": part, "engine": engine if engine != "local" else None}
        check_text_options({**others, **options, "profile": profile}, model)
        return load_and_score(texts, model, config, devices, wanted_signals)
    if not paths:
        raise UsageError("curate score needs CORPUS, or a text: --text", "curate score CORPUS")

    hiring = choose_engine(engine, address, workers, gpus_per_worker, cpus_per_worker, needed=True)
    refuse_with_engine(hiring, part=part, limit=limit, devices=devices)
    task = None if part is None else parse_part(part)
    if task is not None:
        check_share_options(paths, limit, restart)
    opened = open_claimed(run, "score", create=True, part=task)
    opened.reserve(*SCORE_NAMES, emptied=SCORE_FOLDERS if restart else ())
    check_apart(paths, opened.path)
    measured = profiler.measure_spans if profile else nullcontext
    with open_pool(hiring, uses_gpu=model not in WITHOUT_FILES and device in ("auto", "cuda")) as pool:
        with measured() as started:
            before = None if restart else opened.stage("score")
            reading = choose_reading(before, options)
            with profiler.span("corpus"):
                read = open_corpus(spool_streams(paths, opened.path, opened.enter), **reading)
            check_dialect_used([read], delimiter, quoting)
            console.say("reading", read.describe())
            check_holds_text(read)
            if logprobs_field is not None:
                check_logprobs_column(read, logprobs_field)
            names = document_columns.choose_carried(read, carry)

            request = describe_request(model, config, reading)
            text_bytes = (
                0 if limit or truncate else int(sum(source.size or 0 for source in read.sources) * (sample or 1))
            )
            scores = resume_scores(
                opened,
                read,
                request,
                wanted_signals,
                names,
                slice_bytes,
                restart,
                allow_mixed,
                task,
                optional_signals=takes_all,
            )
            settled = settle_config(config, find_settled(before, request), text_bytes)
            if not scores.is_scored:
                settled = measure_padding(scores.corpus, model, settled)
            if task is None and model not in WITHOUT_FILES:
                begin_loading()
            reference = scores.load_reference(model, settled, devices, pool)
        try:
            if pool is not None and not scores.is_scored:
                pool.connect()  # before anything is recorded
            scores.begin(reference)
            with measured() as watch:
                work = scores.make_work(reference)
                executor = None if pool is None else PoolExecutor(pool)
                done = run_slices(
                    *work, leftovers=[opened.path], executor=executor, known=scores.notes, share=scores.share
                )
        finally:
            reference.close()
            if pool is not None:
                sweep_written(opened.path, "score")  # what workers that died had begun
    spent = None
    if watch is not None and started is not None:
        start = profiler.describe_start(started, LOADING)
        spent = {**profiler.describe_profile(watch), "start": start}
    if task is not None:
        return replace(scores.summarise_share(done), profile=spent)

    for name in document_columns.complete_carried(opened, scores.carried, scores.fingerprint_corpus()):
        console.warn(f"no document has a value in {name}")
    document_columns.record_clashes(opened, read)
    changed = scores.find_changes(done.notes)
    summary = replace(summarise_scores(opened, scores.model, done.seconds, reference), changed=changed)
    if language := describe_languages(scores.corpus, scores.model, revision):
        summary = replace(summary, notes=(*summary.notes, f"language    {language}"))
    unscorable = describe_unscorable(opened, scores.identity, summary.documents)
    summary = replace(summary, notes=(*unscorable, *summary.notes))
    check_scores_finite(summary, scores.identity)
    scores.complete(summary.as_record(), done.read)
    check_anything_read(summary)
    return replace(summary, profile=spent)
