"""What curate made in a folder: the mark that lists it, and the one door through which any of it is removed.

    .curate-run.jsonl     a line for each name at the top of the folder that curate made, written before the thing is

A name that is there and not in the mark is refused, unless its content proves that curate wrote it, as in the runs of
earlier versions, which have no mark. Of a folder that is listed, only entries with the names of parts, temporary files
and the like are removed: with anything else in it nothing is, and what is foreign is named. Links are never followed.
"""

import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curate.corpus.files.run_marks import MARK, find_covering, read_mark
from curate.errors import TableError, UsageError
from curate.runtime.disk import claims, files
from curate.runtime.disk.mirrors import find_mirror, spell_place
from curate.runtime.disk.object_store import is_store_url
from curate.runtime.text import quote_path, spell_run_option

FORMAT = 1
"""The version of the mark."""
TABLE_NOTE = b"curate"
"""The key of the metadata that every Parquet file of curate has."""
PART = r"[0-9a-z][0-9]{4,}-[0-9a-z][0-9]{5,}\.parquet"
_TEMPORARY = r"\.[^/]*\.(?:[0-9a-f]{10}-\d+-\d*-[0-9a-f]{8}\.tmp|\d+\.(?:tmp|old|part))(?:/.+)?"
HIDDEN = rf"{_TEMPORARY}|\.DS_Store|\.nfs[0-9a-f]+"
"""Temporary files and folders (``writers.name_temporary``), and what the system puts into folders."""
COLUMN = r"[^/]+"
"""A carried column, by its quoted name."""
FOLDER_TO_ENTRIES: Mapping[str, str] = {
    "scores": rf"{PART}|{HIDDEN}",
    "hits": rf"{PART}|{HIDDEN}",
    "carried": rf"{COLUMN}/({PART}|{HIDDEN})|{HIDDEN}",
    "aside": rf"(?:{COLUMN}/)?(?:[0-9a-f]{{32}}\.parquet|{HIDDEN})",
    "streams": rf"[0-9a-f]{{16}}/[^/]+|{HIDDEN}",
    "dedup": rf"sketches/[0-9]{{3}}(?:-[0-9a-f]{{16}})?/(?:{PART}|{HIDDEN})|work/(?:[a-z]+(?:-[0-9a-z]+)*|{HIDDEN})"
    rf"|buckets/(?:members|sizes)|spill/.+|shingles|{HIDDEN}",
    "manifests": rf"(?:.+/)?[^/]+\.json|{HIDDEN}",
    "responses": rf"[0-9a-f]{{12}}/(?:[^/]+\.parquet|{HIDDEN})|{HIDDEN}",
}
"""The folders of a run and of a ranking, and the paths below each that curate writes there, as a pattern."""
FLAT_FOLDERS = ("scores", "hits")
"""Those of them that have no folders in them, and may have many files."""
FOLDER_TO_STAGES: Mapping[str, tuple[str, ...]] = {
    "scores": ("score",),
    "hits": ("decontaminate",),
    "carried": ("carried", "score"),
    "aside": ("score",),
}
"""The records of ``run.json`` of which one shows that curate made a folder, if its entries have such names."""
JSON_KEYS: Mapping[str, tuple[str, ...]] = {
    "run.json": ("format",),
    "recipe.json": ("format", "steps"),
    "evals.lock": ("version", "sets"),
    "cutoffs.json": ("scheme", "buckets", "groups"),
    "report.json": ("format", "funnel", "distributions", "provenance"),
    "ranking.json": ("model", "by", "datasets"),
    "canaries.jsonl": ("kind", "planted", "found"),
    "unreadable.jsonl": ("file", "row", "reason"),
}
"""The files of JSON and JSON lines, and the keys by which those of curate are known."""
MANIFEST_KEYS = ("table", "files")
"""The keys of the manifest of a table."""
RECIPE_HEAD = b"# Written by curate run"
SCORE_FOLDERS = ("scores", "carried", "aside")
SCORE_NAMES = (*SCORE_FOLDERS, "streams", "unreadable.jsonl")
"""What ``score``, ``merge`` and ``rank-sft --examples`` make in a run."""
DEDUP_NAMES = ("dedup", "duplicates.parquet", "streams", "unreadable.jsonl")
HITS_NAMES = ("hits", "canaries.jsonl", "streams")
RECIPE_NAMES = ("recipe.yaml", "recipe.json")
VERB_TO_NAMES: Mapping[str, tuple[str, ...]] = {
    "score": SCORE_NAMES,
    "merge": SCORE_NAMES,
    "dedup": DEDUP_NAMES,
    "decontaminate": HITS_NAMES,
    "filter": ("filter.parquet",),
    "bucket": ("buckets.parquet", "cutoffs.json"),
    "order": ("order.parquet",),
}
"""What each verb makes in a run, so that a recipe is refused before its first step."""
RESERVED = frozenset({*FOLDER_TO_ENTRIES, *JSON_KEYS, "recipe.yaml", "report.html", "contamination.html"}) | {
    f"{table}.parquet" for table in ("filter", "buckets", "order", "duplicates")
}
"""Every name that verbs give to things in a run directory."""


def check_run_directory(given: str | os.PathLike[str], directory: Path) -> None:
    """Raise UsageError for a name of a run directory that can only be a mistake: nothing, the root, a home, an export.

    ``directory`` is what ``given`` leads to. A run that is already there may be anywhere.
    """
    if not os.fspath(given).strip():
        raise UsageError(f"--run is empty: {os.fspath(given)!r}", "name a directory: --run curated")
    if os.path.exists(directory / "run.json"):  # False, too, where the name is too long
        return
    whole = Path(os.path.realpath(directory))
    what = {Path(whole.anchor): "the root of the file system", Path(os.path.realpath(Path.home())): "a home folder"}
    if whole in what:
        hint = f"name a folder of its own: {spell_run_option(whole / 'curated')}"
        raise UsageError(f"{spell_run_option(os.fspath(given))} is {what[whole]}, not a run directory", hint)
    if any(_is_file_of_export(directory / name) for name in ("manifest.json", "probe.json")):
        hint = f"name another directory: {spell_run_option(f'{directory}-run')}"
        raise UsageError(
            f"{spell_run_option(os.fspath(given))} is an export of curate; a run would mix with its files", hint
        )


def _is_file_of_export(path: Path) -> bool:
    try:
        made_by = json.loads(path.read_bytes())["made_by"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return isinstance(made_by, str) and made_by.startswith("curate ")


def has_mark(folder: Path) -> bool:
    """Return whether a folder has the mark of a run directory."""
    return os.path.lexists(folder / MARK)


def check_mark(folder: Path) -> None:
    """Raise UsageError where something is in the place of the mark of a folder that is none."""
    path, first = folder / MARK, json.dumps({"curate": FORMAT}).encode()
    if not os.path.lexists(path):
        return
    try:
        with open(path, "rb") as file:
            head = file.read(4096).split(b"\n", 1)[0]
    except OSError as error:
        raise files.make_storage_error(error, path) from error
    if not first.startswith(head):  # a kill may have cut the line short
        raise UsageError(f"{path} is there, and curate did not make it", suggest_moving(path, folder))


def check_names(folder: Path, names: tuple[str, ...], record: Mapping[str, object]) -> None:
    """Raise UsageError where something of a name is in a folder and curate did not make it, or behind a link of ours.

    ``record`` is the content of ``run.json``, which shows what earlier versions made.
    """
    check_mark(folder)
    listed = read_mark(folder)
    for name in names:
        path = folder / name
        if (link := _find_foreign_link(path)) is not None:
            message = f"{link} is a link to {os.readlink(link)}, and what is there, curate did not make"
            raise UsageError(message, suggest_moving(link, folder))
        if name in listed or not os.path.lexists(path) or is_recognised(path, record):
            continue
        message = f"{path} is there, and curate did not make it"
        if record:  # another directory would not have the scores of this run
            raise UsageError(message, suggest_moving(path, folder))
        other = f"{folder}-2" if folder.name not in ("", "..") else "curated"
        raise UsageError(message, f"name another directory: {spell_run_option(other)}")


def suggest_moving(path: Path, folder: Path) -> str:
    """Return the hint that moves something of another's to a free name beside the tables of a run."""
    if find_mirror(folder) is not None:
        return f"move {spell_place(path)} away in the store, as aws s3 mv does; then run the same command again"
    stem = path.relative_to(folder).as_posix().replace("/", "-")
    names = (f"{stem}.{'moved' if number == 1 else f'moved-{number}'}" for number in itertools.count(1))
    target = next(name for name in names if not os.path.lexists(folder / name))
    return f"mv {quote_path(path)} {quote_path(folder / target)} moves it away; then run the same command again"


def _find_foreign_link(path: Path) -> Path | None:
    """Return a folder of ours, or one in it, that is a link to anything but tables of ours: they would be replaced."""
    if path.name not in FOLDER_TO_ENTRIES or not path.is_dir():
        return None
    if path.is_symlink():
        entries = list(_walk_entries(path))
        is_ours = all(_is_named_ours(path.name, entry) and _is_content_ours(path / entry) for entry in entries)
        return None if is_ours else path
    if path.name in FLAT_FOLDERS:
        return None
    return next((each for each in sorted(path.iterdir()) if each.is_symlink() and each.is_dir()), None)


def _is_content_ours(path: Path) -> bool:
    if path.suffix == ".json":
        return is_json_with(path, MANIFEST_KEYS)
    return path.suffix != ".parquet" or _is_table(path)


def enter_names(folder: Path, names: tuple[str, ...]) -> None:
    """Write names to the mark of a folder, which is created, before the things are; flushed to the disk.

    Lines are appended in one write, so that several verbs may do so at once. Raises StorageError.
    """
    check_mark(folder)
    if all(name in read_mark(folder) for name in names) and has_mark(folder):
        return
    mirror = find_mirror(folder)
    with nullcontext() if mirror is None else claims.lock_folder(folder):  # which fetches the mark as it is now
        missing = [name for name in names if name not in read_mark(folder)]
        _append_to_mark(folder, missing)
        if mirror is not None:
            mirror.put(folder / MARK, folder / MARK)


def _append_to_mark(folder: Path, missing: Sequence[str]) -> None:
    """Write a line for each name to the mark of a folder, and the line that begins it where there is none."""
    path = folder / MARK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            size = os.fstat(handle).st_size
            is_cut = size and os.pread(handle, 1, size - 1) != b"\n"  # by a kill or a full disk
            entries = [] if size else [{"curate": FORMAT}]
            lines = [json.dumps(entry) + "\n" for entry in (*entries, *({"made": name} for name in missing))]
            text = ("\n" * bool(is_cut) + "".join(lines)).encode()
            written = os.write(handle, text)
            while written < len(text):  # a short write is no error: a full disk refuses the next one
                written += os.write(handle, text[written:])
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise files.make_storage_error(error, path) from error


def is_recognised(path: Path, record: Mapping[str, object]) -> bool:
    """Return whether the content of something proves that curate wrote it; an empty folder is as good."""
    if not path.is_dir():
        return not path.is_symlink() and _is_file_ours(path)
    entries = list(_walk_entries(path))
    if any(not _is_named_ours(path.name, entry) for entry in entries):
        return False
    if path.name == "manifests":
        written = [path / entry for entry in entries if entry.endswith(".json")]
        return not path.is_symlink() and all(is_json_with(each, MANIFEST_KEYS) for each in written)
    if any(record.get(stage) is not None for stage in FOLDER_TO_STAGES.get(path.name, ())):
        return True
    tables = [entry for entry in entries if entry.endswith(".parquet")]
    is_proven = path.name in ("streams", "responses") or bool(tables) or not entries
    unproven = tables if path.name in FOLDER_TO_STAGES or path.name == "dedup" else []
    return is_proven and not path.is_symlink() and all(_is_table(path / entry) for entry in unproven)


def _is_file_ours(path: Path) -> bool:
    if path.suffix == ".parquet":
        return _is_table(path)
    if path.suffix in (".json", ".lock"):
        return path.name in JSON_KEYS and is_json_with(path, JSON_KEYS[path.name])
    try:
        with open(path, "rb") as handle:
            head = handle.read(files.EDGE_BYTES)
    except OSError:
        return False
    if path.suffix == ".html":
        return files.is_own_page(head)
    if path.suffix == ".jsonl":
        return not head or _has_keys(head.split(b"\n", 1)[0], JSON_KEYS.get(path.name))
    return path.name == "recipe.yaml" and head.startswith(RECIPE_HEAD)


def is_json_with(path: Path, keys: Sequence[str]) -> bool:
    """Return whether a file is a JSON object with these keys; an empty file is as good."""
    try:
        text = path.read_bytes()
    except OSError:
        return False
    return not text or _has_keys(text, keys)


def _has_keys(text: bytes, keys: Sequence[str] | None) -> bool:
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return keys is not None and isinstance(value, dict) and all(key in value for key in keys)


def _is_table(path: Path) -> bool:
    """Return whether a file is a table of curate: the metadata of its schema say so."""
    try:
        return TABLE_NOTE in (pq.read_schema(path).metadata or {})
    except (OSError, pa.ArrowException):
        return False


def _walk_entries(folder: Path) -> Iterator[str]:
    """Yield the path below a folder of each file and link in it, in order, behind no link. Raises StorageError."""

    def refuse(error: OSError) -> None:
        raise files.make_storage_error(error, folder) from error

    for top, folders, names in os.walk(folder, onerror=refuse):
        folders.sort()
        below = os.path.relpath(top, folder)
        prefix = "" if below == "." else f"{below}/"
        yield from (f"{prefix}{name}" for name in sorted(names))
        yield from (f"{prefix}{name}" for name in folders if os.path.islink(os.path.join(top, name)))


def _is_named_ours(folder: str, entry: str) -> bool:
    pattern = FOLDER_TO_ENTRIES.get(folder)
    return pattern is not None and re.fullmatch(pattern, entry) is not None


def check_apart(paths: Sequence[str], run: Path) -> None:
    """Raise UsageError where a run directory is a folder of the corpus at ``paths`` itself."""
    whole, place = os.path.realpath(run), spell_place(run)
    for path in paths:
        if is_store_url(path) and path.rstrip("/") == place:
            message = f"{spell_run_option(place)} is the corpus {path} itself: the tables would be read as documents"
            raise UsageError(message, f"name another directory: {spell_run_option(f'{place}-run')}")
        if os.path.isdir(local := os.path.expanduser(path)) and os.path.realpath(local) == whole:
            message = f"{spell_run_option(run)} is the corpus {path} itself: the tables would be read as documents"
            raise UsageError(message, f"name another directory: {spell_run_option(f'{whole}-run')}")


def check_outside(paths: Sequence[str], target: Path, option: str) -> None:
    """Raise UsageError where what is written at ``target`` would be read as part of the corpus at ``paths``."""
    if (covering := find_covering(paths, target)) is not None:
        message = f"{option}{target} is inside the corpus {covering}: the next verb would read it as documents"
        raise UsageError(message, "name a place outside the corpus")


def check_removable(run: Path, name: str, *below: str) -> None:
    """Raise TableError where a folder of a run, or with ``below`` a folder in it, is not all that curate made.

    It names a link, and the first entry with a name that curate gives to nothing. Meant for the beginning of long work;
    ``remove_folder`` checks it again. A folder that is not there passes.
    """
    folder = run / name
    for path in (folder, *(folder.joinpath(*below[: count + 1]) for count in range(len(below)))):
        if path.is_symlink():
            message = f"{path} is a link to {os.readlink(path)}, and curate removes nothing behind it"
            raise TableError(message, suggest_moving(path, run))
        if os.path.lexists(path) and not path.is_dir():
            raise TableError(f"{path} is not a folder, and curate did not make it", suggest_moving(path, run))
    if not os.path.lexists(folder.joinpath(*below)):
        return
    for entry in _walk_entries(folder.joinpath(*below)):
        inner = "/".join([*below, entry])
        if not _is_named_ours(name, inner) or (folder / inner).is_symlink():
            message = f"{folder / inner} is there, and curate did not make it; nothing was removed"
            raise TableError(message, suggest_moving(folder / inner, run))


def remove_folder(run: Path, name: str, *below: str) -> None:
    """Remove a folder of a run with all that is in it, or with ``below`` a folder in it; it need not be there.

    Raises TableError where curate did not make all of it, with nothing removed; StorageError where the operating system
    refuses.
    """
    target = (run / name).joinpath(*below)
    if not os.path.lexists(target):
        return
    if name not in read_mark(run):
        raise TableError(f"{run / name} is there, and curate did not make it", suggest_moving(run / name, run))
    check_removable(run, name, *below)
    try:
        files.remove_tree(target)
    except OSError as error:
        raise files.make_storage_error(error, target) from error


def remove_part(path: Path) -> None:
    """Remove one part of a table, as which its name and its metadata show it.

    Raises TableError where curate did not write it, StorageError where the operating system refuses.
    """
    if path.is_symlink() or not re.fullmatch(rf"{PART}|[0-9a-f]{{32}}\.parquet", path.name):
        raise TableError(f"{path} is there, and curate did not make it", suggest_moving(path, path.parent))
    try:
        files.remove_file(path)
    except OSError as error:
        raise files.make_storage_error(error, path) from error
