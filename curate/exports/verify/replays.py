"""Replays: a loader reads an export while its documents are compared with the order they should have."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from curate.errors import UsageError
from curate.exports.verify.summary import Replay

if TYPE_CHECKING:
    import pyarrow as pa

    from curate.exports.verify.loaders import LoaderCase, LoaderStage
    from curate.exports.verify.order_check import OrderProgress, Positions
    from curate.exports.verify.reader import Export, PositionIndex


def why_not_replayed(export: "Export", ordered: bool, whole: bool, loader: str) -> str | None:
    """Why no loader is replayed, where none is."""
    if loader == "none":
        return "" if ordered else "there is no order to verify"
    if not ordered:
        return "there is no order to verify: the documents stand as in the corpus (curate order, then export)"
    if not whole:
        return "no loader was replayed: mend the export first (curate export again, with --overwrite)"
    if not export.holds_text:
        return "no loader was replayed: token files are in order, what keeps it is in TRAINING.md"
    return None if export.rows else "there is no document to replay"


def replay_cases(
    export: "Export", cases: "list[LoaderCase]", batch_size: int, ranks: int, workers: int, steps: int | None
) -> Iterator[Replay]:
    from curate.exports.verify import loaders, reader
    from curate.runtime import console

    order = reader.read_sequence(export)
    places = reader.index_places(order)
    lengths = order.column("tokens").to_numpy()
    many = "1 loader" if len(cases) == 1 else f"{len(cases)} loaders"
    console.say("replaying", f"{export.folder}   {many} over {len(order):,} documents")
    with loaders.staged(export, places, lengths, batch_size, ranks, workers) as stage:
        for case in cases:
            yield _replay_case(case, stage, order, steps)


def _replay_case(case: "LoaderCase", stage: "LoaderStage", order: "pa.Table", steps: int | None) -> Replay:
    from curate.exports.verify.loaders import count_trl
    from curate.exports.verify.order_check import follow

    missing, total = case.missing(), len(order)
    if missing:
        empty = (None, None, None, None, None, None)
        return Replay(case.loader, case.settings, case.shown, 0, 0, total, *empty, missing)
    if case.loader.startswith("trl"):
        total = min(total, count_trl(stage.tokens))
    course = follow(case.steps(stage), total, case.packed, steps)
    note = f"the first {total:,} documents" if total < len(order) else None
    if course.steps == 1 < total and course.kept and steps != 1:
        note = "one step holds them all: nothing is proved; use a smaller --batch-size"
    elif course.filled:
        note = f"the last step is filled with {course.filled:,} documents of the beginning"
    return _describe(case.loader, case.settings, case.shown, course, order, total, note)


def _describe(
    loader: str, settings: str, shown: str, course: "OrderProgress", order: "pa.Table", total: int, note: str | None
) -> Replay:
    """A course with the names of the documents where it departs."""
    lost = course.departure
    if lost is None:
        nothing = (None, None, None, None, None)
        return Replay(loader, settings, shown, course.steps, course.documents, total, True, *nothing, note)
    before = 0 if lost.expected == 0 else int(order.column("cumulative_tokens")[lost.expected - 1].as_py())
    found = None if lost.found is None else name_document(order, lost.found) + (" again" if lost.repeated else "")
    expected = name_document(order, lost.expected)
    return Replay(
        loader, settings, shown, course.steps, course.documents, total, False, lost.step, lost.expected, expected,
        found, before, note,
    )  # fmt: skip


def name_document(order: "pa.Table", position: int) -> str:
    """A document as file:row, to show to a person."""
    if position < 0:
        return "a document that is not of the export"
    file, row = order.column("file")[position].as_py(), order.column("row")[position].as_py()
    shown = "".join(char if char.isprintable() else "·" for char in f"{file}:{row}")
    return shown if len(shown) <= 60 else "…" + shown[-59:]


# A loader of the user's own.


def replay(
    out: str,
    batches: Iterable[Any],
    key: str | Callable[[Any], Any] | None = None,
    world_size: int = 1,
    steps: int | None = None,
) -> Replay:
    """Compare what a loader of your own gives with the order of an export, up to the first departure.

    ``batches`` are what it yields: mappings of columns (lists or tensors), lists of rows, or single rows. A document is
    known by the columns ``curate_file`` and ``curate_row``, or by ``key``: a column of positions (integers) or of
    texts, or a function from a batch to one of these. A loader of several ranks gives its batches in turns, rank by
    rank; ``world_size`` of them make a step. Raises TableError where the export has no order, UsageError where a batch
    does not say which documents it holds.
    """
    from curate.exports.verify import reader
    from curate.exports.verify.order_check import follow

    export = reader.open_export(out)
    order = reader.read_sequence(export)
    finder = _Finder(export, order, key)
    found = (finder.find(batch) for batch in batches)
    course = follow(_side_by_side(found, world_size), len(order), most=steps)
    return _describe("yours", "any", "", course, order, len(order), None)


def _side_by_side(batches: Iterator["Positions"], ranks: int) -> Iterator["Positions"]:
    import itertools

    import numpy as np

    while step := list(itertools.islice(batches, ranks)):
        yield np.concatenate(step)


class _Finder:
    """From what a loader yields to positions."""

    def __init__(self, export: "Export", order: "pa.Table", key: str | Callable[[Any], Any] | None):
        from curate.exports.verify import reader

        self._export, self._order, self._key = export, order, key
        self._places: PositionIndex = reader.index_places(order)
        self._texts: dict[int, list[int]] | None = None

    def find(self, batch: Any) -> "Positions":
        if callable(self._key):
            return self._of_values(self._key(batch))
        if self._key is not None:
            return self._of_values(_take(batch, self._key))
        names = (self._export.column("file"), self._export.column("row"))
        return self._places.find(_take(batch, names[0]), [int(row) for row in _take(batch, names[1])])

    def _of_values(self, values: Any) -> "Positions":
        import numpy as np

        listed = _as_list(values)
        if listed and isinstance(listed[0], str):
            return np.array([self._of_text(text) for text in listed], np.int64)
        found = np.array([int(value) for value in listed], np.int64)
        return np.where((found >= 0) & (found < len(self._order)), found, -1)

    def _of_text(self, text: str) -> int:
        """The position of a text; of equal texts the first that has not come yet."""
        import xxhash

        if self._texts is None:
            self._texts = _index_texts(self._export)
        waiting = self._texts.get(xxhash.xxh3_64_intdigest(text.encode()), [-1])
        return waiting.pop() if len(waiting) > 1 else waiting[0]


def _index_texts(export: "Export") -> dict[int, list[int]]:
    """The positions of each text by its hash, the last position first."""
    import xxhash

    from curate.exports.verify import reader

    name = export.manifest.get("text_field", "text")
    if name not in export.manifest.get("columns", {}):
        raise UsageError(f"{export.folder} has no column of texts {name}", "name documents by curate_file, curate_row")
    found: dict[int, list[int]] = {}
    position = 0
    for shard in export.shards:
        for table in reader.read_columns(export, shard["path"], [name]):
            for text in table.column(name).to_pylist():
                found.setdefault(xxhash.xxh3_64_intdigest(text.encode()), []).append(position)
                position += 1
    return {digest: positions[::-1] for digest, positions in found.items()}


def _take(batch: Any, name: str) -> list[Any]:
    """A column of a batch: of a mapping, of a list of rows, or of one row."""
    try:
        if isinstance(batch, list):
            return [row[name] for row in batch]
        return _as_list(batch[name])
    except (KeyError, IndexError, TypeError):
        raise UsageError(
            f"a batch of type {type(batch).__name__} does not say {name}",
            "keep that column in the loader, or pass key=COLUMN or key=FUNCTION",
        ) from None


def _as_list(values: Any) -> list[Any]:
    if hasattr(values, "tolist"):
        values = values.tolist()
    return list(values) if isinstance(values, (list, tuple)) else [values]
