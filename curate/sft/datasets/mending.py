"""Errors about the columns of a dataset: what was found, and the command under way with the options that mend it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from curate.corpus.chat.named_columns import SPOKEN, FieldNames, find_value
from curate.corpus.chat.schemas import SCHEMAS
from curate.corpus.chat.written import find_rendering
from curate.errors import CorpusError
from curate.runtime.calls import find_call, repeat_command
from curate.runtime.options import as_list
from curate.sft.datasets.column_guesses import ANSWERED_WORDS, ASKED_WORDS, guess_pair, guess_side, list_texts
from curate.sft.datasets.dataset_start import DatasetStart, describe_columns, is_there, walk_columns
from curate.sft.datasets.fields import OPTIONS, repeat_ranking
from curate.sft.datasets.message_guesses import MessageGuess, guess_messages
from curate.sft.datasets.names import name_sets

KNOWN = (
    "known columns are messages, conversations, instruction and output, prompt and completion, question and answer, "
    f"chosen and rejected, …; choose a schema with --schema: {', '.join(SCHEMAS)}"
)
NEAR = 0.6
"""The similarity from which a name is a slip of the pen."""
WORDS = {"prompt": "questions", "response": "answers"}


def explain_unknown_columns(name: str, data: str, start: DatasetStart) -> tuple[str, str]:
    """Return what the columns of an unknown dataset hold, and the command that reads them."""
    problem, column_to_values = describe_columns(start.columns), dict(walk_columns(start.rows))
    spoken = {column: guess for column, values in column_to_values.items() if (guess := guess_messages(values))}
    if spoken:
        listed = " and ".join(list(spoken)[:4])
        problem += f"; {listed} {'each hold' if len(spoken) > 1 else 'holds'} messages"
    elif rendered := {column: mark for column, values in column_to_values.items() if (mark := find_rendering(values))}:
        column, mark = next(iter(rendered.items()))
        problem += f"; {column} was rendered by a chat template ({mark}), which is no longer told from the text"
    elif len(texts := list_texts(column_to_values)) > 1:
        problem += f"; texts are in {', '.join(texts[:8])}" if len(texts) > 2 else ""
    words = suggest_words(column_to_values, spoken)
    return problem, (repeat_ranking(name, data, **words) if words else None) or leave_out(name) or KNOWN


def suggest_words(
    column_to_values: Mapping[str, Sequence[Any]], spoken: Mapping[str, MessageGuess] | None = None
) -> dict[str, Sequence[str]]:
    """Return the words of options by which a dataset of unknown columns can be read; none where none can be.

    ``column_to_values`` has the filled values of each column, ``spoken`` the columns of messages.
    """
    if spoken is None:
        spoken = {column: guess for column, values in column_to_values.items() if (guess := guess_messages(values))}
    if spoken:
        column, guess = next(iter(spoken.items()))
        return {"messages": (column,), "prompt": (), "response": (), **guess.as_words()}
    if any(find_rendering(values) for values in column_to_values.values()):
        return {}
    pair = guess_pair(column_to_values)
    return {} if pair is None else {"prompt": pair[:1], "response": pair[1:], "messages": ()}


def leave_out(name: str) -> str | None:
    """Return the command under way without a dataset that cannot be read; None where it is the only one."""
    call = find_call("rank_sft")
    data = as_list(call.values["data"]) if call is not None else []
    kept = [argument for one, argument in zip(name_sets(data) if data else (), data, strict=False) if one != name]
    return repeat_command("rank_sft", data=kept) if kept else None


def require_named(name: str, data: str, start: DatasetStart, fields: FieldNames, is_known: bool) -> None:
    """Raise CorpusError for a named column that none of the first rows has.

    ``is_known`` tells whether the rows follow a schema without the names: then the hint takes the option from this
    dataset.
    """
    for key in ("prompt", "response", "messages"):
        for column in getattr(fields, key):
            if any(is_there(row, column) for row in start.rows):
                continue
            column_to_values = dict(walk_columns(start.rows))
            words = _rename_column(key, column, column_to_values, fields)
            if words is None:
                words = {"prompt": (), "response": (), "messages": ()} if is_known else suggest_words(column_to_values)
            message = f"{name} has no column {column}, which {OPTIONS[key]} names; {describe_columns(start.columns)}"
            hint = repeat_ranking(name, data, **words) if words else None
            raise CorpusError(message, hint or leave_out(name) or KNOWN)


def _rename_column(
    key: str, column: str, column_to_values: Mapping[str, Sequence[Any]], fields: FieldNames
) -> dict[str, Sequence[str]] | None:
    """Return the words of the option with the column that was meant; None where no name is near."""
    near = difflib.get_close_matches(column, [*column_to_values], 1, NEAR)
    folded = [one for one in column_to_values if one.casefold() == column.casefold()]
    meant = (folded or near)[:1]
    if not meant or meant[0] in (*fields.prompt, *fields.response):
        return None
    guess = guess_messages(column_to_values[meant[0]], fields) if key == "messages" else MessageGuess()
    if guess is None:
        return None
    return {key: [meant[0] if one == column else one for one in getattr(fields, key)], **guess.as_words()}


def require_both(name: str, data: str, start: DatasetStart, fields: FieldNames) -> None:
    """Raise CorpusError where questions or answers alone are named, and no column is known to hold the others."""
    if bool(fields.prompt) == bool(fields.response):
        return
    side, missing = ("response", "prompt") if fields.response else ("prompt", "response")
    guess = guess_side(
        dict(walk_columns(start.rows)), ASKED_WORDS if missing == "prompt" else ANSWERED_WORDS, getattr(fields, side)
    )
    message = f"{name}: {OPTIONS[side]} is given, and no column is known to hold the {WORDS[missing]}"
    hint = None if guess is None else repeat_ranking(name, data, **{missing: (guess,)})
    raise CorpusError(f"{message}; there are: {', '.join(start.columns[:20])}", hint or leave_out(name) or KNOWN)


def suggest_command(name: str, start: DatasetStart, fields: FieldNames, data: str) -> str | None:
    """Return the command by which the messages of a dataset without examples could be read; None for none."""
    column = next((one for one in (*fields.messages, *SPOKEN) if one in start.columns or one in fields.messages), None)
    values = [] if column is None else [find_value(row, column) for row in start.rows]
    guess = guess_messages(values, fields)
    if column is None or guess is None:
        return None
    named = replace(fields, messages=(column,), prompt=(), response=())
    words = {"messages": named.messages, **guess.as_words()}
    if column in fields.messages and words.keys() == {"messages"}:
        return None
    if guess.roles and not (guess.role_key or guess.content_key or fields.messages):
        words.pop("messages")
    return repeat_ranking(name, data, **words)
