"""The columns that an SQL expression mentions, found in DuckDB's own syntax tree.

String literals, comments, parameters of lambdas and aliases are no mentions. ``meta.lang`` and ``meta['lang']`` are
one mention of the names ``meta`` and ``lang``; ``scores.tokens``, where ``scores`` is a table, is one of ``tokens``.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

BEFORE = "SELECT (\n"
NO_PLACE = (1 << 64) - 1
"""The place of an expression that DuckDB made itself."""
EXTRACTS = ("ARRAY_EXTRACT", "STRUCT_EXTRACT")


@dataclass(frozen=True, slots=True)
class ColumnMention:
    """A column, or a field within one, in an SQL expression."""

    names: tuple[str, ...]
    """The column, then the fields within it."""
    table: str | None
    """The table that is named before the column."""
    start: int
    """Its first byte in the expression."""
    stop: int
    """The byte after it."""


def list_mentions(expression: str) -> list[ColumnMention]:
    """Return the mentions in an SQL expression, in the order of its text; none where DuckDB cannot parse it."""
    with duckdb.connect(":memory:") as connection:
        answer = connection.execute("SELECT json_serialize_sql(?)", [f"{BEFORE}{expression}\n)"]).fetchall()[0][0]
    tree = json.loads(answer)
    if tree["error"]:
        return []
    tables = {"scores", "documents", *_list_tables(tree)}
    mentions = _walk(tree["statements"], tables, frozenset())
    return sorted(mentions, key=lambda mention: mention.start)


def _list_tables(node: Any) -> Iterator[str]:
    """Yield the names and the aliases of the tables in a syntax tree, in lower case."""
    if isinstance(node, Mapping):
        if "column_name_alias" in node:
            yield from (str(node[key]).lower() for key in ("alias", "table_name") if node.get(key))
        for value in node.values():
            yield from _list_tables(value)
    elif isinstance(node, list):
        for value in node:
            yield from _list_tables(value)


def _walk(node: Any, tables: set[str], bound: frozenset[str]) -> Iterator[ColumnMention]:
    if isinstance(node, list):
        for value in node:
            yield from _walk(value, tables, bound)
    elif isinstance(node, Mapping):
        found = _read_path(node)
        if found is not None and _has_place(node):
            yield from _make_mention(*found, tables, bound)
            return
        if node.get("class") == "LAMBDA":
            bound = bound | _list_parameters(node)
        for value in node.values():
            yield from _walk(value, tables, bound)


def _list_parameters(node: Mapping[str, Any]) -> frozenset[str]:
    """Return the parameters of a lambda; none of ``data->'key'``, which has the same syntax."""
    if node.get("syntax_type") == "SINGLE_ARROW" and _is_key(node["expr"]):
        return frozenset()
    return frozenset(name.lower() for name in _list_names(node["lhs"]))


def _is_key(node: Mapping[str, Any]) -> bool:
    """Return whether an expression begins with a constant, as the key in ``data->'key' = 'x'`` does."""
    while node.get("class") != "CONSTANT":
        inner = node.get("left") or next(iter(node.get("children") or ()), None)
        if not isinstance(inner, Mapping):
            return False
        node = inner
    return True


def _list_names(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if node.get("class") == "COLUMN_REF":
            yield node["column_names"][-1]
        for value in node.values():
            yield from _list_names(value)
    elif isinstance(node, list):
        for value in node:
            yield from _list_names(value)


def _read_path(node: Mapping[str, Any]) -> tuple[Sequence[str], int, int] | None:
    """Return the names of a reference to a column or to a field within one, and its first byte and its end."""
    start, length = node.get("query_location", NO_PLACE), node.get("query_location_length", 0)
    if node.get("class") == "COLUMN_REF":
        return node["column_names"], start, start + length
    if node.get("type") in EXTRACTS and len(node.get("children", ())) == 2:
        inner, key = node["children"]
        literal = key.get("literal") or {}
        found = _read_path(inner)
        if found is not None and key.get("class") == "CONSTANT" and literal.get("kind") == "STRING":
            names, first, stop = found
            span = (min(first, start), max(stop, start + length)) if _has_place(node) else (first, stop)
            return [*names, literal["text"]], *span
    return None


def _has_place(node: Mapping[str, Any]) -> bool:
    """Return whether the tree says where an expression stands; of ``a['b'].c['d']`` the middle has no place."""
    return bool(node.get("query_location", NO_PLACE) != NO_PLACE)


def _make_mention(
    names: Sequence[str], start: int, stop: int, tables: set[str], bound: frozenset[str]
) -> Iterator[ColumnMention]:
    first, before = names[0].lower(), len(BEFORE.encode())
    if first in bound or start < before:
        return
    has_table = len(names) > 1 and first in tables
    yield ColumnMention(tuple(names[has_table:]), names[0] if has_table else None, start - before, stop - before)
