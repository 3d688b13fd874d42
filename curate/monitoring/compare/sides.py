"""The sides of a comparison: run directories, exports and saved baselines, opened and named."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from curate.errors import DamageError, TableError, UsageError
from curate.exports.dataset_folder import is_export
from curate.exports.stores.fetched import open_locally
from curate.exports.verify.integrity import check_files
from curate.exports.verify.reader import Export, open_export
from curate.monitoring.compare.baseline import Baseline, is_baseline, load_baseline
from curate.monitoring.compare.documents import BatchReader
from curate.monitoring.compare.exported import find_added, read_export
from curate.monitoring.compare.run_documents import read_run
from curate.rundir.guards.claims import open_claimed
from curate.rundir.run import Run, publish_model
from curate.runtime.disk.mirrors import locate_file
from curate.runtime.disk.object_store import is_store_url
from curate.runtime.text import command, quote_path

NO_MODEL = "none"


@dataclass(frozen=True, slots=True)
class ComparedSide:
    """One side: where it is, what model read it how, and how its documents are read."""

    label: str
    path: str
    """As it was given."""
    kind: Literal["run", "export", "baseline"]
    model: str
    identity: Mapping[str, Any]
    """Of the model and its reading, as ``run.json`` has it."""
    counts: Mapping[str, int]
    """Documents read, and those among them with numbers (``ok``), where that is known."""
    num_documents: int
    """About how many have numbers."""
    read: BatchReader | None
    """None where only sums are known."""
    has_hashes: bool
    """Whether the hashes of its texts are known, so that it can be paired."""
    baseline: Baseline | None = None
    run: Run | None = None
    export: Export | None = None


@contextmanager
def open_sides(paths: Sequence[str]) -> Iterator[list[ComparedSide]]:
    """Give the sides of some paths, in their order, for the block.

    Raises UsageError for a path that is none of the three, TableError where a run has no finished scores or no model.
    """
    labels = name_sides(paths)
    with ExitStack() as stack:
        yield [_open_side(path, label, stack) for path, label in zip(paths, labels, strict=True)]


def name_sides(paths: Sequence[str]) -> list[str]:
    """Return a short name of each path: as many of its last folders as tell it from the others."""
    parts = [
        [part for part in path.replace(os.sep, "/").split("/") if part not in ("", ".")] or [path] for path in paths
    ]
    names = list(paths)
    for index, own in enumerate(parts):
        others = [one for number, one in enumerate(parts) if number != index and one != own]
        for depth in range(1, len(own) + 1):
            if all(one[-depth:] != own[-depth:] for one in others):
                names[index] = "/".join(own[-depth:])
                break
    return names


def _open_side(path: str, label: str, stack: ExitStack) -> ComparedSide:
    if path.endswith(".json"):
        return _open_baseline(locate_file(path), path, label)
    local = Path(os.path.expanduser(path))
    if not is_store_url(path):
        if local.is_file():
            return _open_baseline(local, path, label)
        if is_export(local):
            return _open_export(stack, path, label)
        if not local.is_dir():
            raise UsageError(f"{path} does not exist", "name run directories, exports or files saved with --save")
    elif _is_stored_export(path):
        return _open_export(stack, path, label)
    return _open_run(path, label)


def _is_stored_export(url: str) -> bool:
    from curate.runtime.disk.object_store import ObjectStore

    names = set(ObjectStore(url).list())
    return "manifest.json" in names and "run.json" not in names


def _open_run(path: str, label: str) -> ComparedSide:
    run = open_claimed(path, "compare")
    record = run.finished_scores()
    identity = record["made_from"].get("model") or {}
    _check_model(identity, path)
    counts = {key: int(record["counts"][key]) for key in ("read", "ok")}
    model = str(publish_model(record).get("model"))
    reader = partial(read_run, run)
    return ComparedSide(label, path, "run", model, identity, counts, counts["ok"], reader, True, run=run)


def _open_export(stack: ExitStack, path: str, label: str) -> ComparedSide:
    export = open_export(stack.enter_context(open_locally(path)))
    if not export.holds_text:
        message = f"{path} is an export of token ids, without the sums of its documents"
        raise UsageError(message, "compare the run that it was made from")
    if broken := [one.detail for one in check_files(export) if not one.ok]:
        raise DamageError(f"{path} is not as it was written: {broken[0]}", f"curate verify {quote_path(path)}")
    identity = export.manifest["made_from"]["scores"]["model"]
    _check_model(identity, path)
    find_added(export)
    has_hashes = export.manifest.get("text_field") in export.manifest.get("columns", {})
    counts = {"read": export.rows, "ok": export.rows}
    reader = partial(read_export, export)
    model = str(identity.get("model"))
    return ComparedSide(label, path, "export", model, identity, counts, export.rows, reader, has_hashes, export=export)


def _open_baseline(file: Path, path: str, label: str) -> ComparedSide:
    if not file.exists():
        raise UsageError(f"{path} does not exist", f"curate compare RUN --save {quote_path(path)}")
    if not is_baseline(file) and _has_keys(file, ("format", "funnel")):
        raise UsageError(f"{path} holds the numbers of a report, not a baseline", "name the run directory instead")
    found = load_baseline(file)
    reader: BatchReader | None = None if found.documents is None else found.read
    documents = found.all.documents
    has_hashes = found.documents is not None
    return ComparedSide(
        label, path, "baseline", found.model, found.identity, found.counts, documents, reader, has_hashes, found
    )


def _has_keys(file: Path, keys: Sequence[str]) -> bool:
    try:
        value = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(value, dict) and all(key in value for key in keys)


def _check_model(identity: Mapping[str, Any], path: str) -> None:
    if not identity or identity.get("model") == NO_MODEL:
        message = f"{path} was scored without a model, so that it has no perplexity"
        raise TableError(message, command("score CORPUS --model builtin", path))
