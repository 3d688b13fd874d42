"""``curate select-sft``: the examples of an instruction dataset to train on, by the numbers of ``rank-sft``."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from curate.errors import TableError, UsageError
from curate.runtime.calls import repeat_command
from curate.runtime.options import (
    DryRunOption,
    RedactOption,
    RunOption,
    ShowOption,
    verb_function,
)
from curate.runtime.text import DEFAULT_RUN
from curate.stages.filter.summary import FilterSummary

if TYPE_CHECKING:
    from curate.stages.filter.criteria import FilterOptions

IFD_RATE = 0.1
"""Share kept by ``ifd``: the papers keep 5 to 15 % (arXiv 2308.12032, 2402.00530)."""
HALF = 0.5


@verb_function()
def select_sft(
    run: RunOption = DEFAULT_RUN,
    by: Annotated[
        Literal["ifd", "ppl", "middle", "per-prompt"],
        typer.Option(help="Criterion: IFD, lowest or middle perplexity, or the lowest perplexity for each prompt."),
    ] = "ifd",
    rate: Annotated[float | None, typer.Option(help="Share to keep.  [default: 0.1 for ifd, else 0.5]")] = None,
    tokens: Annotated[
        str | int | None, typer.Option(help="Response tokens to keep instead of a share, as in 2M.")
    ] = None,
    max_ppl: Annotated[float | None, typer.Option(help="Keep response perplexity up to this, included.")] = None,
    min_tokens: Annotated[float | None, typer.Option(help="Keep answers of this many tokens or more.")] = None,
    show: ShowOption = False,
    redact: RedactOption = None,
    dry_run: DryRunOption = False,
) -> FilterSummary:
    """Keep the best examples of an instruction dataset by a named criterion; return what was dropped, and why.

    ``run`` is the run of one dataset, as ``rank-sft --examples`` writes it. ``ifd`` keeps the highest
    instruction-following difficulty (perplexity with the prompt over without it) below 1: above it the prompt does not
    help. ``per-prompt`` keeps one answer for each prompt, the nearest to the base. Shares are of the examples that have
    the number: with ``ifd``, of those below 1. Writes the decision table that ``curate filter`` writes: ``status``,
    ``explain`` and ``export`` go on from it. ``redact`` is for the texts of ``show``.

    Raises UsageError for options that contradict one another, and TableError where the run holds no numbers of
    ``rank-sft --examples``.
    """
    from curate.runtime.redaction import make_redactor
    from curate.stages.filter.decide import decide_documents

    redactor = make_redactor(redact)
    require_example_numbers(run)
    options = replace(choose_criterion(by, rate, tokens), max_ppl=max_ppl, min_tokens=min_tokens)
    return decide_documents(
        run, options, ledger="none", verb="select-sft", show=show, dry_run=dry_run, redactor=redactor
    )


def choose_criterion(by: str, rate: float | None, tokens: str | int | None) -> "FilterOptions":
    """Return a named criterion as options of ``filter``. Raises UsageError for options that contradict one another."""
    from curate.stages.filter.criteria import FilterOptions

    if by == "per-prompt":
        if rate is not None or tokens is not None:
            hint = repeat_command("select_sft", rate=None, tokens=None)
            raise UsageError("--by per-prompt keeps one answer for each prompt", hint)
        return FilterOptions(keep="0:100", by="best_of_prompt")
    criterion = {
        "ifd": FilterOptions(keep="high", by="ifd_below_1", rate=IFD_RATE),
        "ppl": FilterOptions(keep="low", rate=HALF),
        "middle": FilterOptions(keep="middle", rate=HALF),
    }[by]
    if rate is not None and tokens is not None:
        raise UsageError("--rate and --tokens both set how much to keep", repeat_command("select_sft", tokens=None))
    if tokens is not None:
        return replace(criterion, rate=None, tokens=tokens)
    return criterion if rate is None else replace(criterion, rate=rate)


def require_example_numbers(run: str) -> None:
    """Raise TableError where ``run`` is not the complete run of a dataset that ``rank-sft --examples`` wrote."""
    from curate.rundir import document_columns
    from curate.rundir.run import open_run
    from curate.runtime.disk.claims import fetch_resources

    opened = open_run(run, create=True)
    fetch_resources(opened.path, ("scores", "carried"))
    complete = (opened.stage("score") or {}).get("complete")
    if not complete or not document_columns.is_carried(opened, "ifd_ppl"):
        message = f"{run} is not the run of a dataset, as rank-sft --examples OUT writes it to OUT/NAME"
        raise TableError(message, "curate rank-sft DATA --sample-size 0 --examples OUT")
