"""``curate dedup``: near copies and exact copies inside a corpus, and the document of each cluster that stays.

Three passes. The first sketches every document (``curate.stages.dedup.sketch_table``), the second groups what has the
same words (``curate.stages.dedup.exact_copies``), the third groups what shares a band key, reads it again and compares
it exactly (``curate.stages.dedup.pairs``). LSH decides which pairs are compared; a pair counts only when its exact
Jaccard similarity reaches the threshold.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from curate.errors import UsageError
from curate.runtime.options import (
    DEFAULT_MEMORY,
    AddressOption,
    CorpusOption,
    CpusOption,
    DelimiterOption,
    EngineOption,
    IdFieldOption,
    MemoryLimitOption,
    OnErrorOption,
    PartOption,
    QuotingOption,
    RestartOption,
    RunOption,
    SeedOption,
    TextFieldOption,
    WorkersOption,
    as_list,
    verb_function,
)
from curate.runtime.text import DEFAULT_RUN
from curate.stages.dedup.options import (
    Keeper,
    check_counts_no_limit,
    check_dedup_options,
    choose_bands,
    count_strict_words,
    open_other_corpora,
    open_run_corpus,
)
from curate.stages.dedup.summary import DedupSummary

if TYPE_CHECKING:
    from curate.runtime.work.ray_pool import RayPool
    from curate.stages.dedup.duplicates_table import DedupJob
    from curate.stages.share_summary import ShareSummary


@verb_function(keep="keeper")
def dedup(
    run: RunOption = DEFAULT_RUN,
    corpus: CorpusOption = None,
    threshold: Annotated[float, typer.Option(help="Jaccard similarity from which on two documents are copies.")] = 0.8,
    shingle: Annotated[int, typer.Option(help="Words of a shingle.")] = 5,
    permutations: Annotated[int, typer.Option(help="Values of a MinHash signature.")] = 128,
    seed: SeedOption = 0,
    keeper: Annotated[Keeper, typer.Option(help="Which document of each cluster stays.")] = "longest",
    exact_only: Annotated[
        bool, typer.Option("--exact-only", help="Find only documents of the same words and symbols.")
    ] = False,
    against: Annotated[
        list[str] | str | None, typer.Option(help="Another corpus: documents with a copy in it are dropped too.")
    ] = None,
    memory_limit: MemoryLimitOption = None,
    workers: WorkersOption = None,
    text_field: TextFieldOption = None,
    id_field: IdFieldOption = None,
    delimiter: DelimiterOption = None,
    quoting: QuotingOption = "auto",
    on_error: OnErrorOption = "quarantine",
    restart: RestartOption = False,
    part: PartOption = None,
    engine: EngineOption = "local",
    address: AddressOption = None,
    cpus_per_worker: CpusOption = None,
) -> "DedupSummary | ShareSummary":
    """Find near and exact copies in a corpus, choose one document of each cluster to keep, and return the counts.

    Writes the duplicates table of the run, with the evidence for each document that has copies, and replaces an earlier
    one. Exact copies have the same words and symbols: letter case, white space, quotation marks, sentence punctuation,
    the kind of a dash and Markdown's emphasis make no difference; symbols (+ - < = $ # ...), brackets, decimal points,
    accents, tones and vowel signs do. So they do for near copies of few words (below 49 at the defaults, where one
    other word makes it none); longer ones are compared by their words without accents and punctuation. Documents
    without a word or symbol are never copies. The same command resumes a run that was stopped.

    With ``part``, as in 2/64, only that share of the files is sketched, which takes most of the time, beside other
    processes that sketch others for the same run; ``auto`` reads it from the environment of a job array. The same
    command without it then sketches nothing again, and completes the table.

    With ``engine="ray"`` workers in actors of Ray sketch the files and compare the pairs, to the same bytes
    (``curate.score``).

    Raises UsageError for an option outside its range or one that cannot hold for a share, and TableError where the run
    knows no corpus, or ``--keeper lowest-ppl`` finds no scores.
    """
    from curate.corpus import check_dialect_used
    from curate.rundir.guards.claims import open_claimed
    from curate.rundir.guards.ownership import DEDUP_NAMES
    from curate.runtime import console
    from curate.runtime.disk.mirrors import exchange
    from curate.runtime.numbers import parse_size
    from curate.runtime.work import threads
    from curate.runtime.work.array_tasks import parse_part
    from curate.runtime.work.engines import choose_engine, open_pool, refuse_with_engine
    from curate.stages.dedup.duplicates_table import DedupJob
    from curate.stages.dedup.pipeline import find_and_write_duplicates, sketch_part
    from curate.stages.dedup.sketches import SketchConfig
    from curate.stages.share_summary import check_share_options

    check_dedup_options(threshold, shingle, permutations, seed, workers)
    hiring = choose_engine(engine, address, workers, cpus_per_worker=cpus_per_worker)
    refuse_with_engine(hiring, part=part)
    memory = DEFAULT_MEMORY if memory_limit is None else memory_limit
    parse_size(memory, "--memory-limit")
    task = None if part is None else parse_part(part)
    if task is not None:
        check_share_options([*as_list(corpus), *as_list(against)], None, restart)
    opened = open_claimed(run, "dedup", create=True, part=task)
    opened.reserve(*DEDUP_NAMES, emptied=() if task is not None else ("dedup",))
    if (
        task is None
        and keeper == "lowest-ppl"
        and opened.finished_scores()["made_from"]["model"].get("model") == "none"
    ):
        raise UsageError(f"--keeper lowest-ppl: {run} was scored without a model", "--keeper longest")
    options = {"text_field": text_field, "id_field": id_field, "on_error": on_error}
    options |= {"delimiter": delimiter, "quoting": quoting}
    own = open_run_corpus(opened, as_list(corpus), options)
    if task is not None:
        check_counts_no_limit(opened, own)
    others = open_other_corpora(own, as_list(against), options)
    check_dialect_used((own, *others), delimiter, quoting)
    for read in (own, *others):
        console.say("reading", read.describe())
    bands = None if exact_only else choose_bands(threshold, permutations)
    strict_below = 0 if exact_only else count_strict_words(threshold, shingle)
    recipe = SketchConfig(shingle, permutations, seed, bands, strict_below)
    names = tuple(as_list(against))
    job = DedupJob(opened, (own, *others), names, recipe, threshold, keeper, memory, workers or threads.count_cores())
    if restart:
        opened.remove("dedup")
    opened.enter()
    if task is not None:
        return sketch_part(job, task)
    with open_pool(hiring) as pool:
        if pool is None:
            return find_and_write_duplicates(job)
        with exchange(opened.path, "dedup/work", needed=("dedup/sketches",)):
            return find_and_write_duplicates(work_on_pool(job, pool))


def work_on_pool(job: "DedupJob", pool: "RayPool") -> "DedupJob":
    """Return a job whose work is done by the workers of a pool."""
    from dataclasses import replace

    from curate.stages.pool_executor import PoolExecutor

    return replace(
        job,
        workers=pool.count,
        threads=pool.options.threads,
        start=pool.start_workers,
        executor=PoolExecutor(pool),
    )
