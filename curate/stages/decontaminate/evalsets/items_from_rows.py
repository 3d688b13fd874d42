"""From rows to items: every row is an item, a duplicate, empty or unreadable; the columns in use are recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from curate.errors import CorpusError
from curate.stages.decontaminate.evalsets.choices import AnswerChoices, as_options, find_base, point, strip_letters
from curate.stages.decontaminate.evalsets.column_names import Record, alike, look_up
from curate.stages.decontaminate.evalsets.detect_columns import find_layout, separated_columns
from curate.stages.decontaminate.evalsets.items import ROLES, EvalItem, EvalSet
from curate.stages.decontaminate.evalsets.layout import Layout, Roles, numbered_from
from curate.stages.decontaminate.evalsets.rows import EvalRow
from curate.stages.decontaminate.evalsets.texts import (
    INNER,
    as_questions,
    first_text,
    is_blank,
    is_dialogue,
    is_list,
    last_reply,
    whole_text,
)

MOST_PROBLEMS = 5
"""Rows that ``EvalSet.problems`` names."""
CLEAN = "without items, a clean result proves nothing"
Used = dict[str, dict[str, None]]
"""The columns of each role that gave a text, in the order of the layout."""


@dataclass(frozen=True, slots=True)
class EvalPart:
    """The rows of one file or split."""

    rows: Sequence[EvalRow]
    first: int = 0
    """The number of the first row in the set, by which rows without an id are named."""
    prefix: str = ""
    """What every id of this part begins with."""


def assemble(name: str, source: str, revision: str | None, parts: Sequence[EvalPart], given: Roles) -> EvalSet:
    """Return the eval set that rows make.

    ``given`` are the columns that the user named. Raises CorpusError where no column is the question, or there is no
    item.
    """
    records = [row.record for part in parts for row in part.rows if row.record is not None]
    if not any(part.rows for part in parts):
        raise CorpusError(f"{source} holds no rows: 0 items", CLEAN)
    if not records:
        unread = next(row for part in parts for row in part.rows)
        raise CorpusError(f"{source}: no row can be read; {describe_row(unread, unread.reason)}", CLEAN)
    layout = find_layout(records, given, source)
    collector = ItemCollector(name, layout, find_bases(layout, records))
    for part in parts:
        for row in part.rows:
            collector.add(row, part)
    return collector.finish(source, revision)


@dataclass(slots=True)
class ItemCollector:
    """The items so far, and what became of the other rows."""

    name: str
    layout: Layout
    bases: dict[str, int | None]
    items: list[EvalItem] = field(default_factory=list)
    used: Used = field(default_factory=lambda: {role: {} for role in ROLES})
    seen: set[tuple[Any, ...]] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    read: int = 0
    duplicates: int = 0
    empty: int = 0
    unreadable: int = 0
    clashing_ids: int = 0

    def add(self, row: EvalRow, part: EvalPart) -> None:
        """Add the item of one more row, or count what it is instead."""
        self.read += 1
        if row.record is None:
            self.unreadable += 1
            self.problems.append(describe_row(row, row.reason))
            return
        questions = take_questions(row.record, self.layout, self.used)
        if not questions:
            self.empty += 1
            self.problems.append(describe_row(row, f"no text in {' + '.join(self.layout.question)}"))
            return
        options = take_options(row.record, self.layout, self.used)
        context = take_context(row.record, self.layout, self.used)
        answer = take_answer(row.record, self.layout, self.used, options, self.bases, len(questions))
        content = (questions, context, options.kept(), answer)
        if content in self.seen:
            self.duplicates += 1
            return
        self.seen.add(content)
        self.items.append(EvalItem(self.name, self._make_id(row, part), *content, row.file, row.row))

    def _make_id(self, row: EvalRow, part: EvalPart) -> str:
        """Return an id that no earlier item has."""
        name = take_id(row.record or {}, self.layout, self.used) or str(part.first + row.row)
        name = unique = part.prefix + name
        count = 1
        while unique in self.ids:
            count += 1
            unique = f"{name}#{count}"
        self.clashing_ids += count > 1
        self.ids.add(unique)
        return unique

    def finish(self, source: str, revision: str | None) -> EvalSet:
        """Return the set of all items. Raises CorpusError where there are none."""
        if not self.items:
            column = " + ".join(self.layout.question)
            raise CorpusError(
                f'{source}: {self.read:,} rows and not one question; none has text in "{column}" ({self.problems[0]})',
                "--eval-fields question=COLUMN",
            )
        problems = self.problems[:MOST_PROBLEMS]
        if more := len(self.problems) - len(problems):
            problems.append(f"and {more:,} more")
        order = {role: _in_order(self.layout, role) for role in ROLES}
        fields = {role: tuple(name for name in order[role] if name in self.used[role]) for role in ROLES}
        eval_set = EvalSet(
            self.name, source, revision, tuple(self.items), {role: names for role, names in fields.items() if names},
            self.read, self.duplicates, self.empty, self.unreadable, tuple(problems), self.clashing_ids,
        )  # fmt: skip
        check_conservation(eval_set)
        return eval_set


def _in_order(layout: Layout, role: str) -> tuple[str, ...]:
    if role == "answer":
        return tuple(dict.fromkeys(name for group in layout.answers for name in group))
    named = {"question": layout.question, "context": layout.context, "choices": layout.choices, "id": layout.id}
    return named[role]


def check_conservation(eval_set: EvalSet) -> None:
    """Raise ValueError where a row that was read is neither an item nor counted, or two items have one id."""
    counted = len(eval_set.items) + eval_set.duplicates + eval_set.empty + eval_set.unreadable
    if counted != eval_set.read or len({item.id for item in eval_set.items}) != len(eval_set.items):
        raise ValueError(f"{eval_set.name}: {eval_set.read} rows were read, but {counted} are accounted for")


def describe_row(row: EvalRow, reason: str) -> str:
    """Return the position of a row with the reason why it is no item."""
    return f"{row.file}, row {row.row}: {reason}"


def take_questions(record: Record, layout: Layout, used: Used) -> tuple[str, ...]:
    """Return the questions of a row: all turns of a single column, or one text of several columns."""
    if len(layout.question) == 1:
        questions = as_questions(look_up(record, layout.question[0]))
        if questions:
            used["question"][layout.question[0]] = None
        return questions
    texts = [(name, first_text(look_up(record, name))) for name in layout.question]
    return tuple(filter(None, [_join(texts, used["question"], layout.joint)]))


def take_context(record: Record, layout: Layout, used: Used) -> str:
    """Return the passage of a row, "" where there is none."""
    return _join([(name, whole_text(look_up(record, name))) for name in layout.context], used["context"], "\n")


def take_id(record: Record, layout: Layout, used: Used) -> str:
    """Return the id of a row, "" where there is none."""
    texts = [(name, whole_text(look_up(record, name)).strip().replace("\n", "/")) for name in layout.id]
    return _join(texts, used["id"], "/")


def _join(texts: Sequence[tuple[str, str]], used: dict[str, None], joint: str) -> str:
    filled = [(name, text) for name, text in texts if not is_blank(text)]
    used.update(dict.fromkeys(name for name, _ in filled))
    return joint.join(text for _, text in filled)


def take_options(record: Record, layout: Layout, used: Used) -> AnswerChoices:
    """Return the options of a row: of one column that lists them, or of a column for each."""
    if len(layout.choices) == 1:
        options = as_options(look_up(record, layout.choices[0]))
    else:
        options = AnswerChoices(strip_letters([text for name in layout.choices for text in _list_one(name, record)]))
    if options.kept():
        used["choices"].update(dict.fromkeys(layout.choices))
    return options


def _list_one(name: str, record: Record) -> tuple[str, ...]:
    value = look_up(record, name)
    if is_list(value):
        return as_options(value).texts
    if alike(name) in separated_columns() and isinstance(value, str):
        return tuple(part.strip() for part in value.split(";") if not is_blank(part))
    return (first_text(value).strip(),)


def take_answer(
    record: Record,
    layout: Layout,
    used: Used,
    options: AnswerChoices,
    bases: dict[str, int | None],
    num_questions: int,
) -> str:
    """Return the first answer that a group of columns gives, "" where none does; ``bases`` are of ``find_bases``."""
    for group in layout.answers:
        texts = [
            (name, _answer_one(name, look_up(record, name), options, bases[name], num_questions)) for name in group
        ]
        if text := _join(texts, used["answer"], " "):
            return text
    return ""


def _answer_one(name: str, value: Any, options: AnswerChoices, base: int | None, num_questions: int) -> str:
    """Return the answer in one column; where there are several questions and as many answers, all of them."""
    if is_dialogue(value):
        return last_reply(value)
    if isinstance(value, dict):
        value = next((value[inner] for inner in INNER if _matches(value.get(inner), num_questions)), value)
    return whole_text(value) if _matches(value, num_questions) else point(name, value, options, base)


def _matches(value: Any, num_questions: int) -> bool:
    return is_list(value) and len(value) == num_questions > 1


def find_bases(layout: Layout, records: Sequence[Record]) -> dict[str, int | None]:
    """Return for every column of answers the number of the first option in it (``find_base``)."""
    unused: Used = {role: {} for role in ROLES}
    options = [take_options(record, layout, unused) for record in records]
    first = numbered_from(layout.choices)
    return {
        name: find_base(name, zip((look_up(record, name) for record in records), options, strict=True), first)
        for group in layout.answers
        for name in group
    }
