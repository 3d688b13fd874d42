"""Trees of messages (OpenAssistant), read depth first."""

from collections.abc import Iterator, Mapping, Sequence

from curate.corpus.chat.messages import as_list, read_message, require_columns
from curate.corpus.chat.types import Turn


def has_tree(names: set[str], rows: Sequence[Mapping[str, object]]) -> bool:
    """Return whether ``prompt`` is a message with replies: an object, or a string next to ``message_tree_id``."""
    nested = any(isinstance(row.get("prompt"), Mapping) for row in rows)
    return "prompt" in names and (nested or "message_tree_id" in names)


def walk_tree(row: Mapping[str, object]) -> Iterator[tuple[int, list[Turn]]]:
    """Yield every message of a tree, depth first: its depth (0 for the prompt), and its turn; no turn without text.

    Raises ConversationError where ``read_turns`` does.
    """
    return _walk_tree(row, [])


def read_tree(row: Mapping[str, object], skipped: list[str]) -> list[Turn]:
    """Return a turn for each message of a tree, depth first."""
    return [turn for _, turns in _walk_tree(row, skipped) for turn in turns]


def _walk_tree(row: Mapping[str, object], skipped: list[str]) -> Iterator[tuple[int, list[Turn]]]:
    require_columns(row, ("prompt",))
    stack = [(row["prompt"], "prompt", 0)]  # Trees may be deeper than Python recurses.
    while stack:
        message, path, depth = stack.pop()
        yield depth, read_message(message, path, skipped)
        if isinstance(message, Mapping):
            path = f"{path}.replies"
            replies = list(enumerate(as_list(message.get("replies"), path)))
            stack += [(reply, f"{path}[{number}]", depth + 1) for number, reply in reversed(replies)]
