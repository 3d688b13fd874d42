"""Replays: a loader reads an export while its documents are compared with the order they should have."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from curate.errors import UsageError
from curate.exports.stores.fetched import open_locally
from curate.exports.verify import reader
from curate.exports.verify.loaders import LoaderCase, count_trl
from curate.exports.verify.order_check import UNKNOWN, OrderProgress, Positions, follow_order
from curate.exports.verify.reader import Export, PositionIndex
from curate.exports.verify.stage import LoaderStage, stage_export
from curate.exports.verify.summary import Replay
from curate.runtime import console
from curate.runtime.text import fold_whitespace

MAX_NAME = 60
"""Characters of the name of a document."""


def explain_missing_replays(export: Export, ordered: bool, passed: bool, loader: str) -> str | None:
    """Return why no loader is replayed: a note for the user, which may be empty. None where loaders are replayed.

    ``passed`` says that every check of the files did.
    """
    if loader == "none":
        return "" if ordered else "there is no order to verify"
    if not ordered:
        return "there is no order to verify: the documents stand as in the corpus (curate order, then export)"
    if not passed:
        return "no loader was replayed: repair the export first (curate export again, with --overwrite)"
    if not export.holds_text:
        return "no loader was replayed: token files are in order, what keeps it is in TRAINING.md"
    return None if export.rows else "there is no document to replay"


def replay_cases(
    export: Export, cases: list[LoaderCase], batch_size: int, ranks: int, workers: int, steps: int | None
) -> Iterator[Replay]:
    """Yield what each loader reads of an export in order; ``steps`` is the largest number of steps, None for all.

    Raises TableError where the order cannot be read.
    """
    order = reader.read_sequence(export)
    index = reader.index_positions(order)
    lengths = order.column("tokens").to_numpy()
    many = "1 loader" if len(cases) == 1 else f"{len(cases)} loaders"
    console.say("replaying", f"{export.folder}   {many} over {len(order):,} documents")
    with stage_export(export, index, lengths, batch_size, ranks, workers) as stage:
        for case in cases:
            yield _replay_case(case, stage, order, steps)


def _replay_case(case: LoaderCase, stage: LoaderStage, order: pa.Table, steps: int | None) -> Replay:
    missing, total = case.missing(), len(order)
    if missing:
        return _explain_unreplayed(case, total, missing)
    if case.loader.startswith("trl"):
        total = min(total, count_trl(stage.tokens))
    try:
        progress = follow_order(case.steps(stage), total, case.packed, steps)
    except ImportError as error:  # such as a version that is too old
        return _explain_unreplayed(case, total, fold_whitespace(str(error).strip().split("\n", 1)[0]))
    note = f"the first {total:,} documents" if total < len(order) else None
    if progress.kept and not _proves(progress, total):
        note = "one step has all documents, which proves nothing (lower --batch-size)"
    elif progress.filled:
        note = f"the last step is filled with {progress.filled:,} documents of the beginning"
    return _make_replay(case.loader, case.settings, case.shown, progress, order, total, note)


def _proves(progress: OrderProgress, total: int) -> bool:
    """Return whether another order could have been found: inside one step the order does not matter."""
    return not (progress.steps == 1 and progress.documents == total)


def _explain_unreplayed(case: LoaderCase, total: int, reason: str) -> Replay:
    """Return the replay of a loader that could not be built: it neither kept nor lost an order."""
    nothing = (None, None, None, None, None, None)
    return Replay(case.loader, case.settings, case.shown, 0, 0, total, *nothing, reason, proves=False)


def _make_replay(
    loader: str, settings: str, shown: str, progress: OrderProgress, order: pa.Table, total: int, note: str | None
) -> Replay:
    """Return a replay; where it departs from the order, with the names of the documents."""
    lost = progress.departure
    if lost is None:
        nothing, proves = (None, None, None, None, None), _proves(progress, total)
        return Replay(loader, settings, shown, progress.steps, progress.documents, total, True, *nothing, note, proves)
    again = " again" if lost.repeated else ""
    return Replay(
        loader=loader,
        settings=settings,
        shown=shown,
        steps=progress.steps,
        documents=progress.documents,
        total=total,
        kept=False,
        departs_at_step=lost.step,
        position=lost.expected,
        expected=name_document(order, lost.expected),
        found=None if lost.received is None else name_document(order, lost.received) + again,
        tokens_before=int(order.column("cumulative_tokens")[lost.expected - 1].as_py()) if lost.expected else 0,
        note=note,
    )


def name_document(order: pa.Table, position: int) -> str:
    """Return a document as file:row, its end where that is long, without characters that cannot be printed."""
    if position < 0:
        return "a document that is not in the export"
    file, row = order.column("file")[position].as_py(), order.column("row")[position].as_py()
    shown = "".join(char if char.isprintable() else "·" for char in f"{file}:{row}")
    return shown if len(shown) <= MAX_NAME else "…" + shown[1 - MAX_NAME :]


def replay(
    out: str,
    batches: Iterable[Any],
    key: str | Callable[[Any], Any] | None = None,
    world_size: int = 1,
    steps: int | None = None,
) -> Replay:
    """Compare what your loader yields with the order of an export, and return how far it kept the order.

    Args:
        out: the folder or the URL of an ordered export.
        batches: what the loader yields: mappings of columns (lists or tensors), lists of rows, or single rows.
        key: how a batch says which documents it has: a column of positions (integers) or of texts, or a function from a
            batch to one of these. None reads the columns ``curate_file`` and ``curate_row``.
        world_size: batches of one step. A loader of several ranks yields its batches in turns, rank by rank.
        steps: stop after so many steps; None compares all.

    Raises TableError where the export has no order, UsageError where a batch does not say which documents it has.
    """
    with open_locally(out) as folder:
        export = reader.open_export(folder)
        order = reader.read_sequence(export)
        finder = _PositionFinder(export, order, key)
        positions = (finder.find(batch) for batch in batches)
        progress = follow_order(_join_ranks(positions, world_size), len(order), most=steps)
    return _make_replay("yours", "any", "", progress, order, len(order), None)


def _join_ranks(batches: Iterator[Positions], ranks: int) -> Iterator[Positions]:
    """Yield steps: the batches of all ranks, joined."""
    while step := list(itertools.islice(batches, ranks)):
        yield np.concatenate(step)


class _PositionFinder:
    """Finds the positions of the documents in what a loader yields."""

    def __init__(self, export: Export, order: pa.Table, key: str | Callable[[Any], Any] | None):
        self._export, self._order, self._key = export, order, key
        self._index: PositionIndex = reader.index_positions(order)
        self._texts: dict[int, list[int]] | None = None

    def find(self, batch: Any) -> Positions:
        """Return the positions of a batch. Raises UsageError where it does not say which documents it has."""
        if callable(self._key):
            return self._find_values(self._key(batch))
        if self._key is not None:
            return self._find_values(_take_column(batch, self._key))
        files = _take_column(batch, self._export.column("file"))
        return self._index.find(files, [int(row) for row in _take_column(batch, self._export.column("row"))])

    def _find_values(self, values: Any) -> Positions:
        """Return the positions of texts, or of positions: those that the order does not have become ``UNKNOWN``."""
        listed = _as_list(values)
        if listed and isinstance(listed[0], str):
            return np.array([self._find_text(text) for text in listed], np.int64)
        positions = np.array([int(value) for value in listed], np.int64)
        return np.where((positions >= 0) & (positions < len(self._order)), positions, UNKNOWN)

    def _find_text(self, text: str) -> int:
        """Return the position of a text; of equal texts the first that has not come yet."""
        if self._texts is None:
            self._texts = _index_texts(self._export)
        waiting = self._texts.get(xxhash.xxh3_64_intdigest(text.encode()), [UNKNOWN])
        return waiting.pop() if len(waiting) > 1 else waiting[0]


def _index_texts(export: Export) -> dict[int, list[int]]:
    """Return the positions of each text by its hash, the last position first.

    Raises UsageError where the text is no column of the export.
    """
    name = export.manifest.get("text_field", "text")
    if name not in export.manifest.get("columns", {}):
        hint = "identify documents by curate_file and curate_row: leave out key"
        raise UsageError(f"{export.folder} has no column {name} with the texts", hint)
    by_hash: dict[int, list[int]] = {}
    position = 0
    for shard in export.shards:
        for table in reader.read_columns(export, shard["path"], [name]):
            for text in table.column(name).to_pylist():
                by_hash.setdefault(xxhash.xxh3_64_intdigest(text.encode()), []).append(position)
                position += 1
    return {digest: positions[::-1] for digest, positions in by_hash.items()}


def _take_column(batch: Any, name: str) -> list[Any]:
    """Return a column of a batch: of a mapping, of a list of rows, or of one row.

    Raises UsageError where it has no such column.
    """
    try:
        if isinstance(batch, list):
            return [row[name] for row in batch]
        return _as_list(batch[name])
    except (KeyError, IndexError, TypeError):
        raise UsageError(
            f"a batch of type {type(batch).__name__} has no column {name}",
            "keep that column in the loader, or pass key=COLUMN or key=FUNCTION",
        ) from None


def _as_list(values: Any) -> list[Any]:
    if hasattr(values, "tolist"):
        values = values.tolist()
    return list(values) if isinstance(values, (list, tuple)) else [values]
