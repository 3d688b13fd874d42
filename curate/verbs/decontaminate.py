"""The verb ``decontaminate``: which documents contain eval items, with the evidence, and a recall that is measured.

It cannot silently do nothing: no eval item, no document, or a planted item that is not found is an error.
"""

from typing import Annotated, Literal

import typer

from curate.stages.decontaminate.options import (
    check_action,
    check_apart,
    check_counts,
    check_matchable,
    describe_sets,
    open_export,
)
from curate.stages.decontaminate.summary import DecontaminationSummary


def decontaminate(
    evals: Annotated[list[str], typer.Argument(help="Eval sets: files, folders, NAME:SPLIT of the Hub, known names.")],
    run: Annotated[str, typer.Option(help="Run directory.")] = "curated",
    corpus: Annotated[list[str] | None, typer.Option(help="What to look through (default: the run's corpus).")] = None,
    method: Annotated[
        Literal["ngram", "minhash"], typer.Option(help="How candidates are found: exactly, or by MinHash windows.")
    ] = "ngram",
    action: Annotated[
        Literal["drop", "mark", "cut-span"], typer.Option(help="What becomes of a contaminated document.")
    ] = "drop",
    turns: Annotated[
        Literal["all", "user", "assistant"], typer.Option(help="Of conversations: which turns are looked through.")
    ] = "all",
    eval_fields: Annotated[
        str | None, typer.Option(help="Columns of the eval sets, as in question=problem,answer=solution.")
    ] = None,
    lock: Annotated[str | None, typer.Option(help="The evals.lock to keep to (default: the run's own).")] = None,
    fail_on_hit: Annotated[bool, typer.Option("--fail-on-hit", help="Exit with 4 when anything is found.")] = False,
    verify: Annotated[
        str | None, typer.Option(help="Look through this export instead, write nothing, exit with 4 on a hit.")
    ] = None,
    report: Annotated[str | None, typer.Option(help="Where the page goes (default: RUN/contamination.html).")] = None,
    canaries: Annotated[int, typer.Option(help="Eval items of each kind that are planted to measure recall.")] = 100,
    seed: Annotated[int, typer.Option(help="Of the canaries.")] = 0,
    text_field: Annotated[str | None, typer.Option(help="The column with the text, or @SCHEMA, with --corpus.")] = None,
    id_field: Annotated[str | None, typer.Option(help="The column with the document's id, with --corpus.")] = None,
    workers: Annotated[int | None, typer.Option(help="Threads (default: the cores that there are).")] = None,
    on_error: Annotated[str, typer.Option(help="A bad row: quarantine it and go on, or stop.")] = "quarantine",
    restart: Annotated[bool, typer.Option("--restart", help="Throw away the hits of this run and begin.")] = False,
) -> DecontaminationSummary:
    """Find the documents that contain items of eval sets, with the evidence, and measure what would be found.

    Replaces the hits of the run. Every run first plants eval items in copies of some documents and looks for them: a
    plant that is not found word by word, an eval set without items, or a corpus without documents is an error.
    Contaminated documents are dropped by ``filter`` and ``export``; with ``--action mark`` they are marked, with
    ``cut-span`` the matching passage is cut out on export.
    """
    from dataclasses import replace
    from pathlib import Path

    from curate.rundir.run import choose_run_corpus, open_run
    from curate.runtime import console
    from curate.runtime.threads import cores
    from curate.stages.decontaminate import evalsets, hits_table
    from curate.stages.decontaminate.detector import make_detector
    from curate.stages.decontaminate.report import MOST, write_page
    from curate.stages.decontaminate.scan import DecontaminationJob

    check_counts(canaries, workers)
    opened = open_run(run, create=True)
    options = {"text_field": text_field, "id_field": id_field, "on_error": on_error}
    read = open_export(verify, options) if verify else choose_run_corpus(opened, corpus, "decontaminate", **options)
    console.say("reading", read.describe())
    check_action(action, read)
    locked = Path(lock) if lock else opened.path / "evals.lock"
    sets = evalsets.open_evals(evals, evalsets.parse_fields(eval_fields), locked if lock else None)
    notes = describe_sets(sets, locked)
    check_apart(sets, read)
    items = [item for one in sets for item in one.items]
    detector = make_detector(items, method)
    check_matchable(detector, sets)
    found = DecontaminationJob(
        opened, read, sets, items, detector, method, action, turns if read.conversation else None
    )
    recall = found.measure(canaries, seed, write=not verify)
    threads = workers or cores()
    if verify:
        return found.verify(threads, recall, notes)
    tally, seconds = found.scan(threads, restart)
    if locked.parent.is_dir():
        evalsets.write_lock(locked, sets)
    leakage = found.summarise(tally, seconds, recall, notes)
    page = Path(report) if report else opened.path / "contamination.html"
    write_page(page, leakage, hits_table.for_page(opened, MOST))
    found.record(leakage)
    return replace(leakage, report=str(page), fail_on_hit=fail_on_hit)
