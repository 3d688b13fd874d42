"""URLs of exports: what is no URL though it was meant to be one, and what no export may be written to."""

import os
from collections.abc import Sequence
from pathlib import Path

from curate.corpus.files.run_marks import find_covering_url
from curate.errors import UsageError
from curate.exports.dataset_folder import MISREAD_PATH, NEW_FOLDER
from curate.runtime.calls import repeat_command
from curate.runtime.disk.mirrors import spell_place
from curate.runtime.disk.object_store import check_slashes, is_store_url
from curate.runtime.text import quote_path

HUB = ("hf",)
READ_ONLY = ("http", "https")


def is_output_url(out: str | os.PathLike[str]) -> bool:
    """Return whether an export is one in an object store. Raises UsageError for what is neither a URL nor a path."""
    text = os.fspath(out)
    if is_store_url(text):
        return True
    check_slashes(text)
    return False


def check_writable_url(url: str) -> None:
    """Raise UsageError for a URL to which nothing is exported: of the Hub, of a server of the web."""
    protocol, _, path = url.partition("://")
    if protocol.lower() in HUB:
        name = "/".join(path.split("/")[1:3]) or "me/name"
        message = f"{url}: exports are not written to the Hub in this way"
        raise UsageError(message, f"curate export OUT --push-to-hub {name}")
    if protocol.lower() in READ_ONLY:
        raise UsageError(
            f"{url}: {protocol}:// can only be read", "name a folder, or a URL such as s3://bucket/dataset"
        )


def check_folder_url(url: str, verb: str) -> None:
    """Raise UsageError for a URL that names no folder in a bucket, or one that is read as a pattern.

    ``verb`` is the word of the command for the hint.
    """
    protocol, _, path = url.partition("://")
    parts = path.rstrip("/").split("/")
    if len(parts) < 2:
        example = f"{protocol}://{parts[0] or 'bucket'}/dataset"
        raise UsageError(f"{url} names a bucket and no folder in it", f"curate {verb} {quote_path(example)}")
    if any(part in ("", ".", "..") for part in parts):
        raise UsageError(f"{url} has a folder without a name, or . or ..", "name the folder without them")
    if found := MISREAD_PATH.search(path):
        message = f"{url}: {found[0]} in a URL is read as a pattern, so that another folder may be loaded"
        raise UsageError(message, "name a folder without * ? [ :: and $NAME in its path")


def check_url_options(part: str | None, engine: str, push_to_hub: str | None) -> None:
    """Raise UsageError for options of ``export`` that need a folder."""
    to_folder = repeat_command("export", out="dataset")
    shared = f"{to_folder} exports to a folder, which all machines must share; copy that when it is complete"
    if part is not None:
        raise UsageError("--part and a URL: parts are exchanged in a folder beside the export", shared)
    if engine != "local":
        raise UsageError(f"--engine {engine} and a URL: the workers write into a folder", shared)
    if push_to_hub is not None:
        raise UsageError("--push-to-hub and a URL: what is pushed is a local folder", to_folder)


def check_url_outside(paths: Sequence[str], run: Path, url: str) -> None:
    """Raise UsageError where an export at a URL would be read as part of the corpus at ``paths``, or is in the run."""
    if (covering := find_covering_url(paths, url)) is not None:
        message = f"{url} is inside the corpus {covering}: the next verb would read it as documents"
        raise UsageError(message, "name a place outside the corpus")
    place = spell_place(run)
    if is_store_url(place) and find_covering_url([place], url) is not None:
        where = "is the run itself" if find_covering_url([url], place) else f"is inside the run {place}"
        raise UsageError(f"{url} {where}: its tables and the export would mix", NEW_FOLDER)
