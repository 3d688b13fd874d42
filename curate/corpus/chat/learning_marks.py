"""Marks of turns that a model is not to learn, as the formats of trainers have them.

    on a message   weight 0 (OpenAI, Mistral, Together)       training, train false (Axolotl, chat templates' users)
                   loss false or 0 (ms-swift, XTuner)         loss_mask, step_loss_mask 0 (verl, slime)
                   masked true (torchtune), …
    on a row       loss_mask: [0, 1, 0, 1], an entry for each message (LLaMA-Factory), or one value for all; the other
                   names likewise

A turn is learnt unless one of its marks says that it is not. Null and NaN are no mark: Arrow gives all messages the
same fields. A weight between 0 and 1, or above, counts as 1, with a note. A mark that cannot be followed (a list within
a message, ``train_detail``, ``mask``) is named in a note, and the turn counts as learnt.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from curate.corpus.chat.types import Turn

LEARNT_KEYS = (
    *("weight", "train", "training", "trainable", "loss", "loss_mask", "train_on_turn", "step_loss_mask"),
    *("loss_weight", "loss_scale", "weights", "loss_masks", "train_mask"),
)
"""Names of marks that are true, or not 0, where a turn is learnt."""
HIDDEN_KEYS = ("masked", "ignore_loss", "mask_loss")
"""Names of marks that are true where a turn is not learnt."""
ROW_COLUMNS = tuple(key for key in (*LEARNT_KEYS, *HIDDEN_KEYS) if key not in ("loss_scale", "loss_weight"))
"""Columns that may hold marks of a row: one value, or a list with an entry for each message."""
UNMARKED = frozenset(
    (
        "role",
        "from",
        "content",
        "value",
        "text",
        "reasoning_content",
        "reasoning",
        "thinking",
        "tool_calls",
        "name",
        "id",
    )
)
"""Fields of a message that are no marks."""
LIKE_MARKS = re.compile(r"(^|_)(mask|masks|masked|train|trainable|training|loss|learn|learnable|supervised)(_|$)")
"""Names of fields of a message that look like marks."""
WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}

UNLEARNT_NOTE = "turns that are marked not to be learnt ({0}) are not scored"
WEIGHT_NOTE = "{0}: a weight other than 0 and 1 counts as 1"
UNCLEAR_NOTE = "{0}: not understood as a mark; turns that have it are scored"
ASKING_NOTE = "{0}: marks turns of the {1} to be learnt, which are never scored"
UNALIGNED_NOTE = "{0}: as many entries as the row has messages are needed; it is not followed"


def read_marks(message: Mapping[str, object], role: str) -> tuple[bool, tuple[str, ...]]:
    """Return whether a message is to be learnt by its own marks, and notes on them."""
    learnt, notes = True, list[str]()
    for key, value in message.items():
        if key in UNMARKED:
            parts = value if isinstance(value, list | tuple) else ()
            notes += [UNCLEAR_NOTE.format(f"a part's {mark}") for mark in list_part_marks(parts)]
            continue
        if value is None or not isinstance(key, str):
            continue
        if key in LEARNT_KEYS or key in HIDDEN_KEYS:
            said, more = judge_mark(key, value, role)
            learnt, notes = learnt and said, [*notes, *more]
        elif role == "assistant" and LIKE_MARKS.search(key) and not is_blank(value):
            notes.append(UNCLEAR_NOTE.format(key))
    return learnt, tuple(notes)


def list_part_marks(parts: Sequence[object]) -> list[str]:
    """Return the names of the marks that typed parts of a content have."""
    names = (*LEARNT_KEYS, *HIDDEN_KEYS)
    marks = [key for part in parts if isinstance(part, Mapping) for key in names if not is_blank(part.get(key))]
    return list(dict.fromkeys(marks))


def judge_mark(key: str, value: object, role: str) -> tuple[bool, list[str]]:
    """Return whether one mark leaves a turn of ``role`` to be learnt, and notes on it."""
    if is_blank(value):
        return True, []
    weight = read_weight(value)
    if weight is None:
        return True, [UNCLEAR_NOTE.format(key)] if role == "assistant" else []
    is_learnt = not weight if key in HIDDEN_KEYS else bool(weight)
    if role != "assistant":
        return True, [ASKING_NOTE.format(key, role)] if is_learnt and key not in HIDDEN_KEYS else []
    if not is_learnt:
        return False, [UNLEARNT_NOTE.format(key)]
    return True, [WEIGHT_NOTE.format(key)] if weight not in (0.0, 1.0) else []


def read_weight(value: object) -> float | None:
    """Return a mark as a weight, true as 1; None for anything that is no weight of 0 or above."""
    if isinstance(value, str):
        value = WORDS.get(value.strip().lower(), value)
    try:
        weight = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    return weight if weight >= 0 and math.isfinite(weight) else None


def is_blank(value: object) -> bool:
    """Return whether a value marks nothing: null, NaN, an empty text or list."""
    return value is None or value in ("", [], {}) or (isinstance(value, float) and math.isnan(value))


def find_row_marks(row: Mapping[str, object]) -> dict[str, object]:
    """Return the columns of a row that may mark its turns, without blanks and texts that are no mark."""
    found = {column: row[column] for column in ROW_COLUMNS if column in row and not is_blank(row[column])}
    return {
        column: value
        for column, value in found.items()
        if isinstance(value, list | tuple) or read_weight(value) is not None
    }


def mark_turns(
    turns: Sequence[Turn], messages: Sequence[int | None], count: int, marks: Mapping[str, object]
) -> list[Turn]:
    """Return the turns with the marks of their row.

    ``messages`` has the number of the message of each turn, None where it is none of the ``count`` messages that a list
    of marks may be about. A list of as many entries as there are assistant turns is about those.
    """
    marked = list(turns)
    answers = [index for index, turn in enumerate(turns) if turn.role == "assistant" and turn.text.strip()]
    for key, value in marks.items():
        if not isinstance(value, list | tuple):
            entries: dict[int, object] = dict.fromkeys(answers, value)
        elif len(value) == count:
            entries = {at: value[number] for at, number in enumerate(messages) if number is not None}
        elif len(value) == len(answers):
            entries = dict(zip(answers, value, strict=True))
        else:
            marked = [add_note(turn, UNALIGNED_NOTE.format(key)) for turn in marked]
            continue
        for at, entry in entries.items():
            learnt, notes = judge_mark(key, entry, turns[at].role)
            turn = marked[at]
            marked[at] = replace(turn, learnt=turn.learnt and learnt, notes=(*turn.notes, *notes))
    return marked


def add_note(turn: Turn, note: str) -> Turn:
    """Return the turn with one more note."""
    return replace(turn, notes=(*turn.notes, note))
