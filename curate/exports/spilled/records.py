"""What a task spilled and counted, and how that is kept beside its rows: as JSON without paths of a host."""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from curate.corpus.values.schema_widening import SchemaShape
from curate.exports.counts import ExportCounts
from curate.exports.formats.json_types import Finding
from curate.exports.spilled.places import RECORD, SpillFolder

PATHS = ("wide", "negative", "infinite")
NAMES = ("clashes", "mixed", "spelled")


class Piece(Protocol):
    """Rows of a task: a dataclass of numbers, but for ``run``."""

    run: str
    """Path of the files of the rows, without a suffix: in the folder of the task."""
    rows: int


@dataclass(slots=True)
class TaskResult:
    """What a task spilled and counted."""

    pieces: list[Any] = field(default_factory=list)
    """In their order, all of one class (``Piece``)."""
    shapes: list[SchemaShape] = field(default_factory=list)
    """Of the slices, or of the pieces, in their order; one that is that of before is left out."""
    misread: set[Finding] = field(default_factory=set)
    """What datasets' reader of JSON lines would change (``json_types.inspect_table``)."""
    counts: ExportCounts = field(default_factory=ExportCounts)
    read_bytes: int = 0

    def see(self, shape: SchemaShape) -> int:
        """Append a shape, unless it is that of before, and return its index."""
        if not self.shapes or self.shapes[-1] != shape:
            self.shapes.append(shape)
        return len(self.shapes) - 1


def write_result(folder: Path, result: TaskResult) -> None:
    """Write what a task spilled into its folder, when all else is there."""
    kinds = [field.name for field in fields(result.pieces[0])] if result.pieces else []
    columns = {name: [getattr(piece, name) for piece in result.pieces] for name in kinds if name != "run"}
    record = {
        "pieces": {"run": [Path(piece.run).name for piece in result.pieces], **columns},
        "shapes": [_spell_shape(shape) for shape in result.shapes],
        "misread": sorted(map(list, result.misread)),
        "counts": asdict(result.counts),
        "read_bytes": result.read_bytes,
    }
    (folder / RECORD).write_text(json.dumps(record), encoding="utf-8")


def read_result(spill: SpillFolder, number: int, kind: type[Any]) -> TaskResult:
    """Return what a task that is complete spilled, in pieces of the class ``kind``."""
    folder = spill.find_task(number)
    record = json.loads((folder / RECORD).read_bytes())
    columns: dict[str, Sequence[Any]] = record["pieces"]
    columns["run"] = [str(folder / name) for name in columns["run"]]
    pieces = [kind(**dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)]
    shapes = [_parse_shape(shape) for shape in record["shapes"]]
    misread = {(column, finding) for column, finding in record["misread"]}
    return TaskResult(pieces, shapes, misread, ExportCounts(**record["counts"]), record["read_bytes"])


def _spell_shape(shape: SchemaShape) -> dict[str, Any]:
    kinds = pa.schema(list(shape.types.items())).serialize().to_pybytes()
    return {
        "types": base64.b64encode(kinds).decode("ascii"),
        "features": dict(shape.features),
        "last": list(shape.last),
        **{name: sorted(getattr(shape, name)) for name in NAMES},
        **{name: sorted(map(list, getattr(shape, name))) for name in PATHS},
    }


def _parse_shape(record: dict[str, Any]) -> SchemaShape:
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(record["types"])))
    shape = SchemaShape({column.name: column.type for column in schema}, record["features"], last=tuple(record["last"]))
    for name in NAMES:
        getattr(shape, name).update(record[name])
    for name in PATHS:
        getattr(shape, name).update(map(tuple, record[name]))
    return shape
