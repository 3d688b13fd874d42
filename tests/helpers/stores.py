"""What an object store holds, and stores that fail or stop at a certain write."""

from contextlib import suppress

import fsspec

from curate.runtime.disk import claims, mirrors
from curate.runtime.disk.object_store import ObjectStore

WRITES = ("write", "create", "upload", "copy", "remove")


class Killed(BaseException):
    """Ends a process where it stands: nothing of curate catches it."""


def read_store(url):
    """The objects below a URL by their names, hidden ones left out."""
    filesystem, top = fsspec.core.url_to_fs(url)
    with suppress(FileNotFoundError):
        paths = [path for path in filesystem.find(top) if "/." not in path[len(top) :]]
        return {path[len(top) + 1 :]: filesystem.cat_file(path) for path in paths}
    return {}


def write_object(url, data):
    """Write an object."""
    filesystem, path = fsspec.core.url_to_fs(url)
    filesystem.pipe_file(path, data)


def fail_writes(monkeypatch, number, error, wanted=lambda name: True):
    """From write ``number`` on (counted from 0) to a name that is wanted, writes to any store raise ``error``.

    Returns the names that were written or removed until then.
    """
    done = []

    def guard(real):
        def write(store, *values, **options):
            name = values[-1] if real.__name__ in ("upload", "copy") else values[0]
            name = name[0] if isinstance(name, list) else name
            if len(done) >= number and wanted(name):
                raise error
            done.extend([name] if wanted(name) else [])
            return real(store, *values, **options)

        return write

    def remove(store, names):
        for name in names:
            one(store, [name])

    one = guard(ObjectStore.remove)
    monkeypatch.setattr(ObjectStore, "remove", remove)
    for verb in WRITES[:-1]:
        monkeypatch.setattr(ObjectStore, verb, guard(getattr(ObjectStore, verb)))
    return done


def bury_process(url):
    """Make the claims and the lock beside an export those of nobody: their process is long gone."""
    above, _, name = url.rpartition("/")
    filesystem, top = fsspec.core.url_to_fs(f"{above}/.{name}.export/.claims")
    with suppress(FileNotFoundError):
        filesystem.rm(top, recursive=True)
    for mirror in list(mirrors._mirrors.values()):
        for path in (mirror.root / ".claims").glob("*.json"):
            path.unlink()
    claims._held.clear()
