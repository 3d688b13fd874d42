"""``curate run``: the steps of a recipe, one after the other, each one only where something has changed for it.

All of a recipe is checked before any work starts (``curate.recipes.recipe``), and the verbs check their options. What
is unchanged is skipped (``curate.recipes.step_records``), so that the same command resumes a run that was stopped.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from curate.runtime.options import as_list, verb_function
from curate.runtime.text import DEFAULT_RUN
from curate.verbs import VERBS, load_verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from curate.recipes.parser import VerbFunctions
    from curate.recipes.runner import RecipeSummary
    from curate.recipes.stage_graph import Step
    from curate.runtime.work.engines import EngineOptions


@verb_function()
def run(
    recipe: Annotated[str, typer.Argument(help="Recipe: a YAML file with a list of verbs and their options.")],
    run: Annotated[str | None, typer.Option(help="Run directory, instead of the recipe's.  [default: curated]")] = None,
    set: Annotated[
        list[str] | str | None,
        typer.Option(help="Another value for one option, as in filter.max-ppl=60; repeatable."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the recipe, print its shell commands, and do nothing.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard scores that were made with other options, and score again.")
    ] = False,
) -> "RecipeSummary":
    """Run the steps of a recipe, after checking all of it, and return what each step did; unchanged steps are skipped.

    A step is skipped when its parameters, what it reads and what it wrote are unchanged. The run directory keeps the
    recipe with all defaults as ``recipe.yaml``. An error ends the run with the step's error and exit code; the same
    command goes on from there. An export that a step wrote itself is replaced when it changes; scores that were made
    with other options are replaced only by ``restart``, or when only the corpus has changed, which makes them useless.

    Raises UsageError with every mistake of the recipe and its line, before any work starts, and the errors of the
    verbs.
    """
    from curate.recipes import preflight
    from curate.recipes.parameters import read_parameters
    from curate.recipes.recipe import FIX_HINT, make_refusal, read_recipe
    from curate.recipes.runner import RecipeRunner
    from curate.recipes.step_records import StepRecords
    from curate.rundir.guards.claims import open_claimed
    from curate.rundir.guards.ownership import RECIPE_NAMES, VERB_TO_NAMES
    from curate.rundir.run import open_run
    from curate.runtime.disk.claims import fetch_resources
    from curate.runtime.disk.mirrors import spell_place
    from curate.runtime.work.engines import keep_connection

    functions = load_functions()
    verbs = {verb: read_parameters(function) for verb, function in functions.items()}
    checked = read_recipe(recipe, verbs, as_list(set))
    named = checked.run if run is None else run
    folder = DEFAULT_RUN if named is None else named
    opened = open_run(folder, create=True) if dry_run else open_claimed(folder, "run", create=True)
    fetch_resources(opened.path, (".",))  # each step is asked for its output
    for step in checked.steps:
        opened.reserve(*RECIPE_NAMES, *VERB_TO_NAMES.get(step.verb, ()))
    book = StepRecords(opened.path)
    problems = list(preflight.find_preflight_problems(checked, opened, book, functions))
    if problems:
        raise make_refusal(recipe, problems, FIX_HINT)
    preflight.warn_of_earlier_tables(checked, opened)
    work = RecipeRunner(checked, verbs, functions, spell_place(opened.path.as_posix()), book, restart)
    if dry_run:
        return work.preview()
    work.keep()
    to_do = [step for step in checked.steps if book.why(opened, step) is not None]
    with keep_connection(find_engine(to_do)):
        steps = tuple(work.do(number, step) for number, step in enumerate(checked.steps, start=1))
    return work.conclude(steps)


def find_engine(steps: "Sequence[Step]") -> "EngineOptions | None":
    """Return the options of the engine of the first step that has one; None where all work on this machine alone."""
    from curate.runtime.work.engines import choose_engine

    for step in steps:
        if step.values.get("engine") == "ray":
            address, workers = step.values.get("address"), step.values.get("workers")
            return choose_engine("ray", address, workers, cpus_per_worker=step.values.get("cpus_per_worker"))
    return None


def load_functions() -> "VerbFunctions":
    """Return the functions of the verbs that a recipe may name, by name."""
    return {verb: load_verb(verb) for verb in VERBS if verb != "run"}
