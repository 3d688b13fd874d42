"""What the metadata of a part say of its rows: the slices of the corpus that it covers, and the files they are of.

    {"slice": {"file": …, "number": 0, …}, "source": [content of the file]}        one slice
    {"slices": {"file": […], "number": […], …}, "sources": [[content], …]}         several: small files share a part

The rows of a part are those of its slices, one slice after another. ``list_slices`` reads both forms; parts of earlier
versions cover one slice each. Only parts of scores say ``source``, and not those of every version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from curate.corpus.types import SliceMark

Note = Mapping[str, Any]
"""The metadata of a part."""
FIELDS = tuple(field.name for field in fields(SliceMark))


def describe_slices(marks: Sequence[SliceMark]) -> dict[str, Any]:
    """Return what metadata say of the slices that a part covers, at least one, in order."""
    if len(marks) == 1:
        return {"slice": asdict(marks[0])}
    return {"slices": {name: [getattr(mark, name) for mark in marks] for name in FIELDS}}


def describe_origins(origins: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Return what metadata say of the contents of the files of the slices, in their order (``identify_source``)."""
    return {"source": list(origins[0])} if len(origins) == 1 else {"sources": [list(origin) for origin in origins]}


def list_slices(note: Note) -> list[SliceMark]:
    """Return the slices that a part covers, in order."""
    if "slices" not in note:
        return [SliceMark(**note["slice"])]
    columns = note["slices"]
    return [SliceMark(*values) for values in zip(*(columns[name] for name in FIELDS), strict=True)]


def list_origins(note: Note) -> list[list[Any]]:
    """Return the contents of the files of the slices, in their order. Raises KeyError where metadata do not say it."""
    return [list(origin) for origin in (note["sources"] if "sources" in note else [note["source"]])]


def name_origins(note: Note, default: Any = None) -> Any:
    """Return what parts of carried columns are made from: the contents of the files as a part of the scores says them.

    ``default`` where it does not say it.
    """
    return note.get("sources", note.get("source", default))


def count_documents(note: Note) -> int:
    """Return the documents of a part, all slices together."""
    return int(sum(note["slices"]["documents"]) if "slices" in note else note["slice"]["documents"])
