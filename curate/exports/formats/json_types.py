"""What ``datasets`` reads back from JSON lines: the features that the card states, and the values that it changes.

Its reader lets Arrow guess the types before it looks at the card, so the card states them. Where a column is Json (or
has whole numbers beyond int64, which only Json reads), it parses the lines itself and writes them again for Arrow. What
is changed all the same is found while the rows are written, and a warning names it.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.values.arrow_types import JSON_TEXT, RESERVED
from curate.corpus.values.arrow_values import JSON_TYPE, flatten_lists, holds_far_times, is_json, is_list
from curate.corpus.values.schema_widening import SchemaShape, simplify_type
from curate.exports.formats.features import find_arrow_type, infer_feature, load_features

DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}(:[0-9]{2}){0,2}(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?$"
"""What Arrow takes for a time; days and hours that do not exist match too."""
MAX_DATE_BYTES = 40
"""No text is longer that Arrow takes for a time."""
NUMBER = r"^-?[0-9][0-9.eE+-]*$"
TIMES, NOT_FINITE, QUOTED, OVERSIZE, NOT_NUMBERS = "times", "not finite", "quoted", "oversize", "not numbers"
FAR = "far"
"""What is found in a column: only dates among its strings; NaN or infinities; JSON values that are strings of JSON;
whole numbers from 2^63 on; JSON that ``datasets`` cannot read and that is no number; dates before year 1 or after
9999."""
Finding = tuple[str, str]
"""A column, and what was found in it."""


@dataclass(frozen=True, slots=True)
class LinesPlan:
    """How the columns of JSON lines are stated and, where nothing else loads, written."""

    features: Any
    """The ``datasets.Features`` for the card."""
    texts: Mapping[str, pa.DataType]
    """Columns to be written as JSON text where their types, those of the shape, are ``JSON_TEXT``."""
    has_json: bool
    """Whether a column is Json, so that fractions are rounded when the lines are loaded."""


def plan_lines(shape: SchemaShape, findings: Collection[Finding]) -> LinesPlan:
    """Return the features of all columns, and the columns that must be text for the lines to load."""
    import datasets

    kept, bad = load_features(shape), list_text_columns(shape)
    has_json = bool(list_json_columns(shape, findings, lines=True)) or not shape.mixed.isdisjoint(bad)
    texts = {name: kind for name, kind in bad.items() if has_json or (name, NOT_NUMBERS) in findings}
    features, as_json = {}, list_reread_columns(shape, findings)
    for column in shape.schema():
        name = column.name
        kind = find_json_type(column.type, (name, OVERSIZE) in findings, name in texts, (name, FAR) in findings)
        kind = JSON_TYPE if name in as_json else kind
        feature = kept.get(name)
        if feature is None or not _is_spelled(feature):
            feature = infer_feature(kind)
        features[name] = feature
    return LinesPlan(datasets.Features(features), texts, has_json)


def list_json_columns(shape: SchemaShape, findings: Collection[Finding], lines: bool) -> list[str]:
    """Return the columns that are Json for ``datasets``, or hold it, in JSON lines or in other formats."""
    kinds = {column.name: column.type for column in shape.schema()}
    if lines:
        kinds = {name: find_json_type(kind, (name, OVERSIZE) in findings) for name, kind in kinds.items()}
    return [name for name, kind in kinds.items() if JSON_TYPE in _list_leaves(kind)]


def list_reread_columns(shape: SchemaShape, findings: Collection[Finding]) -> set[str]:
    """Return the columns that are stated as Json in JSON lines for their strings of dates or of JSON to stay strings.

    Where a column is Json, ``datasets`` parses all lines itself, and of Json it changes only strings that are a whole
    value. Columns with features of their own keep those, and JSON that ``datasets`` cannot read stays what it is.
    """
    if not list_json_columns(shape, findings, lines=True):
        return set()
    kept = load_features(shape).keys() | list_text_columns(shape).keys()
    free = {column.name for column in shape.schema() if not is_json(column.type)} - kept
    return free & {name for name, what in findings if what in (TIMES, QUOTED)}


def list_text_columns(shape: SchemaShape) -> dict[str, pa.DataType]:
    """Return the columns that are JSON which ``datasets`` cannot read, or hold it, and their types."""
    return {column.name: column.type for column in shape.schema() if JSON_TEXT in _list_leaves(column.type)}


def list_unspelled(shape: SchemaShape) -> list[str]:
    """Return the columns whose features JSON lines cannot state, since they read bytes: images, sounds."""
    return [name for name, feature in load_features(shape).items() if not _is_spelled(feature)]


def list_spelled(shape: SchemaShape) -> list[str]:
    """Return the columns with values that are strings in JSON lines and that loading leaves so, at any depth."""
    return [column.name for column in shape.schema() if any(map(_is_left_text, _list_leaves(column.type)))]


def spell_features(features: Any) -> list[dict[str, Any]]:
    """Return the features of all columns for the head of a card, also of one with a name that ``datasets`` reserves."""
    import datasets

    columns = ((name, datasets.Features({"column": feature})._to_yaml_list()) for name, feature in features.items())
    return [{**column, "name": name} for name, (column,) in columns]


def _list_leaves(kind: pa.DataType) -> list[pa.DataType]:
    if pa.types.is_struct(kind):
        return [leaf for member in kind for leaf in _list_leaves(member.type)]
    return _list_leaves(kind.value_type) if is_list(kind) else [kind]


def _is_spelled(feature: Any) -> bool:
    """Return whether JSON lines hold what a feature reads: no bytes, and so no images or sounds."""
    leaves = _list_leaves(simplify_type(find_arrow_type(feature)))
    return all(find_json_type(leaf).equals(leaf) for leaf in leaves)


def find_json_type(kind: pa.DataType, oversize: bool = False, as_text: bool = True, far: bool = False) -> pa.DataType:
    """Return the type that a column has once it went through JSON lines: what Arrow cannot read back is a string.

    ``oversize`` says that the column has whole numbers that only Json reads, ``as_text`` that what ``datasets`` cannot
    read as Json is written as text, and not as numbers, ``far`` that some dates are none for Arrow's reader of JSON.
    """
    if pa.types.is_struct(kind):
        if kind.get_field_index(RESERVED) >= 0:
            return JSON_TYPE
        return pa.struct([(member.name, find_json_type(member.type, oversize, as_text, far)) for member in kind])
    if is_list(kind):
        inner = find_json_type(kind.value_type, oversize, as_text, far)
        if pa.types.is_fixed_size_list(kind):
            return pa.list_(inner, kind.list_size)
        return pa.list_(inner) if pa.types.is_list(kind) else pa.large_list(inner)
    if kind == JSON_TEXT:
        return pa.large_string() if as_text else pa.float64()
    if pa.types.is_uint64(kind) and oversize:
        return JSON_TYPE
    if far and (pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
        return pa.large_string()
    return pa.large_string() if _is_left_text(kind) else kind


def _is_left_text(kind: pa.DataType) -> bool:
    """Return whether values of a type are strings in JSON lines that Arrow does not read back as that type."""
    checks = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_duration, pa.types.is_time)
    return any(check(kind) for check in checks)


def inspect_table(table: pa.Table) -> set[Finding]:
    """Return what is found in the columns of a table that its JSON lines do not give back as they are."""
    return {
        (column.name, what)
        for column, values in zip(table.schema, table.columns, strict=True)
        for chunk in values.chunks
        for what in _inspect(chunk)
    }


def _inspect(values: pa.Array) -> set[str]:
    kind = values.type
    if is_json(kind):
        return _inspect_json(values)
    if isinstance(kind, pa.BaseExtensionType):
        return _inspect(values.storage)
    if pa.types.is_struct(kind):
        return {what for member in values.flatten() for what in _inspect(member)}
    if is_list(kind):
        return _inspect(flatten_lists(values)[0])
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return {FAR} if holds_far_times(values) else set()
    if pa.types.is_uint64(kind):
        return {OVERSIZE} if (pc.max(values).as_py() or 0) >= 1 << 63 else set()
    if pa.types.is_floating(kind):
        return {NOT_FINITE} if pc.all(pc.is_finite(values)).as_py() is False else set()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return {TIMES} if are_dates(values) else set()
    return set()


def _inspect_json(values: pa.Array) -> set[str]:
    texts, found = values.storage, set()
    if values.type == JSON_TEXT:
        if pc.all(pc.match_substring_regex(texts, NUMBER)).as_py() is False:  # None without values.
            found.add(NOT_NUMBERS)
        if pc.any(pc.match_substring_regex(texts, "NaN|Infinity")).as_py():
            found.add(NOT_FINITE)
    quoted = texts.filter(pc.starts_with(texts, '"')).to_pylist()
    if any(map(_holds_json_text, quoted)):
        found.add(QUOTED)
    return found


def _holds_json_text(text: str) -> bool:
    """Return whether a JSON text is a string that is JSON itself: ``datasets`` takes it for its value."""
    try:
        inner = json.loads(text)
        json.loads(inner)
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def are_dates(values: pa.Array) -> bool:
    """Return whether all strings of a column are what Arrow takes for times; False without any."""
    index = pc.index(values.is_valid(), True).as_py()
    if index < 0 or not _may_be_date(values[index].as_py()):
        return False
    if pc.max(pc.binary_length(values)).as_py() > MAX_DATE_BYTES:
        return False
    return bool(pc.all(pc.match_substring_regex(values, DATE)).as_py())


def _may_be_date(text: str) -> bool:
    """Return whether a string looks like a time at its first characters: few columns need a closer look."""
    return len(text) <= MAX_DATE_BYTES and text[:4].isdigit()
