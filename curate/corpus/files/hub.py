"""Datasets of the Hub by name: ``OWNER/NAME:SPLIT`` or ``OWNER/NAME@CONFIG:SPLIT``, streamed through ``datasets``.

A local folder in place of the name works as well: ``datasets.load_dataset`` reads both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from curate.corpus.files.streams import one_line
from curate.errors import CorpusError, StorageError

PATTERN = re.compile(r"(?P<name>[^:@]+?)(@(?P<config>[^:@/]+))?:(?P<split>[A-Za-z][\w.+-]*(\[[^\]]*\])?)")


class HubName(NamedTuple):
    """A dataset of the Hub by name."""

    name: str
    config: str | None
    split: str


def parse_hub_name(path: str) -> HubName | None:
    """Return the parts of ``NAME[@CONFIG]:SPLIT``, None for a path of another form."""
    match = None if "://" in path else PATTERN.fullmatch(path)
    return HubName(match["name"], match["config"], match["split"]) if match else None


def open_hub(path: str) -> Any:
    """Return the split as a streaming dataset.

    Raises CorpusError where the Hub has no such dataset, config or split, StorageError where it does not answer, and
    ValueError for a path of another form.
    """
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
            f"{path}: {one_line(error)}", "check the network, and set HF_TOKEN for a private dataset"
        ) from error


def stream_hub(path: str, first_row: int, batch_rows: int) -> Iterator[pa.Table]:
    """Yield the rows of the split from ``first_row`` on, as Arrow tables of up to ``batch_rows`` rows.

    Raises what ``open_hub`` raises, and StorageError where the stream breaks off.
    """
    dataset = open_hub(path)
    try:
        yield from (dataset.skip(first_row) if first_row else dataset).with_format("arrow").iter(batch_size=batch_rows)
    except Exception as error:
        raise StorageError(f"{path}: {one_line(error)}", "the same command goes on from here") from error


def find_revision(path: str) -> str | None:
    """Return the commit of the dataset on the Hub, None for a local folder or where the Hub does not tell."""
    import huggingface_hub

    name = parse_hub_name(path)
    try:
        return None if name is None else huggingface_hub.HfApi().dataset_info(name.name).sha
    except Exception:
        return None
