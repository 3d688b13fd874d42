"""Arrow strings whose bytes are not UTF-8: Arrow trusts its files, so damage shows only where a value is decoded."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from curate.corpus.arrow_types import is_string
from curate.corpus.arrow_values import is_list

# What values that do not survive the way through Python raise: dates beyond year 9999, two fields of one name.
NOT_PYTHON = (pa.ArrowException, ValueError, TypeError, OverflowError)


def is_sound(column: pa.Array) -> bool:
    """Return whether a column may be read at all: a bad offset in a file would end the process.

    Strings that are not UTF-8, also within lists and structs, are sound: each costs its own row or value.
    """
    if is_valid(column):
        return True
    octets = as_octets(column.type)
    if octets.equals(column.type):
        return False
    try:
        return is_valid(column.view(octets))
    except pa.ArrowException:
        return False


def is_valid(column: pa.Array | pa.ChunkedArray) -> bool:
    """Return whether offsets, indices and UTF-8 of a column are right, at 1 to 10 GB/s."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def replace_invalid(column: pa.Array) -> pa.Array:
    """Return the column with U+FFFD in place of bytes that are not UTF-8, in strings at any depth.

    The column must be one that ``is_sound`` accepts. The type stays. A column without invalid bytes is returned as it
    is; one whose other values do not survive the way through Python becomes null.
    """
    if is_valid(column):
        return column
    kind = column.type
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(column.indices, replace_invalid(column.dictionary), ordered=kind.ordered)
    try:
        return pa.array([decode_strings(value, kind) for value in column.view(as_octets(kind)).to_pylist()], kind)
    except NOT_PYTHON:
        return pa.nulls(len(column), kind)


def decode_strings(value: Any, kind: pa.DataType) -> Any:
    """Return a value of type ``as_octets(kind)`` as one of ``kind``: bytes decoded, invalid ones as U+FFFD."""
    if value is None:
        return None
    if is_string(kind):
        return value.decode("utf-8", "replace")
    if pa.types.is_struct(kind):
        return {member.name: decode_strings(value[member.name], member.type) for member in kind}
    if pa.types.is_map(kind):
        return [(decode_strings(key, kind.key_type), decode_strings(item, kind.item_type)) for key, item in value]
    if is_list(kind):
        return [decode_strings(item, kind.value_type) for item in value]
    return decode_strings(value, kind.value_type) if pa.types.is_dictionary(kind) else value


def as_octets(kind: pa.DataType) -> pa.DataType:
    """Return the type of the same layout with bytes in place of strings, at any depth; of other types the type."""
    if pa.types.is_string(kind):
        return pa.binary()
    if pa.types.is_large_string(kind):
        return pa.large_binary()
    if pa.types.is_string_view(kind):
        return pa.binary_view()
    if pa.types.is_struct(kind):
        return pa.struct([member.with_type(as_octets(member.type)) for member in kind])
    if pa.types.is_map(kind):
        return pa.map_(as_octets(kind.key_type), as_octets(kind.item_type))
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, as_octets(kind.value_type), kind.ordered)
    if not is_list(kind):
        return kind
    item = kind.value_field.with_type(as_octets(kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(item, kind.list_size)
    return pa.large_list(item) if pa.types.is_large_list(kind) else pa.list_(item)
