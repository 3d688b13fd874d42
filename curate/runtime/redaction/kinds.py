"""The kinds of what is redacted, their labels, and how ``--redact`` names them."""

from collections.abc import Sequence
from dataclasses import dataclass

from curate.errors import UsageError

PATTERNS = ("secret", "card", "iban", "email", "ip", "phone")
"""Kinds that patterns find. Of two that overlap the earlier one names the label."""
PERSON = "person"
KINDS = (*PATTERNS, PERSON)
LABELS = {kind: f"[{kind.upper()}]" for kind in KINDS}
"""What stands for each kind."""
DEFAULT, PRESIDIO, NONE = "default", "presidio", "none"
ON, OFF = ("true", "yes", "on"), ("false", "no", "off")
"""Other words for default and none, as YAML spells a switch."""


@dataclass(frozen=True, slots=True)
class RedactionChoice:
    """What ``--redact`` asks for."""

    kinds: tuple[str, ...] = ()
    """In the order of ``KINDS``; empty for nothing."""
    model: str | None = None
    """The spaCy model that finds names; None for the first that is installed."""

    def __bool__(self) -> bool:
        return bool(self.kinds)

    def spell(self) -> str:
        """Return the choice as ``--redact`` takes it, the same for equal choices."""
        if not self.kinds:
            return NONE
        patterns = [kind for kind in self.kinds if kind != PERSON]
        words = [DEFAULT] if patterns == list(PATTERNS) else patterns
        if PERSON in self.kinds:
            model = "" if self.model is None else f":{self.model}"
            words = [PRESIDIO + model] if words == [DEFAULT] else [*words, PERSON + model]
        return ",".join(words)


def parse_choice(choice: str | Sequence[str] | bool | None) -> RedactionChoice:
    """Return what a value of ``--redact`` asks for.

    ``default`` is all kinds that patterns find, ``presidio`` these and names, a kind that kind; several come with
    commas or as a list. ``presidio:MODEL`` and ``person:MODEL`` name the spaCy model. None, False and ``none`` ask for
    nothing, True for ``default``. Raises UsageError for any other word.
    """
    if choice is None or isinstance(choice, bool):
        return RedactionChoice(PATTERNS if choice else ())
    words = [word.strip() for part in ([choice] if isinstance(choice, str) else choice) for word in part.split(",")]
    kinds: set[str] = set()
    model = None
    for word in words:
        name, _, named = word.partition(":")
        name = name.lower()
        if named and name in (PRESIDIO, PERSON):
            model = named
        elif named or (name in (NONE, *OFF) and len(words) > 1):
            raise _unknown_kind(word)
        if name in (DEFAULT, PRESIDIO, *ON):
            kinds |= {*PATTERNS, *([PERSON] if name == PRESIDIO else [])}
        elif name in KINDS:
            kinds.add(name)
        elif name not in (NONE, *OFF):
            raise _unknown_kind(word)
    return RedactionChoice(tuple(kind for kind in KINDS if kind in kinds), model)


def _unknown_kind(word: str) -> UsageError:
    message = f"--redact takes {DEFAULT}, {PRESIDIO}, {NONE}, or kinds with commas ({', '.join(KINDS)}), not {word!r}"
    return UsageError(message, f"--redact {DEFAULT}")
