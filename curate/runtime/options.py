"""Options that several verbs share, each written once, and how a verb reads the values it was called with.

A verb is a function, and its signature is its command line::

    @verb_function(keep="keeper")
    def dedup(run: RunOption = "curated", corpus: CorpusOption = None, …) -> DedupSummary:

``verb_function`` checks the choices (parameters that are a ``Literal``), translates old names, and lets Python give a
path for a text and a list for a text with commas (``COMMAS``). A parameter that takes a list also takes one string, and
the body reads it through ``as_list``. ``signature_of`` returns the signature with the options, ``help(curate.VERB)``
shows it without them.
"""

import functools
import inspect
import os
import textwrap
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

import typer
from typer.models import ArgumentInfo, ParameterInfo

from curate.errors import UsageError
from curate.runtime import calls
from curate.runtime.choices import Dtype, Prefix, check_choice, choices_of
from curate.runtime.disk import claims

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_MEMORY = "1GB"
"""What ``--memory-limit`` is where it is left out, in all verbs but ``filter``."""
COMMAS = "commas"
"""Marks, within ``Annotated``, a text that is one word or several with commas. Python may give a list of them."""
NEEDED_IN_RECIPES = "needed in recipes"
"""Marks, within ``Annotated``, a parameter that a command may leave out for another one, and a recipe may not."""
MEMORY_HELP = "Memory to work in, as in 4GB; what does not fit goes to temporary files."

RunOption = Annotated[str, typer.Option(help="Run directory.")]
CorpusArgument = Annotated[
    list[str] | str,
    typer.Argument(help="Files, folders, globs, URLs, or Hub datasets as NAME:SPLIT; one or more."),
]
OptionalCorpusArgument = Annotated[
    list[str] | str | None,
    typer.Argument(help="Files, folders, globs, URLs, or Hub datasets as NAME:SPLIT; one or more."),
    NEEDED_IN_RECIPES,
]
CorpusOption = Annotated[
    list[str] | str | None,
    typer.Option(
        help="Files, folders, globs, URLs, or Hub datasets as NAME:SPLIT; repeatable.  [default: the run's corpus]"
    ),
]
TextFieldOption = Annotated[
    str | None,
    typer.Option(help="Column with the text, or @SCHEMA of conversations.  [default: detected]"),
]
IdFieldOption = Annotated[str | None, typer.Option(help="Column with the document's id.  [default: detected]")]
LimitOption = Annotated[int | None, typer.Option(help="Read only this many documents, from the first.")]
SampleOption = Annotated[
    float | None, typer.Option(help="Read only this share of the documents, drawn by the seed, as in 0.01.")
]
SampleByOption = Annotated[
    str | None,
    typer.Option(
        help="Draw the sample by the values of this column, whatever file or row they are in.  [default: by place]"
    ),
]
PartOption = Annotated[
    str | None,
    typer.Option(
        help="Do only this part of the work, as in 0/4, beside processes that do the others; auto: of an array."
    ),
]
EngineOption = Annotated[
    Literal["local", "ray"],
    typer.Option(help="Where the workers run: in processes of this machine, or in actors of Ray (curate[ray])."),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        help="Cluster of Ray: auto, HOST:6379 or ray://HOST:10001.  [default: RAY_ADDRESS, else one started here]"
    ),
]
GpusOption = Annotated[
    float | None,
    typer.Option(help="GPUs of a worker of --engine ray, up to 1.  [default: 1 for a model, where there are any]"),
]
CpusOption = Annotated[
    float | None, typer.Option(help="CPU cores of a worker of --engine ray, which are its threads.  [default: 1]")
]
DelimiterOption = Annotated[
    str | None,
    typer.Option(help="Character between the fields of CSV and TSV, as in ';' or tab.  [default: detected]"),
]
QuotingOption = Annotated[
    Literal["auto", "csv", "none"],
    typer.Option(help="Whether fields of CSV and TSV may be in quotation marks; none: the marks are text."),
]
OnErrorOption = Annotated[
    Literal["quarantine", "stop"],
    typer.Option(help="On a row that cannot be read: record it with a reason and go on, or stop."),
]
SeedOption = Annotated[int, typer.Option(help="Seed of everything drawn at random.")]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        help="Parallel workers; of score with --engine ray alone.  [default: one a core; of Ray as many as fit]"
    ),
]
MemoryLimitOption = Annotated[str | None, typer.Option(help=f"{MEMORY_HELP}  [default: {DEFAULT_MEMORY}]")]
RestartOption = Annotated[
    bool, typer.Option("--restart", help="Discard what an earlier call of this verb left, and start over.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show the result and decide nothing.")]
ShowOption = Annotated[bool, typer.Option("--show", help="Show ten documents on each side of every boundary.")]
RedactOption = Annotated[
    str | None,
    typer.Option(
        help="Replace personal data and secrets by labels: default, kinds as in email,ip, or presidio (names too)."
    ),
    COMMAS,
]
AllowMixedOption = Annotated[
    bool, typer.Option("--allow-mixed", help="Let another chip, or another torch or transformers, score a part.")
]
DeviceOption = Annotated[str, typer.Option(help="Device to compute on: auto, cpu, cuda, cuda:1, mps.")]
DtypeOption = Annotated[
    Dtype,
    typer.Option(help="Number format of the model; auto: bf16 where the device multiplies it fast."),
]
ExactOption = Annotated[
    bool, typer.Option("--exact", help="Compute in fp32 throughout: agrees to 1e-5 nats a token, slower.")
]
PrefixOption = Annotated[
    Prefix,
    typer.Option(help="Token read before each text; auto: BOS where the tokenizer has one, else EOS."),
]
WindowOption = Annotated[int | None, typer.Option(help="Tokens read at a time.  [default: all that the model can]")]
PackTokensOption = Annotated[int | None, typer.Option(help="Tokens of a forward pass.  [default: chosen by device]")]
RevisionOption = Annotated[str | None, typer.Option(help="Revision of a Hub model.")]
TrustRemoteCodeOption = Annotated[
    bool, typer.Option("--trust-remote-code", help="Let a Hub model run the code that it ships.")
]


def as_list(value: Iterable[str | os.PathLike[str]] | str | os.PathLike[str] | None) -> list[str]:
    """Return the values of a list parameter: one string or path is a list of one, None is an empty list."""
    if value is None:
        return []
    return [os.fspath(one) for one in ([value] if isinstance(value, (str, os.PathLike)) else value)]


def on_command_line(annotation: Any) -> Any:
    """Return the annotation that typer can read: of ``list[str] | str`` and ``str | int`` the first, with its None.

    Python callers may pass any member of the union. The command line always gives the first.
    """
    if get_origin(annotation) is Annotated:
        inner, *extras = get_args(annotation)
        return Annotated[(on_command_line(inner), *extras)]
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    first, *others = (one for one in get_args(annotation) if one is not type(None))
    return first | None if len(others) + 1 < len(get_args(annotation)) else first


def renamed_options(verb: Callable[..., Any]) -> Mapping[str, str]:
    """Return the old names of a verb's parameters, each with the name that replaced it."""
    found: Mapping[str, str] = getattr(verb, "renamed_options", {})
    return found


def signature_of(verb: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a verb with its options, as it is written; ``inspect.signature`` has the plain types."""
    return inspect.signature(inspect.unwrap(verb))


def verb_function(**renamed: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that reads what a verb is called with, and describes the verb to ``help``.

    ``renamed`` maps an old name of a parameter to the new one. Old names are keywords only and stay out of the
    signature. The verb raises UsageError for a value that is not among the choices, for a list where one text is
    wanted, and for an old name given along with its new one.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        parameters, names = signature.parameters, tuple(signature.parameters)
        choices = {name: found for name in names if (found := choices_of(parameters[name].annotation))}
        arguments = tuple(name for name in names if _is_argument(parameters[name].annotation))
        defaults = {name: one.default for name, one in parameters.items() if one.default is not one.empty}

        def read(name: str, value: Any) -> Any:
            if name not in parameters:
                return value  # and calling the function says so
            if name in choices and not (value is None and parameters[name].default is None):
                check_choice(option_of(name), value, choices[name])
            return _read_value(option_of(name), parameters[name].annotation, value)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for old, new in renamed.items():
                if old in kwargs:
                    _translate(kwargs, old, new, names[: len(args)])
            positional = [read(name, value) for name, value in zip(names, args, strict=False)]
            named = {name: read(name, value) for name, value in kwargs.items()}
            given = {name: value for name, value in named.items() if name in parameters}
            call = calls.VerbCall(
                function.__name__, dict(zip(names, positional, strict=False)) | given, arguments, defaults
            )
            with claims.scope(), calls.under_way(call):
                return function(*positional, *args[len(names) :], **named)  # type: ignore[arg-type]

        plain = [one.replace(annotation=_plain_type(one.annotation)) for one in parameters.values()]
        call.__signature__ = signature.replace(parameters=plain)  # type: ignore[attr-defined]
        call.__doc__ = _describe(function, parameters)
        call.renamed_options = renamed  # type: ignore[attr-defined]
        return call

    return decorate


def _members_of(annotation: Any) -> tuple[Any, ...]:
    """The members of a union without what ``Annotated`` adds; of another type, itself."""
    if get_origin(annotation) is Annotated:
        return _members_of(get_args(annotation)[0])
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _is_argument(annotation: Any) -> bool:
    """Return whether a parameter is typed without an option."""
    return any(isinstance(one, ArgumentInfo) for one in get_args(annotation)[1:])


def takes_commas(annotation: Any) -> bool:
    """Return whether an annotation is marked as a text of several words with commas."""
    return get_origin(annotation) is Annotated and COMMAS in get_args(annotation)[1:]


def takes_several_numbers(annotation: Any) -> bool:
    """Return whether an annotation takes one number or several (``20,30,50``), which are a tuple in Python."""
    return tuple[float, ...] in _members_of(annotation)


def _read_value(option: str, annotation: Any, value: Any) -> Any:
    """Return a value as the command line would give it: a path as a text, a list with commas or as a tuple."""
    members = _members_of(annotation)
    if isinstance(value, os.PathLike) and str in members:
        return os.fspath(value)
    if not isinstance(value, (list, tuple)) or list[str] in members:
        return value
    if takes_several_numbers(annotation):
        return value[0] if len(value) == 1 else tuple(value)
    if takes_commas(annotation):
        return ",".join(str(os.fspath(one) if isinstance(one, os.PathLike) else one) for one in value)
    raise UsageError(
        f"{option} takes one value, not a list of {len(value)}", f"{option} {value[0] if value else 'VALUE'}"
    )


def _plain_type(annotation: Any) -> Any:
    """The type that a Python caller may give, without the option."""
    if get_origin(annotation) is not Annotated:
        return annotation
    kind = get_args(annotation)[0]
    return kind | list[str] if takes_commas(annotation) else kind


def _describe(function: Callable[..., Any], parameters: Mapping[str, inspect.Parameter]) -> str:
    """The docstring of a verb with a line for each parameter: the help text of its option."""
    lines = [inspect.getdoc(function) or "", "", "Parameters:"]
    for name, parameter in parameters.items():
        info = next((one for one in get_args(parameter.annotation)[1:] if isinstance(one, ParameterInfo)), None)
        text = f"{name}: {(info and info.help) or ''}".replace(".  [default", ". [default")
        lines += textwrap.wrap(text, 100, initial_indent="    ", subsequent_indent="        ")
    return "\n".join(lines)


def option_of(name: str) -> str:
    """Return how the option of a parameter is typed."""
    return f"--{name.replace('_', '-')}"


def _translate(values: dict[str, Any], old: str, new: str, positional: Sequence[str]) -> None:
    """Move the value of an old name to the new one; None counts as not given."""
    value = values.pop(old)
    if value is None:
        return
    if new in positional or values.get(new) is not None:
        raise UsageError(
            f"{option_of(old)} is the old name of {option_of(new)}, and both are given", f"leave out {option_of(old)}"
        )
    values[new] = value
