"""Atomic replacement of files, and errors of the operating system as StorageError."""

import errno
import json
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from curate.errors import StorageError, UsageError
from curate.runtime.disk.mirrors import find_mirror
from curate.runtime.disk.object_store import EXTRAS, ONE_SLASH, ROOM
from curate.runtime.disk.writers import name_temporary, sweep_leftovers
from curate.runtime.work.interrupts import defer_interrupt

FULL = (errno.ENOSPC, errno.EDQUOT)
OF_THE_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EINVAL)
"""What the system says of paths that lead to no file, and of an offset that damaged data give: the same each time."""
EDGE_BYTES = 1 << 16
"""Bytes of either end of a large file that are hashed in place of all."""
SCRATCH_BYTES = 1 << 16
"""What a temporary folder must take to be used."""
HTML_BEGINS = (b"<!doctype", b"<html")
GENERATOR = b'<meta name="generator" content="curate">'
"""What the head of every page of curate has."""
EARLIER_PAGE = re.compile(rb"default-src 'none'; style-src 'unsafe-inline'.*<title>(curate |Eval items in )", re.DOTALL)
"""The head of the pages of earlier versions."""
FREE_SPACE = "free some space and run the same command again; complete parts are kept"


@contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; on success flush it and rename it to ``path``, else remove it.

    The folder is created. In a mirror of an object store the file is put there before the renaming. Raises StorageError
    where the operating system or the store refuses, and where ``path`` is something that is no file: a folder, or a
    device or pipe, which the renaming would replace.
    """
    _check_regular(path)
    temporary = name_temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        if (mirror := find_mirror(path)) is not None:
            mirror.put(temporary, path)
        os.replace(temporary, path)
    except OSError as error:
        raise make_storage_error(error, path) from error
    finally:
        with suppress(OSError):  # The error that ended the block says more.
            temporary.unlink(missing_ok=True)


def remove_file(path: Path) -> None:
    """Remove a file, in the store too where it is in a mirror; one that is not there is passed over. Raises OSError."""
    if (mirror := find_mirror(path)) is not None:
        mirror.remove(path)
    path.unlink(missing_ok=True)


def move_file(path: Path, target: Path) -> None:
    """Rename a file, over one that is there, in the store too where it is in a mirror. Raises OSError."""
    if (mirror := find_mirror(target)) is not None:
        mirror.put(path, target)
    os.replace(path, target)
    if mirror is not None:
        mirror.remove(path)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it, in the store too where it is in a mirror. Raises OSError."""
    if (mirror := find_mirror(folder)) is not None:
        mirror.remove_tree(folder)
    shutil.rmtree(folder)


def check_output_file(path: Path) -> None:
    """Raise StorageError where a file cannot be written at ``path``: before the work that would be lost.

    What killed writers of this file left beside it is removed.
    """
    _check_regular(path)
    sweep_leftovers(path.parent, path.name)


def refuse_url(path: Path) -> None:
    """Raise UsageError for the path that a URL becomes, whose folder would be called ``s3:``."""
    match = ONE_SLASH.match(str(path))
    if match is not None and match["protocol"].lower() in EXTRAS:
        url = f"{match['protocol']}://{str(path)[match.end() :]}"
        raise UsageError(f"{url}: this is written on this machine, not to a URL", "name a path on this machine")


def _check_regular(path: Path) -> None:
    """Raise StorageError where a file cannot be written at ``path``."""
    refuse_url(path)
    mode = _read_mode(path)
    if mode is not None and not stat.S_ISREG(mode):
        what = "Is a directory" if stat.S_ISDIR(mode) else "it is a device or a pipe, not a file"
        raise StorageError(f"{path} could not be written: {what}", "name a file")
    _check_folder_above(path)


def can_write_beside(path: Path) -> bool:
    """Return whether something can be made in the folder of a path, which may be missing itself."""
    try:
        _check_folder_above(path)
    except StorageError:
        return False
    return True


def check_output_page(path: Path, option: str) -> None:
    """Check a path for an HTML page as ``check_output_file`` does.

    Raises UsageError where the page would replace a file that is no page of curate.
    """
    check_output_file(path)
    if not path.exists():
        return
    with open(path, "rb") as handle:
        head = handle.read(EDGE_BYTES)
    if head.strip() and not head.lstrip().lower().startswith(HTML_BEGINS):
        raise UsageError(
            f"{option} {path}: there is a file that is no HTML page; it would be replaced", "name a new file"
        )
    if not is_own_page(head):
        raise UsageError(f"{option} {path}: there is a page that curate did not write", "name a new file")


def is_own_page(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of a page of curate; an empty file is as good."""
    return not head.strip() or GENERATOR in head or EARLIER_PAGE.search(head) is not None


def check_output_directory(path: Path) -> None:
    """Raise StorageError where ``path`` is no folder, or one cannot be created or written in.

    The folders above may be missing, as they are created too. Meant for the beginning of long work.
    """
    refuse_url(path)
    mode = _read_mode(path)
    if mode is None and not path.is_symlink():
        _check_folder_above(path)
    elif mode is None or not stat.S_ISDIR(mode):  # a link to nothing is no folder either
        raise make_storage_error(NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)), path)
    elif not os.access(path, os.W_OK | os.X_OK):
        raise make_storage_error(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), path)


def _read_mode(path: Path) -> int | None:
    """Return the mode of what is at ``path``, None where there is nothing. Raises StorageError where it cannot be."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None
    except OSError as error:  # a name that is too long, a file among the folders, links in a circle
        raise make_storage_error(error, path) from error


def _check_folder_above(path: Path) -> None:
    """Raise StorageError where the nearest folder above ``path`` that exists is none, or may not be written."""
    for folder in path.absolute().parents:
        mode = _read_mode(folder)
        if mode is not None or folder.is_symlink():
            if mode is None or not stat.S_ISDIR(mode):
                raise make_storage_error(NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)), path)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise make_storage_error(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), path)
            longest = os.pathconf(folder, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
            if any(len(os.fsencode(name)) > longest for name in path.absolute().relative_to(folder).parts):
                raise make_storage_error(OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG)), path)
            return


def read_edges(file: IO[bytes], size: int | None) -> tuple[bytes, bytes]:
    """Return the first and the last ``EDGE_BYTES`` of the first ``size`` bytes of a file, without overlap.

    The second is empty where the first has them all, and where the size is unknown.
    """
    if size is None or size <= EDGE_BYTES:
        return read_fully(file, EDGE_BYTES if size is None else size), b""
    first, start = read_fully(file, EDGE_BYTES), max(EDGE_BYTES, size - EDGE_BYTES)
    file.seek(start)
    return first, read_fully(file, size - start)


def read_fully(file: IO[bytes], size: int) -> bytes:
    """Return the next ``size`` bytes of a file, fewer only at its end: one read of a raw file may return fewer."""
    pieces = []
    while size > 0 and (piece := file.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def is_of_system(error: BaseException) -> bool:
    """Return whether an error of reading is one of the disk, of a permission or of a limit, not of what was written.

    Libraries raise OSError without a number for damaged data. The next run may read what this one cannot.
    """
    return isinstance(error, OSError) and error.errno is not None and error.errno not in OF_THE_FILE


def describe_os_error(error: OSError) -> StorageError:
    """Return an error of the operating system, or of a library that raises them, as one line."""
    if error.filename is not None:
        path = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else str(error.filename)
        return StorageError(f"{path}: {error.strerror or error}")
    if error.errno in FULL:
        return StorageError("the disk is full", FREE_SPACE)
    lines = str(error).strip().splitlines()
    return StorageError(error.strerror or (lines[0] if lines else type(error).__name__))


@contextmanager
def open_scratch_folder(prefix: str, beside: Path) -> Iterator[Path]:
    """Give a new temporary folder, removed at the end: where the system has them, else next to ``beside``.

    The temporary folder of a system may be full, or read-only. Raises StorageError where neither takes a file.
    """
    folders: list[Path | None] = [None, beside.absolute().parent]
    refused: OSError | None = None
    for folder in folders:
        scratch: Path | None = None
        try:
            try:
                with defer_interrupt():  # a folder whose name is not known yet could not be removed
                    scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
                (scratch / "probe").write_bytes(b"\0" * SCRATCH_BYTES)
                (scratch / "probe").unlink()
            except OSError as error:
                refused = error
                continue
            yield scratch
            return
        finally:
            if scratch is not None:
                with defer_interrupt():
                    _remove_scratch(scratch)
    assert refused is not None
    named = f"neither the temporary folder nor {folders[1]} takes a file"
    hint = "set TMPDIR to a folder with some space"
    raise StorageError(f"{named}: {refused.strerror or refused}", hint) from refused


def _remove_scratch(folder: Path) -> None:
    """Remove a folder into which a process that is ending may still write: try for a second."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


def share_files(folder: Path) -> None:
    """Give the files of a folder the permissions that new files get, by the umask, where a library gave them fewer.

    Libraries that write a temporary file first may leave files that only their owner can read.
    """
    probe = name_temporary(folder / "mode")
    try:
        probe.touch()
        usual = probe.stat().st_mode & 0o777
        for path in folder.iterdir():
            mode = path.stat().st_mode & 0o777
            if path.is_file() and mode | usual != mode:
                path.chmod(mode | usual)
    except OSError as error:
        raise make_storage_error(error, folder) from error
    finally:
        with suppress(OSError):  # The error that ended the block says more.
            probe.unlink(missing_ok=True)


def make_storage_error(error: OSError, path: Path) -> StorageError:
    """Return the error for a path that the operating system refused to write, with a hint where one helps."""
    if error.errno == errno.EEXIST:  # what mkdir says of a file where a folder should be
        error = NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if error.errno in FULL:
        hint = FREE_SPACE if find_mirror(path) is None else f"{ROOM}; complete parts are kept"
        return StorageError(f"the disk is full: {path} could not be written", hint)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StorageError(f"{path} may not be written: {error.strerror}", "choose a directory that you may write to")
    return StorageError(f"{path} could not be written: {error.strerror or error}")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, keys in the order given, UTF-8, two spaces of indent. Raises StorageError.

    The lone surrogates with which Python spells file names that are not UTF-8 are written as escapes.
    """
    with replace_atomically(path) as temporary:
        temporary.write_bytes(spell_json(value))


def spell_json(value: Any) -> bytes:
    """Return the bytes that ``write_json`` writes."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
