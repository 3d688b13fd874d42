"""One schema over all slices of a corpus, inferred while they are read.

Slices of one corpus may differ: a column is absent, or has whole numbers in one slice and fractions in another. A
``SchemaShape`` widens with each table and never loses a value: whole numbers become float64 only where float64 holds
each of them, and values without a common type become JSON, at the smallest level that differs (the rule of
``arrow_types`` within one slice). What JSON has no word for is spelled within it: bytes, times, decimals.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.values.arrow_types import EXACT_FLOAT, JSON_TEXT, encode_values, is_binary, is_string
from curate.corpus.values.arrow_values import (
    JSON_TYPE,
    flatten_lists,
    is_json,
    is_list,
    list_inner_types,
    parse_json_or_text,
    to_values,
)

TEXT = pa.large_string()
UNITS = ("s", "ms", "us")
FEATURES = b"huggingface"
"""The key of the metadata of a schema under which ``datasets`` keeps features."""
PLAIN_FEATURES = ("Value", "List", "LargeList", "Sequence", "Json")
"""Features that say no more than the type of the column."""
Path = tuple[str, ...]
Features = Mapping[str, Any]


@dataclass(slots=True)
class SchemaShape:
    """The columns of all tables so far, in the order in which they appeared, each as wide as its values need."""

    types: dict[str, pa.DataType] = field(default_factory=dict)
    """The type of each column."""
    features: dict[str, Any] = field(default_factory=dict)
    """What ``datasets`` knows of a column beyond its type, as JSON (class names, an image …); None where nothing."""
    clashes: set[str] = field(default_factory=set)
    """Columns of which tables state different features, or only some tables any: they have none."""
    mixed: set[str] = field(default_factory=set)
    """Columns in which tables have values of different kinds that are not all numbers: they are JSON, or hold it."""
    spelled: set[str] = field(default_factory=set)
    """Those of ``mixed`` with values that JSON has no word for: bytes, times, decimals."""
    last: tuple[str, ...] = ()
    """Columns that come after all others in the schema."""
    wide: set[Path] = field(default_factory=set)
    """Paths of whole numbers beyond ±2^53, which float64 cannot hold."""
    negative: set[Path] = field(default_factory=set)
    """Paths of whole numbers below 0, which uint64 cannot hold."""
    infinite: set[Path] = field(default_factory=set)
    """Paths of fractions that are NaN or infinite, which JSON cannot hold."""

    def see(self, table: pa.Table) -> bool:
        """Widen for a table, and return whether that changed the schema."""
        before = self._state()
        features = read_features(table.schema)
        for column in table.schema:
            path = (column.name,)
            self._note_numbers(table.column(column.name), path)
            old, new = self.types.get(column.name, pa.null()), simplify_type(column.type)
            self.types[column.name] = self._widen(old, new, path)
            if not pa.types.is_null(new):
                self._state_features(column.name, features.get(column.name))
        return self._state() != before

    def join(self, other: "SchemaShape") -> bool:
        """Widen for all tables of another shape, as if they came after those of this one; return as ``see`` does."""
        before = self._state()
        for name in ("wide", "negative", "infinite", "mixed", "spelled", "clashes"):
            getattr(self, name).update(getattr(other, name))
        for name, kind in other.types.items():
            self.types[name] = self._widen(self.types.get(name, pa.null()), kind, (name,))
        for name, features in other.features.items():
            self._state_features(name, features)
        return self._state() != before

    def schema(self) -> pa.Schema:
        """Return the schema of all tables so far, without features."""
        names = [name for name in self.types if name not in self.last]
        ordered = [name for name in [*names, *self.last] if name in self.types]
        return pa.schema([(name, self._settle(self.types[name], (name,))) for name in ordered])

    def known_features(self) -> dict[str, Any]:
        """Return the features on which all tables agree, by column."""
        return {name: of for name, of in self.features.items() if of is not None and name not in self.clashes}

    def _state(self) -> tuple[Any, ...]:
        return dict(self.types), dict(self.features), set(self.clashes), set(self.infinite)

    def _state_features(self, name: str, features: Any) -> None:
        if name not in self.features:
            self.features[name] = features
        elif self.features[name] != features:
            self.clashes.add(name)

    def _note_numbers(self, values: pa.ChunkedArray | pa.Array, path: Path) -> None:
        for chunk in values.chunks if isinstance(values, pa.ChunkedArray) else [values]:
            kind = chunk.type
            if pa.types.is_struct(kind):
                for index, member in enumerate(kind):
                    self._note_numbers(chunk.field(index), (*path, member.name))
            elif is_list(kind):
                self._note_numbers(flatten_lists(chunk)[0], (*path, "[]"))
            elif pa.types.is_integer(kind):
                self._note_integers(chunk, path)
            elif pa.types.is_floating(kind) and pc.all(pc.is_finite(chunk)).as_py() is False:
                self.infinite.add(path)

    def _note_integers(self, values: pa.Array, path: Path) -> None:
        ends = pc.min_max(values).as_py()
        if ends["max"] is None:
            return
        if ends["max"] > EXACT_FLOAT or ends["min"] < -EXACT_FLOAT:
            self.wide.add(path)
        if ends["min"] < 0:
            self.negative.add(path)

    def _widen(self, left: pa.DataType, right: pa.DataType, path: Path) -> pa.DataType:
        """Return the narrowest type that holds the values of both."""
        if left.equals(right):
            return left
        if pa.types.is_null(left) or pa.types.is_null(right):
            return right if pa.types.is_null(left) else left
        if pa.types.is_struct(left) and pa.types.is_struct(right):
            widened = self._widen_struct(left, right, path)
        elif is_list(left) and is_list(right):
            inner = self._widen(left.value_type, right.value_type, (*path, "[]"))
            return pa.list_(inner) if pa.types.is_list(left) and pa.types.is_list(right) else pa.large_list(inner)
        else:
            widened = _widen_leaf(left, right, path in self.wide, path in self.negative)
        return self._mix(left, right, path[0]) if widened is None else widened

    def _widen_struct(self, left: pa.DataType, right: pa.DataType, path: Path) -> pa.DataType | None:
        """Return the struct of both; None where one has other fields: a field that is absent is not a null."""
        others = {member.name: member.type for member in right}
        if {member.name for member in left} != others.keys() or not others:
            return None
        return pa.struct(
            [(member.name, self._widen(member.type, others[member.name], (*path, member.name))) for member in left]
        )

    def _mix(self, left: pa.DataType, right: pa.DataType, name: str) -> pa.DataType:
        """Return the JSON that holds the values of both."""
        if not all(map(_is_number, (left, right))):
            self.mixed.add(name)
        if any(map(_needs_spelling, (left, right))):
            self.spelled.add(name)
        return JSON_TEXT if JSON_TEXT in (left, right) else JSON_TYPE

    def _settle(self, kind: pa.DataType, path: Path) -> pa.DataType:
        """Return a type with ``JSON_TEXT`` where JSON would have NaN or infinities."""
        if not self.infinite:
            return kind
        if is_json(kind):
            bad = any(other[: len(path)] == path for other in self.infinite)
            return JSON_TEXT if bad else kind
        if pa.types.is_struct(kind):
            return pa.struct([(member.name, self._settle(member.type, (*path, member.name))) for member in kind])
        if not is_list(kind) or pa.types.is_fixed_size_list(kind):
            return kind
        inner = self._settle(kind.value_type, (*path, "[]"))
        return pa.list_(inner) if pa.types.is_list(kind) else pa.large_list(inner)


def read_features(schema: pa.Schema) -> dict[str, Any]:
    """Return, by column, what ``datasets`` knows of it beyond its type, as JSON; unreadable metadata say nothing."""
    text = (schema.metadata or {}).get(FEATURES)
    return {} if text is None else _parse_features(text)


@lru_cache(maxsize=64)
def _parse_features(text: bytes) -> dict[str, Any]:
    try:
        features = json.loads(text)["info"]["features"]
        return {name: of for name, of in features.items() if not _is_plain(of)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _is_plain(feature: Any) -> bool:
    """Return whether a feature says no more than a type does, at any depth."""
    if isinstance(feature, list):
        return all(map(_is_plain, feature))
    if not isinstance(feature, dict):
        return True
    kind = feature.get("_type")
    if not isinstance(kind, str):
        return all(map(_is_plain, feature.values()))
    return kind in PLAIN_FEATURES and feature.get("decode", True) is True and _is_plain(feature.get("feature"))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or kind == JSON_TEXT)


def _needs_spelling(kind: pa.DataType) -> bool:
    """Return whether JSON has no word for values of a type, at any depth."""
    if is_json(kind) or is_string(kind) or pa.types.is_null(kind) or pa.types.is_boolean(kind):
        return False
    inner = list_inner_types(kind)
    return any(map(_needs_spelling, inner)) if inner else not _is_number(kind)


def _widen_leaf(left: pa.DataType, right: pa.DataType, wide: bool, negative: bool) -> pa.DataType | None:
    """Return the type that holds both numbers, texts, bytes or times without loss; None where only JSON does."""
    if is_string(left) and is_string(right):
        return TEXT
    if is_binary(left) and is_binary(right):
        return pa.large_binary()
    if pa.types.is_integer(left) and pa.types.is_integer(right):
        return _widen_integers(left, right, negative)
    numbers = [pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (left, right)]
    if all(numbers):
        return None if wide else pa.float64()
    if pa.types.is_timestamp(left) and pa.types.is_timestamp(right) and left.tz == right.tz:
        known = left.unit in UNITS and right.unit in UNITS  # Nanoseconds end in 2262; years beyond would not fit.
        return pa.timestamp(max(left.unit, right.unit, key=UNITS.index), left.tz) if known else None
    return None


def _widen_integers(left: pa.DataType, right: pa.DataType, negative: bool) -> pa.DataType | None:
    signed = [pa.types.is_signed_integer(kind) for kind in (left, right)]
    if signed[0] == signed[1]:
        return max(left, right, key=lambda kind: kind.bit_width)
    unsigned = right if signed[0] else left
    if unsigned.bit_width < 64:
        return pa.int64()
    return None if negative else pa.uint64()


def simplify_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that every reader of a dataset knows: no dictionaries, maps, views, unions, extensions."""
    if is_json(kind):
        return JSON_TEXT if kind == JSON_TEXT else JSON_TYPE
    if isinstance(kind, pa.BaseExtensionType):
        return simplify_type(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return simplify_type(kind.value_type)
    if pa.types.is_map(kind):
        return pa.large_list(
            pa.struct([("key", simplify_type(kind.key_type)), ("value", simplify_type(kind.item_type))])
        )
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(simplify_type(kind.value_type), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(simplify_type(kind.value_type))
    if pa.types.is_large_list(kind) or pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        return pa.large_list(simplify_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(member.name, simplify_type(member.type)) for member in kind])
    if pa.types.is_string_view(kind):
        return TEXT
    if pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.large_binary()
    return TEXT if pa.types.is_union(kind) or pa.types.is_interval(kind) else kind


def fit_table(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table under a schema that is at least as wide: absent columns are null, types are widened."""
    columns, held = [], dict(zip(table.column_names, table.columns, strict=True))
    for column in schema:
        if column.name in held:
            columns.append(_fit_column(held[column.name], column.type))
        else:
            columns.append(pa.nulls(len(table), column.type))
    return pa.table(columns, schema=schema)


def join_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the tables one after the other; types that differ between batches of one file are widened."""
    if all(table.schema.equals(tables[0].schema) for table in tables):
        return pa.concat_tables(tables)
    shape = SchemaShape()
    for table in tables:
        shape.see(table)
    schema = shape.schema().with_metadata(tables[0].schema.metadata)
    return pa.concat_tables([fit_table(table, schema) for table in tables])


def _fit_column(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if values.type.equals(kind):
        return values
    if not _becomes_json(values.type, kind):
        try:
            return strip_extensions(values).cast(kind)
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
            pass  # Arrow casts no maps into lists, and some nested nulls not at all; the values themselves can move.
    return pa.chunked_array(
        [encode_values([_fit_value(value, kind) for value in to_values(values, parse_json_or_text)], kind)]
    )


def strip_extensions(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of an extension type other than JSON as its storage."""
    if not isinstance(values.type, pa.BaseExtensionType) or is_json(values.type):
        return values
    return pa.chunked_array([chunk.storage for chunk in values.chunks], values.type.storage_type)


def _becomes_json(old: pa.DataType, new: pa.DataType) -> bool:
    """Return whether values become JSON, or JSON of the other kind, at any depth: a cast would take texts for JSON."""
    if is_json(new):
        return not (old.equals(new) or pa.types.is_null(old))
    if pa.types.is_struct(old) and pa.types.is_struct(new):
        members = {member.name: member.type for member in new}
        return any(_becomes_json(member.type, members[member.name]) for member in old)
    return is_list(old) and is_list(new) and _becomes_json(old.value_type, new.value_type)


def _fit_value(value: Any, kind: pa.DataType) -> Any:
    """Return a value as a wider type needs it: within JSON, what JSON has no word for is spelled."""
    if value is None:
        return None
    if is_json(kind):
        return spell_leaves(value)
    if is_list(kind):
        if value and isinstance(value[0], tuple):  # A map, as Arrow gives it to Python.
            value = [{"key": key, "value": item} for key, item in value]
        return [_fit_value(item, kind.value_type) for item in value]
    if pa.types.is_struct(kind):
        return {member.name: _fit_value(value.get(member.name), member.type) for member in kind}
    return value


def spell_leaves(value: Any) -> Any:
    """Return a value with strings for what JSON has no word for, at any depth."""
    if isinstance(value, dict):
        return {name: spell_leaves(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [spell_leaves(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else spell_value(value)


def spell_value(value: Any) -> str:
    """Return a value that JSON cannot hold as a string: bytes in base64, times in ISO 8601, others as they print."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
