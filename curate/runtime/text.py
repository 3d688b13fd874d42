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


def columns(text: str) -> int:
    """How wide a terminal shows a text: Chinese characters and emoji are two wide, accents of their own none."""
    return sum(
        0 if unicodedata.category(char) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def fit(text: str, most: int) -> int:
    """How many characters of a text fit in so many columns."""
    wide = 0
    for place, char in enumerate(text):
        wide += columns(char)
        if wide > most:
            return place
    return len(text)


def shorten(text: str, most: int) -> str:
    """Text in so many columns; … is its end where it is longer."""
    return text if fit(text, most) == len(text) else text[: fit(text, most - 1)] + "…"


def lay_out(label: str, parts: Iterable[str], gap: str = " ", indent: int = LABEL) -> list[str]:
    """Parts beside a label, on as many lines as they need; no part is broken."""
    lines = [f"{label:<{indent}}"]
    for part in parts:
        longer = lines[-1] + part if len(lines[-1]) == indent else lines[-1] + gap + part
        if columns(longer) > WIDTH and len(lines[-1]) > indent:
            lines.append(" " * indent + part)
        else:
            lines[-1] = longer
    return lines


def spell_out(text: str, kept: str = "") -> str:
    """Text with what a terminal or a browser would obey or hide spelled out, ``kept`` excepted."""

    def spell(found: re.Match[str]) -> str:
        char = found[0]
        if char.isprintable() or char in kept:
            return char
        return " " if unicodedata.category(char) == "Zs" else char.encode("unicode_escape").decode()

    return re.sub(r"[^ -~]", spell, text)


def fold(text: str) -> str:
    """Text on one line: white space is one space."""
    return spell_out(re.sub(r"\s+", " ", text))


def command(words: str, run: str | PurePath = DEFAULT_RUN) -> str:
    """Return a command of curate that can be pasted into a shell.

    ``words`` is the verb with its arguments and options, as typed. The run directory is named, and quoted
    for the shell, where it is not the default one.
    """
    named = "" if str(run) == DEFAULT_RUN else f" --run {shlex.quote(str(run))}"
    return f"curate {words}{named}"
