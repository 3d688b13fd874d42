"""The Jinja environment of the HTML pages, and what keeps foreign text harmless in them."""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from curate.runtime.text import spell_out

if TYPE_CHECKING:
    import jinja2


SAFE = "\n\t\u200c\u200d"  # not spelled out: a browser shows line ends, and joiners join


def open_templates(folder: Path) -> "jinja2.Environment":
    """The templates of pages: every value is printed escaped and legible, and one that is missing is an error."""
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
    """What the template prints: foreign text spelled out, its line ends those of the page; the rest as it is."""
    return spell_out(value.replace("\r\n", "\n"), SAFE) if type(value) is str else value


def digest(script: str) -> str:
    """What the page's own rule allows to run: this script and no other, whatever a text may smuggle in."""
    return f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}"
