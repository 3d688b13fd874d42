"""The steps of a recipe, run one after the other; unchanged steps are skipped."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from curate.errors import CurateError, GateError, Interrupted, TableError
from curate.recipes.parameters import write_command
from curate.recipes.recipe import dump_recipe
from curate.recipes.stage_graph import depends_on
from curate.reports.funnel import read_funnel
from curate.rundir.guards.ownership import RECIPE_NAMES
from curate.rundir.run import open_run
from curate.runtime import console
from curate.runtime.disk import files
from curate.runtime.text import quote_word

if TYPE_CHECKING:
    from curate.recipes.parser import VerbFunctions, Verbs
    from curate.recipes.recipe import Recipe
    from curate.recipes.stage_graph import Step
    from curate.recipes.step_records import StepRecords
    from curate.rundir.run import Run


@dataclass(frozen=True, slots=True)
class StepResult:
    """What became of one step of a recipe."""

    verb: str
    line: int
    parameters: Mapping[str, Any]
    command: str
    """The step as a shell command."""
    state: str
    """done or skipped; in a dry run: to do, or unchanged."""
    why: str | None
    """Why the step was not skipped; None where it was."""
    exit_code: int = 0
    result: Mapping[str, Any] | None = None
    """What the verb returned; None where it was not run."""


@dataclass(frozen=True, slots=True)
class RecipeSummary:
    """What ``run`` returns: the steps, and the funnel of the run."""

    recipe: str
    run: str
    steps: tuple[StepResult, ...]
    dry_run: bool
    funnel: Mapping[str, Any] | None
    """That of ``curate status``; None where nothing was scored."""
    shown: str = ""
    """The funnel as lines for the terminal."""

    @property
    def exit_code(self) -> int:
        """3 when rows of some step could not be read, else 0."""
        return max((step.exit_code for step in self.steps), default=0)

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "shown"}

    def render(self) -> str:
        if self.dry_run:
            return "\n".join(step.command for step in self.steps)
        return self.shown or f"done: {', '.join(step.verb for step in self.steps)}"


@dataclass(frozen=True, slots=True)
class RecipeRunner:
    """Runs the steps of one recipe over one run directory."""

    recipe: "Recipe"
    verbs: "Verbs"
    functions: "VerbFunctions"
    run: str
    records: "StepRecords"
    restart: bool
    """Whether scores that were made otherwise are thrown away."""

    def open(self) -> "Run":
        """Return the run as it is now."""
        return open_run(self.run, create=True)

    def keep(self) -> None:
        """Write the recipe with every default to ``recipe.yaml`` in the run directory."""
        run = self.open()
        run.reserve(*RECIPE_NAMES)
        run.enter()
        with files.replace_atomically(run.path / "recipe.yaml") as beside:
            beside.write_text(dump_recipe(self.recipe, self.verbs, self.run), encoding="utf-8")

    def values(self, step: "Step") -> dict[str, Any]:
        """Return the arguments that the verb is called with."""
        values = dict(step.values)
        if "run" in self.verbs[step.verb]:
            values["run"] = self.run
        if step.verb == "export" and self.records.wrote(step):
            values["overwrite"] = True
        return values

    def command(self, step: "Step") -> str:
        """Return a step as a shell command."""
        return write_command(step.verb, self.verbs[step.verb], self.values(step))

    def preview(self) -> RecipeSummary:
        """Return what would be done: a step runs also where a step runs whose output it reads."""
        run, steps, to_do = self.open(), [], list["Step"]()
        for step in self.recipe.steps:
            changed = [other.name for other in to_do if depends_on(step, other)]
            why = f"{min(changed)} is run before" if changed else self.records.why(run, step)
            if why is not None:
                to_do.append(step)
            state = "unchanged" if why is None else "to do"
            console.show(f"{step.name:<14} {state if why in (None, 'not done yet') else f'{state}: {why}'}")
            steps.append(StepResult(step.verb, step.line, step.values, self.command(step), state, why))
        return RecipeSummary(self.recipe.path, self.run, tuple(steps), True, None)

    def do(self, number: int, step: "Step") -> StepResult:
        """Run one step, the first being number 1, or skip it.

        Raises what the verb raises, with the step in the message; GateError where its exit code is neither 0 nor 3.
        """
        mark, command = f"[{number}/{len(self.recipe.steps)}]", self.command(step)
        why = self.records.why(self.open(), step)
        if why is None:
            console.show(f"{mark} {step.name:<14} unchanged, skipped")
            code = self.records.exit_code(step)
            return StepResult(step.verb, step.line, step.values, command, "skipped", None, code)
        console.show(f"{mark} {command.removeprefix('curate ')}")
        if why != "not done yet":
            console.say("again", why)
        try:
            result = self.call(step)
        except CurateError as error:
            raise self.failed(number, step, error) from error
        except KeyboardInterrupt:
            raise self.failed(number, step, Interrupted("stopped", "the same command goes on from here")) from None
        code = int(getattr(result, "exit_code", 0))
        console.show(_without_next(result.render()) + "\n")
        if code not in (0, 3):
            raise self.failed(number, step, GateError("a gate is not met", f"{command} shows why"))
        self.records.save(self.open(), step, code)
        return StepResult(step.verb, step.line, step.values, command, "done", why, code, result.as_dict())

    def call(self, step: "Step") -> Any:
        """Return what the verb returns.

        ``score`` keeps the scores of the files that a changed corpus still has. Scores are made anew where ``restart``
        allows it, and where nothing but the corpus has changed and their record, of an earlier version, does not tell
        its files apart.
        """
        verb, values = self.functions[step.verb], self.values(step)
        run = self.open()
        tells_files = "parts" in (run.stage("score") or {})
        if step.verb == "score" and not tells_files and self.records.same_but_corpus(run, step):
            console.warn("the corpus has changed since it was scored; it is scored again from the start")
            return verb(**{**values, "restart": True})
        try:
            return verb(**values)
        except TableError:
            if step.verb != "score" or not self.restart:
                raise
            return verb(**{**values, "restart": True})

    def failed(self, number: int, step: "Step", error: CurateError) -> CurateError:
        """Return the error with the step that it ended in the message, and the steps that are done in the hint."""
        steps = self.recipe.steps
        where = f"{self.recipe.path}, line {step.line}: step {number} of {len(steps)}, {step.name}"
        before = ", ".join(other.name for other in steps[: number - 1])
        kept = f"{before} {'is' if number == 2 else 'are'} done and will be skipped" if before else ""
        hint = error.hint
        if step.verb == "score" and isinstance(error, TableError):
            again = f"curate run {quote_word(str(self.recipe.path))} --restart"
            hint = f"{again} scores again; or name another run with --run"
        return type(error)(f"{where}: {error.message}", "; ".join(text for text in (hint, kept) if text) or None)

    def conclude(self, steps: Sequence[StepResult]) -> RecipeSummary:
        """Return the summary of some steps that are done, with the funnel of the run."""
        summary = RecipeSummary(self.recipe.path, self.run, tuple(steps), False, None)
        run = self.open()
        if run.stage("score") is None:
            return summary
        funnel = read_funnel(run)
        return replace(summary, funnel=funnel.as_dict(), shown=_without_next(funnel.render()))


def _without_next(text: str) -> str:
    """Return a summary without the commands that it proposes next, which the recipe runs."""
    lines = text.split("\n")
    ends = next((index for index, line in enumerate(lines) if line.startswith("next: ")), len(lines))
    return "\n".join(lines[:ends]).rstrip()
