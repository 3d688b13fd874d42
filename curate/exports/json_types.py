"""What ``datasets`` reads back from JSON lines: the types that columns have then, and the values that it changes.

Its reader lets Arrow guess the types before it looks at the card, so the card states them, and a warning names the
columns that are changed all the same.
"""

import pyarrow as pa
import pyarrow.compute as pc

DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}(:[0-9]{2}){0,2}(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?$"
"""What Arrow takes for a time; days and hours that do not exist match too."""
MAX_DATE_BYTES = 40
"""No text is longer that Arrow takes for a time."""


def find_json_type(kind: pa.DataType, misread: bool = False) -> pa.DataType:
    """Return the type that a column has once it went through JSON lines: what Arrow cannot read back is a string.

    ``misread`` says that ``is_misread`` holds for the column: Arrow then reads its uint64 as float64.
    """
    if pa.types.is_struct(kind):
        return pa.struct([(member.name, find_json_type(member.type, misread)) for member in kind])
    if _is_list(kind):
        return pa.large_list(find_json_type(kind.value_type, misread))
    if pa.types.is_uint64(kind) and misread:
        return pa.float64()
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    if binary or pa.types.is_decimal(kind) or pa.types.is_duration(kind) or pa.types.is_time(kind):
        return pa.large_string()
    return kind


def holds_uint64(kind: pa.DataType) -> bool:
    """Return whether a type is uint64, or a list or a struct with it."""
    if pa.types.is_struct(kind):
        return any(holds_uint64(member.type) for member in kind)
    return holds_uint64(kind.value_type) if _is_list(kind) else bool(pa.types.is_uint64(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_misread(values: pa.ChunkedArray | pa.Array) -> bool:
    """Return whether the JSON reader of ``datasets`` changes these values.

    It takes columns of strings that are all dates for times, and rounds whole numbers beyond int64.
    """
    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    return any(_is_chunk_misread(chunk) for chunk in chunks)


def _is_chunk_misread(values: pa.Array) -> bool:
    kind = values.type
    if pa.types.is_struct(kind):
        return any(_is_chunk_misread(values.field(number)) for number in range(kind.num_fields))
    if _is_list(kind):
        return _is_chunk_misread(values.flatten())
    if pa.types.is_uint64(kind):
        return bool((pc.max(values).as_py() or 0) >= 1 << 63)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _are_dates(values)
    return False


def _are_dates(values: pa.Array) -> bool:
    longest = pc.max(pc.binary_length(values)).as_py()
    if longest is None or longest > MAX_DATE_BYTES:
        return False
    return bool(pc.all(pc.match_substring_regex(values, DATE)).as_py())
