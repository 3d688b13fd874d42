"""Conversations: one row of an instruction-tuning dataset as turns, whichever schema its authors chose.

    schema          columns                                                     becomes
    tree            prompt: {text, role, replies: […]}                          every message once, depth first
    preference      chosen, rejected; prompt, question, …, or conversations     the context, then both answers
    messages        messages: [{role, content}]                                 a turn for each message
    conversations   conversations or conversation: [{from, value}]              a turn for each message
    instances       instruction, instances: [{input, output}]                   question and answer for each instance
    alpaca          instruction, input or context, output or response           question, answer
    prompt          prompt, completion or response                              question, answer
    question        question, context, answer or response                       question, answer
    query           query, context, response or answer                          question, answer
    problem         problem, solution or answer                                 question, answer

Conventions that bind every schema:

- A rejected answer is an assistant turn as the chosen one is, and so is an answer with the label false (KTO).
- ``system`` or ``system_prompt`` in any schema but tree is a system turn; ``history`` with a question, pairs of a
  question and an answer (LLaMA-Factory), comes before it. Other columns, such as ``tools``, are not read.
- A message is one turn: its reasoning where that is plain text, its content, its tool calls as JSON, with a blank line
  between two. It may use role or from, and content, value or text.
- Of a content's typed parts, text, reasoning and tool calls are read; others (images, audio, …) are skipped, counted.
- A list of messages may be stored as a JSON string, or as the text of a Python list, and may stand for the string of a
  prompt or an answer (TRL).
- Several columns of a question are joined by a blank line; several answers are a turn each; equal ones count once.
- Null, NaN (a missing value of pandas) and white space are no text. Numbers are text; booleans are an error.
- Texts are kept as they are; nothing is stripped from a turn that has text.

To add a schema: a row in ``SCHEMAS``, a row in the table above, and a function that reads it in ``messages``, ``pairs``
or ``trees``. A schema of questions and answers is a row of ``pairs.PAIRS``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from curate.corpus.chat.messages import MESSAGE_COLUMNS, SYSTEM_COLUMNS, has_messages, read_messages
from curate.corpus.chat.named_columns import read_spelling, rename_row
from curate.corpus.chat.pairs import PAIRS, PREFERENCE, PairSchema, has_pair, read_instances, read_pair, read_preference
from curate.corpus.chat.trees import has_tree, read_tree
from curate.corpus.chat.types import Conversation, Turn

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ChatSchema:
    """A schema of conversations: how it is recognised, what it reads, and how a row becomes turns."""

    fits: Callable[[set[str], Sequence[Row]], bool]
    """Whether columns of these names, and the first rows where there are any, may follow the schema."""
    columns: tuple[str, ...]
    """Every column that it reads, where it is there, in the order of the turns."""
    read: Callable[[Row, list[str]], list[Turn]]
    """The turns of a row, in order. The types of parts that are skipped are appended to the list."""


def _define_messages(columns: tuple[str, ...]) -> ChatSchema:
    return ChatSchema(
        fits=partial(has_messages, columns),
        columns=(*SYSTEM_COLUMNS, *columns),
        read=partial(read_messages, columns),
    )


def _define_pair(pair: PairSchema) -> ChatSchema:
    return ChatSchema(
        fits=partial(has_pair, pair),
        columns=(*SYSTEM_COLUMNS, "history", *pair.asked, *pair.answered),
        read=partial(read_pair, pair),
    )


# From the most particular to the most general, which is the order of detection.
SCHEMAS = {
    "tree": ChatSchema(
        fits=has_tree,
        columns=("prompt",),
        read=read_tree,
    ),
    "preference": ChatSchema(
        fits=lambda names, rows: names.issuperset(PREFERENCE.answered),
        columns=(
            *SYSTEM_COLUMNS,
            "history",
            *PREFERENCE.asked,
            *(column for columns in MESSAGE_COLUMNS.values() for column in columns),
            *PREFERENCE.answered,
        ),
        read=read_preference,
    ),
    **{name: _define_messages(columns) for name, columns in MESSAGE_COLUMNS.items()},
    "instances": ChatSchema(
        fits=lambda names, rows: {"instruction", "instances"} <= names,
        columns=(*SYSTEM_COLUMNS, "instruction", "instances"),
        read=read_instances,
    ),
    **{name: _define_pair(pair) for name, pair in PAIRS.items()},
}


def read_turns(row: Row, schema: str) -> list[Turn]:
    """Return the turns of one row, in order, each with some text; an empty list for a row without any text.

    Raises ConversationError, which names the path within the row, what was found and what was expected, for a row that
    does not follow the schema, and ValueError for a schema that is not in ``SCHEMAS``.
    """
    return list(read_conversation(row, schema).turns)


def read_conversation(row: Row, schema: str) -> Conversation:
    """Return the turns of one row, and the types of the parts that were skipped. Raises what ``read_turns`` does."""
    name, names = read_spelling(schema)
    if name not in SCHEMAS:
        raise ValueError(f"unknown schema {schema!r}; expected one of {', '.join(SCHEMAS)}")
    skipped: list[str] = []
    turns = SCHEMAS[name].read(rename_row(row, names), skipped)
    return Conversation(tuple(turns), tuple(skipped))
