"""The values of options that are choices, where the option and what it configures both name them.

``choices_of(Dtype)`` lists the values of a type; ``check_choice`` refuses any other value.
"""

import types
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from curate.errors import UsageError

Dtype = Literal["auto", "fp32", "bf16", "fp16"]
"""The number format that a model computes in."""
Prefix = Literal["auto", "bos", "eos", "none"]
"""The token in front of every text; ``auto``: BOS where the tokenizer has one, else EOS."""
Convention = Literal["curate", "lm-eval", "evaluate", "hf-guide"]
"""The tool whose numbers to reproduce."""
Compile = Literal["auto", "on", "off"]
"""Whether to compile a model; ``auto``: where there is enough text to repay the wait."""
TextKind = Literal["letters", "digits", "punctuation", "whitespace", "url", "code", "other_script"]
"""A kind of text, of which each character of a text has exactly one (``curate.reference.measures.text_kinds``)."""
TokenMeasure = Literal["kinds", "calibration"]
"""What a model measures of every token beside its nats, where it is asked for; also the word of ``--signals``."""
WeightsDtype = Literal["bfloat16", "float32"]
"""The number format that trained weights are written in."""
ComputeDtype = Literal["auto", "bfloat16", "float32"]
"""The number format of the matrix products of a training; ``auto``: the faster one on the machine."""


def check_choice(option: str, value: object, choices: Sequence[object]) -> None:
    """Raise UsageError where the value of an option is not one of its choices; the hint sets the first."""
    if value not in choices:
        raise UsageError(
            f"{option} must be one of {', '.join(map(str, choices))}, not {value}", f"{option} {choices[0]}"
        )


def choices_of(annotation: Any) -> tuple[Any, ...]:
    """Return the values of a ``Literal``, also within ``Annotated`` or beside None; empty for other annotations."""
    if get_origin(annotation) is Annotated:
        return choices_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return next((found for one in get_args(annotation) if (found := choices_of(one))), ())
    return get_args(annotation) if get_origin(annotation) is Literal else ()
