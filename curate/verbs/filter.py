"""``curate filter``: which documents to keep, with one reason for each that is not.

``curate.stages.filter.criteria`` has the criteria and their order, ``curate.stages.filter.apply`` applies them to
documents, ``curate.stages.filter.decide`` writes and counts the decision, ``curate.stages.filter.summary`` prints it.
"""

from typing import Annotated

import typer

from curate.runtime.options import (
    COMMAS,
    MEMORY_HELP,
    DryRunOption,
    RedactOption,
    RunOption,
    SeedOption,
    ShowOption,
    verb_function,
)
from curate.runtime.text import DEFAULT_RUN
from curate.stages.filter.summary import FilterSummary, ProbeSummary

Numbers = float | tuple[float, ...] | None
"""A bound; with ``dry_run`` several, as in 20,30,50, each of which is tried."""


@verb_function()
def filter(
    run: RunOption = DEFAULT_RUN,
    max_ppl: Annotated[Numbers, typer.Option(help="Keep perplexity up to this, included.")] = None,
    min_ppl: Annotated[Numbers, typer.Option(help="Keep perplexity from this on, included.")] = None,
    max_bpb: Annotated[Numbers, typer.Option(help="Keep bits per byte up to this, included.")] = None,
    min_bpb: Annotated[Numbers, typer.Option(help="Keep bits per byte from this on, included.")] = None,
    min_tokens: Annotated[Numbers, typer.Option(help="Keep documents of this many tokens or more.")] = None,
    max_tokens: Annotated[Numbers, typer.Option(help="Keep documents of this many tokens or fewer.")] = None,
    min_zlib: Annotated[Numbers, typer.Option(help="Keep zlib ratios from this on: drops repetition.")] = (None),
    max_repeated_5grams: Annotated[
        Numbers, typer.Option(help="Keep up to this share of repeated word 5-grams.")
    ] = None,
    max_repeated_lines: Annotated[Numbers, typer.Option(help="Keep up to this share of repeated lines.")] = None,
    keep: Annotated[str | None, typer.Option(help="Percentiles: low, middle, high or LO:HI, as in 10:60.")] = None,
    rate: Annotated[float | None, typer.Option(help="Share that --keep low|middle|high keeps.  [default: 0.5]")] = None,
    tokens: Annotated[
        str | int | None, typer.Option(help="Tokens that --keep keeps instead of a share, as in 2B.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Column that --keep orders by.  [default: ppl]")] = None,
    within: Annotated[
        str | None, typer.Option(help="Columns whose groups --keep takes one by one, as in domain,language."), COMMAS
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Let --keep draw by chance: 1 softly, near 0 strictly, 10 nearly evenly.")
    ] = None,
    seed: SeedOption = 0,
    where: Annotated[
        str | None, typer.Option(help="SQL condition over the columns of the scores and of the documents.")
    ] = None,
    ledger: Annotated[
        str | None, typer.Option(help="Column to count by, or none.  [default: --within, else the domain]")
    ] = None,
    show: ShowOption = False,
    redact: RedactOption = None,
    probe: Annotated[
        str | None, typer.Option(help="Decide nothing; write low, middle and high of equal --tokens into this folder.")
    ] = None,
    dry_run: DryRunOption = False,
    memory_limit: Annotated[
        str | None, typer.Option(help=f"{MEMORY_HELP}  [default: most of what this machine has]")
    ] = None,
) -> FilterSummary | ProbeSummary:
    """Keep documents by their scores: bounds, percentiles, a token budget or SQL; return what was dropped, and why.

    Replaces what an earlier filter decided. The first criterion that a document fails is its reason: not scored,
    contaminated, a duplicate, the bounds in the order below, ``where``, ``keep``. Percentiles, medians, and the table
    ``scores`` that ``where`` may query, are of the documents that are neither contaminated nor duplicates.

    ``where`` and ``by`` take columns of the documents too, and fields within them (``meta.lang``). A name that the
    scores have is theirs: ``doc.NAME`` is the documents' column, as in ``doc.tokens``. ``within`` and ``ledger`` are
    about columns of the documents alone.

    With ``dry_run`` nothing is decided; a column of the documents that ``where`` names is read once, and kept beside
    the scores for the next time. Without a criterion it tries a few thresholds, and a bound may have several values
    (``--max-ppl 20,30,50``), each of which is tried.

    ``redact`` has labels stand for personal data and secrets in the texts of ``show``, and in those that ``probe``
    writes. Documents are judged as they are.

    ``probe`` names a folder, new or empty, for three exports that share no document: the documents with the lowest, the
    middle and the highest ``by``, of what the other criteria keep, each of ``tokens`` or a tenth of what is kept. They
    are for small proxy models, trained to see which end suits a purpose; what an earlier filter decided stays.

    Raises UsageError without a criterion (the message shows the quantiles of this corpus) or for one that cannot be
    applied, TableError where the hits or the duplicates of the run are stale or not complete, and GateError where
    nothing would be kept.
    """
    from curate.runtime.redaction import make_redactor
    from curate.stages.filter.criteria import FilterOptions
    from curate.stages.filter.decide import decide_documents

    options = FilterOptions(
        max_ppl=max_ppl,
        min_ppl=min_ppl,
        max_bpb=max_bpb,
        min_bpb=min_bpb,
        min_tokens=min_tokens,
        max_tokens=max_tokens,
        min_zlib=min_zlib,
        max_repeated_5grams=max_repeated_5grams,
        max_repeated_lines=max_repeated_lines,
        keep=keep,
        rate=rate,
        tokens=tokens,
        by=by,
        within=within,
        temperature=temperature,
        seed=seed,
        where=where,
    )
    redactor = make_redactor(redact)
    if probe is not None:
        from curate.exports import probe_subsets

        probe_subsets.check_probe_options(options, probe, ledger=ledger, show=show, dry_run=dry_run)
        return probe_subsets.write_probe(run, options, probe, memory_limit, redactor)
    return decide_documents(run, options, memory_limit, ledger, show=show, dry_run=dry_run, redactor=redactor)
