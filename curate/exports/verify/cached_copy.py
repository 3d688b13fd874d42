"""What ``datasets.load_dataset`` gives of an export: its documents, or those of another that are in the cache.

datasets keeps what it has prepared in a folder that is named by the base name of the data set and a hash of its card,
never of the data. An export names the fingerprint of its data in each config of the card, so that this hash changes
with them. Here both are checked: that the card does, and what lies in the cache of this user under that name. Nothing
is written except below a temporary folder.
"""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.exports.formats.shards import read_arrow
from curate.exports.verify.integrity import CACHE_PREFIX, IntegrityFinding
from curate.exports.verify.reader import Export, make_export_hint, read_columns
from curate.runtime.disk.files import open_scratch_folder

CHECK = "load_dataset"
DATASET_INFO = "dataset_info.json"
"""What ``datasets`` writes last into a folder of its cache: without it the data are prepared again."""


def check_load_dataset(export: Export) -> list[IntegrityFinding]:
    """Check that ``load_dataset`` of an export whose files are right gives its documents, config by config."""
    import datasets

    path = os.path.abspath(export.folder)
    with open_scratch_folder("curate-verify-", export.folder) as folder:
        temporary = str(folder)
        try:
            names = datasets.get_dataset_config_names(path) if export.by_bucket else [None]
            builders = [datasets.load_dataset_builder(path, name, cache_dir=temporary) for name in names]
        except Exception as error:  # Whatever its code raises is what a user of the folder gets.
            detail = str(error).strip().split("\n", 1)[0] or type(error).__name__
            return [IntegrityFinding(CHECK, f"datasets cannot read the card or find the shards: {detail}", False)]
        identity = str(export.manifest.get("fingerprint"))
        unnamed = [builder.config.name for builder in builders if identity not in (builder.config.description or "")]
        cached = {
            builder.config.name: Path(datasets.config.HF_DATASETS_CACHE) / os.path.relpath(builder.cache_dir, temporary)
            for builder in builders
        }
    for name, folder in cached.items():
        if (folder / DATASET_INFO).is_file() and (problem := _find_difference(export, name, folder)):
            what = f"{problem}: they are of another export, in {folder}"
            return [
                IntegrityFinding(CHECK, f"{what}; remove that folder, and {make_export_hint(export.folder)}", False)
            ]
    if unnamed:
        what = "README.md does not name the data, so that those of another folder of this name may come from the cache"
        return [IntegrityFinding(CHECK, f"{what} of datasets: {make_export_hint(export.folder)}", False)]
    found = "what is in the cache of datasets are these documents" if _any_cached(cached) else "none are cached yet"
    return [IntegrityFinding(CHECK, f"README.md names these data, so no others come from the cache; {found}")]


def _any_cached(folders: Mapping[str, Path]) -> bool:
    return any((folder / DATASET_INFO).is_file() for folder in folders.values())


def _find_difference(export: Export, config: str, folder: Path) -> str | None:
    """Return how the documents in a folder of the cache differ from those of a config, or None."""
    shards = [shard["path"] for shard in export.shards if config == "default" or f"/{config}/" in shard["path"]]
    names, text_field = [export.column("file"), export.column("row")], str(export.manifest.get("text_field"))
    names += [text_field] if text_field in export.manifest.get("columns", {}) else []
    expected = _list_rows(table for path in shards for table in read_columns(export, path, names))
    try:
        files = sorted(path for path in folder.glob("*.arrow") if not path.name.startswith(CACHE_PREFIX))
        got = _list_rows(table for path in files for table in read_arrow(path, names))
        for number, (one, other) in enumerate(itertools.zip_longest(expected, got)):
            if one != other:
                return f"load_dataset gives other documents, from row {number:,} of config {config} on"
    except (KeyError, OSError, pa.ArrowException):
        return f"load_dataset gives data of config {config} that have no column {', '.join(names)}, or are damaged"
    return None


def _list_rows(tables: Iterator[pa.Table]) -> Iterator[Sequence[Any]]:
    for table in tables:
        yield from zip(*(column.to_pylist() for column in table.columns), strict=True)
