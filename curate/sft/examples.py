"""Examples: what a row of an instruction dataset teaches, as turns that end with the answer to be learnt.

What is learnt is what the assistant says after it was asked. So:

- An assistant turn with no turn of the user or of a tool before it is context; turns behind the last one are dropped.
- A row of messages is one example with all its turns; those that follow each other from one side stay apart.
- A preference gives its context and the chosen answer, and an answer that was labelled false (KTO) gives nothing.
- Several different answers, and the instances of a task, are an example each.
- A tree gives a path from its root to each answer behind which no other lies. Every answer of the tree lies on one of
  them at least, and is scored on the first alone.
- Tools are a list of objects, as JSON text or as values; what else ``tools`` may hold is no set of tools and not read.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from curate.corpus.chat.messages import SYSTEM_COLUMNS
from curate.corpus.chat.pairs import PAIRS, PREFERENCE, PairSchema, list_instances
from curate.corpus.chat.schemas import read_turns
from curate.corpus.chat.trees import walk_tree
from curate.corpus.chat.types import Turn

Which = Literal["all", "last"]

NO_TURNS = "no turns"
NO_ANSWER = "no assistant turn with text"
NOT_ASKED = "the assistant speaks first and is never asked"
EMPTY_ANSWER = "the response is empty"
LABELLED_FALSE = "the answer is labelled false"
REFUSALS = (NO_TURNS, NO_ANSWER, NOT_ASKED, EMPTY_ANSWER, LABELLED_FALSE)

ASKING = ("user", "tool")


class NothingToLearnError(ValueError):
    """A row that follows its schema and holds nothing to learn; ``reason`` is one of ``REFUSALS``."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Example:
    """Turns that end with one of the assistant, which was asked."""

    turns: tuple[Turn, ...]
    fresh: int = 0
    """Assistant turns before this index are scored in an earlier example of the same row."""
    tools: str | None = None
    """The tools of the row as JSON text, a list of objects; None where there are none."""


def read_examples(row: Mapping[str, object], schema: str) -> list[Example]:
    """The examples of one row, at least one.

    Raises ConversationError for a row that does not follow the schema, NothingToLearnError for one that does and holds
    nothing to learn, and ValueError for an unknown schema.
    """
    turns = read_turns(row, schema)
    if not turns:
        raise NothingToLearnError(NO_TURNS)
    if schema != "preference" and is_labelled_false(row):
        raise NothingToLearnError(LABELLED_FALSE)
    tools = write_tools(row.get("tools"))
    if schema == "tree":
        return [Example(path, fresh, tools) for path, fresh in read_paths(row)]
    if schema == "instances":
        system = {column: row[column] for column in SYSTEM_COLUMNS if column in row}
        found = [turns for task in list_instances(row) for turns in read_answers(system | dict(task), "alpaca")]
    elif schema == "preference" or schema in PAIRS:
        found = read_answers(row, schema)
    else:
        found = [tuple(turns)]
    return [Example(turns, 0, tools) for turns in cut_turns(found)]


def scored_turns(example: Example, which: Which) -> tuple[int, ...]:
    """The indices of the assistant turns to score: all that were asked for and are fresh, or the last of these.

    Raises ValueError for another name than these two.
    """
    if which not in ("all", "last"):
        raise ValueError(f"unknown turns {which!r}; expected all or last")
    asked = find_asked(example.turns)
    scored = [index for index in find_answers(example.turns) if index > asked and index >= example.fresh]
    return tuple(scored if which == "all" else scored[-1:])


def find_asked(turns: Sequence[Turn]) -> int:
    """The index of the first turn that asks; the number of turns where none does."""
    return next((index for index, turn in enumerate(turns) if turn.role in ASKING), len(turns))


def find_answers(turns: Sequence[Turn]) -> list[int]:
    return [index for index, turn in enumerate(turns) if turn.role == "assistant"]


def count_learnt(turns: Sequence[Turn]) -> int:
    """How many turns there are up to the last answer; 0 where it was not asked for, or there is none."""
    last = max(find_answers(turns), default=-1)
    return last + 1 if find_asked(turns) < last else 0


def cut_turns(found: Sequence[tuple[Turn, ...]]) -> list[tuple[Turn, ...]]:
    """Each up to its last answer, without those that have none; NothingToLearnError where that leaves none."""
    learnt = [turns[:count] for turns in found if (count := count_learnt(turns))]
    if not learnt:
        raise NothingToLearnError(explain_nothing(found))
    return learnt


def explain_nothing(found: Iterable[tuple[Turn, ...]]) -> str:
    """Why there is no answer to learn in any of these turns."""
    answered = [bool(find_answers(turns)) for turns in found]
    return NOT_ASKED if any(answered) else NO_ANSWER if answered else EMPTY_ANSWER


def is_labelled_false(row: Mapping[str, object]) -> bool:
    """Whether ``label`` is false, or says so as files without types write it. A number is a class, not a verdict."""
    label = row.get("label")
    return label is False or (isinstance(label, str) and label.strip().lower() == "false")


# ---------------------------------------------------------------------------------------------- answers to one question


def read_answers(row: Mapping[str, object], schema: str) -> list[tuple[Turn, ...]]:
    """The turns up to each different answer of a row; of a preference, up to the chosen one.

    An answer without text gives none, also where the context holds other answers.
    """
    pair = PREFERENCE if schema == "preference" else PAIRS[schema]
    wanted = ("chosen",) if schema == "preference" else pair.answered
    spoken = [column for column in wanted if is_spoken(row, column, pair, schema)]
    alone = [keep_answer(row, column, pair) for column in spoken]
    return list(dict.fromkeys(tuple(read_turns(one, schema)) for one in alone))


def keep_answer(row: Mapping[str, object], column: str, pair: PairSchema) -> dict[str, object]:
    """The row without its other answers."""
    return {name: value for name, value in row.items() if name == column or name not in pair.answered}


def is_spoken(row: Mapping[str, object], column: str, pair: PairSchema, schema: str) -> bool:
    """Whether the assistant says something in a column of answers."""
    alone = {pair.asked[0]: None, column: row.get(column)}
    return any(turn.role == "assistant" for turn in read_turns(alone, schema))


# ---------------------------------------------------------------------------------------------------------------- trees


def read_paths(row: Mapping[str, object]) -> list[tuple[tuple[Turn, ...], int]]:
    """The paths to the answers behind which no other lies, each with how many of its turns the one before has too.

    Depth first, so that of all paths before it none shares more. NothingToLearnError where there is no such path.
    """
    kept: list[tuple[tuple[Turn, ...], int]] = []
    shared = 0
    for turns, common in walk_paths(row):
        shared, learnt = min(shared, common), count_learnt(turns)
        if learnt <= shared:
            continue
        if kept and len(kept[-1][0]) <= shared:
            shared = kept.pop()[1]
        kept.append((turns[:learnt], shared))
        shared = learnt
    if not kept:
        raise NothingToLearnError(explain_nothing(turns for turns, _ in walk_paths(row)))
    return kept


def walk_paths(row: Mapping[str, object]) -> Iterator[tuple[tuple[Turn, ...], int]]:
    """The turns of every path from the root to a last message, and how many of them the path before has too."""
    path: list[list[Turn]] = []
    shared = 0
    for depth, turns in walk_tree(row):
        if depth < len(path):
            yield _flatten(path), shared
            shared = len(_flatten(path[:depth]))
            del path[depth:]
        path.append(turns)
    yield _flatten(path), shared


def _flatten(path: Iterable[list[Turn]]) -> tuple[Turn, ...]:
    return tuple(turn for turns in path for turn in turns)


# ---------------------------------------------------------------------------------------------------------------- tools


def write_tools(value: object) -> str | None:
    """Tools as JSON text; None where there are none, or none that a chat template could show.

    Nulls within an object are dropped: Arrow adds them, since its rows all have the same fields.
    """
    parsed = _parse(value)
    tools = [_parse(tool) for tool in (parsed if isinstance(parsed, list | tuple) else [parsed])]
    if not tools or not all(isinstance(tool, Mapping) and tool for tool in tools):
        return None
    try:
        return json.dumps([_without_nulls(tool) for tool in tools], ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):
        return None


def _parse(value: object) -> object:
    """The value that a text holds as JSON; the text itself where it is none."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _without_nulls(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _without_nulls(held) for name, held in value.items() if held is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(held) for held in value]
    return value
