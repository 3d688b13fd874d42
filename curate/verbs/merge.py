"""``curate merge``: the scores of several runs as one run."""

from typing import TYPE_CHECKING, Annotated

import typer

from curate.runtime.options import AllowMixedOption, as_list, verb_function

if TYPE_CHECKING:
    from curate.stages.score.merge import MergeSummary


@verb_function()
def merge(
    runs: Annotated[list[str] | str, typer.Argument(help="Run directories with finished scores; two or more.")],
    into: Annotated[str, typer.Option(help="Run directory to write; it must not hold other scores.")],
    allow_mixed: AllowMixedOption = False,
) -> "MergeSummary":
    """Merge the scores of several runs over different files into one run, and return what it holds; no model reads.

    The run is the one that scoring all their files in one go would have made: the files are named by their paths below
    the corpus, after as many of its folders as they need to differ. A file that several runs have is taken once. The
    runs must be of one model and one reading, and of one kind of chip and one version of torch and transformers unless
    ``allow_mixed``; they stay as they are. Of carried columns it has those that all have, of
    signals those that one has.

    Raises UsageError for fewer than two runs, and TableError where a run has no finished scores or other options than
    the first, its corpus has changed since, or ``into`` holds other scores.
    """
    from curate.stages.score.merge import merge_runs

    return merge_runs(as_list(runs), into, allow_mixed)
