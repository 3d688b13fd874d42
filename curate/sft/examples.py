"""Examples: rows of an instruction dataset as turns that end with the answer to learn.

An answer is an assistant turn that follows a question. So:

- An assistant turn with no turn of the user or of a tool before it is context, and one without text is no answer.
- Turns behind the last answer are kept apart: of messages they are rendered, since a template may write an answer in
  another way where turns follow.
- A row of messages is one example with all its turns; those that follow each other from one side stay apart.
- A preference gives its context and the chosen answer. An answer that was labelled false (KTO) gives nothing.
- Several different answers are an example each, and so are the instances of a task.
- A tree gives a path from its root to each answer that no other answer follows. Every answer of the tree is on at least
  one of these paths, and is scored on the first of them only.
- Tools are a list of objects, as JSON text or as values; anything else in ``tools`` is ignored.
- A turn that is marked not to be learnt (``curate.corpus.chat.learning_marks``) is read and not scored, as the −100
  labels of a trainer would have it; an example of which no answer is learnt gives nothing.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from curate.corpus.chat.learning_marks import find_row_marks, mark_turns
from curate.corpus.chat.messages import MESSAGE_COLUMNS, SYSTEM_COLUMNS, read_whole_messages
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
MARKED = "every answer is marked not to be learnt"
REFUSALS = (NO_TURNS, NO_ANSWER, NOT_ASKED, EMPTY_ANSWER, LABELLED_FALSE, MARKED)

ASKING = ("user", "tool")


class NothingToLearnError(ValueError):
    """A row follows its schema and contains nothing to learn; ``reason`` is one of ``REFUSALS``."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Example:
    """Turns that end with an assistant turn that follows a question."""

    turns: tuple[Turn, ...]
    fresh: int = 0
    """The index of the first turn that is scored here; assistant turns before it are scored in an earlier example."""
    tools: str | None = None
    """The tools of the row as JSON text, a list of objects; None where there are none."""
    after: tuple[Turn, ...] = ()
    """The turns of the row behind the last answer."""

    @property
    def conversation(self) -> tuple[Turn, ...]:
        """All turns that a template writes."""
        return (*self.turns, *self.after)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of the marks of its turns, each once."""
        return tuple(dict.fromkeys(note for turn in self.turns for note in turn.notes))


def read_examples(row: Mapping[str, object], schema: str) -> list[Example]:
    """Return the examples of one row, at least one.

    Raises ConversationError for a row that does not follow the schema, NothingToLearnError for one that does and
    contains nothing to learn, and ValueError for an unknown schema.
    """
    turns = read_turns(row, schema)
    if not turns:
        raise NothingToLearnError(NO_TURNS)
    if schema != "preference" and is_labelled_false(row):
        raise NothingToLearnError(LABELLED_FALSE)
    tools, marks = write_tools(row.get("tools")), find_row_marks(row)
    if schema == "tree":
        return keep_learnt(Example(mark_path(path, marks), fresh, tools) for path, fresh in read_paths(row))
    if schema == "instances":
        system = {column: row[column] for column in SYSTEM_COLUMNS if column in row}
        paths = [turns for task in list_instances(row) for turns in read_answers(system | dict(task), "alpaca")]
    else:
        paths = read_answers(row, schema) if schema == "preference" or schema in PAIRS else []
    if schema in MESSAGE_COLUMNS:
        whole = tuple(read_whole_messages(MESSAGE_COLUMNS[schema], row, marks))
        (path,) = cut_after_answers([whole])
        return keep_learnt([Example(path, 0, tools, whole[len(path) :])])
    paths = [mark_path(path, marks) for path in paths]
    return keep_learnt(Example(path, 0, tools) for path in cut_after_answers(paths))


def mark_path(turns: Sequence[Turn], marks: Mapping[str, object]) -> tuple[Turn, ...]:
    """Return the turns of a question and its answer with the marks of their row; a list is about all but the system."""
    if not marks:
        return tuple(turns)
    numbers, count = list[int | None](), 0
    for turn in turns:
        numbers.append(None if turn.role == "system" else count)
        count += turn.role != "system"
    return tuple(mark_turns(turns, numbers, count, marks))


def keep_learnt(examples: Iterable[Example]) -> list[Example]:
    """Return the examples with an answer that is learnt. Raises NothingToLearnError where none has one."""
    kept = [example for example in examples if scored_turns(example, "all")]
    if not kept:
        raise NothingToLearnError(MARKED)
    return kept


def scored_turns(example: Example, which: Which) -> tuple[int, ...]:
    """Return the indices of the assistant turns to score: all fresh ones after a question, or the last of these.

    Turns that are marked not to be learnt are left out.

    Raises ValueError for another ``which``.
    """
    if which not in ("all", "last"):
        raise ValueError(f"which must be all or last, not {which!r}")
    question = find_question(example.turns)
    answers = [index for index in find_answers(example.turns) if example.turns[index].learnt]
    scored = [index for index in answers if index > question and index >= example.fresh]
    return tuple(scored if which == "all" else scored[-1:])


def find_question(turns: Sequence[Turn]) -> int:
    """Return the index of the first turn of a user or a tool with text; the number of turns where there is none."""
    asking = (index for index, turn in enumerate(turns) if turn.role in ASKING and turn.text.strip())
    return next(asking, len(turns))


def find_answers(turns: Sequence[Turn]) -> list[int]:
    """Return the indices of the assistant turns with text."""
    return [index for index, turn in enumerate(turns) if turn.role == "assistant" and turn.text.strip()]


def count_learnt(turns: Sequence[Turn]) -> int:
    """Return the number of turns through the last assistant turn; 0 without one, or where no question precedes it."""
    last = max(find_answers(turns), default=-1)
    return last + 1 if find_question(turns) < last else 0


def cut_after_answers(paths: Sequence[tuple[Turn, ...]]) -> list[tuple[Turn, ...]]:
    """Cut each path after its last answer and drop paths without one. Raises NothingToLearnError if none is left."""
    learnt = [turns[:count] for turns in paths if (count := count_learnt(turns))]
    if not learnt:
        raise NothingToLearnError(explain_nothing(paths))
    return learnt


def explain_nothing(paths: Iterable[tuple[Turn, ...]]) -> str:
    """Return the reason why none of these paths has an answer to learn."""
    answered = [bool(find_answers(turns)) for turns in paths]
    return NOT_ASKED if any(answered) else NO_ANSWER if answered else EMPTY_ANSWER


def is_labelled_false(row: Mapping[str, object]) -> bool:
    """Return whether ``label`` is false, or the text "false" as files without types write it. A number is a class."""
    label = row.get("label")
    return label is False or (isinstance(label, str) and label.strip().lower() == "false")


def read_answers(row: Mapping[str, object], schema: str) -> list[tuple[Turn, ...]]:
    """Return the turns up to each different answer of a row; for a preference, up to the chosen answer.

    An answer without text gives none, even where the context contains other answers.
    """
    pair = PREFERENCE if schema == "preference" else PAIRS[schema]
    columns = ("chosen",) if schema == "preference" else pair.answered
    filled = [column for column in columns if has_answer(row, column, pair, schema)]
    alone = [keep_answer(row, column, pair) for column in filled]
    return list(dict.fromkeys(tuple(read_turns(record, schema)) for record in alone))


def keep_answer(row: Mapping[str, object], column: str, pair: PairSchema) -> dict[str, object]:
    """Return the row without its other answers."""
    return {name: value for name, value in row.items() if name == column or name not in pair.answered}


def has_answer(row: Mapping[str, object], column: str, pair: PairSchema, schema: str) -> bool:
    """Return whether a column of answers contains an assistant turn with text."""
    alone = {pair.asked[0]: None, column: row.get(column)}
    return any(turn.role == "assistant" for turn in read_turns(alone, schema))


def read_paths(row: Mapping[str, object]) -> list[tuple[tuple[Turn, ...], int]]:
    """Return the paths to the answers that no other answer follows, each with the number of turns it shares.

    The number counts turns at the beginning that the previous path has, too; the order is depth first, so that no
    earlier path shares more. Raises NothingToLearnError where there is no such path.
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
    """Yield the turns of every path from the root to a leaf, and how many of them the previous path has, too."""
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


def write_tools(value: object) -> str | None:
    """Return tools as JSON text; None where there are none, or none that a chat template could render.

    Nulls within an object are dropped: Arrow adds them, since all its rows have the same fields.
    """
    parsed = _parse_json(value)
    tools = [_parse_json(tool) for tool in (parsed if isinstance(parsed, list | tuple) else [parsed])]
    if not tools or not all(isinstance(tool, Mapping) and tool for tool in tools):
        return None
    try:
        return json.dumps([_without_nulls(tool) for tool in tools], ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):
        return None


def _parse_json(value: object) -> object:
    """Return the value of a JSON text; the text where it is not JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _without_nulls(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(inner) for inner in value]
    return value
