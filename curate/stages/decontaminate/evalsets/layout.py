"""Which column has which role: as ``--eval-fields`` says, else as ``detect_columns`` finds."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from curate.errors import CorpusError, UsageError
from curate.runtime.text import quote_word
from curate.stages.decontaminate.evalsets.column_names import Record, find_column, list_columns
from curate.stages.decontaminate.evalsets.items import ROLES

Roles = Mapping[str, tuple[str, ...]]
Fields = Mapping[str, Roles]
"""Name of an eval set, or "" for all, to the columns of its roles; a role without columns is left out."""

NO_FIELDS: Fields = MappingProxyType({})
NO_ROLES: Roles = MappingProxyType({})
EXAMPLE = "--eval-fields question=COLUMN,answer=COLUMN, or NAME:question=COLUMN for one set"


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of each role, as the rows spell them; a path with dots leads into nested values."""

    question: tuple[str, ...]
    """Several columns are joined to one text; a single one may hold several turns."""
    context: tuple[str, ...]
    choices: tuple[str, ...]
    """One column that lists all options, or one for each."""
    answers: tuple[tuple[str, ...], ...]
    """Groups of columns: the first group that holds an answer gives it, its columns joined."""
    id: tuple[str, ...]
    joint: str = " "
    """What joins the columns of a question."""


def parse_fields(text: str | None) -> Fields:
    """Return the columns that ``--eval-fields`` names: ``question=problem,answer=solution`` for all sets.

    ``gsm8k_test:question=question,context=passage`` is for one set; semicolons separate such clauses. A role takes
    several columns as ``question=Body+Question``, nested values as ``answer=answers.text``, and none as ``context=``.
    Roles that are not named are detected. Raises UsageError where the text is not of that form.
    """
    fields: dict[str, dict[str, tuple[str, ...]]] = {}
    for clause in filter(str.strip, (text or "").split(";")):
        head, equals, rest = clause.partition("=")
        if not equals:
            raise UsageError(f'--eval-fields "{clause.strip()}" is not of the form ROLE=COLUMN', EXAMPLE)
        name, _, role = head.rpartition(":")
        roles = fields.setdefault(name.strip(), {})
        for pair in f"{role}={rest}".split(","):
            role, columns = _parse_pair(pair, clause)
            if role in roles:
                raise UsageError(f'--eval-fields "{text}" names the {role} twice', EXAMPLE)
            roles[role] = columns
    return fields


def _parse_pair(pair: str, clause: str) -> tuple[str, tuple[str, ...]]:
    role, equals, named = (part.strip() for part in pair.partition("="))
    columns = tuple(column.strip() for column in named.split("+")) if named else ()
    if not equals or not all(columns) or "=" in named:
        raise UsageError(f'--eval-fields "{clause.strip()}": "{pair.strip()}" is not of the form ROLE=COLUMN', EXAMPLE)
    if role not in ROLES:
        near = difflib.get_close_matches(role, ROLES, n=1)
        raise UsageError(
            f'--eval-fields "{clause.strip()}": there is no role "{role}"; there are: {", ".join(ROLES)}',
            f"did you mean {near[0]}?" if near else EXAMPLE,
        )
    if role == "question" and not columns:
        raise UsageError(f'--eval-fields "{clause.strip()}": an eval set needs questions', EXAMPLE)
    return role, columns


def check_names(fields: Fields, names: Sequence[str]) -> None:
    """Raise UsageError where the fields are for an eval set that was not opened."""
    for name in fields:
        if name and name not in names:
            near = difflib.get_close_matches(name, names, n=3)
            raise UsageError(
                f'--eval-fields is for "{name}", which is none of the eval sets: {", ".join(names)}',
                f"did you mean {' or '.join(near)}?" if near else EXAMPLE,
            )


def find_given(given: Roles, records: Sequence[Record], where: str) -> dict[str, tuple[str, ...]]:
    """Return the columns that the user named, as the rows spell them.

    ``where`` names the eval set in errors. Raises CorpusError where the set has no such column.
    """
    roles = {}
    for role, names in given.items():
        spelled = [(name, find_column(name, records)) for name in names]
        for name, column in spelled:
            if column is None:
                raise CorpusError(
                    f'{where} has no column "{name}" for the {role}; there are: {join_columns(records)}',
                    hint_column(name, list_columns(records), role),
                )
        roles[role] = tuple(column for _, column in spelled if column is not None)
    return roles


def hint_column(name: str, columns: Iterable[str], role: str) -> str:
    """Return the option that names the nearest column."""
    near = difflib.get_close_matches(name, list(columns), n=1)
    return f"--eval-fields {quote_word(f'{role}={near[0]}') if near else f'{role}=COLUMN'}"


def join_columns(records: Sequence[Record], most: int = 30) -> str:
    """Return the names of the columns that rows have, the first ``most`` of them."""
    names = list_columns(records)
    return ", ".join(names[:most]) + (", …" if len(names) > most else "") if names else "none"


def join_roles(*layers: Roles) -> Roles:
    """Return the columns of each role; a later layer replaces an earlier one."""
    joined: dict[str, tuple[str, ...]] = {}
    for layer in layers:
        joined.update(layer)
    return joined


def numbered_from(columns: Sequence[str]) -> int | None:
    """Return the number in the name of the first of several columns of options, None where it has none.

    Not that of PIQA, whose options are sol1 and sol2 and whose answers count from 0.
    """
    found = re.fullmatch(r"(.*?)_?([0-9])", columns[0]) if len(columns) > 1 else None
    return int(found[2]) if found and found[1].lower() != "sol" else None
