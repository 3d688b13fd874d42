"""``curate bucket``: head, middle and tail of the kept documents, or k quantiles, and the cut-offs to use again.

What the buckets mean is in ``curate.stages.bucket.cutoffs``. A kept document whose number is null or NaN is in no
bucket: its bucket is null, and it is counted. With ``--cutoffs`` a document of a group that the file does not know is
in the bucket ``unknown``.
"""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from curate.errors import CurateError, UsageError
from curate.runtime.options import COMMAS, RunOption, verb_function
from curate.runtime.text import DEFAULT_RUN
from curate.stages.bucket.summary import BucketSummary

if TYPE_CHECKING:
    from curate.rundir.run import Run

MOST = 1000  # quantiles


@verb_function()
def bucket(
    run: RunOption = DEFAULT_RUN,
    scheme: Annotated[
        Literal["ccnet"] | None,
        typer.Option(help="How to cut: head < 30 % <= middle < 60 % <= tail.  [default: ccnet]"),
    ] = None,
    quantiles: Annotated[int | None, typer.Option(help="Cut into this many buckets of equal size instead.")] = None,
    by: Annotated[
        str | None, typer.Option(help="Column to cut: ppl, bpb, or any column of numbers.  [default: ppl]")
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(help="Columns whose groups are cut one by one, or none.  [default: the language]"),
        COMMAS,
    ] = None,
    cutoffs: Annotated[
        str | None, typer.Option(help="Apply the cut-offs of this file, made from another corpus.")
    ] = None,
    save_cutoffs: Annotated[str | None, typer.Option(help="Save the cut-offs to this file too.")] = None,
) -> BucketSummary:
    """Put the kept documents into buckets, CCNet's head, middle and tail or quantiles; return their sizes and cut-offs.

    The cut-offs are saved next to the buckets (``cutoffs.json``), and ``--cutoffs`` applies them to a later corpus: a
    value that equals a cut is then above it. Quantiles differ in size by one document at most, and equal values are
    split in the order of the corpus.

    Raises UsageError for options that contradict one another, and TableError where a table of the run is stale.
    """
    from pathlib import Path

    from curate.rundir.columns.names import qualify_name, read_name
    from curate.rundir.guards.claims import open_claimed
    from curate.rundir.guards.ownership import JSON_KEYS, check_outside, is_json_with
    from curate.rundir.run import list_local_paths
    from curate.rundir.schemas import ALIASES
    from curate.rundir.verdicts import rejections
    from curate.runtime.disk.filenames import expand_home
    from curate.runtime.disk.files import check_output_file
    from curate.runtime.disk.mirrors import locate_file
    from curate.stages.bucket.assign import BucketJob, assign_buckets, reference_of
    from curate.stages.bucket.cutoffs import check_reference, load_cutoffs

    _check_options(scheme, quantiles, by, within, cutoffs)
    opened = open_claimed(run, "bucket")
    opened.reserve("buckets.parquet", "cutoffs.json")
    if save_cutoffs is not None:
        save_cutoffs = str(expand_home(save_cutoffs))
        check_output_file(Path(save_cutoffs))
        check_outside(list_local_paths(opened), Path(save_cutoffs), "--save-cutoffs ")
        if Path(save_cutoffs).exists() and not is_json_with(Path(save_cutoffs), JSON_KEYS["cutoffs.json"]):
            raise UsageError(f"--save-cutoffs {save_cutoffs}: there is a file of something else", "name a new file")
    opened.finished_scores()
    found = rejections.open_rejections(opened)
    if cutoffs is not None:
        file = locate_file(cutoffs)
        known = load_cutoffs(file)
        warning = check_reference(known, reference_of(opened), file)
        job = BucketJob(
            opened, found, known.by, tuple(map(qualify_name, known.within)), f"cut as {cutoffs} says", None, known
        )
    else:
        names, chosen = _choose_within(opened, within)
        warning, known = None, None
        column = read_name(by or "ppl")
        job = BucketJob(opened, found, ALIASES.get(column, column), names, chosen, quantiles, None)
    return assign_buckets(job, warning, save_cutoffs)


def _check_options(
    scheme: str | None, quantiles: int | None, by: str | None, within: str | None, cutoffs: str | None
) -> None:
    if scheme is not None and quantiles is not None:
        raise UsageError("--scheme ccnet and --quantiles are two ways to cut", "leave out one of them")
    if quantiles is not None and not 1 <= quantiles <= MOST:
        raise UsageError(f"--quantiles must be from 1 to {MOST:,} (buckets), not {quantiles}", "--quantiles 4")
    given = {"--scheme": scheme, "--quantiles": quantiles, "--by": by, "--within": within}
    for option, value in given.items():
        if cutoffs is not None and value is not None:
            raise UsageError(f"{option} has no effect with --cutoffs, whose file sets it", f"leave out {option}")


def _choose_within(run: "Run", within: str | None) -> tuple[tuple[str, ...], str]:
    """The columns to cut within, and how that came about."""
    from curate.rundir import document_columns
    from curate.rundir.columns.names import split_group_columns

    if within == "none":
        return (), "over all documents"
    if within is not None:
        return tuple(split_group_columns(within)), f"within {within}"
    language = document_columns.default_language(run) or _find_language(run)
    if language is None:
        return (), "over all documents: they have no column of the language (--within COLUMN)"
    return (language,), f"within {language} (--within none for all together)"


def _find_language(run: "Run") -> str | None:
    """The language column of documents that were scored without carrying it."""
    from curate.rundir import document_columns

    try:
        columns = run.corpus().columns
    except CurateError:
        return None
    return next((name for name in document_columns.LANGUAGES if name in columns), None)
