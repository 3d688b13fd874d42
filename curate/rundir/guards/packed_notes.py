"""The metadata of all parts of a table, packed into its manifest, so that nobody opens 47,000 parts to read them.

    {"shared": {"made_from": …}, "bytes": 12345678, "zstd": "…"}      a line of JSON for each part, in their order

What all parts say alike stands once. The rest is compressed by the library that compresses the parts: the same parts
give the same bytes. A line is parsed when somebody asks for it, since that of many small files is long.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

LEVEL = 9
"""Of the compression: a ninth of the lines of one slice each, at 50 MB a second."""

Note = Mapping[str, Any]


def pack_notes(notes: Sequence[Note | None]) -> dict[str, Any]:
    """Return the metadata of parts as one JSON value; None stands for a part whose metadata nobody can read."""
    spelled = [None if note is None else {name: _spell(value) for name, value in note.items()} for note in notes]
    shared = _find_shared(spelled)
    lines = (_spell_line(note, shared) for note in spelled)
    raw = "\n".join(lines).encode()
    packed = pa.Codec("zstd", compression_level=LEVEL).compress(raw, asbytes=True)
    values = {name: json.loads(value) for name, value in sorted(shared.items())}
    return {"shared": values, "bytes": len(raw), "zstd": base64.b85encode(packed).decode()}


def _spell(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _find_shared(spelled: Sequence[Mapping[str, str] | None]) -> dict[str, str]:
    """Return the pairs that all have. Values are compared as JSON: 0, 0.0 and false are three."""
    shared = dict(next((note for note in spelled if note is not None), {}))
    for note in spelled:
        if note is not None:
            shared = {name: value for name, value in shared.items() if note.get(name) == value}
    return shared


def _spell_line(note: Mapping[str, str] | None, shared: Mapping[str, str]) -> str:
    if note is None:
        return "null"
    pairs = (f"{_spell(name)}:{value}" for name, value in sorted(note.items()) if name not in shared)
    return f"{{{','.join(pairs)}}}"


class PackedNotes:
    """The metadata of parts as ``pack_notes`` has packed them, unpacked at the first question."""

    __slots__ = ("_lines", "_packed")

    def __init__(self, packed: Mapping[str, Any]):
        self._packed = packed
        self._lines: list[bytes] | None = None

    def get(self, index: int) -> dict[str, Any] | None:
        """Return the metadata of the part of this number, as they were read from the part; None where nobody could."""
        if self._lines is None:
            packed = base64.b85decode(self._packed["zstd"])
            raw = pa.Codec("zstd").decompress(packed, self._packed["bytes"], asbytes=True)
            self._lines = raw.split(b"\n")
        note = json.loads(self._lines[index])
        return None if note is None else dict(sorted({**self._packed["shared"], **note}.items()))
