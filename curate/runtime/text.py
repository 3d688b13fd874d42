"""Text on a terminal: width in columns, wrapping, and foreign text made safe to print."""

import re
import shlex
import unicodedata
from collections.abc import Iterable
from pathlib import PurePath

from curate.runtime.console import WIDTH

DEFAULT_RUN = "curated"
"""The run directory where none is named."""
LABEL = 16


def count_columns(text: str) -> int:
    """Return the width of a text on a terminal: two for Chinese characters and emoji, zero for combining accents."""
    return sum(
        0 if unicodedata.category(char) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def count_fitting(text: str, most: int) -> int:
    """Return how many characters of a text fit in ``most`` columns."""
    width = 0
    for index, char in enumerate(text):
        width += count_columns(char)
        if width > most:
            return index
    return len(text)


def shorten(text: str, most: int) -> str:
    """Return the text in at most ``most`` columns; a longer one is cut and ends with …"""
    return text if count_fitting(text, most) == len(text) else text[: count_fitting(text, most - 1)] + "…"


def wrap_parts(label: str, parts: Iterable[str], gap: str = " ", indent: int = LABEL) -> list[str]:
    """Return lines with a label and the parts after it, wrapped between parts at the width of the screen."""
    lines = [f"{label:<{indent}}"]
    for part in parts:
        longer = lines[-1] + part if len(lines[-1]) == indent else lines[-1] + gap + part
        if count_columns(longer) > WIDTH and len(lines[-1]) > indent:
            lines.append(" " * indent + part)
        else:
            lines[-1] = longer
    return lines


def escape_unprintable(text: str, kept: str = "") -> str:
    """Return the text with control and invisible characters as escapes, except those in ``kept``.

    Every kind of space becomes U+0020, every other character that ``str.isprintable`` denies a Python escape.
    """

    def spell(match: re.Match[str]) -> str:
        char = match[0]
        if char.isprintable() or char in kept:
            return char
        return " " if unicodedata.category(char) == "Zs" else char.encode("unicode_escape").decode()

    return re.sub(r"[^ -~]", spell, text)


def fold_whitespace(text: str) -> str:
    """Return the text on one line: each run of white space is one space, invisible characters are escapes."""
    return escape_unprintable(re.sub(r"\s+", " ", text))


def command(words: str, run: str | PurePath = DEFAULT_RUN) -> str:
    """Return a command of curate that can be pasted into a shell.

    ``words`` is the verb with its arguments and options, as typed. The run directory is named, and quoted
    for the shell, where it is not the default one.
    """
    named = "" if str(run) == DEFAULT_RUN else f" --run {shlex.quote(str(run))}"
    return f"curate {words}{named}"
