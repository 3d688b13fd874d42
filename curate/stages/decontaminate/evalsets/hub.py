"""Eval sets on the Hub: the commit to load, and its rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from curate.corpus.files.hub import parse_hub_name
from curate.corpus.files.streams import one_line
from curate.errors import CorpusError, StorageError
from curate.stages.decontaminate.evalsets.rows import EvalRow, take_batch

BATCH_ROWS = 256
DATASET_URL = re.compile(r"hf://datasets/(?P<name>[^/@]+/[^/@]+)(@(?P<revision>[^/]+))?(?P<rest>(/.*)?)")
COMMIT = re.compile(r"hf://datasets/[^@]+@(?P<commit>[0-9a-f]{40})/")


def resolve_revision(name: str, revision: str | None = None) -> str | None:
    """Return the commit that a dataset on the Hub has now, or that a branch or tag names; None where the Hub fails."""
    import huggingface_hub

    try:
        sha = huggingface_hub.HfApi().dataset_info(name, revision=revision).sha
        return None if sha is None else str(sha)
    except Exception:  # Out of reach, private, or no dataset: loading says which.
        return None


def pin_url(url: str, pinned: str | None) -> tuple[str, str | None]:
    """Return an ``hf://datasets/`` URL at one commit, and that commit: the URL's, else ``pinned``, else the newest.

    Another URL is returned unchanged, with None.
    """
    found = DATASET_URL.fullmatch(url)
    if found is None:
        return url, None
    given = found["revision"] if found["revision"] and re.fullmatch("[0-9a-f]{40}", found["revision"]) else None
    commit = given or pinned or resolve_revision(found["name"], found["revision"])
    if commit is None:
        return url, None
    return f"hf://datasets/{found['name']}@{commit}{found['rest']}", commit


def unpin_url(url: str) -> str:
    """Return the URL without its commit, by which a lock names it."""
    found = DATASET_URL.fullmatch(url)
    return url if found is None else f"hf://datasets/{found['name']}{found['rest']}"


def load_split(spelled: str, revision: str | None) -> tuple[list[EvalRow], str | None]:
    """Return the rows of ``OWNER/NAME@CONFIG:SPLIT`` at a commit, and the commit that was loaded, where that is known.

    Raises CorpusError where there is no such dataset, or another commit than ``revision`` was loaded; StorageError
    where the Hub cannot be reached.
    """
    dataset = _load(spelled, revision)
    loaded = find_commit(dataset) or revision
    if revision is not None and loaded != revision:
        raise CorpusError(
            f"{spelled}: commit {loaded} was loaded instead of {revision}",
            "set HF_HUB_OFFLINE=0, and see that the Hub can be reached",
        )
    return list(_read(dataset, spelled)), loaded


def _load(spelled: str, revision: str | None) -> Any:
    import datasets

    name = parse_hub_name(spelled)
    if name is None:
        raise ValueError(f"{spelled!r} is not of the form NAME:SPLIT")
    try:
        return datasets.load_dataset(name.name, name.config, split=name.split, revision=revision)
    except (FileNotFoundError, ValueError) as error:
        raise CorpusError(f"{spelled}: {one_line(error)}", hint_missing(error)) from error
    except Exception as error:
        if "scripts are no longer supported" in str(error):
            raise CorpusError(f"{spelled}: {one_line(error)}", "download its files and name those") from error
        raise StorageError(
            f"{spelled}: {one_line(error)}", "see that the Hub can be reached and HF_TOKEN is set, or name a file"
        ) from error


def hint_missing(error: Exception) -> str:
    """Return the hint for a dataset that could not be loaded."""
    if "gated" in str(error).lower():
        return "ask for access on its page, then set HF_TOKEN"
    return "datasets of the Hub are named OWNER/NAME:SPLIT or OWNER/NAME@CONFIG:SPLIT"


def find_commit(dataset: Any) -> str | None:
    """Return the commit in the names of the files that a dataset was made from, None where they have no or several."""
    checksums = getattr(getattr(dataset, "info", None), "download_checksums", None) or {}
    commits = {found["commit"] for url in checksums if (found := COMMIT.match(str(url)))}
    return commits.pop() if len(commits) == 1 else None


def _read(dataset: Any, spelled: str) -> Iterator[EvalRow]:
    row = 0
    for table in dataset.with_format("arrow").iter(batch_size=BATCH_ROWS):
        yield from take_batch(spelled, table, row)
        row += table.num_rows
