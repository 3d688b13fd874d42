"""The parameters of verbs, from their signatures: names, types, choices, defaults; texts to values, values to texts.

Recipes and the command line read a text by the same rules: ``1e-3`` is a number, ``10:60`` a text, ``010`` the integer
ten.
"""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union

from typer.models import ArgumentInfo, ParameterInfo

from curate.runtime.options import (
    NEEDED_IN_RECIPES,
    on_command_line,
    renamed_options,
    signature_of,
    takes_several_numbers,
)
from curate.runtime.text import join_words

EXPECTED = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
YES, NO = ("true", "yes", "on"), ("false", "no", "off")
"""The words of YAML 1.1."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a verb, which is one option or argument of its command."""

    name: str
    """The Python name."""
    option: str
    """The name as it is typed, without the leading dashes."""
    kind: type
    """str, int, float or bool; the type of each item where there are many."""
    many: bool
    """Whether the value is a list."""
    choices: tuple[str, ...]
    """The only values that are allowed; empty where all of the type are."""
    required: bool
    default: Any
    argument: bool
    """Whether it is typed without a name."""
    negative: str | None
    """The flag for False; None where that is only given by leaving the option out."""
    several: bool = False
    """Whether one value may be several numbers, as in ``20,30,50``; they are read as a tuple."""
    old_options: tuple[str, ...] = ()
    """Earlier spellings of ``option``, which recipes may still use."""

    def expected(self) -> str:
        """Return what one value has to be, in words."""
        return f"one of {', '.join(self.choices)}" if self.choices else EXPECTED[self.kind]

    def read(self, text: str) -> Any:
        """Return a text as one value. Raises ValueError, with what was expected, where it is none."""
        if self.several and "," in text:
            return tuple(self._read_one(part) for part in text.split(","))
        return self._read_one(text)

    def _read_one(self, text: str) -> Any:
        try:
            value = _read_flag(text) if self.kind is bool else self.kind(_plain_number(text, self.kind))
        except ValueError:
            raise ValueError(f"expected {self.expected()}") from None
        if self.choices and value not in self.choices:
            raise ValueError(f"expected {self.expected()}")
        return value

    def write(self, value: Any) -> list[str]:
        """Return the words of a command line that give this value."""
        if self.kind is bool and not self.many:
            return [f"--{self.option}"] if value else [self.negative] if self.negative else []
        plain = ".0" if self.kind is float else ""
        texts = [_spell(item, plain) for item in (value if self.many else [value])]
        if self.argument:
            return texts
        # A value that begins with a dash would be read as another option.
        pairs = ([f"--{self.option}={text}"] if text.startswith("-") else [f"--{self.option}", text] for text in texts)
        return [word for pair in pairs for word in pair]


def _read_flag(text: str) -> bool:
    if text.lower() not in YES + NO:
        raise ValueError
    return text.lower() in YES


def _spell(value: Any, plain: str) -> str:
    """Return a value as it is typed, several numbers with commas."""
    if isinstance(value, tuple):
        return ",".join(_spell(item, plain) for item in value)
    return str(value).removesuffix(plain)


def _plain_number(text: str, kind: type) -> str:
    """Return a number with YAML's infinity and NaN as Python writes them."""
    return text.lower().replace(".inf", "inf").replace(".nan", "nan") if kind is float else text


def read_parameters(verb: Callable[..., Any]) -> dict[str, Parameter]:
    """Return the parameters of a verb by their Python names, in the order of its signature.

    Old names are not among them; each is an ``old_options`` of the parameter that replaced it. Raises TypeError for an
    annotation that recipes cannot read: a bug of ours, which a test looks for.
    """
    old_options: dict[str, tuple[str, ...]] = {}
    for old, new in renamed_options(verb).items():
        old_options[new] = (*old_options.get(new, ()), old.replace("_", "-"))
    return {
        name: _parameter(name, parameter.annotation, parameter.default, old_options.get(name, ()))
        for name, parameter in signature_of(verb).parameters.items()
    }


def _parameter(name: str, hint: Any, default: Any, old_options: tuple[str, ...]) -> Parameter:
    annotated = typing.get_origin(hint) is typing.Annotated
    extras = typing.get_args(hint)[1:] if annotated else ()
    info = next((extra for extra in extras if isinstance(extra, ParameterInfo)), None)
    kind, many, choices = _kind_of(on_command_line(typing.get_args(hint)[0] if annotated else hint), name)
    yes, no = _flags(name, info)
    required, argument = default is inspect.Parameter.empty, isinstance(info, ArgumentInfo)
    required |= NEEDED_IN_RECIPES in extras
    several = takes_several_numbers(hint)
    default = None if required else default
    return Parameter(name, yes, kind, many, choices, required, default, argument, no, several, old_options)


def _flags(name: str, info: ParameterInfo | None) -> tuple[str, str | None]:
    """Return how an option is typed, without its dashes, and the flag for False."""
    # In an annotation the first word given to typer.Option lands where a default would.
    words = () if info is None else (info.default, *(info.param_decls or ()))
    typed = next((word for word in words if isinstance(word, str) and word.startswith("--")), None)
    if typed is None:
        return name.replace("_", "-"), f"--no-{name.replace('_', '-')}"
    yes, _, no = typed.partition("/")
    return yes.removeprefix("--"), no.strip() or None


def _kind_of(hint: Any, name: str) -> tuple[type, bool, tuple[str, ...]]:
    """Return the type, whether there are many, and the choices."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        (hint,) = (other for other in inner if other is not type(None))
        return _kind_of(hint, name)
    if origin is Literal:
        return str, False, tuple(inner)
    if origin is list:
        kind, _, choices = _kind_of(inner[0], name)
        return kind, True, choices
    if hint not in EXPECTED:
        raise TypeError(f"{name}: no option has the type {hint}")
    return hint, False, ()


def write_command(verb: str, parameters: Mapping[str, Parameter], values: Mapping[str, Any]) -> str:
    """Return the shell command, quoted, that gives a verb these values, without those that are its defaults."""
    words: dict[bool, list[str]] = {True: [], False: []}
    for name, value in values.items():
        if value is not None and value != parameters[name].default:
            words[parameters[name].argument] += parameters[name].write(value)
    arguments, options = words[True], words[False]
    dashed = any(word.startswith("-") for word in arguments)
    rest = [*options, "--", *arguments] if dashed else [*arguments, *options]
    return join_words(["curate", verb.replace("_", "-"), *rest])
