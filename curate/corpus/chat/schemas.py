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
- ``system`` or ``system_prompt`` beside any schema but tree is a system turn; ``history`` beside a question, pairs of a
  question and an answer (LLaMA-Factory), stands before it. Other columns, such as ``tools``, are not read.
- A message is one turn: its reasoning where that is plain text, its content, its tool calls as JSON, with a blank line
  between two. It may use role or from, and content, value or text.
- Of a content's typed parts, text, reasoning and tool calls are read; others (images, audio, …) are skipped, counted.
- A list of messages may be stored as a JSON string, and may stand for the string of a prompt or an answer (TRL).
- Several columns of a question are joined by a blank line; several answers are a turn each; equal ones count once.
- Null, NaN (a missing value of pandas) and white space are no text. Numbers are text; booleans are an error.
- Texts are kept as they are; nothing is stripped from a turn that has text.
"""

from collections.abc import Mapping

from curate.corpus.chat.messages import MESSAGE_COLUMNS, read_messages
from curate.corpus.chat.pairs import PAIRS, read_instances, read_pair, read_preference
from curate.corpus.chat.trees import read_tree
from curate.corpus.chat.types import Conversation, Turn

# From the most particular to the most general, which is the order of detection.
SCHEMAS = ("tree", "preference", *MESSAGE_COLUMNS, "instances", *PAIRS)


def read_turns(row: Mapping[str, object], schema: str) -> list[Turn]:
    """The turns of one row, in order, each with some text; none for a row without any.

    Raises ConversationError, which names the place, what was found and what was expected, for a row that does not
    follow the schema, and ValueError for a schema that is none of ``SCHEMAS``.
    """
    return list(read_conversation(row, schema).turns)


def read_conversation(row: Mapping[str, object], schema: str) -> Conversation:
    """The turns of one row as ``read_turns`` gives them, and the types of the parts that were skipped."""
    skipped: list[str] = []
    if schema == "tree":
        turns = read_tree(row, skipped)
    elif schema == "preference":
        turns = read_preference(row, skipped)
    elif schema in MESSAGE_COLUMNS:
        turns = read_messages(row, MESSAGE_COLUMNS[schema], skipped)
    elif schema == "instances":
        turns = read_instances(row, skipped)
    elif schema in PAIRS:
        turns = read_pair(row, PAIRS[schema], skipped)
    else:
        raise ValueError(f"unknown schema {schema!r}; expected one of {', '.join(SCHEMAS)}")
    return Conversation(tuple(turns), tuple(skipped))
