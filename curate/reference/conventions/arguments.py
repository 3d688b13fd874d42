"""The settings that the tools of ``--convention`` have themselves, by the names that they give them.

parse_arguments("lm-eval", "add_bos_token=False,prefix_token_id=1") → ConventionArguments(False, 1)
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from curate.errors import UsageError
from curate.runtime.choices import Convention, check_choice, choices_of

HF_GUIDE_STRIDE = 512
"""What https://huggingface.co/docs/transformers/perplexity sets."""


@dataclass(frozen=True, slots=True)
class ConventionArguments:
    """Settings of a tool, each with the default of the tool."""

    add_bos_token: bool | None = None
    """lm-eval: whether the tokenizer adds its special tokens; None: as it is made."""
    prefix_token_id: int | None = None
    """lm-eval: the token in front of every text; None: BOS, else EOS."""
    add_start_token: bool = True
    """evaluate: whether BOS goes in front of every text."""
    stride: int = HF_GUIDE_STRIDE
    """hf-guide: tokens from the beginning of a window to that of the next, at least 1."""


def _parse_flag(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _parse_id(text: str) -> int:
    return _parse_number(text, 0)


def _parse_stride(text: str) -> int:
    return _parse_number(text, 1)


def _parse_number(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise ValueError(text)
    return int(text)


ARGUMENTS: dict[str, dict[str, tuple[Callable[[str], Any], str]]] = {
    "curate": {},
    "lm-eval": {
        "add_bos_token": (_parse_flag, "True or False"),
        "prefix_token_id": (_parse_id, "the id of a token"),
    },
    "evaluate": {"add_start_token": (_parse_flag, "True or False")},
    "hf-guide": {"stride": (_parse_stride, "a number of tokens, at least 1")},
}
"""Of each convention the names of its settings, with how a value is read and what it may be."""


def parse_arguments(convention: Convention, text: str) -> ConventionArguments:
    """Return the settings in ``name=value,name=value``, the others at their defaults; an empty text sets nothing.

    Raises UsageError for a name that the tool does not have, a value that the name does not take, and a name set twice.
    """
    known, values = ARGUMENTS[convention], dict[str, Any]()
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if name not in known:
            raise _refuse_name(convention, name)
        read, allowed = known[name]
        try:
            found = read(value)
        except (KeyError, ValueError):
            given = f"{name}={value}" if sign else name
            hint = f"--convention-args {name}={_spell_default(name)}"
            raise UsageError(f"--convention-args {given}: {name} must be {allowed}", hint) from None
        if name in values:
            raise UsageError(f"--convention-args sets {name} twice", f"--convention-args {part}")
        values[name] = found
    return ConventionArguments(**values)


def _refuse_name(convention: Convention, name: str) -> UsageError:
    names = ", ".join(ARGUMENTS[convention])
    if not names:
        return UsageError(f"--convention-args {name} has no effect without --convention", "leave out --convention-args")
    message = f"--convention-args of {convention} must be of {names}, not {name}"
    first = next(iter(ARGUMENTS[convention]))
    return UsageError(message, f"--convention-args {first}={_spell_default(first)}")


def _spell_default(name: str) -> str:
    default = getattr(ConventionArguments(), name)
    return {None: "False" if name == "add_bos_token" else "0"}.get(default, str(default))


def normalise_arguments(convention: Convention, text: str) -> str:
    """Return ``--convention-args`` in one spelling: in one order, without what is at its default.

    Raises UsageError as ``parse_arguments`` does.
    """
    check_choice("--convention", convention, choices_of(Convention))
    arguments = parse_arguments(convention, text)
    values, defaults = asdict(arguments), asdict(ConventionArguments())
    return ",".join(f"{name}={value}" for name, value in values.items() if value != defaults[name])
