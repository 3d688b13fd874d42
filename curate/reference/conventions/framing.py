"""What a tool puts around the tokens of a text, found by asking the tokenizer.

TextFrame(before=(1,))      the tokenizer of a Llama adds <s>, which lm-eval scores after its own prefix <s>
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from curate.errors import ModelError
from curate.runtime.arrays import Int32Array

PROBE = "a"


@dataclass(frozen=True, slots=True)
class TextFrame:
    """The tokens around a text, behind the prefix token; they are scored as the text's are. Nothing by default."""

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    counts_added: bool = False
    """Whether a mean per token counts these tokens; else their nats are shared by the text's tokens."""
    unless_begins: str = ""
    """A text that begins with this has no tokens around it; empty: each text has."""
    control_tokens: bool = False
    """Whether a control token that the text spells out is one; else it is text."""
    pads_left: bool = False
    """Whether texts are padded in front, to the longest of the corpus."""
    padding: int = 0
    """The id of the padding."""
    padded_to: int | None = None
    """Tokens of the longest text; None: not known, so that no text is padded."""

    def surround(self, text: str) -> tuple[Int32Array, Int32Array]:
        """Return the ids in front of a text and behind it."""
        if self.unless_begins and text.startswith(self.unless_begins):
            return np.zeros(0, np.int32), np.zeros(0, np.int32)
        return np.array(self.before, np.int32), np.array(self.after, np.int32)

    def pad(self, num_tokens: int) -> Int32Array:
        """Return the padding in front of a text of ``num_tokens`` tokens."""
        missing = 0 if not self.pads_left or self.padded_to is None else self.padded_to - num_tokens
        return np.full(max(missing, 0), self.padding, np.int32)

    def as_dict(self) -> dict[str, Any] | None:
        """Return the fields that are not at their defaults, JSON-able; None where all are."""
        defaults = asdict(TextFrame())
        changed = {name: value for name, value in asdict(self).items() if value != defaults[name]}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in changed.items()} or None

    @classmethod
    def from_identity(cls, identity: Mapping[str, Any]) -> "TextFrame":
        """Return the frame that the identity of a reference model records; those of earlier versions have none."""
        recorded: dict[str, Any] = dict(identity.get("frame") or {})
        lists = {name: tuple(value) for name, value in recorded.items() if isinstance(value, list)}
        return cls(**{**recorded, **lists})


UNFRAMED = TextFrame()


def find_added_tokens(tokenizer: Any, name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the ids that a tokenizer puts in front of a text and behind it.

    Raises ModelError where it changes the text's own tokens too. ``name`` is that of the model.
    """
    plain = list(tokenizer(PROBE, add_special_tokens=False)["input_ids"])
    framed = list(tokenizer(PROBE)["input_ids"])
    for at in range(len(framed) - len(plain) + 1):
        if framed[at : at + len(plain)] == plain:
            return tuple(framed[:at]), tuple(framed[at + len(plain) :])
    message = f"the tokenizer of {name} changes the tokens of a text where it adds its special tokens"
    raise ModelError(message, "leave out --convention")
