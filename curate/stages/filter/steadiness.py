"""Whether an SQL condition gives the same answer at each time, on each machine, in each session.

DuckDB's catalogue says of each of its functions whether it is consistent, and has the definitions of its macros; its
syntax tree says which functions a condition calls, however they are spelled. What the catalogue does not say is listed
here.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import duckdb

from curate.errors import UsageError

REPRODUCIBLE = "a run must be reproducible"
OF_TIME = frozenset(
    ("ago", "current_date", "current_localtime", "current_localtimestamp", "current_time", "current_timestamp",
     "get_current_time", "get_current_timestamp", "localtime", "localtimestamp", "now", "today",
     "transaction_timestamp")
)  # fmt: skip
"""Functions, with or without parentheses, that depend on the time."""
OF_CHANCE = frozenset(("gen_random_uuid", "random", "setseed", "uuid", "uuidv4", "uuidv7"))
OF_SESSION = frozenset(
    ("current_catalog", "current_database", "current_role", "current_schema", "current_schemas", "current_setting",
     "current_user", "getenv", "getvariable", "session_user", "user", "version")
)  # fmt: skip
"""Functions, with or without parentheses, that depend on the session, on the machine, or on the version of DuckDB."""
OF_VERSION = frozenset(("hash", "create_sort_key", "icu_sort_key", "json_serialize_plan", "json_serialize_sql"))
"""Functions whose values another version of DuckDB may change."""
WORDS = frozenset(
    ("current_catalog", "current_date", "current_role", "current_schema", "current_time", "current_timestamp",
     "current_user", "localtime", "localtimestamp", "session_user", "user")
)  # fmt: skip
"""Names that call a function where no column has them."""
DAYS = frozenset(("now", "today", "tomorrow", "yesterday"))
"""Texts that versions of DuckDB cast to a time."""
STEADY_TABLES = frozenset(("generate_series", "range", "unnest", "json_each", "json_tree"))
"""Functions in the place of a table that only compute."""
SCHEMAS = frozenset(("", "main", "pg_catalog"))
"""What stands before the name of a function and is no column."""
VIEWS = frozenset(("scores", "documents"))

INSTEAD = {
    "time": "write the time itself, as in --where \"day < DATE '2026-01-31'\"",
    "chance": "for a share by chance: --keep low --rate 0.5 --temperature 1000, or "
    '--where "md5_number_lower(id) % 100 < 50" by the id',
    "session": "write the value itself",
    "version": "md5_number_lower(id) is the same everywhere",
}


@dataclass(frozen=True, slots=True)
class FunctionCatalogue:
    """What DuckDB says of its functions. Names are in lower case."""

    changing: frozenset[str]
    """Those that give other values at other times, or do more than give a value."""
    tables: frozenset[str]
    """Those that stand in the place of a table and are nothing else."""
    macros: Mapping[str, tuple[str, ...]]
    """The definitions of those that are macros."""


@lru_cache(maxsize=1)
def read_catalogue() -> FunctionCatalogue:
    """Return the functions of this version of DuckDB."""
    query = "SELECT lower(function_name), function_type, stability, macro_definition FROM duckdb_functions()"
    with duckdb.connect(":memory:") as connection:
        rows = connection.execute(query).fetchall()
    tables = {name for name, kind, *_ in rows if kind.startswith(("table", "pragma"))}
    scalars = {name for name, kind, *_ in rows if not kind.startswith(("table", "pragma"))}
    macros: dict[str, tuple[str, ...]] = {}
    for name, kind, _, definition in rows:
        if kind == "macro" and definition:
            macros[name] = (*macros.get(name, ()), definition)
    changing = {name for name, _, stability, _ in rows if stability not in (None, "CONSISTENT")}
    return FunctionCatalogue(frozenset(changing), frozenset(tables - scalars), macros)


def check_functions(where: str) -> None:
    """Raise UsageError for a condition that calls a function which is not steady, reads files, or takes rows by chance.

    Names without parentheses are not looked at; see ``check_words``.
    """
    for node in _list_nodes(_parse(where)):
        _check_node(node)


def check_words(where: str, columns: Mapping[str, Any]) -> None:
    """Raise UsageError for a name that is no column and that SQL takes for a function, such as ``current_date``.

    ``columns`` are those of the view that the condition is about.
    """
    known = {name.lower() for name in columns}
    for node in _list_nodes(_parse(where)):
        names = node.get("column_names") if node.get("class") == "COLUMN_REF" else None
        if names and len(names) == 1 and names[0].lower() in WORDS - known:
            raise _refuse(names[0].lower(), names[0])
        if names and len(names) == 1 and names[0].lower() in VIEWS - known:
            raise UsageError(f"--where: {names[0]} is a table, not a column", _join_hint("name each column"))


def has_subquery(where: str) -> bool:
    """Return whether a condition has a query within it."""
    return any(node.get("class") == "SUBQUERY" for node in _list_nodes(_parse(where)))


def _parse(expression: str) -> Any:
    with duckdb.connect(":memory:") as connection:
        answer = connection.execute("SELECT json_serialize_sql(?)", [f"SELECT (\n{expression}\n)"]).fetchall()[0][0]
    tree = json.loads(answer)
    if tree["error"]:
        hint = 'one condition over the columns, as in --where "perplexity < 50 and tokens >= 64"'
        raise UsageError(f"--where is not an SQL expression: {tree.get('error_message') or tree['error_type']}", hint)
    return tree["statements"]


def _list_nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(tree, Mapping):
        yield tree
        for value in tree.values():
            yield from _list_nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _list_nodes(value)


def _check_node(node: Mapping[str, Any]) -> None:
    kind, name = node.get("class"), str(node.get("function_name", "")).lower()
    if kind in ("FUNCTION", "WINDOW"):
        _check_function(name, _count_arguments(node))
    elif node.get("type") == "TABLE_FUNCTION":
        name = str(node["function"]["function_name"]).lower()
        if name not in STEADY_TABLES:
            raise UsageError(f"--where: {name}() reads what is not of the run", _join_hint("take a column instead"))
    elif node.get("type") == "BASE_TABLE" and node.get("schema_name"):
        name = f"{node['schema_name']}.{node['table_name']}"
        raise UsageError(f"--where: {name} is of the session, not of the run", _join_hint("take a column instead"))
    elif kind == "CAST" and _text_of(node.get("child")).strip().lower() in DAYS:
        raise _refuse("now", repr(_text_of(node["child"])))
    elif (kind == "STAR" and node.get("columns")) or kind == "POSITIONAL_REFERENCE":
        raise UsageError("--where: COLUMNS and #1 take whatever columns a run has", _join_hint("name each column"))
    if node.get("sample"):
        raise UsageError("--where: a sample of a table has other rows each time", _join_hint(INSTEAD["chance"]))
    _check_limit(node.get("modifiers"))


def _count_arguments(node: Mapping[str, Any]) -> int:
    """Return the arguments of a call; ``moment.age()``, whose tree has a schema there, has one."""
    path = (node.get("qualified_name") or {}).get("path") or [node.get("schema") or "", ""]
    before = str(path[-2]).lower() if len(path) > 1 else ""
    return len(node.get("arguments") or node.get("children") or ()) + (before not in SCHEMAS)


def _check_limit(modifiers: Any) -> None:
    kinds = [one.get("type") for one in modifiers or () if isinstance(one, Mapping)]
    if any(str(kind).startswith("LIMIT") for kind in kinds) and "ORDER_MODIFIER" not in kinds:
        raise UsageError("--where: LIMIT without ORDER BY takes any rows", _join_hint("add ORDER BY file, row"))


def _text_of(node: Any) -> str:
    """Return the text of a constant, an empty one for any other expression."""
    value = node.get("value") if isinstance(node, Mapping) and node.get("class") == "CONSTANT" else None
    text = value.get("value") if isinstance(value, Mapping) else None
    literal = node.get("literal") if isinstance(node, Mapping) else None
    if isinstance(literal, Mapping) and literal.get("kind") == "STRING":
        text = literal.get("text")
    return text if isinstance(text, str) else ""


def _check_function(name: str, arguments: int) -> None:
    catalogue = read_catalogue()
    if name == "age" and arguments == 1:
        raise _refuse("now", "age() of one argument")
    if name in catalogue.changing | OF_TIME | OF_CHANCE | OF_SESSION | OF_VERSION:
        raise _refuse(name, f"{name}()")
    if name in catalogue.tables and name not in STEADY_TABLES:
        raise UsageError(f"--where: {name}() reads what is not of the run", _join_hint("take a column instead"))
    for definition in catalogue.macros.get(name, ()):
        _check_macro(name, definition)


def _check_macro(name: str, definition: str) -> None:
    """Refuse a macro by its name where what it is made of is not steady."""
    try:
        for node in _list_nodes(_parse(definition)):
            _check_node(node)
            if node.get("class") == "COLUMN_REF" and str(node["column_names"][-1]).lower() in WORDS:
                raise _refuse(str(node["column_names"][-1]).lower(), f"{name}()")
    except UsageError as error:
        why = error.message.removeprefix("--where: ")
        raise UsageError(f"--where: {name}() is not steady: {why}", error.hint) from error


def _refuse(name: str, shown: str) -> UsageError:
    if name in OF_TIME:
        return UsageError(f"--where: {shown} depends on the time", _join_hint(INSTEAD["time"]))
    if name in OF_CHANCE:
        return UsageError(f"--where: {shown} gives another value each time", _join_hint(INSTEAD["chance"]))
    if name in OF_VERSION:
        return UsageError(f"--where: {shown} differs between versions of DuckDB", _join_hint(INSTEAD["version"]))
    if name in OF_SESSION:
        return UsageError(f"--where: {shown} depends on the session or the machine", _join_hint(INSTEAD["session"]))
    return UsageError(f"--where: {shown} does not give the same value each time", _join_hint("leave it out"))


def _join_hint(instead: str) -> str:
    return f"{REPRODUCIBLE}: {instead}"
