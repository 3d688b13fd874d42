"""The numbers of a run: of its scores as ``curate compare`` has them, of its funnel as ``curate status`` has it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from curate.errors import StorageError
from curate.monitoring.compare.conditions import fingerprint_evaluator
from curate.monitoring.publish.group_sums import MEASURES, GroupSums, fold_groups, sum_run
from curate.monitoring.publish.labels import OTHER, clean_label
from curate.monitoring.publish.measurements import (
    EvaluationEvent,
    MeasurementList,
    Publication,
    check_unique,
    flatten_identity,
    rank_groups,
)
from curate.reports.funnel import Funnel, read_funnel
from curate.rundir.run import Run, publish_model
from curate.rundir.verdicts.reasons import UNREADABLE
from curate.runtime.disk.mirrors import find_mirror
from curate.runtime.disk.object_store import find_filesystem
from curate.runtime.published import hide_folders
from curate.runtime.version import __version__

PAGES = ("report.html", "report.json")
"""What ``curate report`` leaves in a run."""


def measure_run(run: Run, name: str, within: Sequence[str], most: int) -> Publication:
    """Return all numbers of a run with finished scores; ``most`` is the number of values that a label may have.

    Raises TableError where there are no finished scores, UsageError where the documents have no column of ``within``.
    """
    record = run.finished_scores()
    sums, groups = sum_run(run, within)
    shown, folded = fold_groups(groups, most)
    funnel = read_funnel(run)
    model = hide_folders(publish_model(record))
    evaluator = fingerprint_evaluator(record["made_from"].get("model") or {})
    found = MeasurementList()
    found.add(
        "curate_run_info",
        1,
        run=name,
        model=str(model.get("model", "")),
        tokenizer=str(model.get("tokenizer") or ""),
        evaluator=evaluator,
        corpus=str(record["made_from"].get("corpus", "")),
        version=__version__,
    )
    if (when := find_last_completion(run)) is not None:
        found.add("curate_last_run_timestamp_seconds", when, run=name)
    _add_funnel(found, funnel, name, most)
    _add_sums(found, sums, name)
    for group in shown:
        _add_group(found, group, name)
    if within:
        found.add("curate_folded_domains", folded, run=name)
    check_unique(found.measurements)
    evaluations = [_evaluate(group, metric) for group in (sums, *shown) for metric in MEASURES]
    identity = flatten_identity({"model": model, "corpus": record["made_from"].get("corpus"), "version": __version__})
    pages = tuple(run.path / page for page in PAGES if (run.path / page).is_file())
    return Publication(
        "run",
        name,
        tuple(found.measurements),
        tuple(evaluations),
        evaluator,
        identity,
        pages,
        found.left_out,
        folded,
    )


def _add_funnel(measurements: MeasurementList, funnel: Funnel, name: str, most: int) -> None:
    measurements.add("curate_documents", funnel.kept, run=name, outcome="kept", reason="")
    measurements.add("curate_documents", funnel.unreadable, run=name, outcome=UNREADABLE, reason="")
    for reason, documents in _fold_reasons(funnel.rejected, most).items():
        measurements.add("curate_documents", documents, run=name, outcome="rejected", reason=reason)
    measurements.add("curate_tokens", funnel.tokens, run=name)
    measurements.add("curate_stale_tables", len(funnel.stale), run=name)


def _fold_reasons(rejected: Mapping[str, int], most: int) -> dict[str, int]:
    """Return the documents of at most ``most`` reasons, those with the fewest added up as other."""
    names = list(rejected)
    kept, folded = rank_groups([rejected[reason] for reason in names], names, most)
    shown = {names[index]: rejected[names[index]] for index in kept}
    return {**shown, OTHER: sum(rejected[names[index]] for index in folded)} if folded else shown


def _add_sums(measurements: MeasurementList, sums: GroupSums, name: str) -> None:
    measurements.add("curate_scored_documents", sums.documents, run=name)
    measurements.add("curate_scored_tokens", sums.tokens, run=name)
    measurements.add("curate_scored_bytes", sums.bytes, run=name)
    for metric in MEASURES:
        measurements.add(f"curate_{metric}", sums.measure(metric), run=name)


def _add_group(measurements: MeasurementList, group: GroupSums, name: str) -> None:
    labels = {"run": name, "domain": group.name}
    measurements.add("curate_domain_documents", group.documents, **labels)
    measurements.add("curate_domain_tokens", group.tokens, **labels)
    measurements.add("curate_domain_bytes", group.bytes, **labels)
    for metric in MEASURES:
        measurements.add(f"curate_domain_{metric}", group.measure(metric), **labels)


def _evaluate(group: GroupSums, metric: str) -> EvaluationEvent:
    value = group.measure(metric)
    return EvaluationEvent(metric, None if value != value else value, clean_label(group.name), group.documents)


def find_last_completion(run: Run) -> float | None:
    """Return when a table of a run was last completed, in seconds since 1970; None where nothing tells.

    That is the time of the newest manifest: publishing again, or carrying a further column, does not change it. Of a
    run in an object store it is the time of the object.
    """
    manifests = sorted((run.path / "manifests").glob("*.json")) or sorted(run.scores.glob("*.parquet"))
    mirror = find_mirror(run.path)
    if mirror is not None:
        names = [path.relative_to(mirror.root).as_posix() for path in manifests]
        return max(_read_object_times(mirror.url, names), default=None)
    return max((path.stat().st_mtime for path in manifests), default=None)


def _read_object_times(url: str, names: Sequence[str]) -> list[float]:
    """Return when objects were written; those of which the driver of the store says nothing are left out."""
    filesystem, root = find_filesystem(url)
    found: list[float] = []
    for name in names:
        with suppress(NotImplementedError, OSError, StorageError):
            written: Any = filesystem.modified(f"{root.rstrip('/')}/{name}")
            found.append(written.timestamp())
    return found
