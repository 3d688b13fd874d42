"""What others get to see: base names in place of paths, since a folder may have the name of a client or of a user.

Exports, pages, cut-offs and locks go through here; ``run.json`` stays on the machine and keeps its paths.
"""

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

ENDS = r"[^\s'\"`<>|;,()\[\]{}]*"
"""The rest of a path within a sentence."""


def hide_folder(path: str) -> str:
    """Return the base name of a local path; a name of the Hub unchanged, and a URL without user, password and query."""
    if "://" in path:
        parts = urlsplit(path)
        if parts.scheme == "file":
            return os.path.basename(parts.path.rstrip("/"))
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    local = os.path.expanduser(path)
    is_local = os.path.isabs(local) or path.startswith(("./", "../", "~")) or os.path.lexists(local)
    if not is_local or local in (".", ".."):
        return path
    whole = os.path.abspath(local)
    return "~" if whole == os.path.abspath(Path.home()) else os.path.basename(whole) or "/"


def hide_model(name: str, is_folder: bool = False) -> str:
    """Return the name of a model; of a local folder its base name. ``is_folder`` says that it was one."""
    return os.path.basename(os.path.normpath(name)) if is_folder and name else hide_folder(name)


def hide_in_text(text: str) -> str:
    """Return a sentence in which paths in the home folder, the working folder and the temporary one are base names."""
    for root in _list_roots():
        if root in text:
            pattern = rf"(?<![\w/]){re.escape(root)}(?:/{ENDS})?(?![\w])"
            text = re.sub(pattern, lambda match: hide_folder(match[0]), text)
    return text


def _list_roots() -> list[str]:
    """Return the folders that say who works where, the deepest first."""
    folders = [os.getcwd(), str(Path.home()), tempfile.gettempdir()]
    known = {path for folder in folders for path in (os.path.abspath(folder), os.path.realpath(folder))}
    return sorted((path for path in known if len(path) > 1), key=len, reverse=True)


def hide_folders(value: Any) -> Any:
    """Return a JSON value in which every string that is a path, and every path within one, is a base name."""
    if isinstance(value, str):
        is_path = value.startswith(("/", "~/", "./", "../")) and "\n" not in value and " " not in value
        return hide_folder(value) if is_path else hide_in_text(value)
    if isinstance(value, Mapping):
        return {hide_folders(key): hide_folders(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [hide_folders(each) for each in value]
    return value
