"""What can be told of a recipe before any of its work: a step that could not do what it is asked, on this machine, now.

The form of a recipe is checked by ``curate.recipes.recipe``; here the verbs are asked about their options, and it is
looked whether what they read is there, or will be, and whether where they write is free.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from curate.errors import CurateError, UsageError

if TYPE_CHECKING:
    from curate.recipes.parser import VerbFunctions
    from curate.recipes.recipe import Recipe
    from curate.recipes.stage_graph import Problem, Step
    from curate.recipes.step_records import StepRecords
    from curate.rundir.run import Run

ASKED = ("filter", "bucket", "order", "report", "export", "decontaminate", "dedup", "verify")
"""Verbs that look at their options before anything else, and then find that a folder is no run."""

MOST_HINT = 150
"""Characters of a verb's own hint that are shown beside a mistake."""


def find_refused(recipe: "Recipe", run: "Run", book: "StepRecords", functions: "VerbFunctions") -> "Iterator[Problem]":
    """What is a recipe, and yet cannot work: no scores, an option without a meaning, a folder that is taken."""
    from curate.recipes.stage_graph import reads
    from curate.runtime.text import shorten

    scored = run.stage("score") is not None or any(step.verb == "score" for step in recipe.steps)
    for step in recipe.steps:
        where = f"line {step.line}"
        if step.values.get("probe"):
            yield where, f"{step.name}: probe decides nothing that a later step reads; run it beside the recipe"
        if "score" in reads(step) and not scored:
            yield where, f"{step.name} reads scores, but {run.path} has none; begin with - score: CORPUS"
        checks = (_check_named(step, recipe.steps), _check_export(step, recipe.steps), _check_place(step, book))
        for error in (_ask(step, functions), *checks):
            if error is not None:
                hint = f" ({shorten(error.hint, MOST_HINT)})" if error.hint else ""
                yield where, f"{step.name}: {error.message}{hint}"


def _ask(step: "Step", functions: "VerbFunctions") -> UsageError | None:
    """What the verb itself says of its options, asked about a run that is not there."""
    from tempfile import TemporaryDirectory

    from curate.runtime import console

    if step.verb not in ASKED:
        return None
    unnamed = {name: None for name in ("corpus", "verify") if name in step.values}
    with TemporaryDirectory(prefix="curate-ask-") as folder, console.silence():
        place = {"out": folder} if step.verb == "verify" else {"run": folder}
        try:
            functions[step.verb](**{**step.values, **unnamed, **place})
        except UsageError as error:
            return None if folder in error.message else error
        except CurateError:
            return None
    return None


def _check_place(step: "Step", book: "StepRecords") -> UsageError | None:
    """Whether a folder may be written; one that the same step left may always be."""
    from pathlib import Path

    if step.verb != "export" or book.wrote(step):
        return None
    from curate.exports import dataset_folder

    try:
        dataset_folder.check_place(Path(step.values["out"]), step.values["overwrite"])
    except UsageError as error:
        return error
    return None


def _check_named(step: "Step", steps: "Sequence[Step]") -> UsageError | None:
    """Whether what a step is to read is there, as far as this machine can tell, or will be an export above it."""
    import os
    from pathlib import PurePath

    from curate.recipes.stage_graph import folder_of
    from curate.recipes.yaml_nodes import suggest
    from curate.stages.decontaminate.evalsets.opening import is_path, sort_names

    made = {folder_of(one) for one in steps if one.verb == "export"}
    for option in ("corpus", "against", "cutoffs"):
        value = step.values.get(option) or []
        for name in value if isinstance(value, list) else [value]:
            if not is_path(name) and PurePath(name).as_posix() not in made:
                folder = os.path.dirname(name) or "."
                beside = os.listdir(folder) if os.path.isdir(folder) else []
                near = suggest(name.rstrip("/"), [os.path.join(os.path.dirname(name), one) for one in beside])
                return UsageError(f"{option}: there is no {name}{near or ', seen from the working directory'}")
    try:
        sort_names(step.values["evals"]) if step.verb == "decontaminate" else None
    except UsageError as error:
        return error
    return None


def _check_export(step: "Step", steps: "Sequence[Step]") -> UsageError | None:
    """Whether there is, or will be, an export where a step wants to verify one."""
    from pathlib import Path

    from curate.recipes.stage_graph import depends, folder_of

    folder = folder_of(step)
    looks = step.verb == "verify" or (step.verb == "decontaminate" and step.looks)
    if not looks or folder is None or Path(folder).exists() or any(depends(step, one) for one in steps):
        return None
    made = [str(folder_of(one)) for one in steps if one.verb == "export"]
    hint = f"the recipe exports to {', '.join(made)}" if made else f"put - export: {folder} above it"
    return UsageError(f"there is no export {folder}, and no step writes it", hint)


def warn_of_others(recipe: "Recipe", run: "Run") -> None:
    """Tell of tables that an earlier recipe or a hand has left in the run, where a step will follow them."""
    from curate.recipes.stage_graph import reads
    from curate.runtime import console

    made = {step.verb for step in recipe.steps}
    read = {name for step in recipe.steps for name in reads(step)} - {"score", "corpus"}
    left = [name for name in sorted(read - made) if run.stage(name) is not None]
    if left:
        console.warn(f"the steps will follow what is in {run.path} and none of them makes: {', '.join(left)}")
