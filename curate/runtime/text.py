"""Text on a terminal: width in columns, wrapping, and foreign text made safe to print."""

import os
import re
import shlex
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from curate.runtime.console import WIDTH
from curate.runtime.streams import INVISIBLE, is_safe, spell_char

DEFAULT_RUN = "curated"
"""The run directory where none is named."""
DATASET_FORMATS = frozenset(
    ("arrow", "audiofolder", "conll", "csv", "eval", "fasta", "fastq", "genbank", "harbor", "hdf5", "iceberg",
     "imagefolder", "json", "lance", "meshfolder", "mmcif", "niftifolder", "pandas", "parquet", "pdb", "pdffolder",
     "text", "tsfile", "videofolder", "vortex", "webdataset", "xml")
)  # fmt: skip
"""Names that ``datasets.load_dataset`` takes for a format, even where there is a folder of this name."""
LABEL = 16
"""Columns of the label before wrapped text."""


def count_columns(text: str) -> int:
    """Return the width of a text on a terminal: two for Chinese characters and emoji, zero for combining accents."""
    if text.isascii():
        return len(text)
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
    """Return the text in at most ``most`` columns, at least one; a longer text is cut and ends with …"""
    return text if count_fitting(text, most) == len(text) else text[: count_fitting(text, most - 1)] + "…"


def pad_columns(text: str, width: int) -> str:
    """Return a text with spaces after it up to ``width`` columns of a terminal; a longer one as it is."""
    return text + " " * (width - count_columns(text))


def align_right(cell: str, width: int) -> str:
    """Return a cell of a table, right-aligned in ``width`` columns; a longer one has one space before it."""
    return " " * max(width - count_columns(cell), 1) + cell


def align_columns(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return rows of cells as lines, right-aligned in columns of one width: ``width``, or what the longest needs.

    At least two spaces stand before every cell.
    """
    widest = max([width, *(count_columns(cell) + 2 for row in rows for cell in row)])
    return ["".join(align_right(cell, widest) for cell in row) for row in rows]


def wrap_parts(label: str, parts: Iterable[str], gap: str = " ", indent: int = LABEL) -> list[str]:
    """Return the lines of a label with the parts after it, broken between parts, within ``console.WIDTH`` columns.

    ``gap`` separates two parts on a line; the parts begin at column ``indent``. A part that is wider than the rest of
    a line is one line. Without parts the result is the label alone.
    """
    lines = [pad_columns(label, indent)]
    for part in parts:
        longer = lines[-1] + part if count_columns(lines[-1]) == indent else lines[-1] + gap + part
        if count_columns(longer) > WIDTH and count_columns(lines[-1]) > indent:
            lines.append(" " * indent + part)
        else:
            lines[-1] = longer
    return lines


def escape_unprintable(text: str, kept: str = "") -> str:
    """Return the text with control and invisible characters as Python escapes, except those in ``kept``.

    Spaces of every kind become U+0020. Invisible are the other characters for which ``str.isprintable`` is False, and
    ``streams.INVISIBLE``.
    """

    def spell(match: re.Match[str]) -> str:
        char = match[0]
        if char in kept or (char.isprintable() and char not in INVISIBLE):
            return char
        return " " if unicodedata.category(char) == "Zs" else spell_char(char)

    return re.sub(r"[^ -~]", spell, text)


def fold_whitespace(text: str) -> str:
    """Return the text on one line: each run of white space becomes a space, invisible characters become escapes."""
    return escape_unprintable(re.sub(r"\s+", " ", text))


def spell_dataset_path(folder: str) -> str:
    """Return the path of a folder as ``datasets.load_dataset`` takes it for one.

    A relative path begins with ``./`` where ``datasets`` would take it for one of its formats (``parquet``); one that
    it would take for a home directory becomes absolute.
    """
    if folder.startswith("~"):
        return os.path.abspath(os.path.expanduser(folder))
    return f"./{folder}" if folder in DATASET_FORMATS else folder


def quote_path(path: str | PurePath) -> str:
    """Return a path as it is typed in a shell; bytes that are not UTF-8 and control characters as $'…' escapes."""
    return quote_word(str(path))


def quote_word(text: str) -> str:
    """Return a text as one word of a shell, one that can be printed: what cannot be shown as $'…' escapes."""
    try:
        raw = os.fsencode(text)
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        raw = text.encode("utf-8", "surrogatepass")
    if all(32 <= byte < 127 for byte in raw) or (is_utf8(text) and all(map(is_safe, text))):
        return shlex.quote(text)
    spelled = [chr(byte) if 32 <= byte < 127 and byte not in b"'\\" else f"\\{byte:03o}" for byte in raw]
    return f"$'{''.join(spelled)}'"


def join_words(words: Iterable[str]) -> str:
    """Return a command of a shell from its words."""
    return " ".join(map(quote_word, words))


def is_utf8(name: str) -> bool:
    """Return whether a file name is UTF-8, without the surrogates with which Python spells other bytes."""
    return name == name.encode("utf-8", "ignore").decode("utf-8")


def command(words: str, run: str | PurePath = DEFAULT_RUN) -> str:
    """Return a command of curate that can be pasted into a shell.

    ``words`` is the verb with its arguments and options, as typed: ``filter --max-ppl 50``. ``--run`` follows, quoted,
    unless ``run`` is the default directory.
    """
    named = "" if str(run) == DEFAULT_RUN else f" --run {quote_path(run)}"
    return f"curate {words}{named}"


def spell_run_option(run: str | PurePath) -> str:
    """Return ``--run`` with a directory as it is typed in a shell."""
    return f"--run {quote_path(run)}"
