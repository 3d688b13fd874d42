"""``curate select-sft``: the examples of an instruction dataset to train on, by the numbers of ``rank-sft``."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from curate.errors import TableError, UsageError
from curate.stages.filter.summary import FilterSummary

if TYPE_CHECKING:
    from curate.rundir.run import Run
    from curate.stages.filter.criteria import FilterOptions

RATE = 0.1
"""Share kept by ``ifd``: the papers keep 5 to 15 % (arXiv 2308.12032, 2402.00530)."""
HALF = 0.5


def select_sft(
    run: Annotated[str, typer.Option(help="The run of a dataset, as rank-sft --examples wrote it.")] = "curated",
    by: Annotated[
        str, typer.Option(help="ifd, ppl (the lowest), middle (of ppl), or per-prompt (the lowest of each prompt).")
    ] = "ifd",
    rate: Annotated[float | None, typer.Option(help="Share to keep.  [default: 0.1 for ifd, else 0.5]")] = None,
    tokens: Annotated[str | None, typer.Option(help="Response tokens to keep instead of a share, as in 2M.")] = None,
    max_ppl: Annotated[float | None, typer.Option(help="Keep response perplexity up to this, included.")] = None,
    min_tokens: Annotated[float | None, typer.Option(help="Keep answers of so many tokens or more.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Show ten examples on each side of every boundary.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be kept and write nothing.")] = False,
) -> FilterSummary:
    """Keep the best examples of an instruction dataset by a named criterion, with a reason for each dropped.

    ``ifd`` keeps the highest instruction-following difficulty (perplexity with the prompt over without it) below 1:
    where it is above, the prompt does not help. ``per-prompt`` keeps one answer for each prompt, the nearest to the
    base. Shares are of the examples that have the number: with ``ifd``, of those below 1.
    Writes the decision table that ``curate filter`` writes: ``status``, ``explain`` and ``export`` go on from it.
    TableError where the run holds no numbers of ``rank-sft --examples``.
    """
    from curate.rundir.run import open_run
    from curate.stages.filter.decide import decide_documents

    require_numbers(open_run(run))
    options = replace(choose_criterion(by, rate, tokens), max_ppl=max_ppl, min_tokens=min_tokens)
    return decide_documents(run, options, ledger="none", show=show, dry_run=dry_run)


def choose_criterion(by: str, rate: float | None, tokens: str | None) -> "FilterOptions":
    """Return a named criterion as options of ``filter``. Raises UsageError for a name that is not known."""
    from curate.stages.filter.criteria import FilterOptions

    if by == "per-prompt":
        if rate is not None or tokens is not None:
            raise UsageError("--by per-prompt keeps one answer for each prompt", "leave out --rate and --tokens")
        return FilterOptions(keep="0:100", by="best_of_prompt")
    criteria = {
        "ifd": FilterOptions(keep="high", by="ifd_below_1"),
        "ppl": FilterOptions(keep="low"),
        "middle": FilterOptions(keep="middle"),
    }
    if by not in criteria:
        raise UsageError(f"--by {by} is not known", f"one of {', '.join(criteria)}, per-prompt")
    if rate is not None and tokens is not None:
        raise UsageError("--rate and --tokens both set how much to keep", "leave one of them out")
    if tokens is not None:
        return replace(criteria[by], tokens=tokens)
    return replace(criteria[by], rate=rate or (RATE if by == "ifd" else HALF))


def require_numbers(run: "Run") -> None:
    """TableError where the run was not made by ``rank-sft``."""
    from curate.rundir import document_columns

    run.finished_scores()
    if not document_columns.is_carried(run, "ifd_ppl"):
        hint = "curate rank-sft DATA --model BASE --sample 0 --examples OUT, then --run OUT/NAME"
        raise TableError(f"{run.path} has no numbers of answers given what was asked", hint)
