"""Checks of a recipe before it runs: missing files, existing output folders, options that a verb refuses.

``curate.recipes.recipe`` checks the form of a recipe. Here the verbs check their options, and every step is checked for
inputs that neither exist nor will be written by a step before it, and for outputs that it may not overwrite.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from curate.errors import CurateError, UsageError
from curate.exports import dataset_folder
from curate.exports.stores.names import is_output_url
from curate.exports.stores.output import open_output
from curate.recipes.stage_graph import depends_on, folder_of, list_stages_read
from curate.recipes.yaml_nodes import suggest
from curate.runtime import console
from curate.runtime.disk.object_store import ObjectStore, is_store_url
from curate.runtime.text import shorten
from curate.stages.decontaminate.evalsets.opening import is_path, sort_names
from curate.stages.filter.criteria import build_recorded_criteria

if TYPE_CHECKING:
    from curate.recipes.parser import VerbFunctions
    from curate.recipes.recipe import Recipe
    from curate.recipes.stage_graph import Problem, Step
    from curate.recipes.step_records import StepRecords
    from curate.rundir.run import Run

CHECKED_BY_VERB = (
    "score",
    "filter",
    "bucket",
    "order",
    "report",
    "publish",
    "export",
    "decontaminate",
    "dedup",
    "verify",
)
"""Verbs that check their options before anything else, and only then notice that a folder is no run or is empty."""

MOST_HINT = 150
"""Characters of a verb's hint that are shown after a mistake."""


def find_preflight_problems(
    recipe: "Recipe", run: "Run", records: "StepRecords", functions: "VerbFunctions"
) -> "Iterator[Problem]":
    """Yield a problem for each step that could not work although the recipe is well formed."""
    scored = run.stage("score") is not None or any(step.verb in ("score", "merge") for step in recipe.steps)
    for step in recipe.steps:
        where = f"line {step.line}"
        if step.values.get("probe"):
            yield where, f"{step.name}: probe writes nothing that a later step reads; run it outside the recipe"
        if "score" in list_stages_read(step) and not scored:
            yield where, f"{step.name} reads scores, but {run.path} has none; begin with - score: CORPUS"
        checks = (
            _check_options(step, functions),
            _check_criterion(step),
            _check_inputs(step, recipe.steps),
            _check_merge(step, run),
            _check_export(step, recipe.steps),
            _check_output(step, records),
        )
        for error in checks:
            if error is not None:
                hint = f" ({shorten(error.hint, MOST_HINT)})" if error.hint else ""
                yield where, f"{step.name}: {error.message}{hint}"


def _check_options(step: "Step", functions: "VerbFunctions") -> UsageError | None:
    """Return what the verb itself refuses in its options.

    The verb is called on an empty folder. Errors that name the folder, and errors of other kinds, come from that.
    """
    if step.verb not in CHECKED_BY_VERB:
        return None
    left_out = {name: None for name in ("corpus", "verify") if name in step.values}
    with TemporaryDirectory(prefix="curate-check-") as folder, console.silence():
        empty = {"out": folder} if step.verb == "verify" else {"run": folder}
        empty |= {"corpus": folder} if step.verb == "score" else {}
        try:
            functions[step.verb](**{**step.values, **left_out, **empty})
        except UsageError as error:
            return None if folder in error.message else error
        except CurateError:
            return None
    return None


def _check_merge(step: "Step", run: "Run") -> UsageError | None:
    """Return an error for a merge into another directory than the run of the recipe, which the other steps read."""
    into = step.values.get("into") if step.verb == "merge" else None
    if into is None or os.path.realpath(os.path.expanduser(into)) == os.path.realpath(run.path):
        return None
    return UsageError(f"into {into} is not the run directory of the recipe, {run.path}", f"into: {run.path}")


def _check_criterion(step: "Step") -> UsageError | None:
    """Return an error for a filter without a criterion, which the verb refuses only after it has read the scores."""
    if step.verb != "filter" or step.is_read_only or step.values.get("probe"):
        return None
    try:
        criteria = build_recorded_criteria(step.values)
    except UsageError:
        return None  # ``_check_options`` reports it.
    return None if criteria else UsageError("no criterion is given", "- filter: {max-ppl: 50}")


def _check_inputs(step: "Step", steps: "Sequence[Step]") -> UsageError | None:
    """Return an error for an input that neither exists nor is an export of some step."""
    exports = {folder_of(other) for other in steps if other.verb == "export"}
    for option in ("corpus", "against", "cutoffs"):
        value = step.values.get(option) or []
        for name in value if isinstance(value, list) else [value]:
            if not is_path(name) and PurePath(name).as_posix() not in exports:
                folder = os.path.dirname(name) or "."
                neighbours = os.listdir(folder) if os.path.isdir(folder) else []
                near = suggest(name.rstrip("/"), [os.path.join(os.path.dirname(name), other) for other in neighbours])
                return UsageError(f"{option}: there is no {name}{near or ', seen from the working directory'}")
    if step.verb == "decontaminate":
        try:
            sort_names(step.values["evals"])
        except UsageError as error:
            return error
    return None


def _check_export(step: "Step", steps: "Sequence[Step]") -> UsageError | None:
    """Return an error where a step verifies an export that neither exists nor is written by a step."""
    folder = folder_of(step)
    verifies = step.verb == "verify" or (step.verb == "decontaminate" and step.is_read_only)
    if not verifies or folder is None or any(depends_on(step, other) for other in steps) or _is_there(folder):
        return None
    exports = [str(folder_of(other)) for other in steps if other.verb == "export"]
    hint = f"the recipe exports to {', '.join(exports)}" if exports else f"put - export: {folder} above it"
    return UsageError(f"there is no export {folder}, and no step writes it", hint)


def _is_there(folder: str) -> bool:
    """Return whether there is something at a path, or at the URL of an export."""
    return bool(ObjectStore(folder).list(deep=False)) if is_store_url(folder) else Path(folder).exists()


def _check_output(step: "Step", records: "StepRecords") -> UsageError | None:
    """Return an error where an export may not overwrite its folder; one that the same step wrote it may."""
    if step.verb != "export":
        return None
    try:
        if records.wrote(step):
            return None
        if is_output_url(step.values["out"]):
            open_output(step.values["out"]).check(step.values["overwrite"])
            return None
        dataset_folder.check_output_folder(Path(step.values["out"]), step.values["overwrite"])
    except UsageError as error:
        return error
    return None


def warn_of_earlier_tables(recipe: "Recipe", run: "Run") -> None:
    """Warn of tables in the run that steps read and none of them writes: an earlier recipe or a command wrote them."""
    verbs = {step.verb for step in recipe.steps}
    read = {name for step in recipe.steps for name in list_stages_read(step)} - {"score", "corpus"}
    left = [name for name in sorted(read - verbs) if run.stage(name) is not None]
    if left:
        console.warn(f"the steps will follow what is in {run.path} and none of them makes: {', '.join(left)}")
