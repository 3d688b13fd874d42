"""What the user says of CSV and TSV files: ``--delimiter`` and ``--quoting``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from curate.corpus.readers.csv_dialect import DELIMITERS
from curate.corpus.types import AUTO_QUOTING, Source
from curate.errors import UsageError

if TYPE_CHECKING:
    from curate.corpus.corpus import Corpus

QUOTINGS = (AUTO_QUOTING, "csv", "none")
DELIMITER_WORDS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
"""Names of delimiters that are awkward to type."""


def apply_dialect(
    sources: tuple[Source, ...], delimiter: str | None, quoting: str
) -> tuple[tuple[Source, ...], str | None, str]:
    """Return the sources with what the user says of CSV and TSV, the delimiter as one character, and the quoting.

    Without such sources they are None and auto. Raises UsageError for values that are not allowed.
    """
    if quoting not in QUOTINGS:
        raise UsageError(f"--quoting must be one of {', '.join(QUOTINGS)}, not {quoting}", "--quoting auto")
    named = parse_delimiter(delimiter)
    if not any(source.format in DELIMITERS for source in sources):
        return sources, None, AUTO_QUOTING
    separated = [replace(one, delimiter=named, quoting=quoting) if one.format in DELIMITERS else one for one in sources]
    return tuple(separated), named, quoting


def parse_delimiter(delimiter: str | None) -> str | None:
    """Return the character that ``--delimiter`` names. Raises UsageError for another text."""
    named = DELIMITER_WORDS.get(delimiter or "", delimiter)
    if named is not None and (len(named) != 1 or named in '"\r\n'):
        words = ", ".join(word for word in DELIMITER_WORDS if word.isalpha())
        raise UsageError(f"--delimiter must be one character or {words}, not {delimiter!r}", "--delimiter tab")
    return named


def check_dialect_used(corpora: Sequence[Corpus], delimiter: str | None, quoting: str) -> None:
    """Raise UsageError where the user says something of CSV and TSV and the corpora have neither."""
    if any(corpus.has_separated_files for corpus in corpora):
        return
    for option, is_given in (("--delimiter", delimiter is not None), ("--quoting", quoting != AUTO_QUOTING)):
        if is_given:
            raise UsageError(f"{option} has no effect: no file of the corpus is CSV or TSV", f"leave {option} out")
