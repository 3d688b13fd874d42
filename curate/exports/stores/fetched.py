"""An export in an object store, fetched into a folder of this machine for as long as it is read."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from curate.errors import StorageError, UsageError
from curate.exports.dataset_folder import OF_EXPORT
from curate.exports.stores.failures import explain_errors, make_local_error
from curate.exports.stores.names import check_folder_url, is_output_url
from curate.exports.stores.output import MANIFEST, list_names, parse_manifest
from curate.runtime import console, streams
from curate.runtime.disk.filenames import expand_home
from curate.runtime.disk.mirrors import find_cache
from curate.runtime.disk.object_store import ObjectStore, StoredObject, is_plain_name
from curate.runtime.disk.writers import name_temporary, sweep_leftovers
from curate.runtime.text import command, quote_path
from curate.runtime.work import threads

THREADS = 8
"""Objects that are fetched at once."""


@contextmanager
def open_locally(out: str | os.PathLike[str]) -> Iterator[Path]:
    """Give the folder of an export; one at a URL is fetched for the block.

    Objects that are no part of an export are there by their names alone, as empty files. Raises UsageError where there
    is no export at a URL, StorageError where the store refuses or this machine has not the space.
    """
    if not is_output_url(out):
        yield expand_home(os.fspath(out))
        return
    url = os.fspath(out)
    check_folder_url(url, "verify")
    store, top = ObjectStore(url), find_cache() / "exports"
    folder = name_temporary(top / store.url.rpartition("/")[2]) / store.url.rpartition("/")[2]
    streams.show_as(str(folder), store.url)
    try:
        with explain_errors():
            known, listed = _look_up(store, url)
        folder.mkdir(parents=True)
        sweep_leftovers(top)
        with explain_errors():
            _fetch(store, folder, {name: found for name, found in listed.items() if _is_of_export(name, known)})
        for name in listed:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        yield folder
    except OSError as error:
        raise make_local_error(error, top) from error
    finally:
        shutil.rmtree(folder.parent, ignore_errors=True)


def _look_up(store: ObjectStore, url: str) -> tuple[set[str], dict[str, StoredObject]]:
    """Return the names that the manifest of an export lists, and all objects. Raises UsageError where there is none."""
    listed = {name: found for name, found in store.list().items() if is_plain_name(name)}
    if not listed:
        raise UsageError(f"there is no export {url}", command(f"export {quote_path(url)}"))
    manifest = parse_manifest(store.read(MANIFEST)) if MANIFEST in listed else None
    if manifest is None:
        message = f"{url} is not an export of curate: its manifest.json is missing or of another program"
        raise UsageError(message, "curate export OUT")
    return list_names(manifest), listed


def _is_of_export(name: str, known: set[str]) -> bool:
    return name in known or OF_EXPORT.fullmatch(name) is not None


def _fetch(store: ObjectStore, folder: Path, objects: dict[str, StoredObject]) -> None:
    """Write objects to files. Raises StorageError where one cannot be read or written, or has gone."""
    size = console.format_size(sum(found.size for found in objects.values()))
    console.say("fetching", f"{len(objects):,} files, {size}, of {store.url}")

    def fetch(name: str) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        store.download(name, folder / name)

    try:
        for _ in threads.map_in_order(fetch, sorted(objects), THREADS):
            pass
    except FileNotFoundError as error:
        raise StorageError(f"{store.url}: an object has gone while it was read") from error
