"""The command line, made from the signatures of the verbs: one command a verb, its parameters the options.

Data go to stdout (with ``--json`` one JSON object), everything else to stderr. An error of the user's world is one line
``error:`` and one line ``hint:``; a bug keeps its traceback.
"""

import functools
import inspect
import json
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from curate.errors import CurateError
from curate.runtime import console
from curate.runtime.numbers import finite
from curate.runtime.version import __version__
from curate.verbs import VERBS, load_verb

app = typer.Typer(
    name="curate",
    help="Decide which text to train on, by the numbers of a reference language model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout instead of the summary.")]


def command_name(verb: str) -> str:
    """The command of a verb: ``train_reference`` is typed ``train-reference``."""
    return verb.replace("_", "-")


def command(verb: Callable[..., Any]) -> Callable[..., None]:
    """A function that typer can read: the verb's own parameters and ``--json``; it prints what the verb returns."""

    @functools.wraps(verb)
    def run(*, json: bool = False, **options: Any) -> None:
        console.enable()
        with_errors(lambda: show(verb(**options), json))

    signature = inspect.signature(verb)
    extra = inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=JsonOption)
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), extra], return_annotation=None
    )
    run.__annotations__ = {**verb.__annotations__, "json": JsonOption, "return": None}
    run.__doc__ = inspect.getdoc(verb)
    return run


def show(result: Any, as_json: bool) -> None:
    """Print a result; the exit code is the result's own, where it has one."""
    text = json.dumps(finite(result.as_dict()), ensure_ascii=False) if as_json else result.render()
    print(text, flush=True)
    raise typer.Exit(getattr(result, "exit_code", 0))


def with_errors(work: Callable[[], None]) -> None:
    """Run, and turn errors of the user's world into lines and exit codes."""
    try:
        work()
    except CurateError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint:  {error.hint}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        print("stopped.", file=sys.stderr)
        raise typer.Exit(130) from None
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; there is nobody to tell
        raise typer.Exit(1) from None


def version(wanted: bool) -> None:
    if wanted:
        print(f"curate {__version__}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Decide which text to train on, by the numbers of a reference language model."""


for _verb in VERBS:
    app.command(name=command_name(_verb))(command(load_verb(_verb)))
