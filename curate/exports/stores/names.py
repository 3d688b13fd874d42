"""URLs of exports: what is no URL though it was meant to be one, and what no export may be written to."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from curate.corpus.files.run_marks import find_covering_url
from curate.errors import UsageError
from curate.exports.dataset_folder import MISREAD_PATH, NEW_FOLDER
from curate.runtime.disk.mirrors import spell_place
from curate.runtime.disk.object_store import LOCAL_PROTOCOLS, is_store_url
from curate.runtime.text import quote_path

ONE_SLASH = re.compile(r"(?P<protocol>[a-z][a-z0-9+.-]+):/(?P<rest>(?!/).*)", re.IGNORECASE)
"""A URL that lacks a slash; a drive of Windows has one letter."""
LOCAL_URL = re.compile(rf"(?:{'|'.join(LOCAL_PROTOCOLS)})://(?P<path>.*)", re.IGNORECASE)
READ_ONLY = ("http", "https")


def is_output_url(out: str | os.PathLike[str]) -> bool:
    """Return whether an export is one in an object store. Raises UsageError for what is neither a URL nor a path."""
    text = os.fspath(out)
    if is_store_url(text):
        return True
    if found := LOCAL_URL.fullmatch(text):
        raise UsageError(f"{text} is on this machine", f"name the folder itself: {quote_path(found['path'] or '/')}")
    if (found := ONE_SLASH.fullmatch(text)) and _is_protocol(found["protocol"]):
        url = f"{found['protocol']}://{found['rest']}"
        raise UsageError(f"{text} is neither a URL nor a folder: // follows the colon", f"name it as {quote_path(url)}")
    return False


def _is_protocol(name: str) -> bool:
    import fsspec

    return name.lower() in fsspec.available_protocols()


def check_output_url(url: str) -> None:
    """Raise UsageError for a URL at which no export can be: of a bucket alone, a pattern, a server of the web."""
    protocol, _, path = url.partition("://")
    shown = quote_path(url)
    if protocol.lower() == "hf":
        name = "/".join(path.split("/")[1:3]) or "me/name"
        raise UsageError(
            f"{url}: exports are not written to the Hub in this way", f"curate export OUT --push-to-hub {name}"
        )
    if protocol.lower() in READ_ONLY:
        raise UsageError(
            f"{url}: {protocol}:// can only be read", "name a folder, or a URL such as s3://bucket/dataset"
        )
    parts = path.rstrip("/").split("/")
    if len(parts) < 2:
        hint = (
            f"curate export {quote_path(url.rstrip('/') + '/dataset' if parts[0] else f'{protocol}://bucket/dataset')}"
        )
        raise UsageError(f"{shown} names a bucket and no folder in it", hint)
    if any(part in ("", ".", "..") for part in parts):
        raise UsageError(f"{shown} has a folder without a name, or . or ..", "name the folder without them")
    if found := MISREAD_PATH.search(path):
        message = f"{shown}: {found[0]} in a URL is read as a pattern, so that another folder may be loaded"
        raise UsageError(message, "name a folder without * ? [ :: and $NAME in its path")


def check_url_options(part: str | None, engine: str, push_to_hub: str | None) -> None:
    """Raise UsageError for options of ``export`` that need a folder."""
    shared = "to a folder that all machines see; copy that to the store when it is complete"
    if part is not None:
        raise UsageError("--part and a URL: the parts meet in a folder beside the export", f"export {shared}")
    if engine != "local":
        raise UsageError(f"--engine {engine} and a URL: the workers write into a folder", f"export {shared}")
    if push_to_hub is not None:
        raise UsageError("--push-to-hub and a URL: what is pushed is a local folder", "name a folder to export to")


def check_url_outside(paths: Sequence[str], run: Path, url: str) -> None:
    """Raise UsageError where an export at a URL would be read as part of the corpus at ``paths``, or is in the run."""
    if (covering := find_covering_url(paths, url)) is not None:
        message = f"{url} is inside the corpus {covering}: the next verb would read it as documents"
        raise UsageError(message, "name a place outside the corpus")
    place = spell_place(run)
    if is_store_url(place) and find_covering_url([place], url) is not None:
        where = "is the run itself" if find_covering_url([url], place) else f"is inside the run {place}"
        raise UsageError(f"{url} {where}: its tables and the export would mix", NEW_FOLDER)
