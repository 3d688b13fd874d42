"""Questions with their answers: Alpaca and its relatives, self-instruct tasks, preference pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curate.corpus.chat.messages import (
    MESSAGE_COLUMNS,
    as_list,
    describe_value,
    extend_turns,
    read_column,
    read_history,
    read_system,
    require_columns,
)
from curate.corpus.chat.types import ConversationError, Turn, join_turns


@dataclass(frozen=True, slots=True)
class PairSchema:
    """The columns of a schema of questions and answers."""

    asked: tuple[str, ...]
    """Columns of the question; the schema requires the first."""
    answered: tuple[str, ...]
    """Columns of answers; the schema requires one of them."""


PAIRS = {
    "alpaca": PairSchema(("instruction", "input", "context"), ("output", "response")),
    "prompt": PairSchema(("prompt",), ("completion", "response")),
    "question": PairSchema(("question", "context"), ("answer", "response")),
    "query": PairSchema(("query", "context"), ("response", "answer")),
    "problem": PairSchema(("problem",), ("solution", "answer")),
}
PREFERENCE = PairSchema(("prompt", "question", "query", "instruction", "input", "context"), ("chosen", "rejected"))


def list_instances(row: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Return the instances of a self-instruct task, each as a row of Alpaca, without the system turn of the task.

    Raises ConversationError for instances that are not objects.
    """
    require_columns(row, ("instances",))
    instances: list[Mapping[str, object]] = []
    for number, instance in enumerate(as_list(row["instances"], "instances")):
        if not isinstance(instance, Mapping):
            raise ConversationError(f"instances[{number}]", describe_value(instance), "an object with input and output")
        instances.append({"instruction": row.get("instruction"), **instance})
    return instances


def read_preference(row: Mapping[str, object], skipped: list[str]) -> list[Turn]:
    """Return the context, then the chosen and the rejected answer, each as its turns.

    Messages that an answer repeats from the context come once, as where each answer holds the complete conversation.
    """
    require_columns(row, PREFERENCE.answered)
    turns = extend_turns(read_system(row), read_history(row) + _read_asked(row, PREFERENCE, skipped))
    for column in (name for names in MESSAGE_COLUMNS.values() for name in names):
        turns = extend_turns(turns, read_column(row, column, None, skipped))
    for column in PREFERENCE.answered:
        turns = extend_turns(turns, read_column(row, column, "assistant", skipped))
    return turns


def read_instances(row: Mapping[str, object], skipped: list[str]) -> list[Turn]:
    """Return the turns of each instance as an Alpaca row: a task of several instances repeats its instruction."""
    turns = []
    for number, instance in enumerate(list_instances(row)):
        try:
            turns += read_pair(PAIRS["alpaca"], instance, skipped)
        except ConversationError as error:
            path = f"instances[{number}].{error.location}"
            raise ConversationError(path, error.actual, error.expected) from error
    return read_system(row) + (turns or read_column(row, "instruction", "user", skipped))


def has_pair(pair: PairSchema, names: set[str], rows: Sequence[Mapping[str, object]]) -> bool:
    """Return whether the names have the first column of the question and one of the answers, whatever the rows."""
    return pair.asked[0] in names and not names.isdisjoint(pair.answered)


def read_pair(pair: PairSchema, row: Mapping[str, object], skipped: list[str]) -> list[Turn]:
    """Return the system turn, the history, the question as one turn, and each different answer as one."""
    require_columns(row, pair.asked[:1])
    require_columns(row, pair.answered)
    asked = read_history(row) + _read_asked(row, pair, skipped)
    answers = dict.fromkeys(tuple(read_column(row, column, "assistant", skipped)) for column in pair.answered)
    return extend_turns(read_system(row), asked) + [turn for answer in answers for turn in answer]


def _read_asked(row: Mapping[str, object], pair: PairSchema, skipped: list[str]) -> list[Turn]:
    columns = [read_column(row, column, "user", skipped) for column in pair.asked]
    texts = [turns[0] for turns in columns if len(turns) == 1 and turns[0].role == "user"]
    if len(texts) > 1 and len(texts) == sum(map(len, columns)):
        return [Turn("user", join_turns(dict.fromkeys(texts)))]
    return [turn for turns in columns for turn in turns]
