"""The types of conversations: turns, the conversation of a row, and the error of a row that breaks its schema."""

from collections.abc import Iterable
from dataclasses import dataclass

TURNS = ("all", "user", "assistant")


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says at once."""

    role: str
    """system, user, assistant or tool."""
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """The turns of one row, and what was left out of them."""

    turns: tuple[Turn, ...]
    skipped: tuple[str, ...]
    """The types of the parts that are no text, one for each part: image_url, input_audio, …"""


class ConversationError(ValueError):
    """A row that does not follow its schema: where in it, what was found there, what was expected."""

    def __init__(self, place: str, found: str, expected: str):
        super().__init__(place, found, expected)  # what pickle makes it from again
        self.place = place
        self.found = found
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.place}: found {self.found}, expected {self.expected}"

    @property
    def column(self) -> str:
        """The column of the row, without what lies inside it."""
        return self.place.partition("[")[0].partition(".")[0]


def select_turns(turns: Iterable[Turn], wanted: str) -> list[Turn]:
    """The turns of one side: ``user`` is all that the model is given, ``assistant`` what it is trained to say.

    System prompts and tool results are given, so they count as ``user``. ``all`` is both. Order is kept. Raises
    ValueError for another name.
    """
    if wanted not in TURNS:
        raise ValueError(f"unknown turns {wanted!r}; expected one of {', '.join(TURNS)}")
    return [turn for turn in turns if wanted == "all" or (turn.role == "assistant") == (wanted == "assistant")]


def joined(turns: Iterable[Turn]) -> str:
    """The texts of the turns with a blank line between two; no turns give no text."""
    return "\n\n".join(turn.text for turn in turns)
