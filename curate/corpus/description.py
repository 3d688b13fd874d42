"""A corpus in one line for people: its files, how they are read, and the column of the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from curate.corpus.chat.rows import list_columns
from curate.corpus.detect_columns import ROWS
from curate.corpus.readers import describe_reading
from curate.corpus.types import Source

if TYPE_CHECKING:
    from curate.corpus.corpus import Corpus

NOTED_FILES = 20
"""Files that are looked at for notes on how they are read."""


def describe_corpus(corpus: Corpus) -> str:
    """Return the files, their size, and the column of the text or the schema."""
    count = len(corpus.sources)
    kinds = list(dict.fromkeys(describe_format(source) for source in corpus.sources))
    sizes = [source.size for source in corpus.sources if source.size is not None]
    size = f", {format_bytes(sum(sizes))}" if sizes else ""
    text_columns, what = _describe_text(corpus)
    others = [name for name in corpus.columns if name not in text_columns]
    also = f" (also: {', '.join(others[:8])}{', …' if len(others) > 8 else ''})" if others else ""
    notes = f" ({'; '.join(corpus.notes)})" if corpus.notes else ""
    line = f"{' '.join(corpus.paths)}   {count} file{'s' if count != 1 else ''}{size} {', '.join(kinds)}{notes}; "
    return f"{line}{what}{also}{describe_passed_over(corpus.passed_over)}"


def _describe_text(corpus: Corpus) -> tuple[Sequence[str], str]:
    """Return the columns of the text, and a description of it."""
    schema = corpus.conversation
    if corpus.text_field == ROWS:
        return (), "rows of any columns"
    if schema is None:
        return (corpus.text_field, corpus.text_field.split(".")[0]), f'text in column "{corpus.text_field}"'
    names = [name for name in list_columns(schema) if name in corpus.columns]
    return names, f'conversations in the schema "{schema}"' + (f" ({', '.join(names)})" if names else "")


def describe_format(source: Source) -> str:
    """Return format and compression, as jsonl.gz."""
    return f"{source.format}.{source.compression}" if source.compression else source.format


def describe_passed_over(names: Sequence[str]) -> str:
    """Return the end of the corpus line that lists skipped files, empty without any."""
    if not names:
        return ""
    listed = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"; ignored: {len(names)} other file{'s' if len(names) != 1 else ''} ({listed})"


def format_bytes(count: float) -> str:
    """Return a size of two digits or more with its unit: 3.4 kB, 12 MB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def list_notes(sources: Sequence[Source]) -> tuple[str, ...]:
    """Return what is unusual about how the first sources are read, each note once."""
    notes = (describe_reading(source) for source in sources[:NOTED_FILES])
    return tuple(dict.fromkeys(note for note in notes if note))
