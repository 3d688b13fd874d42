"""The verb ``run``: the steps of a recipe, one after the other, each one only where something has changed for it.

A recipe is checked whole before any work starts (``curate.recipe``), its options by the verbs themselves, too. What is
unchanged is skipped (``curate.stepbook``), so that a run that was stopped goes on by the same command.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate.errors import CurateError, GateError, Interrupted, TableError, UsageError

if TYPE_CHECKING:
    from curate.dependence import Problem, Step
    from curate.drafts import Verbs
    from curate.recipe import Recipe
    from curate.runs import Run
    from curate.stepbook import StepBook

ASKED = ("filter", "bucket", "order", "report", "export", "decontaminate", "dedup")
"""Verbs that look at their options before anything else, and then find that a folder is no run."""


@dataclass(frozen=True, slots=True)
class Done:
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
class Course:
    """What ``run`` did, step by step, and where the documents are."""

    recipe: str
    run: str
    steps: tuple[Done, ...]
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


def run(
    recipe: Annotated[str, typer.Argument(help="A recipe: YAML, a list of verbs with their options.")],
    run: Annotated[str | None, typer.Option(help="Run directory, before the recipe's own.  [default: curated]")] = None,
    set: Annotated[
        list[str] | None, typer.Option(help="Another value for one option, as in filter.max-ppl=60; repeatable.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the recipe, print its shell commands, and do nothing.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Where the scores were made otherwise, throw them away and score again.")
    ] = False,
) -> Course:
    """Run the steps of a recipe, after checking it whole; steps whose inputs have not changed are skipped.

    Every mistake is told with its line before any work starts (UsageError). A step is skipped when its parameters, what
    it reads and what it left are as they were. The run directory keeps the recipe with all defaults as ``recipe.yaml``.
    A step that fails ends the run with its own error and exit code; the same command goes on from there. An export that
    a step wrote itself is replaced when it changes; scores that were made otherwise are replaced only by ``restart``,
    or when nothing but the corpus has changed, which makes them useless.
    """
    from curate import recipe as recipes
    from curate import runs
    from curate.stepbook import StepBook

    verbs = read_signatures()
    checked = recipes.read_recipe(recipe, verbs, set or ())
    place = runs.open_run(run or checked.run or runs.DEFAULT_RUN, create=True)
    book = StepBook(place.path)
    problems = list(_find_refused(checked, place, book))
    if problems:
        raise recipes.refusal(recipe, problems, "mend the recipe; nothing was started")
    work = Work(checked, verbs, place.path.as_posix(), book, restart)
    if dry_run:
        return work.preview()
    work.keep()
    steps = tuple(work.do(number, step) for number, step in enumerate(checked.steps, start=1))
    return work.conclude(steps)


def read_signatures() -> "Verbs":
    """What every verb takes that a recipe may name."""
    import curate
    from curate.signatures import parameters_of

    return {verb: parameters_of(getattr(curate, verb)) for verb in curate.VERBS if verb != "run"}


# Before any work.


def _find_refused(recipe: "Recipe", place: "Run", book: "StepBook") -> "Iterator[Problem]":
    """What is a recipe, and yet cannot work: no scores, an option without a meaning, a folder that is taken."""
    from curate.dependence import reads

    scored = place.stage("score") is not None or any(step.verb == "score" for step in recipe.steps)
    for step in recipe.steps:
        where = f"line {step.line}"
        if step.values.get("probe"):
            yield where, f"{step.name}: probe decides nothing that a later step reads; run it beside the recipe"
        if "score" in reads(step) and not scored:
            yield where, f"{step.name} reads scores, but {place.path} has none; begin with - score: CORPUS"
        for error in (_ask(step), _check_place(step, book)):
            if error is not None:
                yield where, f"{step.name}: {error.message}" + (f" ({error.hint})" if error.hint else "")


def _ask(step: "Step") -> UsageError | None:
    """What the verb itself says of its options, asked about a run that is not there."""
    from tempfile import TemporaryDirectory

    import curate
    from curate import console

    if step.verb not in ASKED:
        return None
    unnamed = {name: None for name in ("corpus", "verify") if name in step.values}
    with TemporaryDirectory(prefix="curate-ask-") as folder, console.silence():
        try:
            getattr(curate, step.verb)(**{**step.values, **unnamed}, run=folder)
        except UsageError as error:
            return error
        except CurateError:
            return None
    return None


def _check_place(step: "Step", book: "StepBook") -> UsageError | None:
    """Whether a folder may be written; one that the same step left may always be."""
    from pathlib import Path

    if step.verb != "export" or book.wrote(step):
        return None
    from curate import dataset

    try:
        dataset.check_place(Path(step.values["out"]), step.values["overwrite"])
    except UsageError as error:
        return error
    return None


# The steps.


@dataclass(frozen=True, slots=True)
class Work:
    """One recipe on its way through one run directory."""

    recipe: "Recipe"
    verbs: "Verbs"
    run: str
    book: "StepBook"
    restart: bool

    def open(self) -> "Run":
        from curate import runs

        return runs.open_run(self.run, create=True)

    def keep(self) -> None:
        """Leave the recipe with every default in the run directory."""
        from pathlib import Path

        from curate import recipe, tables

        with tables.replacing(Path(self.run) / "recipe.yaml") as beside:
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
        from curate.signatures import write_command

        return write_command(step.verb, self.verbs[step.verb], self.values(step))

    def preview(self) -> Course:
        """What would be done: a step runs, too, when one runs that it reads from."""
        from curate import console
        from curate.dependence import follows, reads

        place, steps, moved = self.open(), [], set[str]()
        for step in self.recipe.steps:
            above = moved & {*reads(step), *follows(step)}
            why = f"{min(above).replace('_', '-')} is run before" if above else self.book.why(place, step)
            if why is not None and not step.looks:
                moved.add(step.verb)
            state = "unchanged" if why is None else "to do"
            console.say(step.name, state if why in (None, "not done yet") else f"{state}: {why}")
            steps.append(Done(step.verb, step.line, step.values, self.command(step), state, why))
        return Course(self.recipe.path, self.run, tuple(steps), True, None)

    def do(self, number: int, step: "Step") -> Done:
        """Run one step, or skip it; what it raises names the step."""
        from curate import console

        mark, command = f"[{number}/{len(self.recipe.steps)}]", self.command(step)
        why = self.book.why(self.open(), step)
        if why is None:
            console.show(f"{mark} {step.name:<14} unchanged, skipped")
            code = self.book.exit_code(step)
            return Done(step.verb, step.line, step.values, command, "skipped", None, code)
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
        return Done(step.verb, step.line, step.values, command, "done", why, code, result.as_dict())

    def call(self, step: "Step") -> Any:
        """Call the verb; where it refuses to go on with what it finds, begin again if that is what was asked."""
        import curate
        from curate import console

        verb, values = getattr(curate, step.verb), self.values(step)
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

    def conclude(self, steps: Sequence[Done]) -> Course:
        """The funnel of the run, as it stands."""
        import curate

        course = Course(self.recipe.path, self.run, tuple(steps), False, None)
        if self.open().stage("score") is None:
            return course
        funnel = curate.status(self.run)
        return replace(course, funnel=funnel.as_dict(), shown=_without_next(funnel.render()))


def _without_next(text: str) -> str:
    """A summary without the commands that it proposes next: the recipe knows them."""
    lines = text.split("\n")
    ends = next((place for place, line in enumerate(lines) if line.startswith("next: ")), len(lines))
    return "\n".join(lines[:ends]).rstrip()
