"""The turns of a conversation in the form that a template takes: forms tried, and the one that loses the least chosen.

messages.list_forms → the first that is not refused → choose_form: calls written, parts joined as the template does
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from curate.corpus.chat.types import Turn
from curate.sft.chat_template.delimiters import TemplateDelimiters, TextMarker
from curate.sft.chat_template.messages import MessageForm, has_calls, list_forms, write_messages

JOINED = "typed parts joined by blank lines, since the template writes no parts"
AS_JSON = "tool calls written as JSON text, as the data has them, since the template writes none"
IDENTIFIED = "ids of tool calls replaced by some that the template takes"


@dataclass(frozen=True, slots=True)
class FittedTurns:
    """Turns, and the form in which a template takes them."""

    turns: tuple[Turn, ...]
    kept: tuple[int, ...]
    """The index that each turn had in the conversation."""
    form: MessageForm
    split: bool = False
    """Whether markers tell the reasoning and the answer in one content apart."""
    notes: tuple[str, ...] = ()
    """What was changed to make them fit."""


Delimit = Callable[[FittedTurns], TemplateDelimiters | None]


def choose_form(fitted: FittedTurns, delimit: Delimit, written: str) -> FittedTurns:
    """Return the turns in the form of which the template writes the most: contents, tool calls as JSON, typed parts.

    ``fitted`` has a form that the template takes and ``written`` is its rendering, needed only where there are calls;
    ``delimit`` gives the delimiters of others, None where it refuses them.
    """
    if any(turn.fields is not None and not isinstance(turn.fields.content, str) for turn in fitted.turns):
        fitted = _choose_parts(fitted, delimit)
    if _count_missing(fitted, delimit):
        listed = replace(fitted, form=replace(fitted.form, parts="list"))
        if delimit(listed) is not None and _count_missing(listed, delimit) < _count_missing(fitted, delimit):
            fitted = listed
    if any(map(has_calls, fitted.turns)):
        fitted = _choose_calls(fitted, delimit, written)
    if fitted.form.writes_ids:
        fitted = replace(fitted, notes=(*fitted.notes, IDENTIFIED))
    return fitted


def move_system(turns: Sequence[Turn]) -> tuple[tuple[Turn, ...], tuple[int, ...]] | None:
    """Put the system texts at the beginning before the first user text, with a blank line in between.

    Returns the turns and the indices that they had; None where there is no system turn to move, or no user turn.
    """
    first = next((at for at, turn in enumerate(turns) if turn.role == "user"), len(turns))
    systems = [at for at in range(first) if turns[at].role == "system"]
    if first == len(turns) or not systems:
        return None
    kept = [at for at in range(len(turns)) if at not in systems]
    joined = "\n\n".join(turns[at].text for at in (*systems, first) if turns[at].text.strip() or at == first)
    return tuple(Turn("user", joined) if at == first else turns[at] for at in kept), tuple(kept)


def _choose_parts(fitted: FittedTurns, delimit: Delimit) -> FittedTurns:
    """Return the turns with lists of parts where the template writes one part as it writes a text, else with texts.

    Lists also where it writes no texts, as those of models that see pictures.
    """
    as_text = replace(fitted, form=replace(fitted.form, parts="text"))
    single = replace(fitted, turns=tuple(map(_join_parts, fitted.turns)))
    one, plain = delimit(single) if fitted.form.parts != "text" else None, delimit(as_text)
    if plain is None or one == plain or (one is not None and _count_missing(as_text, delimit)):
        return fitted
    has_several = any(single_turn is not turn for single_turn, turn in zip(single.turns, fitted.turns, strict=True))
    return replace(as_text, notes=(*fitted.notes, JOINED)) if has_several else as_text


def _join_parts(turn: Turn) -> Turn:
    """Return a turn of several parts with one."""
    if turn.fields is None or isinstance(turn.fields.content, str) or len(turn.fields.content) < 2:
        return turn
    return replace(turn, fields=replace(turn.fields, content=("\n\n".join(turn.fields.content),)))


def _count_missing(fitted: FittedTurns, delimit: Delimit) -> int:
    """Return how many contents of users and the assistant the template leaves out; 0 where it refuses the turns."""
    delimiters = delimit(fitted)
    if delimiters is None or len({slot.turn for slot in delimiters.slots}) == len(fitted.turns):
        return 0
    written = {slot.turn for slot in delimiters.slots if slot.part == "whole"}
    marker = TextMarker()
    write_messages(fitted.turns, fitted.form, lambda name: False, marker.take)
    wanted = {slot.turn for slot in marker.texts if slot.part == "whole"}
    return sum(fitted.turns[turn].role in ("user", "assistant") for turn in wanted - written)


def _choose_calls(fitted: FittedTurns, delimit: Delimit, written: str) -> FittedTurns:
    """Return the turns in a form in which the template writes their tool calls, as JSON and not as Python writes it.

    Where there is none, and the data holds the calls as text, they are that text.
    """
    if not _drops_calls(fitted, delimit) and not _shows_python(fitted, written):
        return fitted
    for form in list_forms(fitted.turns):
        other = replace(fitted, form=replace(form, parts=fitted.form.parts))
        if form.arguments == "object" and _shows_python(fitted, written):
            continue
        if delimit(other) is not None and not _drops_calls(other, delimit):
            return other
    as_json = replace(fitted, form=replace(fitted.form, calls="json"), notes=(*fitted.notes, AS_JSON))
    has_text = any(turn.fields is not None and turn.fields.is_text for turn in fitted.turns)
    return as_json if has_text and delimit(as_json) is not None else fitted


def _drops_calls(fitted: FittedTurns, delimit: Delimit) -> bool:
    """Return whether the template writes the same without the tool calls."""
    return delimit(fitted) == delimit(replace(fitted, form=replace(fitted.form, calls="none")))


def _shows_python(fitted: FittedTurns, written: str) -> bool:
    """Return whether arguments stand in a rendering as Python writes an object, and not as JSON does."""
    if fitted.form.arguments != "object":
        return False
    arguments = [call["function"]["arguments"] for turn in fitted.turns if turn.fields for call in turn.fields.calls]  # type: ignore[index]
    shown = [(str(each), json.dumps(each, ensure_ascii=False, default=str)) for each in arguments if each]
    return any(python in written and as_json not in written for python, as_json in shown if python != as_json)
