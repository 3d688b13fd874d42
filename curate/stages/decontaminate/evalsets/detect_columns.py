"""The columns of an eval set by the names that benchmarks give them, in any case and spelling.

To read another schema, add to the tables here: a row of SCHEMAS for columns that have another meaning together than
alone, else a name to the tuple of its role. Names are written as ``alike`` returns them. The tuples go from the surest
name to the last resort; a column has one role only, and must hold what the role needs. Their sources are the columns of
the sets in known.json and of the files that their authors publish.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curate.errors import CorpusError
from curate.stages.decontaminate.evalsets.choices import POINTERS, as_options
from curate.stages.decontaminate.evalsets.column_names import Record, alike, list_columns, look_up
from curate.stages.decontaminate.evalsets.layout import Layout, Roles, find_given, join_columns
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
    *POINTERS,
)  # fmt: skip
ID = (
    "id", "taskid", "questionid", "qid", "queryid", "promptid", "exampleid", "problemid", "itemid", "uniqueid",
    "recordid", "uid", "uuid", "key", "idx", "index", "ind", "pairid", "passageid",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class EvalSchema:
    """Columns that have another meaning together than alone."""

    needed: tuple[str, ...]
    """The columns that must all be there."""
    roles: Mapping[str, tuple[str, ...]]
    """The roles that they then have; a path with dots leads into nested values."""
    joint: str = " "
    """What joins the columns of the question."""
    lists: tuple[str, ...] = ()
    """Needed columns of which some value must be a list."""
    separated: tuple[str, ...] = ()
    """Columns of options whose texts list several, separated by semicolons."""


SCHEMAS = (
    EvalSchema(("body", "question"), {"question": ("body", "question")}),  # SVAMP, ASDiv
    EvalSchema(
        ("instruction", "instances"),
        {"question": ("instruction", "instances.input"), "answer": ("instances.output",)},
        joint="\n",
        lists=("instances",),
    ),
    EvalSchema(("instruction", "input"), {"question": ("instruction", "input")}, joint="\n"),  # Alpaca
    EvalSchema(
        ("premise", "choice1", "choice2"), {"question": ("premise",), "choices": ("choice1", "choice2")}
    ),  # COPA
    EvalSchema(("premise", "hypothesis"), {"context": ("premise",), "question": ("hypothesis",)}),
    EvalSchema(("sentence1", "sentence2"), {"question": ("sentence1", "sentence2")}),
    EvalSchema(
        ("correctanswers", "incorrectanswers"),
        {"choices": ("correctanswers", "incorrectanswers")},
        separated=("correctanswers", "incorrectanswers"),
    ),  # TruthfulQA
)
"""The first schema whose columns are there applies."""
LETTERED = re.compile(r"(option|choice|answer|opt|op|ans|candidate|ending|)([a-j])")
NUMBERED = re.compile(r"(option|choice|answer|opt|ans|sol|candidate|ending|distractor|incorrectanswer|wronganswer)(\d)")
WRONG = {"distractor", "incorrectanswer", "wronganswer"}
"""Series of columns with the wrong options alone; the right one is in the column RIGHT."""
RIGHT = "correctanswer"


def find_layout(records: Sequence[Record], given: Roles, where: str) -> Layout:
    """Return the columns of every role: those given, else by their names.

    ``where`` names the eval set in errors. Raises CorpusError where no column is the question, or a given one is not
    there.
    """
    roles = find_given(given, records, where)
    sample = ColumnSample(records)
    schema = find_schema(sample)
    joint = " "
    for role, paths in schema.roles.items() if schema else ():
        names = tuple(_spell_path(sample, path) for path in paths)
        if role not in roles and not any(name in roles.get("question", ()) for name in names):
            roles[role] = names
            joint = schema.joint if schema and role == "question" else joint
    if "question" not in roles:
        roles["question"] = find_question(sample, list_used(roles), where)
    roles.setdefault("choices", find_choices(sample, list_used(roles)))
    roles.setdefault("context", sample.select(CONTEXT, list_used(roles), holds_text)[:1])
    roles.setdefault("id", sample.select(ID, list_used(roles), holds_text)[:1])
    if "answer" in given:
        answers: tuple[tuple[str, ...], ...] = (roles["answer"],) if roles["answer"] else ()
    else:
        answers = tuple((name,) for name in find_answers(sample, roles))
    return Layout(roles["question"], roles["context"], roles["choices"], answers, roles["id"], joint)


class ColumnSample:
    """The columns of some rows, found by names that are alike, and whether their values are fit for a role."""

    def __init__(self, records: Sequence[Record]):
        self.records = records
        self.names: dict[str, str] = {}
        for name in list_columns(records):
            self.names.setdefault(alike(name), name)

    def values(self, path: str) -> Iterator[Any]:
        """Yield the values of a column or path that are not null."""
        return (value for record in self.records if (value := look_up(record, path)) is not None)

    def select(self, names: Sequence[str], used: set[str], is_fit: Callable[[Any], bool]) -> tuple[str, ...]:
        """Return the columns of these names, in that order, that are not used and have a fit value."""
        columns = (self.names[name] for name in names if name in self.names)
        return tuple(name for name in columns if name not in used and any(map(is_fit, self.values(name))))


def list_used(roles: Roles) -> set[str]:
    """Return the columns that have a role; a column that a path leads into has one too."""
    return {part for names in roles.values() for name in names for part in (name, name.split(".")[0])}


def holds_text(value: Any) -> bool:
    """Return whether a value has any text."""
    return not is_blank(whole_text(value))


def holds_question(value: Any) -> bool:
    """Return whether a value has a text that can be a question, which a number cannot."""
    return isinstance(value, (str, list, tuple, dict)) and bool(as_questions(value))


def find_schema(sample: ColumnSample) -> EvalSchema | None:
    """Return the first schema whose columns are there, None where there is none."""
    for schema in SCHEMAS:
        are_lists = all(any(map(is_list, sample.values(sample.names.get(name, "")))) for name in schema.lists)
        if are_lists and all(name in sample.names for name in schema.needed):
            return schema
    return None


def separated_columns() -> set[str]:
    """Return the columns of options whose texts list several, separated by semicolons."""
    return {name for schema in SCHEMAS for name in schema.separated}


def _spell_path(sample: ColumnSample, path: str) -> str:
    """Return a path with its first column as the rows spell it."""
    head, dot, rest = path.partition(".")
    return sample.names[head] + dot + rest


def find_question(sample: ColumnSample, used: set[str], where: str) -> tuple[str, ...]:
    """Return the column of the question. Raises CorpusError where there is none; ``where`` names the eval set."""
    found = sample.select(QUESTION, used, holds_question)[:1]
    if not found:
        raise CorpusError(
            f"{where}: no column is known as the question; there are: {join_columns(sample.records)}",
            "--eval-fields question=COLUMN",
        )
    return found


def find_choices(sample: ColumnSample, used: set[str]) -> tuple[str, ...]:
    """Return the column that lists the options, or the columns that hold one each; () where there are no options."""
    listed = sample.select(CHOICES, used, lambda value: len(as_options(value).texts) > 1)[:1]
    if listed:
        return listed
    nested = [f"{name}.choices" for name in used if any(isinstance(value, dict) for value in sample.values(name))]
    for path in sorted(nested):  # ARC as its authors publish it: question.stem, question.choices.
        if any(len(as_options(value).texts) > 1 for value in sample.values(path)):
            return (path,)
    return find_series(sample, used) or find_listed_answers(sample, used)


def find_series(sample: ColumnSample, used: set[str]) -> tuple[str, ...]:
    """Return the longest series of columns such as A, B, C, D or option1, option2 or distractor1, distractor2."""
    series: dict[tuple[str, bool], dict[int, str]] = {}
    for name, column in sample.names.items():
        lettered = LETTERED.fullmatch(name)
        if (match := lettered or NUMBERED.fullmatch(name)) and column not in used:
            index = ord(match[2]) - ord("a") if lettered else int(match[2])
            series.setdefault((match[1], bool(lettered)), {})[index] = column
    best: tuple[str, ...] = ()
    for (prefix, is_lettered), columns in series.items():
        begin = 1 if not is_lettered and 0 not in columns else 0
        complete = tuple(
            columns[index] for index in range(begin, 10) if all(before in columns for before in range(begin, index + 1))
        )
        if prefix in WRONG and complete and RIGHT in sample.names:
            complete = (*complete, sample.names[RIGHT])
        best = complete if len(complete) > max(1, len(best)) else best
    return best


def find_listed_answers(sample: ColumnSample, used: set[str]) -> tuple[str, ...]:
    """Return the column ``answers`` where it lists the options and another column points at one: ReClor, CosmosQA."""
    found = sample.select(("answers",), used, is_list)
    points = any(name in sample.names for name in POINTERS)
    if not found or not points:
        return ()
    lists = list(sample.values(found[0]))
    texts = all(is_list(value) and len(value) > 1 and all(isinstance(item, str) for item in value) for value in lists)
    return found if texts else ()


def find_answers(sample: ColumnSample, roles: Roles) -> tuple[str, ...]:
    """Return the columns that may hold the answer, the surest first; where one is blank, the next one counts."""
    used = list_used({role: names for role, names in roles.items() if role not in ("answer", "choices")})
    options = set(roles["choices"]) - {sample.names.get(RIGHT, "")}
    found = sample.select(ANSWER, used | options, holds_text)
    marks = tuple(f"{name}.labels" for name in roles["choices"] if any(map(_is_marked, sample.values(name))))
    spoken = tuple(name for name in roles["question"] if any(map(_replies, sample.values(name))))
    return (*roles.get("answer", ()), *(name for name in found if name not in roles.get("answer", ())), *marks, *spoken)


def _is_marked(value: Any) -> bool:
    """Return whether an object marks its right options, as TruthfulQA: {"choices": […], "labels": [1, 0, …]}."""
    labels = value.get("labels") if isinstance(value, dict) else None
    return is_list(labels) and bool(labels) and all(label in (0, 1) for label in labels)


def _replies(value: Any) -> bool:
    return is_dialogue(value) and not is_blank(last_reply(value))
