"""One schema over all slices of a corpus, inferred while they are read.

Slices of one corpus may differ: a column is absent, or has whole numbers in one slice and fractions in another. A
``SchemaShape`` widens with each table and never loses a value: whole numbers become float64 only where float64 holds
each of them, structs get the fields of both, and values without a common type become text: strings stay as they are,
everything else becomes its JSON (the rule of ``arrow_types`` within one slice).
"""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.arrow_types import EXACT_FLOAT, is_string
from curate.corpus.arrow_values import is_list

TEXT = pa.large_string()
UNITS = ("s", "ms", "us")
Path = tuple[str, ...]


@dataclass(slots=True)
class SchemaShape:
    """The columns of all tables so far, in the order in which they appeared, each as wide as its values need."""

    types: dict[str, pa.DataType] = field(default_factory=dict)
    """The type of each column."""
    texts: set[str] = field(default_factory=set)
    """Columns whose values have no common type and became text."""
    last: tuple[str, ...] = ()
    """Columns that come after all others in the schema."""
    wide: set[Path] = field(default_factory=set)
    """Paths of whole numbers beyond ±2^53, which float64 cannot hold."""

    def see(self, table: pa.Table) -> bool:
        """Widen for a table, and return whether that changed the schema."""
        before = dict(self.types)
        for column in table.schema:
            path = (column.name,)
            self._note_wide(table.column(column.name), path)
            old, new = self.types.get(column.name, pa.null()), simplify_type(column.type)
            self.types[column.name] = self._widen(old, new, path)
        return self.types != before

    def join(self, other: "SchemaShape") -> None:
        """Widen for all tables of another shape, as if they came after those of this one."""
        self.wide |= other.wide
        self.texts |= other.texts
        for name, kind in other.types.items():
            self.types[name] = self._widen(self.types.get(name, pa.null()), kind, (name,))

    def schema(self) -> pa.Schema:
        """Return the schema of all tables so far."""
        names = [name for name in self.types if name not in self.last]
        return pa.schema([(name, self.types[name]) for name in [*names, *self.last] if name in self.types])

    def _note_wide(self, values: pa.ChunkedArray | pa.Array, path: Path) -> None:
        for chunk in values.chunks if isinstance(values, pa.ChunkedArray) else [values]:
            kind = chunk.type
            if pa.types.is_struct(kind):
                for index, member in enumerate(kind):
                    self._note_wide(chunk.field(index), (*path, member.name))
            elif is_list(kind):
                self._note_wide(chunk.flatten(), (*path, "[]"))
            elif kind in (pa.int64(), pa.uint64()) and _exceeds(chunk, EXACT_FLOAT):
                self.wide.add(path)

    def _widen(self, left: pa.DataType, right: pa.DataType, path: Path) -> pa.DataType:
        """Return the narrowest type that holds the values of both."""
        if left.equals(right):
            return left
        if pa.types.is_null(left) or pa.types.is_null(right):
            return right if pa.types.is_null(left) else left
        if pa.types.is_struct(left) and pa.types.is_struct(right):
            return self._widen_struct(left, right, path)
        if is_list(left) and is_list(right):
            return pa.large_list(self._widen(left.value_type, right.value_type, (*path, "[]")))
        widened = _widen_leaf(left, right, path in self.wide)
        if widened is None:
            self.texts.add(path[0])
        return widened or TEXT

    def _widen_struct(self, left: pa.DataType, right: pa.DataType, path: Path) -> pa.DataType:
        members = {member.name: member.type for member in left}
        for member in right:
            old = members.get(member.name, pa.null())
            members[member.name] = self._widen(old, member.type, (*path, member.name))
        return pa.struct(list(members.items()))


def _exceeds(values: pa.Array, bound: int) -> bool:
    ends = pc.min_max(values).as_py()
    return ends["max"] is not None and (ends["max"] > bound or ends["min"] < -bound)


def _is_binary(kind: pa.DataType) -> bool:
    checks = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(check(kind) for check in checks)


def _widen_leaf(left: pa.DataType, right: pa.DataType, wide: bool) -> pa.DataType | None:
    """Return the type that holds both numbers, texts, bytes or times without loss; None where only text does."""
    if is_string(left) and is_string(right):
        return TEXT
    if _is_binary(left) and _is_binary(right):
        return pa.large_binary()
    if pa.types.is_integer(left) and pa.types.is_integer(right):
        return _widen_integers(left, right)
    numbers = [pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (left, right)]
    if all(numbers):
        return None if wide else pa.float64()
    if pa.types.is_timestamp(left) and pa.types.is_timestamp(right) and left.tz == right.tz:
        known = left.unit in UNITS and right.unit in UNITS  # Nanoseconds end in 2262; years beyond would not fit.
        return pa.timestamp(max(left.unit, right.unit, key=UNITS.index), left.tz) if known else None
    return None


def _widen_integers(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    signed = [pa.types.is_signed_integer(kind) for kind in (left, right)]
    if signed[0] == signed[1]:
        return max(left, right, key=lambda kind: kind.bit_width)
    unsigned = right if signed[0] else left
    return pa.int64() if unsigned.bit_width < 64 else None


def simplify_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that every reader of a dataset knows: no dictionaries, maps, views, extensions or unions."""
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
    columns = []
    for column in schema:
        if column.name in table.column_names:
            columns.append(_fit_column(table.column(column.name), column.type))
        else:
            columns.append(pa.nulls(len(table), column.type))
    return pa.table(columns, schema=schema)


def _fit_column(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if values.type.equals(kind):
        return values
    if not _spells(values.type, kind):
        try:
            return values.cast(kind)
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
            pass  # Arrow casts no maps into lists, and some nested nulls not at all; the values themselves can move.
    return pa.chunked_array([pa.array([widen_value(value, kind) for value in values.to_pylist()], kind)])


def _spells(old: pa.DataType, new: pa.DataType) -> bool:
    """Return whether a value that is not a string becomes text, at any depth."""
    if is_string(new):
        return not (is_string(old) or pa.types.is_null(old) or pa.types.is_dictionary(old))
    if pa.types.is_struct(old) and pa.types.is_struct(new):
        members = {member.name: member.type for member in new}
        return any(_spells(member.type, members[member.name]) for member in old)
    return is_list(old) and is_list(new) and _spells(old.value_type, new.value_type)


def widen_value(value: Any, kind: pa.DataType) -> Any:
    """Return a value as a wider type needs it: JSON where the type is text and the value is not a string."""
    if value is None or (isinstance(value, str) and is_string(kind)):
        return value
    if is_string(kind):
        return json.dumps(value, ensure_ascii=False, default=spell_value)
    if is_list(kind):
        if value and isinstance(value[0], tuple):  # A map, as Arrow gives it to Python.
            value = [{"key": key, "value": item} for key, item in value]
        return [widen_value(item, kind.value_type) for item in value]
    if pa.types.is_struct(kind):
        return {member.name: widen_value(value.get(member.name), member.type) for member in kind}
    return value


def spell_value(value: Any) -> str:
    """Return a value that JSON cannot hold as a string: bytes in base64, times in ISO 8601, others as they print."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
