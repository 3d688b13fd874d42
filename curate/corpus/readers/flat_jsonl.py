"""Slices of flat JSON Lines as Arrow tables, without a Python object for any value.

Arrow's reader of JSON parses a slice under the types with which the corpus begins. It gives what parsing each line by
itself would give, or nothing: where a line has another key, a key twice, a value of another type or none that the types
hold exactly, a list or an object, where lines are not exactly one object from brace to brace, or where anything is not
UTF-8. ``curate.corpus.readers.raw_jsonl`` reads what is left.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from curate.corpus.corpus import Corpus
from curate.corpus.values.arrow_types import EXACT_FLOAT
from curate.runtime.arrays import Int64Array

KINDS = (pa.large_string(), pa.int64(), pa.float64(), pa.bool_(), pa.null())
"""Types of columns that are read here."""
MOST_BYTES = 1 << 30
"""Largest slice: Arrow counts the bytes of a block in 32 bits."""
LINE_END, OPEN, CLOSE = b"\n{}"


@dataclass(frozen=True, slots=True, eq=False)
class FlatLines:
    """The documents of a slice, each with a text."""

    table: pa.Table
    """All columns, with the types of the corpus, in one chunk each."""
    heads: pa.LargeBinaryArray
    """Each line without its closing brace."""
    num_bytes: int
    """Of the slice."""


def read_flat_lines(data: bytes, documents: int, corpus: Corpus) -> FlatLines | None:
    """Return the lines of a slice that has so many documents; None where they are to be parsed one by one."""
    schema = corpus.schema
    if schema is None or len(data) > MOST_BYTES or not all(kind in KINDS for kind in schema.types):
        return None
    if schema.get_field_index(corpus.text_field) < 0:
        return None
    starts = _find_lines(data, documents)
    if starts is None:
        return None
    try:
        table = _parse_block(data, schema)
    except pa.ArrowInvalid:
        return None
    if len(table) != documents or table.column(corpus.text_field).null_count:
        return None
    if not all(map(_is_exact, table.columns)):
        return None
    buffers = [None, pa.py_buffer(starts), pa.py_buffer(data)]
    lines = pa.LargeBinaryArray.from_buffers(pa.large_binary(), documents, buffers)
    return FlatLines(table, pc.binary_replace_slice(lines, -2, len(data), b""), len(data))


def _find_lines(data: bytes, documents: int) -> Int64Array | None:
    """Return where each line begins and the last one ends (documents + 1); None unless all go from brace to brace.

    An object of no lists and objects that begins with a line and is open at its end cannot end in a brace there: so
    lines that do, as many as objects, are one object each.
    """
    octets = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(octets == LINE_END) + 1
    if len(ends) != documents or not documents or ends[-1] != len(data):
        return None
    starts = np.concatenate([np.zeros(1, np.int64), ends])
    if not bool((np.diff(starts) > 2).all()):
        return None
    is_whole = (octets[starts[:-1]] == OPEN) & (octets[ends - 2] == CLOSE)
    return starts if bool(is_whole.all()) else None


def _parse_block(data: bytes, schema: pa.Schema) -> pa.Table:
    """Return the objects as a table. Raises ArrowInvalid where they do not have these columns of these types."""
    reading = pa.json.ReadOptions(use_threads=False, block_size=len(data) + 1)
    parsing = pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    table = pa.json.read_json(pa.BufferReader(data), reading, parsing).combine_chunks()
    table.validate(full=True)  # Strings are UTF-8.
    return table


def _is_exact(values: pa.ChunkedArray) -> bool:
    """Return whether the numbers of a column are those that were written: of whole ones float64 rounds large ones."""
    if not pa.types.is_floating(values.type):
        return True
    return pc.all(pc.less(pc.abs(values), float(EXACT_FLOAT))).as_py() is not False
