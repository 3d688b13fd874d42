"""The command line, made from the signatures of the verbs: one command a verb, its parameters the options.

Data go to stdout (with ``--json`` one JSON object), everything else to stderr. An error that a user can mend is one
line ``error:`` and one line ``hint:``; a bug keeps its traceback.
"""

import functools
import inspect
import json
import sys
from collections.abc import Callable
from typing import Annotated, Any, get_args

import typer

from curate.errors import CurateError
from curate.runtime import console
from curate.runtime.numbers import make_jsonable
from curate.runtime.options import on_command_line, option_of, renamed_options
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
    """Return how the command of a verb is typed: ``train-reference`` for ``train_reference``."""
    return verb.replace("_", "-")


def command(verb: Callable[..., Any]) -> Callable[..., None]:
    """Return a function that typer can read: it takes the verb's parameters and ``--json``, and prints the result.

    Old names of parameters become hidden options.
    """
    renamed = renamed_options(verb)

    @functools.wraps(verb)
    def run(_context: typer.Context, *, json: bool = False, **options: Any) -> None:
        console.enable()
        for old, new in renamed.items():
            # So that only what was typed counts as given: an old name is refused next to its new one.
            for name in (old, new):
                if not _is_typed(_context, name):
                    options.pop(name)
        with_errors(lambda: show(verb(**options), json))

    parameters = [one.replace(annotation=on_command_line(one.annotation)) for one in _parameters_of(verb)]
    context = inspect.Parameter("_context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    extra = inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=JsonOption)
    signature = inspect.Signature([context, *parameters, extra])
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {name: one.annotation for name, one in signature.parameters.items()}
    run.__doc__ = _describe(verb)
    return run


def _describe(verb: Callable[..., Any]) -> str:
    """The docstring of a verb without the paragraph on the exceptions, which are lines and exit codes here."""
    paragraphs = (inspect.getdoc(verb) or "").split("\n\n")
    return "\n\n".join(one for one in paragraphs if not one.startswith("Raises "))


def _parameters_of(verb: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a verb as keywords, then its old names as hidden options that are not given."""
    found = inspect.signature(verb).parameters
    hidden = [
        found[new].replace(name=old, default=None, annotation=_hide(old, found[new].annotation))
        for old, new in renamed_options(verb).items()
    ]
    return [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*found.values(), *hidden)]


def _is_typed(context: typer.Context, name: str) -> bool:
    """Whether an option was typed. By name, since typer has a copy of click's enumeration in some versions."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _hide(old: str, annotation: Any) -> Any:
    """The annotation of an option that works and that ``--help`` does not show."""
    kind = get_args(annotation)[0]
    return Annotated[kind | None, typer.Option(option_of(old), hidden=True)]


def show(result: Any, as_json: bool) -> None:
    """Print a result, and exit with its exit code, or 0 where it has none."""
    text = json.dumps(make_jsonable(result.as_dict()), ensure_ascii=False) if as_json else result.render()
    print(text, flush=True)
    raise typer.Exit(getattr(result, "exit_code", 0))


def with_errors(work: Callable[[], None]) -> None:
    """Call ``work``, and turn our errors and an interrupt into lines on stderr and exit codes."""
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
        sys.stderr.close()  # the reader of our output has gone, and nobody reads an error
        raise typer.Exit(1) from None


def version(given: bool) -> None:
    """Print the version and exit, where ``--version`` was typed."""
    if given:
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
