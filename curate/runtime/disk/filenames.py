"""Names of files that are made from names of users, within what file systems allow."""

import os
import re
from pathlib import Path

import xxhash

from curate.runtime.disk.object_store import EXTRAS

MOST_BYTES = 255
"""Bytes of a file name on the file systems that are common."""
MARK = "%~"
"""What stands before the hash of a name that was too long; percent-encoding never writes it."""


def fit_name(name: str, most: int = MOST_BYTES) -> str:
    """Return a file name of at most ``most`` bytes: ``name`` where it fits, else its beginning and a hash of all of it.

    A name that is too long never becomes what another name is, as long as names are percent-encoded.
    """
    octets = name.encode("utf-8", "surrogateescape")
    if len(octets) <= most:
        return name
    ending = MARK + xxhash.xxh3_128_hexdigest(octets)
    beginning = octets[: most - len(ending)].decode("utf-8", "ignore")
    return re.sub(r"%[0-9A-F]?$", "", beginning) + ending


def expand_home(path: str | os.PathLike[str]) -> Path:
    """Return a path with ``~`` at its beginning expanded: shells leave it in ``--run=~/x``, and so does YAML.

    Arrow and DuckDB expand it too, and would write elsewhere than Python, which does not. Arrow also takes ``a:b/c``
    for a URL: a path with a colon in its first folder is made absolute. One that is a URL stays, to be refused.
    """
    found = Path(os.path.expanduser(path))
    first = found.parts[0] if found.parts else ""
    return found.absolute() if ":" in first and first.removesuffix(":").lower() not in EXTRAS else found
