"""The steps of a recipe, run one after the other; unchanged steps are skipped."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from curate.errors import CurateError, GateError, Interrupted, TableError

if TYPE_CHECKING:
    from curate.recipes.parser import VerbFunctions, Verbs
    from curate.recipes.recipe import Recipe
    from curate.recipes.stage_graph import Step
    from curate.recipes.step_records import StepRecords
    from curate.rundir.run import Run


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step of a recipe."""

    verb: str
    line: int
    parameters: Mapping[str, Any]
    command: str
    """The same as a shell command."""
    state: str
    """done or skipped; of a dry run: to do, or unchanged."""
    why: str | None
    """Why it was not skipped."""
    exit_code: int = 0
    result: Mapping[str, Any] | None = None
    """What the verb returned; None where it was not run."""


@dataclass(frozen=True, slots=True)
class RecipeSummary:
    """What ``run`` did, step by step, and where the documents are."""

    recipe: str
    run: str
    steps: tuple[StepResult, ...]
    dry_run: bool
    funnel: Mapping[str, Any] | None
    """That of ``curate status``; None where nothing was scored."""
    shown: str = ""
    """The funnel as a person reads it."""

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


# The steps.


@dataclass(frozen=True, slots=True)
class RecipeRunner:
    """One recipe on its way through one run directory."""

    recipe: "Recipe"
    verbs: "Verbs"
    functions: "VerbFunctions"
    run: str
    book: "StepRecords"
    restart: bool

    def open(self) -> "Run":
        from curate.rundir.run import open_run

        return open_run(self.run, create=True)

    def keep(self) -> None:
        """Leave the recipe with every default in the run directory."""
        from pathlib import Path

        from curate.recipes import recipe
        from curate.runtime import files

        with files.replacing(Path(self.run) / "recipe.yaml") as beside:
            beside.write_text(recipe.fill_in(self.recipe, self.verbs, self.run), encoding="utf-8")

    def values(self, step: "Step") -> dict[str, Any]:
        """What the verb is called with."""
        found = dict(step.values)
        if "run" in self.verbs[step.verb]:
            found["run"] = self.run
        if step.verb == "export" and self.book.wrote(step):
            found["overwrite"] = True
        return found

    def command(self, step: "Step") -> str:
        from curate.recipes.parameters import write_command

        return write_command(step.verb, self.verbs[step.verb], self.values(step))

    def preview(self) -> RecipeSummary:
        """What would be done: a step runs, too, when one runs that it reads from."""
        from curate.recipes.stage_graph import depends
        from curate.runtime import console

        place, steps, moved = self.open(), [], list["Step"]()
        for step in self.recipe.steps:
            above = [one.name for one in moved if depends(step, one)]
            why = f"{min(above)} is run before" if above else self.book.why(place, step)
            if why is not None:
                moved.append(step)
            state = "unchanged" if why is None else "to do"
            console.show(f"{step.name:<14} {state if why in (None, 'not done yet') else f'{state}: {why}'}")
            steps.append(StepResult(step.verb, step.line, step.values, self.command(step), state, why))
        return RecipeSummary(self.recipe.path, self.run, tuple(steps), True, None)

    def do(self, number: int, step: "Step") -> StepResult:
        """Run one step, or skip it; what it raises names the step."""
        from curate.runtime import console

        mark, command = f"[{number}/{len(self.recipe.steps)}]", self.command(step)
        why = self.book.why(self.open(), step)
        if why is None:
            console.show(f"{mark} {step.name:<14} unchanged, skipped")
            code = self.book.exit_code(step)
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
        self.book.save(self.open(), step, code)
        return StepResult(step.verb, step.line, step.values, command, "done", why, code, result.as_dict())

    def call(self, step: "Step") -> Any:
        """Call the verb; where it refuses to go on with what it finds, begin again if that is what was asked."""
        from curate.runtime import console

        verb, values = self.functions[step.verb], self.values(step)
        if step.verb == "score" and self.book.same_but_corpus(self.open(), step):
            console.warn("the corpus has changed since it was scored; it is scored again from its beginning")
            return verb(**{**values, "restart": True})
        try:
            return verb(**values)
        except TableError:
            if step.verb != "score" or not self.restart:
                raise
            return verb(**{**values, "restart": True})

    def failed(self, number: int, step: "Step", error: CurateError) -> CurateError:
        """The error with the step that it ended, and what is done."""
        steps = self.recipe.steps
        where = f"{self.recipe.path}, line {step.line}: step {number} of {len(steps)}, {step.name}"
        before = ", ".join(one.name for one in steps[: number - 1])
        kept = f"{before} {'is' if number == 2 else 'are'} done and will be skipped" if before else ""
        hint = error.hint
        if step.verb == "score" and isinstance(error, TableError):
            hint = f"curate run {self.recipe.path} --restart scores again; or name another run with --run"
        return type(error)(f"{where}: {error.message}", "; ".join(one for one in (hint, kept) if one) or None)

    def conclude(self, steps: Sequence[StepResult]) -> RecipeSummary:
        """The funnel of the run, as it stands."""
        from curate.reports.funnel import read_funnel

        course = RecipeSummary(self.recipe.path, self.run, tuple(steps), False, None)
        run = self.open()
        if run.stage("score") is None:
            return course
        funnel = read_funnel(run)
        return replace(course, funnel=funnel.as_dict(), shown=_without_next(funnel.render()))


def _without_next(text: str) -> str:
    """A summary without the commands that it proposes next: the recipe knows them."""
    lines = text.split("\n")
    ends = next((place for place, line in enumerate(lines) if line.startswith("next: ")), len(lines))
    return "\n".join(lines[:ends]).rstrip()
