"""The columns of an eval set by the names that benchmarks give them, in any case and spelling.

The lists go from the surest name to the last resort; a column serves one role only, and must hold what the role needs.
Their sources are the columns of the sets in known.json and of the files that their authors publish.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from curate.errors import CorpusError
from curate.stages.decontaminate.evalsets.choices import POINTERS, as_options
from curate.stages.decontaminate.evalsets.column_names import Record, alike, list_columns, look_up
from curate.stages.decontaminate.evalsets.layout import Layout, Roles, find_given, tell_columns
from curate.stages.decontaminate.evalsets.texts import (
    as_questions,
    is_blank,
    is_dialogue,
    is_list,
    last_reply,
    whole_text,
)

QUESTION = (
    "question", "turns", "questions", "messages", "conversations", "conversation", "problem", "prompt", "instruction",
    "query", "questionstem", "questioncontent", "questiontext", "problemstatement", "problemdescription", "goal",
    "input", "inputs", "stem", "instructions", "userprompt", "description", "claim", "statement", "sentence", "ctx",
    "sent1", "text", "content", "page", "document", "passage", "article", "story", "paragraph", "context",
)  # fmt: skip
CONTEXT = (
    "passage", "context", "article", "story", "paragraph", "narrative", "support", "background", "document", "contexts",
)  # fmt: skip
CHOICES = (
    "choices", "options", "endings", "answerchoices", "candidates", "alternatives", "answeroptions", "possibleanswers",
    "mc1targets", "mc2targets",
)  # fmt: skip
ANSWER = (
    "answer", "answers", "bestanswer", "correctanswer", "goldanswer", "answersspans", "target", "targets", "solution",
    "solutions", "rationale", "canonicalsolution", "referencesolution", "groundtruth", "referenceanswer", "references",
    "reference", "code", "output", "outputs", "completion", "response", "finaldecision", "answernumber", "answertext",
    "label", "labels", "answerkey", "answeridx", "answerindex", "answerid", "gold", "goldindex", "correct",
    "correctoption", "correctchoice", "correctindex", "correctansweridx", "correctanswerindex", "targetidx", "cop",
)  # fmt: skip
ID = (
    "id", "taskid", "questionid", "qid", "queryid", "promptid", "exampleid", "problemid", "itemid", "uniqueid",
    "recordid", "uid", "uuid", "key", "idx", "index", "ind", "pairid", "passageid",
)  # fmt: skip

# Columns that mean something else together than alone: the columns that must be there, and the roles they then have.
TOGETHER: tuple[tuple[tuple[str, ...], dict[str, tuple[str, ...]]], ...] = (
    (("body", "question"), {"question": ("body", "question")}),  # SVAMP, ASDiv
    (("instruction", "instances"), {"question": ("instruction", "instances.input"), "answer": ("instances.output",)}),
    (("instruction", "input"), {"question": ("instruction", "input")}),  # Alpaca
    (("premise", "choice1", "choice2"), {"question": ("premise",), "choices": ("choice1", "choice2")}),  # COPA
    (("premise", "hypothesis"), {"context": ("premise",), "question": ("hypothesis",)}),
    (("sentence1", "sentence2"), {"question": ("sentence1", "sentence2")}),
    (("correctanswers", "incorrectanswers"), {"choices": ("correctanswers", "incorrectanswers")}),  # TruthfulQA
)
LETTERED = re.compile(r"(option|choice|answer|opt|op|ans|candidate|ending|)([a-j])")
NUMBERED = re.compile(r"(option|choice|answer|opt|ans|sol|candidate|ending|distractor|incorrectanswer|wronganswer)(\d)")
# Wrong options alone: the right one stands in a column of its own.
WRONG = {"distractor", "incorrectanswer", "wronganswer"}
RIGHT = "correctanswer"


def find_layout(records: Sequence[Record], given: Roles, where: str) -> Layout:
    """The columns of every role: those given, else by their names. CorpusError where no column is the question."""
    roles = find_given(given, records, where)
    shown = ColumnSample(records)
    for role, names in find_together(shown).items():
        if role not in roles and not any(name in roles.get("question", ()) for name in names):
            roles[role] = names
    joint = "\n" if "question" not in given and alike(roles.get("question", ("",))[0]) == "instruction" else " "
    if "question" not in roles:
        roles["question"] = find_question(shown, taken(roles), where)
    roles.setdefault("choices", find_choices(shown, taken(roles)))
    roles.setdefault("context", shown.first(CONTEXT, taken(roles), holds_text)[:1])
    roles.setdefault("id", shown.first(ID, taken(roles), holds_text)[:1])
    if "answer" in given:
        answers: tuple[tuple[str, ...], ...] = (roles["answer"],) if roles["answer"] else ()
    else:
        answers = tuple((name,) for name in find_answers(shown, roles))
    return Layout(roles["question"], roles["context"], roles["choices"], answers, roles["id"], joint)


class ColumnSample:
    """The columns that rows show, found by names that are alike, and whether one of their values is fit for a role."""

    def __init__(self, records: Sequence[Record]):
        self.records = records
        self.names: dict[str, str] = {}
        for name in list_columns(records):
            self.names.setdefault(alike(name), name)

    def values(self, path: str) -> Iterator[Any]:
        return (value for record in self.records if (value := look_up(record, path)) is not None)

    def first(self, wanted: Sequence[str], used: set[str], fit: Any) -> tuple[str, ...]:
        """All columns of the wanted names, in that order, that are not used and hold a fit value."""
        found = (self.names[name] for name in wanted if name in self.names)
        return tuple(name for name in found if name not in used and any(map(fit, self.values(name))))


def taken(roles: Roles) -> set[str]:
    """The columns that have a role; a column that paths lead into has one too."""
    return {part for names in roles.values() for name in names for part in (name, name.split(".")[0])}


def holds_text(value: Any) -> bool:
    return not is_blank(whole_text(value))


def holds_question(value: Any) -> bool:
    return isinstance(value, (str, list, tuple, dict)) and bool(as_questions(value))


def find_together(shown: ColumnSample) -> dict[str, tuple[str, ...]]:
    """The roles of the first combination that the columns have."""
    for needed, roles in TOGETHER:
        if all(name in shown.names for name in needed) and (needed[-1] != "instances" or _nests(shown)):
            return {role: tuple(_spell(shown, name) for name in names) for role, names in roles.items()}
    return {}


def _nests(shown: ColumnSample) -> bool:
    return any(is_list(value) for value in shown.values(shown.names["instances"]))


def _spell(shown: ColumnSample, path: str) -> str:
    head, dot, rest = path.partition(".")
    return shown.names[head] + dot + rest


def find_question(shown: ColumnSample, used: set[str], where: str) -> tuple[str, ...]:
    found = shown.first(QUESTION, used, holds_question)[:1]
    if not found:
        raise CorpusError(
            f"{where}: no column is known as the question; there are: {tell_columns(shown.records)}",
            "--eval-fields question=COLUMN",
        )
    return found


def find_choices(shown: ColumnSample, used: set[str]) -> tuple[str, ...]:
    """The column that lists the options, or the columns that each hold one; none where there are no options."""
    listed = shown.first(CHOICES, used, lambda value: len(as_options(value).texts) > 1)[:1]
    if listed:
        return listed
    nested = [f"{name}.choices" for name in used if any(isinstance(value, dict) for value in shown.values(name))]
    for path in sorted(nested):  # ARC as its authors publish it: question.stem, question.choices.
        if any(len(as_options(value).texts) > 1 for value in shown.values(path)):
            return (path,)
    return find_series(shown, used) or find_listed_answers(shown, used)


def find_series(shown: ColumnSample, used: set[str]) -> tuple[str, ...]:
    """The longest of the series of columns such as A, B, C, D or option1, option2 or distractor1, distractor2."""
    series: dict[tuple[str, bool], dict[int, str]] = {}
    for name, column in shown.names.items():
        lettered = LETTERED.fullmatch(name)
        if (found := lettered or NUMBERED.fullmatch(name)) and column not in used:
            place = ord(found[2]) - ord("a") if lettered else int(found[2])
            series.setdefault((found[1], bool(lettered)), {})[place] = column
    best: tuple[str, ...] = ()
    for (prefix, is_lettered), columns in series.items():
        begin = 1 if not is_lettered and 0 not in columns else 0
        whole = tuple(
            columns[place] for place in range(begin, 10) if all(one in columns for one in range(begin, place + 1))
        )
        if prefix in WRONG and whole and RIGHT in shown.names:
            whole = (*whole, shown.names[RIGHT])
        best = whole if len(whole) > max(1, len(best)) else best
    return best


def find_listed_answers(shown: ColumnSample, used: set[str]) -> tuple[str, ...]:
    """ReClor and CosmosQA call the options answers: lists of texts, with a column beside them that points into them."""
    found = shown.first(("answers",), used, is_list)
    points = any(name in shown.names for name in POINTERS)
    if not found or not points:
        return ()
    lists = list(shown.values(found[0]))
    texts = all(is_list(value) and len(value) > 1 and all(isinstance(item, str) for item in value) for value in lists)
    return found if texts else ()


def find_answers(shown: ColumnSample, roles: Roles) -> tuple[str, ...]:
    """The columns that may hold the answer, the surest first: what is blank in one may stand in the next."""
    used = taken({role: names for role, names in roles.items() if role not in ("answer", "choices")})
    options = set(roles["choices"]) - {shown.names.get(RIGHT, "")}
    found = shown.first(ANSWER, used | options, holds_text)
    marks = tuple(f"{name}.labels" for name in roles["choices"] if any(map(_is_marked, shown.values(name))))
    spoken = tuple(name for name in roles["question"] if any(map(_replies, shown.values(name))))
    return (*roles.get("answer", ()), *(name for name in found if name not in roles.get("answer", ())), *marks, *spoken)


def _is_marked(value: Any) -> bool:
    """TruthfulQA: {"choices": […], "labels": [1, 0, …]}."""
    labels = value.get("labels") if isinstance(value, dict) else None
    return is_list(labels) and bool(labels) and all(label in (0, 1) for label in labels)


def _replies(value: Any) -> bool:
    return is_dialogue(value) and not is_blank(last_reply(value))
