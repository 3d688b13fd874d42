"""Datasets of the Hub by name: ``OWNER/NAME:SPLIT`` or ``OWNER/NAME@CONFIG:SPLIT``, streamed through ``datasets``.

A local folder in place of the name works as well: ``datasets.load_dataset`` reads both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from curate.corpus.streams import one_line
from curate.errors import CorpusError, StorageError

PATTERN = re.compile(r"(?P<name>[^:@]+?)(@(?P<config>[^:@/]+))?:(?P<split>[A-Za-z][\w.+-]*(\[[^\]]*\])?)")


class HubName(NamedTuple):
    name: str
    config: str | None
    split: str


def parse_hub_name(path: str) -> HubName | None:
    """The parts of ``NAME[@CONFIG]:SPLIT``, None where the path is none of that form."""
    found = None if "://" in path else PATTERN.fullmatch(path)
    return HubName(found["name"], found["config"], found["split"]) if found else None


def open_hub(path: str) -> Any:
    """The split as a streaming dataset. CorpusError where there is none of that name, StorageError without the Hub."""
    import datasets

    name = parse_hub_name(path)
    if name is None:
        raise ValueError(f"{path!r} is not of the form NAME:SPLIT")
    try:
        return datasets.load_dataset(name.name, name.config, split=name.split, streaming=True)
    except (FileNotFoundError, ValueError) as error:
        raise CorpusError(
            f"{path}: {one_line(error)}", "datasets of the Hub are named OWNER/NAME:SPLIT or OWNER/NAME@CONFIG:SPLIT"
        ) from error
    except Exception as error:
        raise StorageError(
            f"{path}: {one_line(error)}", "see that the Hub is within reach, and HF_TOKEN set"
        ) from error


def stream_hub(path: str, first_row: int, batch_rows: int) -> Iterator[pa.Table]:
    """The rows of the split from ``first_row`` on, as Arrow tables. StorageError where the stream breaks off."""
    dataset = open_hub(path)
    try:
        yield from (dataset.skip(first_row) if first_row else dataset).with_format("arrow").iter(batch_size=batch_rows)
    except Exception as error:
        raise StorageError(f"{path}: {one_line(error)}", "the same command goes on from here") from error


def find_revision(path: str) -> str | None:
    """The commit of the dataset on the Hub, None for a local folder or where the Hub does not say."""
    import huggingface_hub

    name = parse_hub_name(path)
    try:
        return None if name is None else huggingface_hub.HfApi().dataset_info(name.name).sha
    except Exception:
        return None
