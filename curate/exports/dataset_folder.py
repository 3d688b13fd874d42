"""Datasets on disk: a folder of shards, its card and manifest, and the way to the Hub.

    hf        train/data-00000-of-00002.arrow …    load_dataset(OUT) and load_from_disk(OUT) both give {"train": …}
    parquet   data/train-00000-of-00002.parquet …  load_dataset(OUT)
    jsonl     data/train-00000-of-00002.jsonl …    load_dataset(OUT)

``hf`` is the layout of ``DatasetDict.save_to_disk``: ``load_dataset`` refuses a folder with a ``state.json`` at its top
and reads this one by the ``configs`` of its card. A folder is built beside its place and renamed, so that a folder that
exists is whole.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from curate.corpus.schema_widening import SchemaShape
from curate.errors import StorageError, UsageError
from curate.exports.shards import FORMATS, WrittenShard
from curate.runtime.files import storage_error

MADE_BY = "curate export"


# The folder: built beside its place, described, renamed.


@contextmanager
def building(out: Path, overwrite: bool) -> Iterator[Path]:
    """A folder beside ``out`` to build a dataset in: renamed to ``out`` at the end, removed when the block fails."""
    check_place(out, overwrite)
    beside, old = (out.with_name(f".{out.name}.{os.getpid()}.{end}") for end in ("tmp", "old"))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(out)
        beside.mkdir()
        yield beside
        if out.exists():
            os.replace(out, old)
        os.replace(beside, out)
    except OSError as error:
        raise _refused(error, out) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def check_place(out: Path, overwrite: bool) -> None:
    """UsageError where ``out`` holds something that may not be replaced."""
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir():
        raise UsageError(f"{out} is a file; an export is a folder", "name another place")
    if not any(out.iterdir()):
        return
    if not is_export(out):
        raise UsageError(f"{out} holds something that curate export did not write", "name a new folder")
    if not overwrite:
        raise UsageError(f"{out} holds an earlier export", "replace it with --overwrite, or name a new folder")


def is_export(folder: Path) -> bool:
    """Whether a folder is an export of ours: its manifest says so."""
    try:
        found = json.loads((folder / "manifest.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("made_by") == MADE_BY


def _remove_leftovers(out: Path) -> None:
    """What a killed export left beside ``out``."""
    start = f".{out.name}."
    for path in out.parent.iterdir():
        rest = path.name.removeprefix(start).split(".") if path.name.startswith(start) else []
        if len(rest) == 2 and rest[0].isdigit() and rest[1] in ("tmp", "old"):
            shutil.rmtree(path, ignore_errors=True)


def _refused(error: OSError, out: Path) -> StorageError:
    found = storage_error(error, out)
    return StorageError(found.message, "free some space or name another place; nothing half written was left behind")


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_states(
    folder: Path, schema: pa.Schema, files: Sequence[WrittenShard], identity: str, buckets: Mapping[str, str]
) -> None:
    """What makes the folder one of ``DatasetDict.save_to_disk``; by bucket, each folder one of ``save_to_disk``."""
    if not buckets:
        write_state(folder, schema, files, identity)
    for name in buckets.values():
        own = [file for file in files if file.path.startswith(f"data/{name}/")]
        _write_split(folder / "data" / name, schema, own, identity)


def write_state(folder: Path, schema: pa.Schema, files: Sequence[WrittenShard], identity: str) -> None:
    """The three small files that make a folder of Arrow shards one of ``DatasetDict.save_to_disk``."""
    write_json(folder / "dataset_dict.json", {"splits": ["train"]})
    _write_split(folder / "train", schema, files, identity)


def _write_split(place: Path, schema: pa.Schema, files: Sequence[WrittenShard], identity: str) -> None:
    import datasets

    features = datasets.Features.from_arrow_schema(schema).to_dict()
    info = {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}
    write_json(place / "dataset_info.json", info)
    state: dict[str, Any] = {
        "_data_files": [{"filename": Path(file.path).name} for file in files],
        "_fingerprint": identity[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": "train",
    }
    write_json(place / "state.json", state)


class DatasetDescription(Protocol):
    """What is told of shards that were written."""

    kind: str
    shape: SchemaShape
    misread: set[str]
    rows: int


def front_matter(writer: DatasetDescription) -> str:
    """The head of a card, by which ``load_dataset`` finds the shards and, for JSON, the types of the columns."""
    from huggingface_hub.utils import yaml_dump

    kind = writer.kind
    pattern = FORMATS[kind].split("/")[0] + "/*." + FORMATS[kind].rsplit(".", 1)[1]
    patterns = {"default": pattern}
    buckets = getattr(writer, "buckets", {}).values()
    if buckets:
        suffix = pattern.rsplit(".", 1)[1]
        patterns = {name: f"data/{name}/*.{suffix}" for name in buckets}
        patterns["default"] = f"data/*/*.{suffix}"
    files = {name: [{"split": "train", "path": path}] for name, path in patterns.items()}
    head: dict[str, Any] = {
        "tags": ["curate"],
        "configs": [{"config_name": name, "data_files": found} for name, found in files.items()],
    }
    if kind == "jsonl":
        features = _json_features(writer)._to_yaml_list()
        named = [{"config_name": name, "features": features} for name in patterns]
        head["dataset_info"] = named if buckets else {"features": features}
    return f"---\n{yaml_dump(head, allow_unicode=False, sort_keys=False)}---\n"


def _json_features(writer: DatasetDescription) -> Any:
    import datasets

    columns = [(column.name, written_in_json(column.type)) for column in writer.shape.schema()]
    return datasets.Features.from_arrow_schema(pa.schema(columns))


def written_in_json(kind: pa.DataType) -> pa.DataType:
    """The type that a column has after it went through JSON lines: what Arrow cannot read back is a string."""
    if pa.types.is_struct(kind):
        return pa.struct([(member.name, written_in_json(member.type)) for member in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.large_list(written_in_json(kind.value_type))
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    if binary or pa.types.is_decimal(kind) or pa.types.is_duration(kind) or pa.types.is_time(kind):
        return pa.large_string()
    return kind


# The Hub.


def check_hub(name: str) -> None:
    """Find out before the work whether a push can succeed: StorageError without a token, UsageError for a bad name."""
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except ValueError as error:
        raise UsageError(f"--push-to-hub {name}: {_first_line(error)}", "for example me/my-dataset") from error
    _ask_hub(name, lambda api: api.whoami())


def push(folder: Path, name: str, private: bool) -> str:
    """Upload an export as a dataset repository; shards of an earlier push are replaced. Gives its address."""

    def upload(api: Any) -> None:
        api.create_repo(name, repo_type="dataset", private=private, exist_ok=True)
        api.upload_folder(
            repo_id=name,
            repo_type="dataset",
            folder_path=folder,
            commit_message="Export of curate",
            delete_patterns=[pattern.replace("{:05d}", "*") for pattern in FORMATS.values()],
        )

    left = f"{folder} is whole; push it later with: hf upload --repo-type dataset {name} {folder}"
    _ask_hub(name, upload, left)
    return f"https://huggingface.co/datasets/{name}"


def _ask_hub(name: str, ask: Callable[[Any], object], left: str | None = None) -> None:
    """Ask the Hub for something; whatever it answers instead is one line and a hint."""
    from huggingface_hub import HfApi, errors

    try:
        ask(HfApi())
    except errors.LocalTokenNotFoundError as error:
        message = f"{name} cannot be pushed: there is no token for the Hugging Face Hub"
        raise StorageError(message, "hf auth login, or set HF_TOKEN") from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        hint = "the token needs the right to write there: hf auth login" if status in (401, 403, 404) else left
        raise StorageError(f"the Hugging Face Hub refused {name}: {_first_line(error)}", hint) from error
    except (errors.HTTPError, OSError, RuntimeError) as error:  # Its Rust uploader raises RuntimeError.
        raise StorageError(f"the push to {name} failed: {_first_line(error)}", left) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).split("\n", 1)[0]
