"""Object stores through fsspec: whole objects are written and read, listed, and created where none is there.

Nothing is renamed, appended to or locked: stores have none of these. What they have, and what keeps two writers apart,
is the conditional write: ``create`` writes an object unless there is one (S3, GCS and Azure have it, and what speaks
their protocols). ``check_conditional`` tries whether a store keeps to it.
"""

import errno
import os
import re
import secrets
import shlex
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from curate.errors import CurateError, StorageError, UsageError

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure"} | {
    "http": "http",
    "https": "http",
}
"""The extra of curate that has the driver of a protocol."""
URL = re.compile(r"(?P<protocol>[a-z][a-z0-9+.-]*)://", re.IGNORECASE)
ONE_SLASH = re.compile(r"(?P<protocol>[a-z][a-z0-9+.-]*):/(?!/)", re.IGNORECASE)
NO_BUCKET = re.compile(r"\b(bucket|container) (does not|doesn't) exist", re.IGNORECASE)
"""What drivers say where there is no bucket; of other missing objects they say the path alone."""
LOCAL_PROTOCOLS = ("file", "local")
TAGS = ("ETag", "etag", "generation", "md5Hash", "checksum", "LastModified", "last_modified", "mtime", "created")
"""What stores say of an object that changes when it is written again, the surest first."""
CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what else the driver of the store reads"
COPIED_BYTES = 1 << 22
"""What is read at once of an object that the store cannot copy."""
RIGHTS = "use credentials that may list, read, write and remove objects there"
FULL = (errno.ENOSPC, errno.EDQUOT)
ROOM = "free some space, or name another folder with CURATE_MIRRORS=FOLDER for what is worked on of stores"
AGAIN = "run the same command again; complete parts are kept"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as a store lists it."""

    size: int
    tag: str
    """Another one once the object is written again."""


def is_store_url(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is the URL of something that is no local file."""
    match = URL.match(os.fspath(path))
    return match is not None and match["protocol"].lower() not in LOCAL_PROTOCOLS


def is_plain_name(name: str) -> bool:
    """Return whether the name of an object leads to a file below a folder: none is empty, absolute, or has ``..``."""
    return all(part not in ("", ".", "..") for part in name.split("/")) and "\\" not in name and "\0" not in name


def check_slashes(path: str | os.PathLike[str]) -> None:
    """Raise UsageError for ``s3:/bucket/folder`` and ``file:///folder``, which would be a folder called ``s3:``."""
    text = os.fspath(path)
    url = URL.match(text)
    if url is not None and url["protocol"].lower() in LOCAL_PROTOCOLS:
        folder = shlex.quote(text[url.end() :] or "/")
        raise UsageError(f"{text} is on this machine", f"name the folder itself: {folder}")
    match = ONE_SLASH.match(text)
    if match is not None and match["protocol"].lower() in EXTRAS:
        spelled = shlex.quote(f"{match['protocol']}://{text[match.end() :]}")
        raise UsageError(f"{text} is neither a URL nor a folder: // follows the colon", f"name it as {spelled}")


def find_filesystem(url: str, **options: Any) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the path in it. Raises UsageError for an unknown protocol."""
    import fsspec

    try:
        return fsspec.core.url_to_fs(url, **options)  # type: ignore[no-any-return]
    except ImportError as error:
        protocol = url.split("://")[0]
        extra = EXTRAS.get(protocol)
        hint = f"pip install 'curate[{extra}]'" if extra else f"pip install the fsspec driver of {protocol}://"
        raise UsageError(f"{url}: {error}", hint) from error
    except ValueError as error:
        hint = "URLs begin with s3://, gs://, https://, hf:// or another protocol of fsspec"
        raise UsageError(f"{url}: {error}", hint) from error


@dataclass(slots=True)
class ObjectStore:
    """The objects below one URL, by their names below it.

    What the store refuses, or a network that fails, is a StorageError that names the object.
    """

    url: str
    """Without a slash at its end."""
    _filesystem: Any = None
    _prefix: str = ""

    def __post_init__(self) -> None:
        protocol, colon, path = self.url.rstrip("/").partition("://")
        self.url = f"{protocol.lower()}{colon}{path}"
        self._filesystem, prefix = find_filesystem(self.url, use_listings_cache=False)
        self._prefix = prefix.rstrip("/")

    def locate(self, name: str) -> str:
        """Return the path of an object in the file system."""
        return f"{self._prefix}/{name}" if name else self._prefix

    def list(self, below: str = "", deep: bool = True) -> dict[str, StoredObject]:
        """Return the objects in the folder ``below`` and, with ``deep``, in those in it, by name.

        There are none where there is no such folder.
        """
        with self._naming(below):
            self._filesystem.invalidate_cache()
            try:
                top = self.locate(below)
                found = self._filesystem.find(top, detail=True) if deep else self._index(top)
            except FileNotFoundError:
                return {}
            start = len(self._prefix) + 1
            return {
                path[start:]: _describe(one)
                for path, one in found.items()
                if path.startswith(f"{self._prefix}/") and one.get("type", "file") == "file"
            }

    def _index(self, top: str) -> dict[str, Any]:
        return {one["name"]: one for one in self._filesystem.ls(top, detail=True)}

    def look(self, name: str) -> StoredObject | None:
        """Return what a store says of an object; None where there is none."""
        try:
            with self._naming(name):
                self._filesystem.invalidate_cache()
                return _describe(self._filesystem.info(self.locate(name)))
        except FileNotFoundError:
            return None

    def read(self, name: str) -> bytes:
        """Return an object. Raises FileNotFoundError where there is none."""
        with self._naming(name):
            return bytes(self._filesystem.cat_file(self.locate(name)))

    def write(self, name: str, data: bytes) -> None:
        """Write an object, over one that is there."""
        with self._naming(name):
            self._filesystem.pipe_file(self.locate(name), data)

    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless there is one, and return whether it was written (``check_conditional``)."""
        try:
            with self._naming(name):
                self._filesystem.pipe_file(self.locate(name), data, mode="create")
        except FileExistsError:
            return False
        return True

    def upload(self, path: Path, name: str) -> str:
        """Write a file as an object, and return the tag of that."""
        with self._naming(name):
            self._filesystem.put_file(os.fspath(path), self.locate(name))
        found = self.look(name)
        return "" if found is None else found.tag

    def download(self, name: str, path: Path) -> None:
        """Write an object to a file. Raises FileNotFoundError where there is none."""
        with self._naming(name):
            self._filesystem.get_file(self.locate(name), os.fspath(path))

    def copy(self, name: str, other: "ObjectStore", target: str) -> None:
        """Write a copy of an object to another folder of the same store, where it can by the store alone.

        Raises FileNotFoundError where there is no such object.
        """
        with self._naming(name):
            source, copied = self.locate(name), other.locate(target)
            try:
                self._filesystem.cp_file(source, copied)
            except NotImplementedError:
                with self._filesystem.open(source, "rb") as read, self._filesystem.open(copied, "wb") as written:
                    shutil.copyfileobj(read, written, COPIED_BYTES)

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects; those that are not there any more are passed over."""
        for name in names:
            with suppress(FileNotFoundError), self._naming(name):
                self._filesystem.rm_file(self.locate(name))

    def read_time(self, name: str) -> float:
        """Return when an object was written last, by the clock of the store. Raises FileNotFoundError."""
        with self._naming(name):
            self._filesystem.invalidate_cache()
            return float(self._filesystem.modified(self.locate(name)).timestamp())

    def check_conditional(self, name: str) -> None:
        """Try with an object of a name that begins with ``name`` whether ``create`` spares what is there.

        Raises StorageError where it does not, or the store cannot be written.
        """
        probe = f"{name}-{secrets.token_hex(8)}"
        refused = None
        try:
            spared = self.create(probe, b"1") and not self.create(probe, b"2")
        except StorageError as error:
            if not isinstance(error.__cause__, (NotImplementedError, TypeError, ValueError)):
                raise
            spared, refused = False, error.__cause__
        finally:
            with suppress(CurateError):
                self.remove([probe])
        if not spared:
            message = f"{self.url} has no conditional writes: two processes there could not be kept apart"
            hint = (
                "name a --run at S3, GCS, Azure or what speaks their protocol, or on a file system that all hosts share"
            )
            raise StorageError(message, hint) from refused

    @contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        """Turn errors of a driver within the block into StorageError; that there is (no) such object passes."""
        try:
            yield
        except (FileNotFoundError, FileExistsError) as error:
            if isinstance(error, FileNotFoundError) and NO_BUCKET.search(str(error)):
                hint = "create it, or name another with --run"
                raise StorageError(f"{self.url}: {_first_line(error)}", hint) from error
            raise
        except CurateError:
            raise
        except Exception as error:
            where = f"{self.url}/{name}" if name else self.url
            if getattr(error, "errno", None) in FULL:
                raise StorageError(f"the disk is full: {where} could not be fetched", ROOM) from error
            line = _first_line(error)
            hint = RIGHTS if isinstance(error, PermissionError) else AGAIN
            raise StorageError(f"{where}: {line}", CREDENTIALS if "credential" in line.lower() else hint) from error


def _first_line(error: BaseException) -> str:
    """Return the first line of the message of an exception, or its type without a message."""
    lines = (getattr(error, "strerror", None) or str(error)).strip().splitlines()
    return (lines[0].rstrip(" .:") if lines else "") or type(error).__name__


def _describe(info: dict[str, Any]) -> StoredObject:
    """Return an object by what a driver says of it."""
    found = next((info[name] for name in TAGS if info.get(name)), "")
    tag = str(found.timestamp() if isinstance(found, datetime) else found)
    return StoredObject(int(info.get("size") or 0), tag)
