"""The command line, made from the signatures of the verbs: one command a verb, its parameters the options.

Data go to stdout (with ``--json`` one JSON object), everything else to stderr. An error that a user can mend is one
line ``error:`` and one line ``hint:``; a bug keeps its traceback.
"""

import copy
import difflib
import functools
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import ParameterInfo

from curate.errors import CurateError, Interrupted, UsageError
from curate.recipes.parameters import Parameter, read_parameters
from curate.runtime import calls, console, streams
from curate.runtime.disk.files import describe_os_error
from curate.runtime.numbers import make_jsonable
from curate.runtime.options import option_of, renamed_options, signature_of, takes_commas
from curate.runtime.version import __version__
from curate.runtime.work import interrupts
from curate.verbs import VERBS, load_verb

MISTAKE: type[Any] = typer.BadParameter.__mro__[1]
"""What typer raises for options and arguments that it refuses: click's UsageError or typer's copy of it."""
METAVARS = {str: "TEXT", int: "INT", float: "NUMBER"}


class CommandLine(TyperGroup):
    """All commands. What typer refuses is printed as our own errors are."""

    def main(self, *args: Any, **options: Any) -> Any:
        streams.open_streams()
        with streams.guard_streams(), interrupts.stop_on_signals():
            return super().main(*args, **options)

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        if not args:
            streams.print_message(ctx.get_help())
            raise typer.Exit(UsageError.exit_code)
        with print_errors(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        with print_errors(ctx):
            return super().invoke(ctx)


class VerbCommand(TyperCommand):
    """The command of a verb. ``--help`` shows its arguments by their names alone, without a type."""

    def format_options(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        records: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                records[parameter.param_type_name].append(record)
        records["argument"] = [(name.split()[0], text) for name, text in records["argument"]]
        for title, rows in zip(("Arguments", "Options"), records.values(), strict=True):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


app = typer.Typer(
    name="curate",
    cls=CommandLine,
    help="Decide which text to train on, by the numbers of a reference language model.",
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
        with calls.typed_with(*(["--json"] if json else [])):
            found = verb(**options)
        show(found, json)

    context = inspect.Parameter("_context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    extra = inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=JsonOption)
    signature = inspect.Signature([context, *_parameters_of(verb), extra])
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {name: one.annotation for name, one in signature.parameters.items()}
    run.__doc__ = _describe(verb)
    return run


def _describe(verb: Callable[..., Any]) -> str:
    """The docstring of a verb for ``--help``.

    Without the paragraph on the exceptions, which are lines and exit codes here, and with options for parameters.
    """
    parameters = read_parameters(verb)

    def spell(match: re.Match[str]) -> str:
        text = match[1]
        if text not in parameters:
            return text if text.startswith("--") else f"'{text}'"
        return text.upper() if parameters[text].argument else f"--{parameters[text].option}"

    paragraphs = (inspect.getdoc(inspect.unwrap(verb)) or "").split("\n\n")
    kept = "\n\n".join(one for one in paragraphs if not one.startswith("Raises "))
    return re.sub(r"``(.+?)``", spell, kept, flags=re.DOTALL)


def _parameters_of(verb: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a verb as keywords, then its old names as hidden options that are not given."""
    written, read = signature_of(verb).parameters, read_parameters(verb)
    hint = f"curate {command_name(verb.__name__)} --help"
    typed = [
        one.replace(annotation=_as_option(one, read[name], hint), default=_as_default(one))
        for name, one in written.items()
    ]
    hidden = [
        written[new].replace(name=old, default=None, annotation=_as_option(written[new], read[new], hint, old))
        for old, new in renamed_options(verb).items()
    ]
    return [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*typed, *hidden)]


def _as_default(written: inspect.Parameter) -> Any:
    """The default of a parameter as typer wants it: a list for words that may be typed in several options."""
    is_list = takes_commas(written.annotation) and isinstance(written.default, str)
    return [written.default] if is_list else written.default


def _as_option(written: inspect.Parameter, parameter: Parameter, hint: str, old: str | None = None) -> Any:
    """The annotation from which typer makes the option of a parameter, with its type and the reading of its values.

    With ``old`` an option of this name that works and that ``--help`` does not show.
    """
    given = next(one for one in written.annotation.__metadata__ if isinstance(one, ParameterInfo))
    info = copy.copy(given) if old is None else typer.Option(option_of(old), hidden=True)
    if parameter.kind is bool:
        return Annotated[bool, info]
    shown = option_of(old) if old else parameter.name.upper() if parameter.argument else f"--{parameter.option}"
    info.metavar = _metavar(parameter)
    info.parser = functools.partial(_read, parameter, shown, hint)
    # Words with commas may be typed in several options, which the verb joins: the last one alone would win unseen.
    return Annotated[(list[str] if parameter.many or takes_commas(written.annotation) else str) | None, info]


def _metavar(parameter: Parameter) -> str:
    """What stands for the value in ``--help``."""
    if parameter.argument:
        return parameter.name.upper()
    return f"<{'|'.join(parameter.choices)}>" if parameter.choices else METAVARS[parameter.kind]


def _read(parameter: Parameter, shown: str, hint: str, value: Any) -> Any:
    """The value of an option from its text; a default comes as it is. Raises UsageError for a text that is no value."""
    if not isinstance(value, str):
        return value
    if not _is_unicode(value):
        written = value.encode("utf-8", "backslashreplace").decode()
        raise UsageError(f"{shown} must be UTF-8, not {written}; curate records names as text", hint)
    try:
        return parameter.read(value)
    except ValueError:
        raise UsageError(f"{shown} must be {parameter.expected()}, not {value}", hint) from None


def _is_unicode(value: str) -> bool:
    """Return whether a text has no bytes that Python could not decode, as names of files may."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_typed(context: typer.Context, name: str) -> bool:
    """Whether an option was typed. By name, since typer has a copy of click's enumeration in some versions."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def show(result: Any, as_json: bool) -> None:
    """Print a result, and exit with its exit code, or 0 where it has none."""
    if as_json:
        value = make_jsonable(result.as_dict())
        text = streams.escape_json(json.dumps(value, ensure_ascii=False))
        text = text if streams.is_encodable(text) else json.dumps(value)
    else:
        text = result.render()
    streams.print_result(text)
    raise typer.Exit(getattr(result, "exit_code", 0))


@contextmanager
def print_errors(context: typer.Context) -> Iterator[None]:
    """Turn our errors, those of typer and an interrupt into lines on stderr and exit codes.

    ``context`` is that of all commands; it knows which one was typed.
    """
    try:
        try:
            yield
        except (CurateError, MISTAKE) as caught:
            if interrupts.is_stopping() and not isinstance(caught, Interrupted):
                _end_stopped()
            words = _command_words(context)
            print_error(caught if isinstance(caught, CurateError) else explain_mistake(caught, words), words)
        except KeyboardInterrupt:
            _end_stopped()
        except BrokenPipeError:
            raise
        except typer.Exit:
            raise
        except Exception as caught:
            if interrupts.is_stopping():  # a library that looks for signals itself, such as DuckDB
                _end_stopped()
            if not isinstance(caught, OSError):
                raise
            # A disk, a permission, a server: nothing that a traceback would explain.
            print_error(describe_os_error(caught), _command_words(context))
    except BrokenPipeError:  # the reader of our output has gone, and nobody reads an error
        streams.drop_stream(sys.stdout)
        streams.drop_stream(sys.stderr)
        raise typer.Exit(1) from None


def _end_stopped() -> NoReturn:
    """Say that the command was stopped, where no verb knows more, and exit."""
    streams.print_message("stopped.")
    if interrupts.is_stopping():
        streams.print_message("hint:  the same command goes on from what is complete")
    raise typer.Exit(interrupts.EXIT_CODE) from None


def _command_words(context: typer.Context) -> str:
    """Return the command as far as it is known: ``curate``, or ``curate`` and the verb."""
    return f"curate {context.invoked_subcommand}" if context.invoked_subcommand else "curate"


def print_error(error: CurateError, words: str) -> NoReturn:
    """Print the lines of an error and exit with its code; ``words`` is the command as far as it is known."""
    streams.print_message(f"error: {_keep_indented(error.message)}")
    hint = error.hint or (f"{words} --help" if isinstance(error, UsageError) else None)
    if hint:
        streams.print_message(f"hint:  {_keep_indented(hint)}")
    raise typer.Exit(error.exit_code) from None


def _keep_indented(text: str) -> str:
    """Return a message with the line ends that no space follows as escapes: our own lists are indented.

    A name with a line end could otherwise begin a line that looks like ours.
    """
    return re.sub(r"\n(?! )", r"\\n", text)


def explain_mistake(mistake: Any, words: str) -> UsageError:
    """Return what typer refused as an error of ours: an unknown option or command, a missing value or argument.

    ``words`` is the command as far as it is known: ``curate``, or ``curate`` and the verb.
    """
    kind = type(mistake).__name__  # by name, since typer has a copy of click's classes in some versions
    if kind == "NoSuchOption":
        known = [option for one in mistake.ctx.command.params if not one.hidden for option in one.opts]
        near = difflib.get_close_matches(mistake.option_name, known, 1)
        message = f"{words} has no option {mistake.option_name}" + (f"; did you mean {near[0]}?" if near else "")
    elif kind == "MissingParameter":
        argument = mistake.param.param_type_name == "argument"
        message = f"{words} needs {mistake.param.name.upper() if argument else mistake.param.opts[0]}"
    else:
        text = mistake.format_message().removesuffix(".")
        message = text[:1].lower() + text[1:]
    return UsageError(message)


def version(given: bool) -> None:
    """Print the version and exit, where ``--version`` was typed."""
    if given:
        streams.print_result(f"curate {__version__}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Decide which text to train on, by the numbers of a reference language model."""


for _verb in VERBS:
    app.command(name=command_name(_verb), cls=VerbCommand)(command(load_verb(_verb)))
