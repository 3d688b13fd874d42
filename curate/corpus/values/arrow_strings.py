"""Strings of an Arrow column replaced at any depth, all else left as it is.

replace_strings(column, {"a@b.org": "[EMAIL]"})       of lists, objects and JSON too; keys of objects stay
replace_strings(column, …, ("meta", "text"))          those at the end of a path alone
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from curate.corpus.values.arrow_types import encode_values, is_binary, is_string
from curate.corpus.values.arrow_values import is_json, is_list, parse_json, spell_json, to_values


def replace_strings(
    column: pa.ChunkedArray, replaced: Mapping[str | bytes, str | bytes], path: Sequence[str] = ()
) -> pa.ChunkedArray:
    """Return a column with other strings, and bytes, for those that are keys of ``replaced``.

    ``path`` are the keys of objects that lead to what is looked through. A column of a dictionary becomes one of its
    values; all other types stay.
    """
    chunks = [_replace(_unslice(chunk), replaced, tuple(path)) for chunk in column.chunks]
    return pa.chunked_array(chunks, chunks[0].type) if chunks else column


def replace_in_value(value: Any, replaced: Mapping[str | bytes, str | bytes], path: Sequence[str] = ()) -> Any:
    """Return a value of JSON with other strings, as ``replace_strings`` does."""
    if path:
        if not isinstance(value, dict) or path[0] not in value:
            return value
        return {**value, path[0]: replace_in_value(value[path[0]], replaced, path[1:])}
    if isinstance(value, (str, bytes)):
        return replaced.get(value, value)
    if isinstance(value, dict):
        return {key: replace_in_value(inner, replaced) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(replace_in_value(inner, replaced) for inner in value)
    return value


def _unslice(array: pa.Array) -> pa.Array:
    """Return an array whose lists and objects begin where their buffers do."""
    if array.offset == 0 or not (pa.types.is_struct(array.type) or is_list(array.type)):
        return array
    try:
        return array.take(pa.array(np.arange(len(array))))
    except pa.ArrowNotImplementedError:  # of views within
        return encode_values(to_values(array), array.type)


def _replace(array: pa.Array, replaced: Mapping[str | bytes, str | bytes], path: tuple[str, ...]) -> pa.Array:
    kind = array.type
    if pa.types.is_null(kind):
        return array
    if pa.types.is_dictionary(kind):
        return _replace(array.cast(kind.value_type), replaced, path)
    if is_json(kind):
        texts = [_replace_json(text, replaced, path) for text in array.storage.to_pylist()]
        return pa.ExtensionArray.from_storage(kind, pa.array(texts, array.storage.type))
    if pa.types.is_struct(kind):
        chosen = {path[0]} if path else {member.name for member in kind}
        members = [
            _replace(_unslice(array.field(number)), replaced, path[1:])
            if member.name in chosen
            else array.field(number)
            for number, member in enumerate(kind)
        ]
        fields = [member.with_type(one.type) for member, one in zip(kind, members, strict=True)]
        return pa.StructArray.from_arrays(members, fields=fields, mask=array.is_null())
    if path:
        return array
    if is_string(kind):
        return pa.array([replaced.get(value, value) for value in array.to_pylist()], kind)
    if is_binary(kind):
        writable = pa.large_binary() if pa.types.is_fixed_size_binary(kind) else kind
        return pa.array([replaced.get(value, value) for value in array.to_pylist()], writable)
    if is_list(kind):
        return _replace_items(array, replaced)
    if kind.num_fields or isinstance(kind, pa.BaseExtensionType):
        return encode_values([replace_in_value(value, replaced) for value in to_values(array)], kind)
    return array


def _replace_items(array: pa.Array, replaced: Mapping[str | bytes, str | bytes]) -> pa.Array:
    """Return lists with other strings in them."""
    kind, items = array.type, _replace(_unslice(array.values), replaced, ())
    item = kind.value_field.with_type(items.type)
    if pa.types.is_fixed_size_list(kind):
        fixed = pa.list_(item, kind.list_size)
        return pa.FixedSizeListArray.from_arrays(items, type=fixed, mask=array.is_null())
    lists = pa.large_list(item) if pa.types.is_large_list(kind) else pa.list_(item)
    return type(array).from_arrays(array.offsets, items, type=lists, mask=array.is_null())


def _replace_json(text: str | None, replaced: Mapping[str | bytes, str | bytes], path: tuple[str, ...]) -> str | None:
    """Return a JSON text with other strings; the very text where none of them is in it."""
    if text is None:
        return None
    value = parse_json(text)
    changed = replace_in_value(value, replaced, path)
    return text if changed == value else spell_json(changed)
