"""``curate publish``: the numbers of a run or a comparison, to Prometheus, OpenTelemetry, MLflow or BigQuery."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.errors import UsageError
from curate.runtime.options import COMMAS, as_list, verb_function
from curate.runtime.text import DEFAULT_RUN

if TYPE_CHECKING:
    from curate.monitoring.publish.measurements import Publication
    from curate.monitoring.publish.summary import PublishSummary


@verb_function()
def publish(
    run: Annotated[
        str, typer.Argument(help="Run directory, or a file with what curate compare --json printed.")
    ] = DEFAULT_RUN,
    to: Annotated[
        list[str] | str | None,
        typer.Option(
            help="Where to: prometheus:FILE.prom, otel[:URL], mlflow[:URI] or bigquery:FOLDER; repeatable. otel and "
            "mlflow alone: where their variables say."
        ),
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(help="Columns of the documents by whose groups a run is also measured, as in domain."),
        COMMAS,
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the run or comparison in the labels.  [default: of its folder or file]"),
    ] = None,
    max_labels: Annotated[
        int, typer.Option(help="Groups, and reasons, that keep their names; those with the fewest documents are other.")
    ] = 200,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the list of names, labels and values, and send nothing.")
    ] = False,
) -> "PublishSummary":
    """Publish the numbers of a run or of a comparison as one flat list, for the tools that watch a service.

    Of a run: perplexity and bits per byte, with ``within`` of each group, and the funnel as ``curate status`` has it.
    Of a comparison, a file with what ``curate compare --json`` printed: the gate (0 within, 1 beyond, 2 cannot tell or
    unmeasured), changes with the ends of their intervals, slopes. Several targets may be given; each is written even
    where another fails. All metrics are gauges; ``curate/monitoring/publish/metrics.py`` lists them.

    Raises UsageError for a target that is none, a package that is missing, a file that would replace one of something
    else, a file that is no comparison; TableError where a run has no finished scores or a comparison is damaged;
    StorageError where a target does not take the numbers.
    """
    from curate.monitoring.publish.summary import PublishSummary
    from curate.monitoring.publish.targets import EXAMPLE, check_targets, parse_targets, send_all

    targets = parse_targets(as_list(to))
    if not targets and not dry_run:
        raise UsageError("--to is missing: no target is named", f"{EXAMPLE}, or --dry-run to see the numbers")
    if max_labels < 1:
        raise UsageError(f"--max-labels must be at least 1, not {max_labels}", "--max-labels 200")
    if name is not None and not name.strip():
        raise UsageError("--name is empty", "--name nightly")
    if not dry_run:
        check_targets(targets)
    publication = _measure(run, within, name, max_labels)
    return PublishSummary(publication, () if dry_run else send_all(targets, publication), dry_run)


def _measure(run: str, within: str | None, name: str | None, max_labels: int) -> "Publication":
    """Return the numbers of what ``run`` names."""
    from curate.monitoring.compare.sides import name_sides
    from curate.monitoring.publish.comparison_metrics import measure_comparison
    from curate.monitoring.publish.run_metrics import measure_run
    from curate.rundir.columns.names import split_group_columns
    from curate.rundir.guards.claims import open_claimed
    from curate.runtime.disk.filenames import expand_home
    from curate.runtime.disk.object_store import is_store_url

    path = expand_home(run) if not is_store_url(run) else Path(run)
    shown = name or name_sides([str(path.resolve()) if run in (".", "..") else run])[0]
    if not is_store_url(run) and (path.is_file() or path.suffix == ".json"):
        if within is not None:
            message = "--within has no effect with a comparison, whose groups are those of curate compare"
            raise UsageError(message, "leave out --within")
        return measure_comparison(path, shown.removesuffix(".json"), max_labels)
    columns = tuple(split_group_columns(within)) if within else ()
    return measure_run(open_claimed(run, "publish"), shown, columns, max_labels)
