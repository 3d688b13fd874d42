"""Some documents to look at: those at chosen percentiles, with their texts and, where asked for, their tokens' nats."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from curate import cuts, explanation
from curate.errors import CurateError, UsageError
from curate.overview.sources import Sources, name_domains, read_parts

if TYPE_CHECKING:
    from curate.reference.surprise import Stretch

TEXT_CHARS = 1_200  # of a text that are shown
MOST_TOKENS = 50_000  # of a document that is read again
TOP = 5  # most surprising pieces that are named
SAME_NATS = 0.02  # nats a token by which a second reading may lie off, in another pack or on another device
COLUMNS = (
    "file", "row", "id", "hash", "tokens", "bytes", "perplexity", "bits_per_byte", "nats", "zlib_ratio",
    "repeated_5grams", "repeated_lines", "max_nats",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Example:
    """The document at a percentile."""

    percentile: float
    file: str
    row: int
    id: str | None
    domain: str | None
    kept: bool
    reason: str | None
    numbers: dict[str, float | int | None]
    hash: int
    text: str | None = None
    """How the text begins."""
    more: int = 0
    """Characters that are not shown."""
    missing: str | None = None
    """Why the text is not shown."""
    pieces: "Sequence[Stretch]" = ()
    """The shown text by tokens, where it was read again."""
    surprising: "Sequence[Stretch]" = ()
    """The most surprising pieces of the whole document."""
    again_nats: float | None = None
    """The sum of a second reading."""
    note: str | None = None
    """What is wrong with the second reading, or why there is none."""


def parse_percentiles(text: str) -> list[float]:
    """``1,5,25`` as numbers. UsageError for what is no percentile."""
    hint = "numbers from 0 to 100, as in --percentiles 1,5,25,50,75,95,99"
    try:
        found = sorted({float(part) for part in text.split(",") if part.strip()})
    except ValueError as error:
        raise UsageError(f"--percentiles {text}: not a list of numbers", hint) from error
    wrong = [value for value in found if not 0 <= value <= 100]
    if wrong:
        raise UsageError(f"--percentiles {text}: {wrong[0]:g} is no percentile", hint)
    if len(found) > 50:
        raise UsageError(f"--percentiles names {len(found)} documents; a page has room for 50", hint)
    return found


def choose(sources: Sources, column: str, count: int, percentiles: Sequence[float]) -> list[Example]:
    """The documents at some percentiles of a column of ``count`` numbers: of equal ones the first of the corpus."""
    if not count or not percentiles:
        return []
    ranks = {share: min(count - 1, int(share / 100 * (count - 1) + 0.5)) for share in percentiles}

    def passes() -> Iterator[cuts.Batch]:
        for part in read_parts(sources, [column]):
            values = part.numbers(column)
            values = values[part.is_scored() & ~np.isnan(values)]
            yield values, np.zeros(len(values), np.int64), None

    found = cuts.find(passes, {0: list(ranks.values())})
    return _look_up(sources, column, {share: found[0, rank].value for share, rank in ranks.items()})


def _look_up(sources: Sources, column: str, values: dict[float, float]) -> list[Example]:
    """The first document of each value."""
    wanted, rows = sorted(set(values.values())), {}
    for part in read_parts(sources, [*COLUMNS, column]):
        here = np.where(part.is_scored(), part.numbers(column), np.nan)
        at = np.minimum(np.searchsorted(wanted, here), len(wanted) - 1)
        for row in np.flatnonzero(np.array(wanted)[at] == here).tolist():
            if here[row] not in rows:
                names, codes = name_domains(part)
                domain = names[codes[row]] if part.domains is not None else None
                reason = part.reasons[row].as_py()
                rows[here[row]] = (part.table.slice(row, 1), bool(part.keep[row]), reason, domain)
        if len(rows) == len(wanted):
            break
    return [_example(share, *rows[value]) for share, value in values.items()]


def _example(share: float, table: pa.Table, kept: bool, reason: str | None, domain: str | None) -> Example:
    (row,) = table.to_pylist()
    numbers = {name: row.get(name) for name in COLUMNS[4:]}
    return Example(share, row["file"], row["row"], row["id"], domain, kept, reason, numbers, row["hash"])


def add_texts(sources: Sources, examples: Sequence[Example], again: int) -> list[Example]:
    """The examples with the beginnings of their texts; ``again`` of them, spread evenly, read once more."""
    texts: list[str | None] = []
    found = []
    for example in examples:
        text, missing = read_text(sources, example.file, example.row, example.hash)
        texts.append(text)
        shown = None if text is None else text[:TEXT_CHARS]
        found.append(replace(example, text=shown, more=len(text or "") - len(shown or ""), missing=missing))
    chosen = sorted({int(at) for at in np.linspace(0, len(found) - 1, min(again, len(found))).round()}) if again else []
    readable = [at for at in chosen if texts[at] is not None]
    if not readable:
        return found
    for at, one in zip(readable, _read_again(sources, [(found[at], texts[at] or "") for at in readable]), strict=True):
        found[at] = one
    return found


def read_text(sources: Sources, file: str, row: int, digest: int) -> tuple[str | None, str | None]:
    """A text, or why it cannot be shown."""
    if sources.corpus is None:
        return None, sources.corpus_missing
    try:
        return explanation.read_text(sources.run, sources.corpus, file, row, digest), None
    except CurateError as error:
        return None, error.message


def _read_again(sources: Sources, wanted: Sequence[tuple[Example, str]]) -> Iterator[Example]:
    from curate.reference import surprise

    reference = surprise.load_again(sources.score["made_from"]["model"])
    for example, text in wanted:
        if (example.numbers["tokens"] or 0) > MOST_TOKENS:
            yield replace(example, note=f"longer than {MOST_TOKENS:,} tokens, not read again")
            continue
        (found,) = surprise.measure(reference, [text])
        yield example if found is None else _shade(example, text, surprise.stretch(text, found))


def _shade(example: Example, text: str, pieces: "Sequence[Stretch]") -> Example:
    total = sum(piece.nats for piece in pieces)
    ranked = sorted(pieces, key=lambda piece: -piece.nats)[:TOP]
    off = abs(total - (example.numbers["nats"] or 0.0)) / max(1, example.numbers["tokens"] or 1)
    note = f"this reading lies {off:.2g} nats a token off the recorded one" if off > SAME_NATS else None
    shown = list(_cut(pieces, TEXT_CHARS))
    rest = (example.text or "")[sum(len(piece.text) for piece in shown) :]
    if rest:  # of a document of which only the beginning was scored
        shown.append(replace(pieces[0], text=rest, nats=0.0, tokens=0))
    return replace(example, pieces=shown, surprising=ranked, again_nats=total, note=note)


def _cut(pieces: "Sequence[Stretch]", most: int) -> "Iterator[Stretch]":
    for piece in pieces:
        if most <= 0:
            return
        yield replace(piece, text=piece.text[:most])
        most -= len(piece.text)
