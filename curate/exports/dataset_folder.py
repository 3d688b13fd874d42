"""Datasets on disk: a folder of shards, with the card and the small files by which ``datasets`` finds them.

    hf        train/data-00000-of-00002.arrow …    load_dataset(OUT) and load_from_disk(OUT) both give {"train": …}
    parquet   data/train-00000-of-00002.parquet …  load_dataset(OUT)
    jsonl     data/train-00000-of-00002.jsonl …    load_dataset(OUT)

``hf`` is the layout of ``DatasetDict.save_to_disk``: ``load_dataset`` refuses a folder with a ``state.json`` at its top
and reads this one by the ``configs`` of its card. A folder is built under a temporary name next to its final path and
then renamed, so a folder that exists is complete.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any, Protocol

import pyarrow as pa

from curate.corpus.files.run_marks import is_run_folder
from curate.corpus.values.schema_widening import FEATURES, SchemaShape
from curate.errors import StorageError, UsageError
from curate.exports.formats.json_types import Finding, plan_lines, spell_features
from curate.exports.formats.shard_writer import WrittenShard
from curate.exports.formats.shards import TABLE_FORMATS, make_bucket_pattern
from curate.rundir.guards import ownership
from curate.rundir.guards.claims import claim_output
from curate.rundir.run import compute_fingerprint
from curate.runtime import console
from curate.runtime.disk import files
from curate.runtime.disk.files import FULL, check_output_directory, describe_os_error, make_storage_error
from curate.runtime.disk.writers import list_leftovers, name_temporary, remove_leftover
from curate.runtime.work.array_tasks import ArrayTask

MADE_BY = "curate export"
NEW_FOLDER = "name a new folder"
MISREAD_PATH = re.compile(r"[*?\[]|::|\$[A-Za-z_{]")
"""What ``datasets`` expands in the path of a folder: of two folders ``a*b`` and ``acb`` the first loads as both."""


OF_EXPORT = re.compile(
    r"README\.md|manifest\.json|TRAINING\.md|order\.parquet|documents\.parquet|dataset_dict\.json"
    r"|(?:.+/)?(?:state\.json|dataset_info\.json|cache-[^/]*\.arrow|tmp[^/]*|[^/]+\.lock|\.DS_Store|\.nfs[0-9a-f]+)"
    r"|\.cache/huggingface/.+|\.gitattributes"
)
"""The files of an export that its manifest does not list, and what ``datasets`` and the Hub put next to its data."""


class DatasetDescription(Protocol):
    """What the card and the manifest ask about shards that were written; every writer of an export is one."""

    folder: Path
    format: str
    """A name in ``shards.FORMATS``."""
    shape: SchemaShape
    misread: set[Finding]
    """What datasets' reader of JSON lines would change."""
    rows: int
    buckets: dict[str, str]
    """The folder of each bucket below ``data``; empty unless each bucket has one."""


@contextmanager
def build_folder(out: Path, overwrite: bool) -> Iterator[Path]:
    """Give an empty folder next to ``out``: it is renamed to ``out`` at the end, or removed when the block fails.

    Raises UsageError where ``out`` is something that an export may not replace, StorageError where the operating system
    refuses to write.
    """
    check_output_folder(out, overwrite)
    out = out.resolve() if out.is_symlink() else out
    temporary, old = name_temporary(out), name_temporary(_name_replaced(out))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        yield temporary
        if out.exists():
            check_output_folder(out, overwrite)  # again: somebody may have put something there since
            os.replace(out, old)
        os.replace(temporary, out)
    except OSError as error:
        raise _storage_error(error, out) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def check_output_folder(out: Path, overwrite: bool) -> None:
    """Raise UsageError where ``out`` is something that an export may not replace.

    Raises StorageError where the operating system would not let a folder be written there. A new path and an empty
    folder pass, and with ``overwrite`` an earlier export. The working directory does not, since
    it would be renamed, nor does a path that ``load_dataset`` would read as a pattern.
    """
    refuse_misread_path(out)
    if out.name in ownership.RESERVED and is_run_folder(os.fspath(out.parent)):
        message = f"{out}: in a run directory {out.name} is the name of something that curate makes there"
        raise UsageError(message, NEW_FOLDER)
    if not out.name or out.name == "..":
        raise UsageError(f"{out} is the folder that you are in, or one above it: it cannot be replaced", NEW_FOLDER)
    try:
        if not out.exists() and out.is_symlink():
            raise UsageError(f"{out} is a link to nothing, or to itself", NEW_FOLDER)
        if out.exists() and not out.is_dir():
            raise UsageError(f"{out} is a file; an export is a folder", NEW_FOLDER)
    except OSError as error:
        raise make_storage_error(error, out) from error
    check_output_directory(out)
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not is_export(out):
        raise UsageError(f"{out} holds something that curate export did not write", NEW_FOLDER)
    if not overwrite:
        raise UsageError(f"{out} holds an earlier export", "replace it with --overwrite, or name a new folder")
    if (foreign := find_foreign(out)) is not None:
        raise UsageError(
            f"{out / foreign} is there, and curate export did not write it", "move it away, or name a new folder"
        )


def refuse_misread_path(out: Path) -> None:
    """Raise UsageError where ``load_dataset`` would read a path as a pattern."""
    if found := MISREAD_PATH.search(str(out)):
        message = f"{out}: datasets.load_dataset reads {found[0]} in a path as a pattern, so it may load another folder"
        raise UsageError(message, "name a folder without * ? [ :: and $NAME in its path")


def warn_of_misread_path(out: Path) -> None:
    """Warn where a folder above ``out`` that nobody named here has a name that ``load_dataset`` reads as a pattern."""
    absolute = os.path.abspath(out)
    if found := MISREAD_PATH.search(absolute):
        what = (
            f"datasets.load_dataset reads {found[0]} in {absolute} as a pattern, so it may load another folder or none"
        )
        console.warn(f"{what}; move the export before you load it")


def is_export(folder: Path) -> bool:
    """Return whether ``curate export`` wrote a folder: its manifest says so.

    Raises StorageError where the manifest is there and may not be read.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        return False
    except OSError as error:
        raise describe_os_error(error) from error
    return isinstance(manifest, dict) and manifest.get("made_by") == MADE_BY


def find_foreign(folder: Path) -> str | None:
    """Return the path, below the folder of an export, of the first file that is neither of it nor of ``datasets``.

    None where all are: those that its manifest lists, the small files of every export, and caches. A link to a folder
    is foreign. Raises StorageError where the folder cannot be listed.
    """
    manifest = json.loads((folder / "manifest.json").read_bytes())
    listed = manifest.get("files", ())
    known = {file.get("path") for file in listed if isinstance(file, dict)} if isinstance(listed, list) else set()

    def refuse(error: OSError) -> None:
        raise describe_os_error(error) from error

    for top, folders, names in os.walk(folder, onerror=refuse):
        links = [name for name in folders if os.path.islink(os.path.join(top, name))]
        for name in sorted([*names, *links]):
            path = os.path.relpath(os.path.join(top, name), folder).replace(os.sep, "/")
            if path not in known and not OF_EXPORT.fullmatch(path):
                return path
    return None


def _name_replaced(out: Path) -> Path:
    """Return the path whose temporary names are for an export that is being replaced."""
    return out.with_name(f"{out.name}.replaced")


def claim_output_folder(out: Path, verb: str, part: ArrayTask | None = None) -> None:
    """Claim the folder of an export until the verb returns, and clear what killed exports left next to it.

    With ``part`` a part of it, beside which others may be made. An export that a killed one had put aside to replace
    it, and did not replace, is put back. Raises BusyError where another process writes there.
    """
    if not out.name or out.name == ".." or not files.can_write_beside(out):
        return  # which ``check_output_folder`` refuses
    if out.is_symlink() and not out.exists():
        return  # a link to nothing, or in a circle: likewise
    claim_output(out, verb, part)
    out = out.resolve() if out.is_symlink() else out
    replaced = list_leftovers(out.parent, _name_replaced(out).name)
    if replaced and not out.exists():
        with suppress(OSError):
            os.replace(replaced.pop(), out)
    for path in (*replaced, *list_leftovers(out.parent, out.name), *list_leftovers(out.parent, f".{out.name}.parts")):
        remove_leftover(path)


def _storage_error(error: OSError, out: Path) -> StorageError:
    made = make_storage_error(error, out)
    remedy = "free some space or name another folder" if error.errno in FULL else "name another folder"
    return StorageError(made.message, f"{remedy}; nothing half written was left behind")


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, keys in the order given, and the folders above it."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_states(
    folder: Path, schema: pa.Schema, files: Sequence[WrittenShard], identity: str, buckets: Mapping[str, str]
) -> None:
    """Write the state files by which ``datasets.load_from_disk`` loads a folder of Arrow shards.

    ``schema`` is that of the shards (``features.build_schema``). Without buckets the folder is one of
    ``DatasetDict.save_to_disk``; with buckets (names to folders) each of their folders is one of
    ``Dataset.save_to_disk``.
    """
    if not buckets:
        write_state(folder, schema, files, identity)
    for name in buckets.values():
        bucket_files = [file for file in files if file.path.startswith(f"data/{name}/")]
        _write_split(folder / "data" / name, schema, bucket_files, compute_fingerprint([identity, name]))


def write_state(folder: Path, schema: pa.Schema, files: Sequence[WrittenShard], identity: str) -> None:
    """Write the three small files that make a folder of Arrow shards one of ``DatasetDict.save_to_disk``."""
    write_json(folder / "dataset_dict.json", {"splits": ["train"]})
    _write_split(folder / "train", schema, files, identity)


def _write_split(folder: Path, schema: pa.Schema, files: Sequence[WrittenShard], identity: str) -> None:
    features = json.loads(schema.metadata[FEATURES])["info"]["features"]
    info = {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}
    write_json(folder / "dataset_info.json", info)
    state: dict[str, Any] = {
        "_data_files": [{"filename": Path(file.path).name} for file in files],
        "_fingerprint": identity[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": "train",
    }
    write_json(folder / "state.json", state)


def make_front_matter(writer: DatasetDescription, identity: str) -> str:
    """Return the YAML head of a card: where ``load_dataset`` finds the shards, and the types where it would guess.

    ``identity`` is the fingerprint of the data, which each config names (``describe_config``).
    """
    from huggingface_hub.utils import yaml_dump

    tables = TABLE_FORMATS[writer.format]
    shards = {"default": tables.pattern}
    if writer.buckets:
        shards = {name: make_bucket_pattern(writer.format, name) for name in writer.buckets.values()}
        shards["default"] = make_bucket_pattern(writer.format, "*")
    configs = [describe_config(name, make_shard_glob(pattern), identity) for name, pattern in shards.items()]
    head: dict[str, Any] = {"tags": ["curate"], "configs": configs}
    if tables.guesses_types:
        features = _json_features(writer)
        named = [{"config_name": name, "features": features} for name in shards]
        head["dataset_info"] = named if writer.buckets else {"features": features}
    return f"---\n{yaml_dump(head, allow_unicode=False, sort_keys=False)}---\n"


def describe_config(name: str, glob: str, identity: str) -> dict[str, Any]:
    """Return the entry of a config in the card: its name, its shards, and the fingerprint of their data.

    The fingerprint is in the ``description`` because ``datasets`` hashes the configs, and not the data, into the key of
    its cache: without it the data that another folder of this name had would come back.
    """
    files = [{"split": "train", "path": glob}]
    return {"config_name": name, "description": f"{MADE_BY} {identity}", "data_files": files}


def make_shard_glob(pattern: str) -> str:
    """Return the glob that finds the shards of a pattern, and not what ``datasets`` caches next to them."""
    suffix = PurePath(pattern).suffix
    return pattern.split("{", 1)[0] + "*" + suffix


def _json_features(writer: DatasetDescription) -> list[dict[str, Any]]:
    """Return the features of shards that are JSON lines, as the head of a card has them."""
    return spell_features(plan_lines(writer.shape, writer.misread).features)
