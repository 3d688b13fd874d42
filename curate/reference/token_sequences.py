"""Token sequences of which any tokens may be scored, with their nats and ranks.

A conversation with several answers is one sequence, read once for all of them; an answer without its question is
another sequence. They are read as ``score`` reads texts: the prefix token first, windows of which each scores its
tokens once, packs, the layout that the self-check chose, chunks of the head. What sequences have in common from their
beginnings on is read once where they share a pack (``shared_beginnings``).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from curate.reference import packing
from curate.reference.causal import CausalReference
from curate.reference.forward_pass.batches import PreparedBatch
from curate.reference.likelihood import Likelihoods
from curate.runtime.arrays import BoolArray, Float64Array, Int32Array, Int64Array


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """The ids of a sequence, and which of them to score. N tokens."""

    ids: Int32Array
    """N: without the prefix that the scorer adds."""
    is_scored: BoolArray
    """N."""


@dataclass(frozen=True, slots=True)
class ScoredSequence:
    """The nats and ranks of the tokens of a sequence. N tokens."""

    nats: Float64Array
    """N: −ln p of the token given what its window has before it; NaN where it was not scored."""
    ranks: Int64Array
    """N: 1 where no token of the vocabulary was likelier; 0 where it was not scored."""
    windows: int
    """Windows with scored tokens."""


def measure_sequences(
    reference: CausalReference,
    sequences: Sequence[TokenSequence],
    advance: Callable[[int, int], None] | None = None,
) -> list[ScoredSequence]:
    """Return nats and ranks of the tokens to score of each sequence, in order; they do not depend on the batches.

    The prefix token goes first unless the sequence begins with it (chat templates often write it). Without a prefix
    the first token cannot be predicted and stays NaN. ``advance(scored, read)`` is called with the number of tokens of
    each forward pass. Raises ValueError for an id that the model has no row for, ModelError where a single window does
    not fit into memory.
    """
    prepared, begins = prepare_sequences(reference, sequences)
    nats, ranks = np.full(len(prepared.ids), np.nan), np.zeros(len(prepared.ids), np.int64)
    for pack, (nats_N, ranks_N) in reference.passes(prepared, reference.runner.start_ranks):
        copies = slice(None) if pack.spread is None else pack.spread.copies
        nats[pack.at_N], ranks[pack.at_N] = nats_N[copies], ranks_N[copies]
        reference.count(pack)
        if advance is not None:
            advance(len(pack.at_N), int(prepared.lengths[pack.windows].sum()))
    windows = np.bincount(prepared.owners, minlength=len(sequences))
    return [
        ScoredSequence(nats[begin : begin + len(each.ids)], ranks[begin : begin + len(each.ids)], int(windows[number]))
        for number, (each, begin) in enumerate(zip(sequences, begins, strict=True))
    ]


def prepare_sequences(
    reference: CausalReference, sequences: Sequence[TokenSequence]
) -> tuple[PreparedBatch, list[int]]:
    """Return the sequences end to end, each in windows up to its last token to score; and the index where each begins.

    Raises ValueError for an id that the model has no row for.
    """
    rows = reference.vocab_size
    parts: list[Int32Array] = []
    is_scored: list[BoolArray] = []
    tables: list[Int64Array] = []
    begins: list[int] = []
    base = 0
    for number, sequence in enumerate(sequences):
        if len(sequence.ids) and int(sequence.ids.max()) >= rows:
            raise ValueError(f"token {int(sequence.ids.max())} is beyond the model's {rows} rows")
        lead = _lead(sequence, reference.prefix)
        begins.append(base + len(lead))
        parts += [lead, sequence.ids]
        is_scored += [np.zeros(len(lead), np.bool_), sequence.is_scored]
        tables.append(_windows(sequence, len(lead), number, base, reference.policy))
        base += len(lead) + len(sequence.ids)
    start, stop, score_from, owner, later = np.concatenate([np.zeros((0, 5), np.int64), *tables]).T
    count = len(start)
    return PreparedBatch(
        likelihoods=Likelihoods.blank(0),
        ids=np.concatenate([np.zeros(0, np.int32), *parts]),
        starts=start,
        lengths=stop - 1 - start,
        scored=stop - score_from,
        owners=owner,
        heads=np.zeros(count, np.int64),
        replaced=(later > 0) & reference.policy.prefix_each & (reference.prefix is not None),
        nats=np.full(count, np.nan),
        firsts=np.full(count, np.nan),
        peaks=np.full(count, np.nan),
        is_scored=np.concatenate([np.zeros(0, np.bool_), *is_scored]),
        begins_alike=True,
    ), begins


def _lead(sequence: TokenSequence, prefix: int | None) -> Int32Array:
    """Return the prefix as an array of one id, or of none where there is no prefix or the sequence begins with it."""
    begun = prefix is None or (len(sequence.ids) and int(sequence.ids[0]) == prefix and not sequence.is_scored[0])
    return np.array([] if begun else [prefix], np.int32)


def _windows(sequence: TokenSequence, lead: int, number: int, base: int, policy: packing.WindowPolicy) -> Int64Array:
    """Return the windows with a token to score, W×5: start, stop, score_from (in the flat ids), owner, is later."""
    scored = np.flatnonzero(sequence.is_scored) + lead
    scored = scored[scored > 0]
    if not len(scored):
        return np.zeros((0, 5), np.int64)
    windows = packing.cut_windows(int(scored[-1]) + 1, policy, int(scored[0]))
    firsts, lasts = np.searchsorted(scored, windows[:, 2]), np.searchsorted(scored, windows[:, 1])
    windows = windows[firsts < lasts]
    return np.column_stack([windows + base, np.full(len(windows), number), windows[:, 0] > 0])
