"""The verb ``dedup``: near copies and exact copies inside a corpus, and the document of each cluster that stays.

Three passes. The first sketches every document (``curate.stages.dedup.sketch_table``), the second groups what shares a
hash (``curate.stages.dedup.lsh_buckets``), the third reads the candidates again and compares them exactly
(``curate.stages.dedup.duplicates_table``). LSH decides which pairs are looked at; a pair counts only when its exact
Jaccard similarity reaches the threshold.
"""

import shutil
from typing import Annotated

import typer

from curate.errors import UsageError
from curate.stages.dedup.options import check_options, choose_bands, open_others, settle_corpus
from curate.stages.dedup.summary import DedupSummary


def dedup(
    run: Annotated[str, typer.Option(help="Run directory.")] = "curated",
    corpus: Annotated[list[str] | None, typer.Option(help="The corpus, for a run that has none yet.")] = None,
    threshold: Annotated[float, typer.Option(help="Jaccard similarity from which on two documents are copies.")] = 0.8,
    shingle: Annotated[int, typer.Option(help="Words of a shingle.")] = 5,
    permutations: Annotated[int, typer.Option(help="Values of a MinHash signature.")] = 128,
    seed: Annotated[int, typer.Option(help="The seed of the permutations.")] = 1,
    keep: Annotated[str, typer.Option(help="Who stays of a cluster: longest, first, lowest-ppl.")] = "longest",
    exact_only: Annotated[bool, typer.Option("--exact-only", help="Look for the same words alone.")] = False,
    against: Annotated[
        list[str] | None, typer.Option(help="Another corpus: what has a copy in it is dropped, too.")
    ] = None,
    memory_limit: Annotated[str, typer.Option(help="Memory for DuckDB; it spills beyond.")] = "1GB",
    workers: Annotated[int | None, typer.Option(help="Threads.  [default: one a core]")] = None,
    text_field: Annotated[str | None, typer.Option(help="The column with the text (detected when obvious).")] = None,
    id_field: Annotated[str | None, typer.Option(help="The column with the document's id.")] = None,
    on_error: Annotated[str, typer.Option(help="A bad row: quarantine it and go on, or stop.")] = "quarantine",
    restart: Annotated[bool, typer.Option("--restart", help="Throw away what an interrupted dedup left.")] = False,
) -> DedupSummary:
    """Find near and exact copies in a corpus, and keep one document of each cluster.

    Writes the duplicates table of the run, with the evidence for each document that has copies, and replaces an
    earlier one. Letter case, accents and punctuation make no difference; documents without a word are never copies.
    Interrupted, the same command goes on. UsageError for options that mean nothing.
    """
    from curate.rundir.run import open_run
    from curate.runtime import console, threads
    from curate.stages.dedup import lsh_buckets
    from curate.stages.dedup.duplicates_table import DedupJob
    from curate.stages.dedup.pipeline import work
    from curate.stages.dedup.sketches import SketchConfig

    check_options(threshold, shingle, permutations, seed, keep, workers)
    lsh_buckets.check_limit(memory_limit)
    opened = open_run(run, create=True)
    if keep == "lowest-ppl" and opened.finished_scores()["made_from"]["model"].get("model") == "none":
        raise UsageError(f"--keep lowest-ppl: {run} was scored without a model", "--keep longest")
    own = settle_corpus(opened, corpus, text_field, id_field, on_error)
    others = open_others(own, against or [], text_field, id_field, on_error)
    for read in (own, *others):
        console.say("reading", read.describe())
    recipe = SketchConfig(shingle, permutations, seed, None if exact_only else choose_bands(threshold, permutations))
    names = tuple(against or [])
    job = DedupJob(opened, (own, *others), names, recipe, threshold, keep, memory_limit, workers or threads.cores())
    if restart and job.folder.exists():
        shutil.rmtree(job.folder)
    return work(job)
