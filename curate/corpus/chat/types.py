"""The types of conversations: turns, the conversation of a row, and the error of a row that breaks its schema."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from curate.corpus.chat.fields import MessageFields

TURNS = ("all", "user", "assistant")


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of one side of a conversation."""

    role: str
    """system, user, assistant or tool."""
    text: str
    """Blank only where the reader was asked for blank messages, which a template may write."""
    learnt: bool = field(default=True, compare=False)
    """Whether a model is to learn it, where it is an answer (``curate.corpus.chat.learning_marks``)."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What is to be said of its marks."""
    fields: MessageFields | None = field(default=None, compare=False, repr=False)
    """What the message holds, for chat templates; None where it is its text alone."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """The turns of one row, and the kinds of parts that were skipped."""

    turns: tuple[Turn, ...]
    """In the order of the conversation."""
    skipped: tuple[str, ...]
    """The type of each part without text: image_url, input_audio, …"""


class ConversationError(ValueError):
    """A row that does not follow its schema: the path within it, what was found there, and what was expected."""

    def __init__(self, location: str, actual: str, expected: str):
        super().__init__(location, actual, expected)  # the arguments from which pickle makes it again
        self.location = location
        """The path within the row, as in ``messages[0].role``."""
        self.actual = actual
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.location}: found {self.actual}, expected {self.expected}"

    @property
    def column(self) -> str:
        """The column of the path."""
        return self.location.partition("[")[0].partition(".")[0]


def select_turns(turns: Iterable[Turn], side: str) -> list[Turn]:
    """Return the turns of one side, in order: ``assistant`` (what a model learns), ``user`` (its input), or ``all``.

    System prompts and tool results are input, so they count as ``user``. Raises ValueError for another name.
    """
    if side not in TURNS:
        raise ValueError(f"unknown turns {side!r}; expected one of {', '.join(TURNS)}")
    return [turn for turn in turns if side == "all" or (turn.role == "assistant") == (side == "assistant")]


def join_turns(turns: Iterable[Turn]) -> str:
    """Return the texts of the turns, joined by blank lines; an empty string without turns."""
    return "\n\n".join(turn.text for turn in turns)
