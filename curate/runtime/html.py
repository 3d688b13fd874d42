"""The Jinja environment of the HTML pages, and the escaping of foreign text in them."""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from curate.runtime.text import escape_unprintable

if TYPE_CHECKING:
    import jinja2


SAFE = "\n\t\u200c\u200d"  # not escaped: a browser shows line ends, and joiners join


def open_templates(folder: Path) -> "jinja2.Environment":
    """Return the environment of a folder of templates: values are escaped and legible, a missing one is an error."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=make_legible,
    )


def make_legible(value: object) -> object:
    """Return what a template prints: text with invisible characters escaped and LF line ends, other values as is."""
    return escape_unprintable(value.replace("\r\n", "\n"), SAFE) if type(value) is str else value


def hash_script(script: str) -> str:
    """Return the hash of a script for the Content-Security-Policy of its page, so that no other script may run."""
    return f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}"
