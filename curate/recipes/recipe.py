"""Recipes: a YAML list of verbs with their options, read and checked completely before any work starts.

    description: both tails cut, then a dataset        (optional, as are run, engine and redact)
    run: curated
    engine: {address: auto, workers: 8}                workers of Ray, for the steps that have an engine
    redact: default                                    labels for personal data, in all steps that show or write text
    steps:
      - score: recipes/sample                          a verb with its argument
      - dedup                                          a verb with its defaults
      - filter: {max-ppl: 200, min_zlib: 0.2}          a verb with options; - and _ are the same
      - export: {out: out, format: parquet}            an argument by its name

A list of steps alone is a recipe, too. A value is read from its characters as the command line reads it, and not as in
YAML 1.1, where ``10:60`` is 660 and ``1e-3`` a text; ``null`` leaves an option at its default. Paths are
relative to the working directory, as on the command line. A recipe runs no other recipe, so that none can loop.
"""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from curate.errors import UsageError
from curate.recipes.parser import RecipeParser, Verbs
from curate.recipes.stage_graph import Problem, Step, check_sequence
from curate.recipes.yaml_nodes import EXAMPLE, compose, find_foreign, read_text

MOST_SHOWN = 10
"""Mistakes that an error lists."""
FIX_HINT = "correct the recipe; nothing was started"
HEAD = "# Written by curate run: a recipe with every default filled in. Run again, it does what is left to do.\n"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe that was checked."""

    path: str
    run: str | None
    """The run directory; None where the recipe names none."""
    description: str | None
    steps: tuple[Step, ...]


def read_recipe(path: str, verbs: Verbs, settings: Sequence[str] = ()) -> Recipe:
    """Return the recipe in a file, checked.

    ``settings`` replace single values, as in ``filter.max-ppl=60`` or ``2.max-ppl=60``, and are checked like them.
    Raises UsageError with up to MOST_SHOWN mistakes, each with its line.
    """
    parser = RecipeParser(verbs)
    root = compose(path, read_text(path))
    for problem in find_foreign(root):
        parser.problems.append(problem)
    run, description, parsed = parser.read_top(root)
    parser.apply_settings(settings, parsed)
    steps = tuple(parser.finish(step) for step in parsed)
    hint = parser.hint() if parser.problems or not steps else FIX_HINT
    parser.problems += check_sequence(steps)
    if not steps and not parser.problems:
        parser.problems.append(("line 1", f"there are no steps, as in {EXAMPLE}"))
    if parser.problems:
        raise make_refusal(path, parser.problems, hint)
    return Recipe(path, run, description, steps)


def make_refusal(path: str, problems: Sequence[Problem], hint: str) -> UsageError:
    """Return the error for some mistakes: one on one line, several as a list ordered by line."""
    if len(problems) == 1:
        return UsageError(f"{path}, {problems[0][0]}: {problems[0][1]}", hint)
    ordered = sorted(problems, key=lambda problem: (not problem[0].startswith("line "), _parse_line(problem[0])))
    lines = [f"{path} has {len(problems)} mistakes; nothing was started"]
    for where, what in ordered[:MOST_SHOWN]:
        lines += textwrap.wrap(f"{where:<9} {what}", 96, initial_indent="  ", subsequent_indent=" " * 12)
    if len(problems) > MOST_SHOWN:
        lines.append(f"  and {len(problems) - MOST_SHOWN} more")
    return UsageError("\n".join(lines), hint)


def _parse_line(where: str) -> int:
    digits = re.search(r"^line (\d+)", where)
    return int(digits[1]) if digits else 0


def dump_recipe(recipe: Recipe, verbs: Verbs, run: str) -> str:
    """Return the recipe as YAML with every default filled in; ``read_recipe`` reads it as the same steps."""

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]
        def ignore_aliases(self, data: object) -> bool:
            return True  # the same list twice is written twice

    top = {} if recipe.description is None else {"description": recipe.description}
    steps = [
        {step.name: {verbs[step.verb][name].option: value for name, value in step.values.items()} or None}
        for step in recipe.steps
    ]
    content = {**top, "run": run, "steps": steps}
    text: str = yaml.dump(content, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)
    return HEAD + text
