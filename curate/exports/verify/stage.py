"""An export loaded as a trainer loads it, in a process that is left as it was.

Nothing is written except below a temporary folder, nothing asks the network, and the random state and the settings of
the process are restored.
"""

import importlib.util
import logging
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.errors import CurateError, GateError
from curate.exports.formats.shards import FORMATS
from curate.exports.verify.reader import Export, PositionIndex
from curate.runtime.arrays import Int64Array
from curate.runtime.disk.files import make_storage_error, open_scratch_folder
from curate.runtime.text import fold_whitespace

READ_ROWS = 10_000
"""Rows of a data set that are taken at once."""


@dataclass(frozen=True, slots=True)
class LoaderStage:
    """An export that is loaded, and how the loaders are to read it."""

    export: Export
    index: PositionIndex
    dataset: Any
    """A ``datasets.Dataset`` of N rows."""
    positions: Int64Array
    """Of the N rows of the data set in the reading order."""
    tokens: Int64Array
    """Length of the N documents."""
    folder: Path
    """Temporary, for what the libraries write."""
    batch_size: int
    """Documents (or packed sequences) of one batch of one rank."""
    ranks: int
    workers: int
    """Processes of each loader (``num_workers``)."""


@contextmanager
def stage_export(
    export: Export, index: PositionIndex, tokens: Int64Array, batch_size: int, ranks: int, workers: int
) -> Iterator[LoaderStage]:
    """Give an export that is loaded until the block ends, in a process that is quiet until then.

    ``tokens`` is the length of each document, by position. Raises StorageError where the operating system refuses what
    ``datasets`` prepares, GateError where it cannot load the export.
    """
    with open_scratch_folder("curate-verify-", export.folder) as temporary, _quietly(), _undisturbed():
        folder = temporary
        try:
            dataset = load_dataset(export, folder)
        except Exception as error:
            raise _explain_load_error(error, export, folder) from error
        positions = _find_positions(export, index, dataset)
        lengths = np.where(positions >= 0, tokens[np.maximum(positions, 0)], 1)
        yield LoaderStage(export, index, dataset, positions, lengths, folder, batch_size, ranks, workers)


def _explain_load_error(error: Exception, export: Export, folder: Path) -> CurateError:
    """Return why ``datasets`` could not load an export: the first cause, which it wraps in errors of its own."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    system = [cause for cause in causes if isinstance(cause, OSError) and cause.errno is not None]
    if system:
        return make_storage_error(system[-1], folder)
    return GateError(f"datasets cannot load {export.folder}: {fold_whitespace(str(causes[-1]))[:300]}")


def load_dataset(export: Export, folder: Path) -> Any:
    """Return the data set as a trainer loads it, of its columns those that identify a document.

    What a trainer prepares, a copy of all documents, is not written: the same reader of ``datasets`` gives the same
    rows as a stream, of which these columns are kept, some bytes a document. ``folder`` is for small files of
    ``datasets``.
    """
    import datasets

    names = [export.column("file"), export.column("row")]
    if FORMATS[export.format].loads_from_disk and not export.by_bucket:
        return datasets.load_from_disk(str(export.folder.resolve()))["train"].select_columns(names)
    stream = stream_dataset(export, folder)
    tables = [table.combine_chunks() for table in stream.with_format("arrow").iter(READ_ROWS)]
    if not tables:
        return datasets.Dataset.from_dict({name: [] for name in names})
    return datasets.Dataset(pa.concat_tables(tables))


def stream_dataset(export: Export, folder: Path) -> Any:
    """Return the columns that identify a document as ``datasets`` streams them; ``folder`` is for its small files.

    Of Parquet no others are read: ``datasets`` would hold a row group of all columns.
    """
    import datasets

    names = [export.column("file"), export.column("row")]
    kind = FORMATS[export.format]
    options = {} if kind.writes_lines or kind.loads_from_disk else {"columns": names}
    path, cache = str(export.folder.resolve()), str(folder / "cache")
    rows = datasets.load_dataset(path, split="train", cache_dir=cache, streaming=True, **options)
    return rows.select_columns(names)


def _find_positions(export: Export, index: PositionIndex, dataset: Any) -> Int64Array:
    """Return the position of each row of a data set."""
    names = [export.column("file"), export.column("row")]
    tables = dataset.select_columns(names).with_format("arrow").iter(READ_ROWS)
    parts = [index.find(table.column(names[0]), table.column(names[1]).to_numpy()) for table in tables]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence the bars and warnings of the libraries: they are about training, which does not happen."""
    import datasets

    bars = datasets.are_progress_bars_disabled()
    before = logging.root.manager.disable
    datasets.disable_progress_bars()
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        if not bars:
            datasets.enable_progress_bars()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Restore the seeds and the device that trainers set for the process."""
    import torch

    state, numpy_state = random.getstate(), np.random.get_state()
    threads = torch.get_num_threads()
    fresh = not _accelerate_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)
        torch.set_num_threads(threads)
        if fresh and _accelerate_state():
            from accelerate.state import AcceleratorState, GradientState

            AcceleratorState._reset_state(reset_partial_state=True)
            GradientState._reset_state()


def _accelerate_state() -> bool:
    """Return whether accelerate has chosen a device for this process."""
    if importlib.util.find_spec("accelerate") is None:
        return False
    from accelerate.state import PartialState

    return bool(PartialState._shared_state)
