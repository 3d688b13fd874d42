"""``curate decontaminate``: which documents contain eval items, with the evidence, and a recall that is measured.

It cannot silently do nothing: no eval item, no document, or a planted item that is not found is an error.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from curate.runtime.options import (
    COMMAS,
    AddressOption,
    CorpusOption,
    CpusOption,
    DelimiterOption,
    EngineOption,
    IdFieldOption,
    OnErrorOption,
    PartOption,
    QuotingOption,
    RedactOption,
    RestartOption,
    RunOption,
    SeedOption,
    TextFieldOption,
    WorkersOption,
    as_list,
    verb_function,
)
from curate.runtime.text import DEFAULT_RUN
from curate.stages.decontaminate.options import (
    Action,
    Method,
    Turns,
    Variants,
    check_action,
    check_canaries_and_workers,
    check_dealt,
    check_matchable,
    check_not_in_corpus,
    describe_sets,
    open_export,
    parse_part_option,
)
from curate.stages.decontaminate.summary import DecontaminationSummary

if TYPE_CHECKING:
    from curate.stages.share_summary import ShareSummary


@verb_function()
def decontaminate(
    evals: Annotated[
        list[str] | str, typer.Argument(help="Eval sets: files, folders, NAME:SPLIT of the Hub, well-known names.")
    ],
    run: RunOption = DEFAULT_RUN,
    corpus: CorpusOption = None,
    method: Annotated[Method, typer.Option(help="How candidates are found: exactly, or by MinHash windows.")] = "ngram",
    action: Annotated[Action, typer.Option(help="What becomes of a contaminated document.")] = "drop",
    variants: Annotated[
        Variants, typer.Option(help="What becomes of documents that have an eval item with other numbers.")
    ] = "keep",
    turns: Annotated[Turns, typer.Option(help="Which turns of conversations are searched.")] = "all",
    no_code: Annotated[
        bool, typer.Option("--no-code", help="Do not search for solutions in code whatever their names.")
    ] = False,
    eval_fields: Annotated[
        str | None, typer.Option(help="Columns of the eval sets, as in question=problem,answer=solution."), COMMAS
    ] = None,
    lock: Annotated[
        str | None, typer.Option(help="The evals.lock that the eval sets must agree with.  [default: RUN/evals.lock]")
    ] = None,
    fail_on_hit: Annotated[bool, typer.Option("--fail-on-hit", help="Exit with 4 when anything is found.")] = False,
    verify: Annotated[
        str | None, typer.Option(help="Search this export instead, write nothing, and exit with 4 on a hit.")
    ] = None,
    report: Annotated[
        str | None, typer.Option(help="File for the HTML page.  [default: RUN/contamination.html]")
    ] = None,
    canaries: Annotated[int, typer.Option(help="Eval items of each kind that are planted to measure recall.")] = 100,
    seed: SeedOption = 0,
    text_field: TextFieldOption = None,
    id_field: IdFieldOption = None,
    workers: WorkersOption = None,
    delimiter: DelimiterOption = None,
    quoting: QuotingOption = "auto",
    on_error: OnErrorOption = "quarantine",
    restart: RestartOption = False,
    part: PartOption = None,
    engine: EngineOption = "local",
    address: AddressOption = None,
    cpus_per_worker: CpusOption = None,
    redact: RedactOption = None,
) -> "DecontaminationSummary | ShareSummary":
    """Find the documents that contain items of eval sets, and return the hits by set with the recall that was measured.

    Replaces the hits of the run. Every call first plants eval items in copies of some documents and searches for them.
    Solutions in code are found with other names, layout and comments too. ``filter`` and ``export`` drop contaminated
    documents; with ``--action mark`` they are marked, with ``cut-span`` the matching passage is cut out on export. A
    document that has an item with other numbers, and no item itself, is a variant: it is listed apart and kept, or
    dropped with ``--variants drop``.

    With ``part``, as in 2/64, only that share of the files is searched, beside other processes that search others for
    the same run; ``auto`` reads it from the environment of a job array. The first of them measures the recall before
    anything is searched. The plain command afterwards searches nothing again, measures, and completes the hits.

    With ``redact`` labels stand for personal data and secrets in the texts of hits that are printed, and on the page;
    documents are searched as they are, and the hits of the run keep their texts.

    With ``engine="ray"`` workers in actors of Ray search the files, to the same bytes (``curate.score``).

    Raises UsageError for options or columns that do not fit, GateError where an eval set has no items, the corpus no
    documents, or a verbatim plant is missed, and TableError where the run knows no corpus or another one, or where its
    parts are made from something else.
    """
    from dataclasses import replace

    from curate.corpus import check_dialect_used
    from curate.rundir.guards.claims import open_claimed, sweep_written
    from curate.rundir.guards.ownership import HITS_NAMES
    from curate.rundir.run import choose_run_corpus, open_run
    from curate.runtime import console
    from curate.runtime.disk.filenames import expand_home
    from curate.runtime.disk.files import check_output_file, check_output_page
    from curate.runtime.published import hide_folder
    from curate.runtime.redaction import make_redactor
    from curate.runtime.work.engines import choose_engine, open_pool, refuse_with_engine
    from curate.runtime.work.threads import count_cores
    from curate.stages.decontaminate import evalsets, hits_table
    from curate.stages.decontaminate.detector import make_detector
    from curate.stages.decontaminate.report import PAGE_HITS, redact_hits, redact_summary, write_page
    from curate.stages.decontaminate.scan import DecontaminationJob
    from curate.stages.pool_executor import PoolExecutor

    check_canaries_and_workers(canaries, workers)
    redactor = make_redactor(redact)
    hiring = choose_engine(engine, address, workers, cpus_per_worker=cpus_per_worker)
    refuse_with_engine(hiring, part=part, verify=verify)
    others = {"verify": verify, "report": report, "fail_on_hit": fail_on_hit}
    task = parse_part_option(part, as_list(corpus), restart, others)
    opened = open_run(run, create=True) if verify else open_claimed(run, "decontaminate", create=True, part=task)
    page = expand_home(report) if report else opened.path / "contamination.html"
    locked = expand_home(lock) if lock else opened.path / "evals.lock"
    if not verify:
        check_output_page(page, "--report")
        check_output_file(locked)
        in_run = [default for default, given in (("contamination.html", report), ("evals.lock", lock)) if not given]
        opened.reserve(*HITS_NAMES, *in_run, emptied=("hits",) if task is None else ())
    options = {"text_field": text_field, "id_field": id_field, "on_error": on_error}
    options |= {"delimiter": delimiter, "quoting": quoting}
    if verify:
        read = open_export(verify, options)
    else:
        read = choose_run_corpus(opened, as_list(corpus), "decontaminate", **options)
    check_dialect_used([read], delimiter, quoting)
    check_dealt(read, task)
    console.say("reading", read.describe())
    check_action(action, read)
    sets = evalsets.open_evals(as_list(evals), evalsets.parse_fields(eval_fields), locked if lock else None)
    notes = describe_sets(sets, locked)
    check_not_in_corpus(sets, read)
    items = [item for eval_set in sets for item in eval_set.items]
    detector = make_detector(items, method, not no_code)
    check_matchable(detector, sets)
    job = DecontaminationJob(
        opened, read, sets, items, detector, method, action, variants, turns if read.conversation else None
    )
    if not verify:
        opened.enter()
    job = job.adapt()
    threads = (workers or count_cores()) if hiring is None else hiring.threads
    if task is not None:
        job.prove(canaries, seed)
        return job.scan_share(task, threads)
    recall = job.measure(canaries, seed, write=not verify)
    if verify:
        return redact_summary(job.verify(threads, recall, notes), redactor)
    with open_pool(hiring) as pool:
        tally, seconds = job.scan(threads, restart, None if pool is None else PoolExecutor(pool))
    if hiring is not None:
        sweep_written(opened.path, "decontaminate")  # what workers that died had begun
    evalsets.write_lock(locked, sets)
    summary = redact_summary(job.summarise(tally, seconds, recall, notes), redactor)
    shown = replace(summary, corpus=" ".join(map(hide_folder, read.paths)))
    write_page(page, shown, redact_hits(hits_table.select_for_page(opened, PAGE_HITS), redactor))
    given = {
        "method": method,
        "action": action,
        "variants": variants,
        "turns": turns,
        "no_code": no_code,
        "eval_fields": eval_fields,
        "lock": lock,
    }
    defaults = {"method": "ngram", "action": "drop", "variants": "keep", "turns": "all", "no_code": False}
    given = {name: value for name, value in given.items() if value is not None and value != defaults.get(name)}
    job.complete(tally, summary, {"evals": as_list(evals), "options": given})
    return replace(summary, report=str(page), fail_on_hit=fail_on_hit)
