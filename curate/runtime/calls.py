"""The call of a verb that is under way, so that a hint repeats the user's command with only that changed which must be.

curate rank-sft a.jsonl b.jsonl --by rsr           is under way, and its template cannot be used
repeat_command("rank_sft", template="plain")       curate rank-sft a.jsonl b.jsonl --by rsr --template plain
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from curate.runtime.text import quote_word


@dataclass(frozen=True, slots=True)
class VerbCall:
    """A verb with what it was called with, by the names of its parameters."""

    verb: str
    """The name of its function."""
    values: Mapping[str, Any]
    arguments: Sequence[str] = ()
    """The parameters that are typed without an option, in order."""
    defaults: Mapping[str, Any] = field(default_factory=dict)


_current: ContextVar[VerbCall | None] = ContextVar("current_call", default=None)
_flags: ContextVar[tuple[str, ...]] = ContextVar("typed_flags", default=())


@contextmanager
def under_way(call: VerbCall) -> Iterator[None]:
    """Inside the block, the verb is under way."""
    token = _current.set(call)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def typed_with(*flags: str) -> Iterator[None]:
    """Inside the block, repeat these flags of the command line, which are no parameters of a verb."""
    token = _flags.set(flags)
    try:
        yield
    finally:
        _flags.reset(token)


def find_call(verb: str) -> VerbCall | None:
    """Return the call of a verb that is under way; None where another one is, or none."""
    call = _current.get()
    return call if call is not None and call.verb == verb else None


def repeat_command(verb: str, /, **changed: Any) -> str:
    """Return the command of the call that is under way, with other values for some parameters.

    Only what differs from the defaults is spelled; None leaves an option out. Where the verb is not under way, as for a
    caller of a function below it, the command has the changed parameters alone, those of ``data`` without an option.
    """
    call = find_call(verb) or VerbCall(verb, {}, ("data",))
    values = {**call.values, **changed}
    typed = [word for name in call.arguments for word in _list_words(values.get(name))]
    options: list[str] = []
    for name in dict.fromkeys((*call.defaults, *values)):
        value = values.get(name)
        if name not in call.arguments and value is not None and value != call.defaults.get(name):
            options += _spell_option(name, value)
    flags = _flags.get()
    dashed = any(word.startswith("-") for word in typed)
    words = [*options, *flags, "--", *typed] if dashed else [*typed, *options, *flags]
    return " ".join(map(quote_word, ["curate", verb.replace("_", "-"), *words]))


def _list_words(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)]


def _spell_option(name: str, value: Any) -> list[str]:
    """Return the words of an option; those of a list are an option each, several numbers one with commas."""
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    texts = _list_words(value)
    return [word for text in texts for word in ([f"--{option}={text}"] if text[:1] == "-" else [f"--{option}", text])]
