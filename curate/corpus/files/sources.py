"""The files of a corpus: which they are, their order, and their names.

A folder is walked, a glob is expanded, a URL is listed. The name of a file is its path below the given root; files come
in natural order (part-2 before part-10). Where two roots give the same name, all names include as many folders of their
roots as they need to differ. Files that are not data are skipped and listed: those with other suffixes, and the README
of a folder of data in other formats.
"""

from __future__ import annotations

import difflib
import glob
import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from curate.corpus import readers
from curate.corpus.files import run_marks
from curate.corpus.files.decompression import COMPRESSIONS, MAGIC
from curate.corpus.files.hub import parse_hub_name
from curate.corpus.files.streams import as_failure, filesystem_of, is_url, open_binary
from curate.corpus.types import BrokenSourceError, Source
from curate.errors import CorpusError
from curate.runtime.disk.files import describe_os_error
from curate.runtime.text import command, quote_path, quote_word

SUFFIX_TO_FORMAT = {suffix: name for name, file_format in readers.FORMATS.items() for suffix in file_format.suffixes}

# Files that tools write next to data: never documents.
BOOKKEEPING = {"state.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json"} | {
    "manifest.json",
    "run.json",
}
SPARK = {"_SUCCESS", "_metadata", "_common_metadata", "_delta_log", "_committed", "_started"}
README_NAMES = re.compile(r"(readme|manifest|licen[cs]e|notice|changelog|citation|contributing)\b.*", re.IGNORECASE)
# Open files of a process by their numbers, as of ``<(…)`` in a shell.
DESCRIPTOR = re.compile(r"/dev/stdin|/dev/fd/[0-9]+|/proc/(self|[0-9]+)/fd/[0-9]+")
MAGIC_CHARACTERS = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class FileCandidate:
    """A file of which it is not known yet whether it is data."""

    path: str
    below: str
    """Its path below the root."""
    root: tuple[str, ...]
    """The folders of the root, from the outermost."""
    size: int | None
    """Bytes as stored; None where the server does not tell."""
    named: bool
    """Whether the user gave the path of this file."""
    is_file: bool = True
    """Whether it is a regular file, or a link to one; pipes, sockets and devices are not read."""


def find_sources(paths: Sequence[str]) -> tuple[tuple[Source, ...], tuple[str, ...]]:
    """Return the sources of a corpus in natural order, and the names of the files that were skipped.

    Raises CorpusError for a path that does not exist or cannot be listed, and where no file is data.
    """
    if isinstance(paths, str) or not paths:
        raise CorpusError("no corpus is given", "curate score CORPUS…")
    files = _drop_duplicates(file for path in paths for file in find_files(str(path)))
    data, others = _separate_data(files)
    if not data:
        names = [file.below for file in others[:10]] + (["…"] if len(others) > 10 else [])
        contents = f"it holds: {', '.join(names)}" if names else "it is empty"
        raise CorpusError(f"{', '.join(paths)}: no file has a known format; {contents}", hint_suffixes())
    names = name_files([file for file, _, _ in data])
    sources = [
        Source(file.path, name, kind, compression, file.size)
        for name, (file, kind, compression) in zip(names, data, strict=True)
    ]
    return tuple(sorted(sources, key=lambda source: natural_key(source.name))), tuple(file.below for file in others)


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a key that sorts numbers within names by value: part-2 before part-10."""
    parts = re.split(r"([0-9]+)", name)
    return [(0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part) for part in parts], name


def _drop_duplicates(files: Iterator[FileCandidate]) -> list[FileCandidate]:
    """Return the files without repeats: a file that two paths lead to is read once."""
    seen: dict[str, FileCandidate] = {}
    for file in files:
        known = seen.setdefault(file.path, file)
        if file.named and not known.named:
            seen[file.path] = replace(known, named=True)
    return list(seen.values())


def _separate_data(
    files: list[FileCandidate],
) -> tuple[list[tuple[FileCandidate, str, str | None]], list[FileCandidate]]:
    """Return the data, each with format and compression, and the files to skip."""
    data: list[tuple[FileCandidate, str, str | None]] = []
    others = []
    for file in files:
        if parse_hub_name(file.path) and file.named and not file.root:
            data.append((file, "hub", None))
            continue
        kind, compression = sniff_format(file.path) if file.named else format_of(file.path)
        if kind is None or not file.is_file or (PurePosixPath(file.below).name in BOOKKEEPING and not file.named):
            others.append(file)
        else:
            data.append((file, kind, compression))
    if any(kind != "text" for _, kind, _ in data):
        papers = [entry[0] for entry in data if entry[1] == "text" and is_readme(entry[0])]
        data, others = [entry for entry in data if entry[0] not in papers], others + papers
    return data, others


def is_readme(file: FileCandidate) -> bool:
    """Return whether a file is a README, MANIFEST, LICENSE or the like that the user did not give by its path."""
    return not file.named and README_NAMES.fullmatch(PurePosixPath(file.below).name) is not None


def format_of(path: str) -> tuple[str | None, str | None]:
    """Return format and compression by suffix; (None, None) for an unknown suffix."""
    name = PurePosixPath(urlsplit(path).path if is_url(path) else path).name.lower()
    stem, suffix = os.path.splitext(name)
    compression = COMPRESSIONS.get(suffix)
    kind = SUFFIX_TO_FORMAT.get(os.path.splitext(stem)[1] if compression else suffix)
    if kind is None or (compression and readers.FORMATS[kind].is_columnar):
        return None, None
    return kind, compression


def sniff_format(path: str) -> tuple[str, str | None]:
    """Return format and compression of a file by its suffix, else by its first bytes. Raises CorpusError."""
    kind, compression = format_of(path)
    if kind is not None:
        return kind, compression
    try:
        with open_binary(path) as file:
            head = file.read(4096)
    except BrokenSourceError as broken:
        raise CorpusError(f"{path}: {broken}") from broken
    except OSError as error:
        failure = as_failure(path, error)
        raise (CorpusError(f"{path}: {failure}") if isinstance(failure, BrokenSourceError) else failure) from error
    for name, file_format in readers.FORMATS.items():
        if head.startswith(file_format.magic):
            return name, None
    for magic, compression in MAGIC.items():
        if head.startswith(magic):
            return "json", compression
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
        return "json", None
    raise CorpusError(f"{path}: neither the suffix nor the first bytes tell the format", hint_suffixes())


def hint_suffixes() -> str:
    """Return the hint that lists the suffixes of the files that are read."""
    columnar = {name for name, file_format in readers.FORMATS.items() if file_format.is_columnar}
    plain = [suffix for suffix, name in SUFFIX_TO_FORMAT.items() if name not in columnar]
    others = [suffix for suffix, name in SUFFIX_TO_FORMAT.items() if name in columnar]
    return f"files are read by suffix: {' '.join(plain)} (also with {' '.join(COMPRESSIONS)}), {' '.join(others)}"


def find_files(path: str) -> Iterator[FileCandidate]:
    """Return an iterator of the files that one path of the user leads to. Raises CorpusError where there are none."""
    if is_url(path):
        return find_remote(path)
    if not path.strip():
        raise CorpusError(f"a path of the corpus is empty: {path!r}", "name files, folders, or - for standard input")
    path = os.path.expanduser(path)
    if os.path.isdir(path):
        root = os.path.abspath(path)
        if run_marks.is_run_folder(root):
            raise CorpusError(
                f"{path} is {run_marks.LEFT_OUT}: its tables are not documents",
                "name the files of the corpus, and a run directory outside it with --run",
            )
        return _walk(root, root)
    if is_stream(path):
        raise CorpusError(
            f"{path} is a stream, which can be read only once",
            f"cat{'' if path == '-' else ' ' + quote_path(path)} > data.jsonl",
        )
    if os.path.exists(path):
        refuse_device(path)
        return iter([_make_candidate(os.path.abspath(path), os.path.dirname(os.path.abspath(path)), named=True)])
    if hub := parse_hub_name(path):
        local = os.path.basename(os.path.abspath(hub.name)) if os.path.isdir(hub.name) else hub.name
        return iter([FileCandidate(path, local + path[len(hub.name) :], (), None, True)])
    if MAGIC_CHARACTERS.search(path):
        return _expand_glob(path)
    raise CorpusError(f"{path} does not exist", hint_missing(path))


def is_stream(path: str) -> bool:
    """Return whether a path is standard input (``-``), an open file by its number, or a named pipe."""
    if path == "-" or DESCRIPTOR.fullmatch(path):
        return True
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def refuse_device(path: str) -> None:
    """Raise CorpusError for a path that exists and is neither a file nor a folder."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kind = "a socket" if stat.S_ISSOCK(mode) else "a device"
        raise CorpusError(f"{path} is {kind}, not a file", "name files, folders, or - for standard input")


def hint_missing(path: str) -> str:
    """Return a hint for a missing path: near names, how a text is scored, or how a dataset of the Hub is named."""
    parent, name = os.path.split(path.rstrip("/"))
    while parent and not os.path.isdir(parent):
        parent, name = os.path.split(parent)
    try:
        near = difflib.get_close_matches(name, os.listdir(parent or "."), n=3, cutoff=0.5)
    except OSError:
        near = []
    if near:
        return "did you mean " + " or ".join(os.path.join(parent, entry) for entry in near) + "?"
    if len(path.split()) > 1 and os.sep not in path:
        return f"to score the text itself: {command(f'score --text {quote_word(path)}')}"
    if re.fullmatch(r"[\w.-]+/[\w.-]+", path):
        return f"for a dataset of the Hub add its split: {path}:train"
    return f"the nearest folder that exists is {parent or '.'}"


def _expand_glob(pattern: str) -> Iterator[FileCandidate]:
    matches = sorted(glob.glob(pattern, recursive=True))
    if not matches:
        raise CorpusError(f"{pattern} matches no file", "quote the pattern, and check that its folder exists")
    root, known = os.path.abspath(_fixed_part(pattern)), dict[str, bool]()
    for match in matches:
        match = os.path.abspath(match)
        inner = os.path.join(match, "-") if os.path.isdir(match) else match
        made = run_marks.find_made(inner, root, known)
        if made is not None:
            yield _leave_out(made, root)
        elif os.path.isdir(match):
            if "**" not in pattern:
                yield from _walk(match, root)
        elif not _is_hidden(os.path.basename(match)):
            yield _make_candidate(match, root, named=False)


def _fixed_part(pattern: str) -> str:
    """Return the folder of a pattern above its first magic character."""
    parts = pattern.split("/")
    fixed = next(index for index, part in enumerate(parts) if MAGIC_CHARACTERS.search(part))
    return "/".join(parts[:fixed]) or ("/" if pattern.startswith("/") else ".")


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in SPARK


def _walk(top: str, root: str) -> Iterator[FileCandidate]:
    """Yield the files below a folder. Links are followed, each folder is entered once, hidden folders never."""
    entered: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        raise CorpusError(f"{error.filename}: the folder cannot be listed ({error.strerror})") from error

    for folder, folders, files in os.walk(top, followlinks=True, onerror=refuse):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        if folder != top and run_marks.is_run(folder, files):
            folders.clear()
            yield _leave_out(folder, root)
            continue
        folders[:] = sorted((name for name in folders if not _is_hidden(name)), key=natural_key)
        saved = _saved_files(folder, files)
        for name in sorted(files, key=natural_key):
            if not _is_hidden(name) and (saved is None or name in saved):
                yield _make_candidate(os.path.join(folder, name), root, named=False)


def _leave_out(path: str, root: str) -> FileCandidate:
    """Return what stands for a run directory in a corpus, or for something in it: it is no data, and is listed."""
    candidate = _make_candidate(path, root, named=False)
    return replace(candidate, below=f"{candidate.below} ({run_marks.LEFT_OUT})", is_file=False)


def _saved_files(folder: str, files: list[str]) -> set[str] | None:
    """Return the data files of a ``save_to_disk`` folder, without its caches; None for any other folder."""
    if "state.json" not in files or "dataset_info.json" not in files:
        return None
    try:
        with open(os.path.join(folder, "state.json"), encoding="utf-8") as file:
            state = json.load(file)
        if state.get("_indices_data_files"):
            raise CorpusError(f"{folder} stores its rows behind indices", "dataset.flatten_indices().save_to_disk(…)")
        return {entry["filename"] for entry in state["_data_files"]}
    except OSError as error:
        raise describe_os_error(error) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"{folder}: state.json is not the state of a saved dataset ({error})") from error


def _make_candidate(path: str, root: str, named: bool) -> FileCandidate:
    size, is_file = None, True
    try:
        status = os.stat(path)
        size, is_file = status.st_size, stat.S_ISREG(status.st_mode)
    except OSError:
        pass  # A dangling link: reading it gives the reason.
    below = os.path.relpath(path, root).replace(os.sep, "/")
    below = below.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return FileCandidate(path, below, tuple(PurePosixPath(root.replace(os.sep, "/")).parts), size, named, is_file)


def find_remote(url: str) -> Iterator[FileCandidate]:
    """Yield the files that a URL leads to: itself, those below it, or those that it matches. Raises CorpusError."""
    filesystem, inner = filesystem_of(url)
    protocol = url.split("://")[0]
    try:
        if protocol in ("http", "https") and not MAGIC_CHARACTERS.search(url.split("?")[0]):
            listing = {inner: filesystem.info(inner)}
        elif MAGIC_CHARACTERS.search(url):
            listing = filesystem.glob(inner, detail=True)
            inner = _fixed_part(inner)
        else:
            listing = filesystem.find(inner, detail=True)
    except FileNotFoundError as error:
        raise CorpusError(f"{url} does not exist") from error
    except Exception as error:
        raise as_failure(url, error) from error
    files = {path: info for path, info in listing.items() if info.get("type", "file") == "file"}
    if not files:
        raise CorpusError(f"{url} does not exist, or has no files")
    yield from _list_remote(files, inner.rstrip("/"), filesystem)


def _list_remote(files: dict[str, dict[str, object]], inner: str, filesystem: object) -> Iterator[FileCandidate]:
    runs = {path.rpartition("/")[0] for path in files if path.rpartition("/")[2] == run_marks.MARK}
    if inner in runs:
        raise CorpusError(
            f"{filesystem.unstrip_protocol(inner)} is {run_marks.LEFT_OUT}: its tables are not documents",  # type: ignore[attr-defined]
            "name the files of the corpus, and a run directory outside it with --run",
        )
    left_out = sorted(path for path in runs if path.startswith(f"{inner}/"))
    for path, info in sorted(files.items()):
        if any(path.startswith(f"{run}/") for run in left_out):
            continue
        named = path.rstrip("/") == inner
        root = inner.rpartition("/")[0] if named else inner
        below = path[len(root) :].lstrip("/")
        if named:
            below = PurePosixPath(urlsplit(below).path).name
        if any(_is_hidden(part) for part in below.split("/")):
            continue
        size = info.get("size")
        full = filesystem.unstrip_protocol(path)  # type: ignore[attr-defined]
        parts = tuple(part for part in root.split("/") if part)
        yield FileCandidate(full, below, parts, int(size) if isinstance(size, (int, float)) else None, named)
    for path in left_out:
        below = f"{path[len(inner) :].lstrip('/')} ({run_marks.LEFT_OUT})"
        yield FileCandidate(path, below, (), None, named=False, is_file=False)


def name_files(files: Sequence[FileCandidate]) -> list[str]:
    """Return unique names: the path below the root, after as many folders of the roots as the names need to differ."""
    deepest = max((len(file.root) for file in files), default=0)
    for depth in range(deepest + 1):
        names = [_name_at_depth(file, depth) for file in files]
        if len(set(names)) == len(names):
            return names
    raise CorpusError("two files of the corpus have the same name", "put them below one folder")


def _name_at_depth(file: FileCandidate, depth: int) -> str:
    folders = [part.strip("/") for part in file.root[len(file.root) - depth :]] if depth else []
    return "/".join([*(part for part in folders if part), file.below])


def make_absolute(path: str) -> str:
    """Return a local path as an absolute one; URLs and names of the Hub unchanged."""
    expanded = os.path.abspath(os.path.expanduser(path))
    hub = None if os.path.exists(expanded) else parse_hub_name(path)
    return path if is_url(path) or (hub and not os.path.isdir(hub.name)) else expanded
