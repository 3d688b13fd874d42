"""Where a model loses: the bits of each kind of text (letters, digits, punctuation …), from the signal ``kinds``.

A document is as many pieces as it has kinds of text, each with its own nats and bytes; pieces of one kind are a group.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from curate.errors import UsageError
from curate.monitoring.compare.documents import BatchReader, DocumentBatch, Grouping
from curate.monitoring.compare.groups import ComparedGroup, Drawing, compare_groups
from curate.monitoring.compare.pair import PairingSettings, gather_sides, measure_groups
from curate.monitoring.compare.sides import ComparedSide
from curate.rundir.aligned_parts import read_schema
from curate.rundir.document_columns import explain_missing_signal
from curate.rundir.signals import KIND_SUMS
from curate.runtime.choices import TextKind, choices_of

KINDS: tuple[str, ...] = choices_of(TextKind)
COLUMN = "kind of text"


@dataclass(frozen=True, slots=True)
class KindRow:
    """One kind of text on both sides, in bits per byte of that kind."""

    kind: str
    bytes_share: float
    """Of the bytes after."""
    row: ComparedGroup
    gap_share: float
    """Its part of the difference of nats over all bytes; the parts of all kinds add up to 1. NaN for no difference."""


def check_signal(side: ComparedSide, option: str, signal: str, columns: Sequence[str]) -> None:
    """Raise UsageError where a side has not the columns of a signal."""
    if side.run is None:
        message = f"{option} needs run directories; {side.label} is {'a baseline' if side.baseline else 'an export'}"
        raise UsageError(message, "name the run directory that it was made from")
    there = read_schema(side.run).names
    if any(column not in there for column in columns):
        raise explain_missing_signal(side.run, option, signal)


def compare_kinds(
    sides: Sequence[ComparedSide], cluster: str | None, drawing: Drawing, settings: PairingSettings
) -> list[KindRow]:
    """Return the kinds of text of two sides, those first that add most to the difference.

    Raises UsageError where a side was scored without the signal ``kinds``.
    """
    for side in sides:
        check_signal(side, "--by-kind", "kinds", list(KIND_SUMS))
    pieces = [replace(side, read=partial(read_kinds, side.read)) for side in sides if side.read is not None]
    grouping = Grouping((COLUMN,), cluster)
    gathered = gather_sides(pieces, grouping, settings)
    in_bits = replace(drawing, metric="bits_per_byte")
    groups = measure_groups(pieces, gathered, grouping, in_bits)[:-1]
    rows = [row for (row,) in compare_groups(groups, [(-1.0, 1.0)], in_bits.metric, None)]
    sums = [np.zeros((len(grouping.names), 4)) for _ in sides]
    for total, each in zip(gathered.totals, sums, strict=True):
        if total is not None:
            each[: len(total.sums_G4)] = total.sums_G4
    octets_K = sums[1][:, 3]
    parts = [each[:, 1] / max(float(each[:, 3].sum()), 1.0) for each in sums]
    gap_K, size = parts[1] - parts[0], float(octets_K.sum())
    whole = float(gap_K.sum())
    found = [
        KindRow(row.name, float(octets) / size if size else 0.0, row, float(gap) / whole if whole else math.nan)
        for row, octets, gap in zip(rows, octets_K, gap_K, strict=True)
        if any(row.documents)
    ]
    return sorted(found, key=lambda one: -abs(np.nan_to_num(one.gap_share)))


def read_kinds(read: BatchReader, grouping: Grouping) -> Iterator[DocumentBatch]:
    """Yield the pieces of documents, each of one kind of text, which is its group."""
    inner = Grouping((), grouping.cluster, further=tuple(KIND_SUMS))
    for batch in read(inner):
        for kind in KINDS:
            nats, octets = batch.further[f"kind_nats_{kind}"], batch.further[f"kind_bytes_{kind}"]
            there = np.isfinite(nats) & (octets > 0)
            some = batch.take(there)
            count = len(some)
            numbers = nats[there], np.ones(count, np.int64), octets[there].astype(np.int64)
            group = np.full(count, grouping.number(kind), np.int64)
            yield DocumentBatch(some.hashes, *numbers, group, some.keys, some.steps, some.windows)
