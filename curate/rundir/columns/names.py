"""Names of the documents' columns, as options and SQL say them.

A name is a column, or a path with dots to a field within one (``meta.lang``). Where a column of the documents has the
name of one of the scores, the bare name in ``--by`` and ``--where`` is that of the scores. ``doc.NAME`` is always the
column of the documents (of a column that is called ``doc`` the field, where they have no column NAME), and is looked
for in all rows where the starts of the files do not show it. A name, or a part of a path, may stand in double quotes
(``"My Col"``, ``doc."My Col"``), as SQL has them. Options about groups (``--within``, ``--ledger``,
``--stratify``) are about columns of the documents only. Names in a list are separated by commas; one with a comma in
it stands in double quotes.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal

import pyarrow as pa

from curate.corpus import Corpus
from curate.corpus.values.arrow_types import is_string
from curate.corpus.values.arrow_values import is_json
from curate.errors import UsageError
from curate.rundir import schemas
from curate.rundir.signals import find_signal

PREFIX = "doc."
"""Before the name of a column of the documents, where the bare name is another's."""
STRING = r'"(?:[^"]|"")*"'
QUOTED = re.compile(rf'\s*((?:[^",.]+\.)*{STRING}(?:\.(?:[^",.]+|{STRING}))*)\s*(,|$)')
"""A path of which a part at least is in double quotes."""
LISTED = 20
"""Names that a message lists."""
MOST_FIELDS = 10_000
"""Fields that a mistyped name is compared with."""

Presence = Literal["shown", "hidden", "missing", "foreign", "absent"]
"""What the starts of the files say of a name: they show it; only the rows can tell, since it lies within text; they
show an object without this field; something that is no object, such as a list; or they do not even show the column."""


def is_score_name(name: str) -> bool:
    """Return whether a name is that of a column of the scores, measured or not."""
    return name in schemas.SCORES.names or find_signal(name) is not None


def qualify_name(name: str) -> str:
    """Return the name of a column of the documents, with the prefix where the scores have the bare name."""
    return PREFIX + name if is_score_name(name) else name


def split_names(text: str) -> list[str]:
    """Return the names in a text such as ``domain,language``, each once, in order."""
    names, rest = [], text
    while rest:
        quoted = QUOTED.match(rest)
        if quoted is not None:
            names.append(_unquote(quoted[1]))
            rest = rest[quoted.end() :]
        else:
            name, _, rest = rest.partition(",")
            names.append(name.strip())
    return list(dict.fromkeys(name for name in names if name))


def join_names(names: Iterable[str]) -> str:
    """Return the text that ``split_names`` reads as these names."""
    return ",".join(
        _quote(name) if "," in name or QUOTED.match(name) or name.startswith('"') else name for name in names
    )


def read_name(text: str) -> str:
    """Return the name in a text such as ``--by`` takes: without double quotes around it or around parts of its path."""
    quoted = QUOTED.fullmatch(text)
    return text if quoted is None or quoted[2] else _unquote(quoted[1])


def _unquote(path: str) -> str:
    return re.sub(STRING, lambda match: match[0][1:-1].replace('""', '"'), path)


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def split_group_columns(text: str) -> list[str]:
    """Return the columns of the documents in the text of ``--within``, ``--ledger`` and the like."""
    return list(dict.fromkeys(map(qualify_name, split_names(text))))


def find_column(corpus: Corpus, name: str) -> Presence:
    """Return what the starts of the files say of a column, or of a field within one."""
    if name in corpus.columns:
        return "shown"
    first, *rest = name.split(".")
    if not rest or first not in corpus.columns:
        return "absent"
    schemas_with_it = [schema for schema in corpus.start_schemas if schema.get_field_index(first) >= 0]
    found = {_find_field(schema.field(first).type, rest, corpus.is_typed) for schema in schemas_with_it}
    order: tuple[Presence, ...] = ("shown", "hidden", "missing")
    return next((presence for presence in order if presence in found), "foreign")


def _find_field(kind: pa.DataType, path: Sequence[str], is_typed: bool) -> Presence:
    for part in path:
        if not pa.types.is_struct(kind):
            is_open = is_json(kind) or (not is_typed and (is_string(kind) or pa.types.is_null(kind)))
            return "hidden" if is_open else "foreign"
        if kind.get_field_index(part) < 0:
            return "missing"
        kind = kind.field(part).type
    return "shown"


def has_column(corpus: Corpus, name: str) -> bool:
    """Return whether the first rows of the files show a column, or a field within one (``meta.domain``)."""
    return find_column(corpus, name) == "shown"


def resolve_name(corpus: Corpus, name: str) -> str:
    """Return the name under which a column is carried: without the prefix ``doc.``.

    Of a column that is called ``doc``, a field has the prefix in front where ``doc.NAME`` is another column.
    """
    inner = name.removeprefix(PREFIX)
    if inner != name and not _is_there(corpus, inner) and has_column(corpus, name):
        return name
    return PREFIX + inner if inner.startswith(PREFIX) and _is_there(corpus, inner.removeprefix(PREFIX)) else inner


def _is_there(corpus: Corpus, name: str) -> bool:
    return find_column(corpus, name) in ("shown", "hidden")


def find_path(name: str) -> str:
    """Return the path in the rows of a column that is carried under a name of ``resolve_name``."""
    return name.removeprefix(PREFIX) if name.startswith(PREFIX + PREFIX) else name


def check_document_column(corpus: Corpus, name: str) -> str:
    """Return the name under which a column is carried, before anything is read of it.

    Raises UsageError, with the nearest name, where the rows looked at show that the documents do not have it.
    """
    resolved = resolve_name(corpus, name)
    if _is_there(corpus, find_path(resolved)):
        return resolved
    raise explain_absence(corpus, find_path(resolved))


def is_searchable(corpus: Corpus, name: str) -> bool:
    """Return whether rows may have a column that the starts of the files do not show, and the user asks to search them.

    A field within a column is always searched for, a column only as ``doc.NAME``, since a mistyped one costs a pass.
    """
    presence = find_column(corpus, find_path(resolve_name(corpus, name)))
    return not corpus.is_typed and (presence in ("missing", "foreign") or name.startswith(PREFIX))


def explain_absence(corpus: Corpus, name: str, searched: bool = False) -> UsageError:
    """Return the error for a column that the documents do not have, with the nearest name.

    ``searched`` says that all rows were read, not only those at the starts of the files.
    """
    fields = list(islice(list_fields(corpus), MOST_FIELDS))
    close = difflib.get_close_matches(name, fields, 1)
    meant = f"did you mean {close[0]}? " if close else ""
    root = name.split(".")[0]
    inside = [field for field in fields if field.startswith(f"{root}.")] if root in corpus.columns else []
    listed = inside or list(corpus.columns)
    shown = ", ".join(listed[:LISTED]) + (", …" if len(listed) > LISTED else "")
    is_new = not searched and not corpus.is_typed and find_column(corpus, name) == "absent"
    more = f"; {PREFIX}{name} is looked for in all rows" if is_new else ""
    return UsageError(f"the documents have no column {name!r}", f"{meant}there are: {shown}{more}")


def suggest_name(corpus: Corpus, name: str) -> str | None:
    """Return the name of a column or a field that is nearest to a name; None where none is near."""
    close = difflib.get_close_matches(name, list(islice(list_fields(corpus), MOST_FIELDS)), 1)
    return close[0] if close else None


def list_fields(corpus: Corpus) -> Iterator[str]:
    """Yield the columns that the starts of the files show, then the paths of the fields within them."""
    yield from corpus.columns
    seen = set(corpus.columns)
    for schema in corpus.start_schemas:
        for column in schema:
            for path in _list_paths(column.name, column.type):
                if path not in seen:
                    seen.add(path)
                    yield path


def _list_paths(prefix: str, kind: pa.DataType) -> Iterator[str]:
    for member in kind if pa.types.is_struct(kind) else ():
        path = f"{prefix}.{member.name}"
        yield path
        yield from _list_paths(path, member.type)
