"""Documents at chosen percentiles, with their texts and optionally the surprisal of their tokens."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from curate.errors import CurateError, UsageError
from curate.reports import document
from curate.reports.page.sources import ReportSources, ScoreBlocks
from curate.rundir import parquet
from curate.rundir.document_blocks import DocumentBlock
from curate.rundir.signals import list_numbers
from curate.runtime.published import hide_in_text

if TYPE_CHECKING:
    from curate.reference.token_surprisal import TokenSpan

TEXT_CHARS = 1_200  # of a text that are shown
MOST_TOKENS = 50_000  # of a document that is read again
TOP = 5  # most surprising pieces that are named
SAME_NATS = 0.02  # nats a token by which a second reading may lie off, in another pack or on another device
COLUMNS = (
    "file", "row", "id", "hash", "tokens", "scored_tokens", "bytes", "perplexity", "bits_per_byte", "nats",
    *list_numbers(),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PercentileExample:
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
    pieces: "Sequence[TokenSpan]" = ()
    """The shown text by tokens, where it was read again."""
    surprising: "Sequence[TokenSpan]" = ()
    """The most surprising pieces of the document."""
    again_nats: float | None = None
    """The sum of a second reading."""
    note: str | None = None
    """What is wrong with the second reading, or why there is none."""


def parse_percentiles(text: str) -> list[float]:
    """Return ``1,5,25`` as ascending numbers. Raises UsageError for anything but up to 50 numbers from 0 to 100."""
    hint = "numbers from 0 to 100, as in --percentiles 1,5,25,50,75,95,99"
    try:
        found = sorted({float(part) for part in text.split(",") if part.strip()})
    except ValueError as error:
        raise UsageError(f"--percentiles {text}: not a list of numbers", hint) from error
    wrong = [value for value in found if not 0 <= value <= 100]
    if wrong:
        raise UsageError(f"--percentiles {text}: {wrong[0]:g} is not from 0 to 100", hint)
    if len(found) > 50:
        raise UsageError(f"--percentiles names {len(found)} documents; a page has room for 50", hint)
    return found


def choose_examples(
    sources: ReportSources, table: ScoreBlocks, column: str, values: Mapping[float, float]
) -> list[PercentileExample]:
    """Return the documents with the values at some percentiles; of equal values the first in the corpus."""
    wanted, rows = np.unique(list(values.values())), dict[float, PercentileExample]()
    for block in table.blocks() if len(wanted) else ():
        here = np.where(block.eligible, block.numbers(column), np.nan)
        found = {float(here[place]): place for place in np.flatnonzero(np.isin(here, wanted))[::-1].tolist()}
        new = {value: place for value, place in found.items() if value not in rows}
        rows |= _look_up(sources, table, block, new)
        if len(rows) == len(wanted):
            break
    return [replace(rows[value], percentile=share) for share, value in values.items()]


def _look_up(
    sources: ReportSources, table: ScoreBlocks, block: DocumentBlock, places: Mapping[float, int]
) -> dict[float, PercentileExample]:
    """Return the examples at some indices of a block, by their values."""
    if not places:
        return {}
    path = sources.run.scores / block.name
    hidden = sources.run.list_hidden_signals()
    there = set(parquet.read_schema(path).names).difference(hidden)
    known = [name for name in COLUMNS if name in there]
    rows = parquet.read_table(path, columns=known).take(list(places.values())).to_pylist()
    found = {}
    for (value, place), row in zip(places.items(), rows, strict=True):
        reason = table.reasons[block.codes[place]]
        domain = table.domains.names[block.domain[place]] if sources.domains else None
        numbers = {name: row.get(name) for name in COLUMNS[4:]}
        own = row["file"], row["row"], row["id"], domain, reason is None, reason, numbers, row["hash"]
        found[value] = PercentileExample(0.0, *own)
    return found


def add_texts(sources: ReportSources, examples: Sequence[PercentileExample], again: int) -> list[PercentileExample]:
    """Return the examples with the beginnings of their texts; ``again`` of them, evenly spread, are scored again."""
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


def read_text(sources: ReportSources, file: str, row: int, digest: int) -> tuple[str | None, str | None]:
    """Return a text and None, or None and why it cannot be shown."""
    if sources.corpus is None:
        return None, sources.corpus_missing and hide_in_text(sources.corpus_missing)
    try:
        return document.read_text(sources.run, sources.corpus, file, row, digest), None
    except CurateError as error:
        return None, hide_in_text(error.message)


def _read_again(
    sources: ReportSources, examples: Sequence[tuple[PercentileExample, str]]
) -> Iterator[PercentileExample]:
    from curate.reference import token_surprisal

    identity = sources.score["made_from"]["model"]
    lies_at = sources.score.get("request", {}).get("model", {}).get("name", identity["model"])
    reference = token_surprisal.reload_reference({**identity, "model": lies_at})
    for example, text in examples:
        if _count_scored(example) > MOST_TOKENS:
            yield replace(example, note=f"longer than {MOST_TOKENS:,} tokens, not read again")
            continue
        (found,) = token_surprisal.measure_surprisal(reference, [text])
        yield example if found is None else _shade(example, text, token_surprisal.cut_spans(text, found))


def _shade(example: PercentileExample, text: str, pieces: "Sequence[TokenSpan]") -> PercentileExample:
    from curate.reference.token_surprisal import rank_spans

    total = sum(piece.nats for piece in pieces)
    ranked = rank_spans(pieces, TOP)
    off = abs(total - (example.numbers["nats"] or 0.0)) / max(1, _count_scored(example))
    note = f"this reading lies {off:.2g} nats a token off the recorded one" if off > SAME_NATS else None
    shown = list(_cut(pieces, TEXT_CHARS))
    rest = (example.text or "")[sum(len(piece.text) for piece in shown) :]
    if rest:  # of a document of which only the beginning was scored
        shown.append(replace(pieces[0], text=rest, nats=0.0, tokens=0))
    return replace(example, pieces=shown, surprising=ranked, again_nats=total, note=note)


def _count_scored(example: PercentileExample) -> int:
    """Return how many tokens of a document were scored."""
    numbers = example.numbers
    return int(numbers.get("scored_tokens") or numbers["tokens"] or 0)


def _cut(pieces: "Sequence[TokenSpan]", most: int) -> "Iterator[TokenSpan]":
    for piece in pieces:
        if most <= 0:
            return
        yield replace(piece, text=piece.text[:most])
        most -= len(piece.text)
