"""Arrow strings whose bytes are not UTF-8: Arrow trusts its files, so damage shows only where a value is decoded."""

from __future__ import annotations

import pyarrow as pa

from curate.corpus.readers.plain_types import rebuild_list
from curate.corpus.values.arrow_values import is_list


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

    The column must be one that ``is_sound`` accepts, of a plain type (``plain_types``). The type stays, and so does
    every other value. A column without invalid bytes is returned as it is.
    """
    if is_valid(column):
        return column
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, replace_invalid(column.storage))
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(column.indices, replace_invalid(column.dictionary), ordered=kind.ordered)
    if pa.types.is_struct(kind):
        members = [replace_invalid(member) for member in column.flatten()]
        return pa.StructArray.from_arrays(members, fields=list(kind), mask=column.is_null())
    if is_list(kind):
        return rebuild_list(column, kind, replace_invalid)
    texts = column.view(as_octets(kind)).to_pylist()
    return pa.array([None if text is None else text.decode("utf-8", "replace") for text in texts], kind)


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
    if isinstance(kind, pa.BaseExtensionType):
        return as_octets(kind.storage_type)
    if pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        items = kind.value_field.with_type(as_octets(kind.value_type))
        return pa.large_list_view(items) if pa.types.is_large_list_view(kind) else pa.list_view(items)
    if not is_list(kind):
        return kind
    item = kind.value_field.with_type(as_octets(kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(item, kind.list_size)
    return pa.large_list(item) if pa.types.is_large_list(kind) else pa.list_(item)
