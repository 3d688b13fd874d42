"""Conversations read once: token sequences of which any tokens may be scored, with their nats and ranks.

A transcript is one sequence of ids, whole: a conversation with several answers is read once for all of them, and an
answer without its question is a transcript of its own. What ``score`` does with texts holds here too: the prefix token
first, windows of which each scores its tokens once, packs, the ladder of manners, chunks of the head.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.reference import packing
from curate.reference.causal import CausalReference
from curate.reference.forward_pass.batches import PreparedBatch
from curate.reference.likelihood import Likelihoods


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """The ids of a sequence, without a prefix of ours, and which of them are scored."""

    ids: NDArray[np.int32]  # N
    wanted: NDArray[np.bool_]  # N


@dataclass(frozen=True, slots=True)
class ScoredSequence:
    """What a model made of a transcript, token by token."""

    nats: NDArray[np.float64]  # N, −ln p given all that its window has before it; NaN where it was not scored
    ranks: NDArray[np.int64]  # N, 1 where no token of the vocabulary was likelier; 0 where it was not scored
    windows: int  # how many windows hold scored tokens


def measure(
    reference: CausalReference,
    transcripts: Sequence[TokenSequence],
    advance: Callable[[int, int], None] | None = None,
) -> list[ScoredSequence]:
    """The nats and ranks of the wanted tokens of each transcript, in order, independent of how they are batched.

    The prefix token is put first unless the sequence begins with it (chat templates often write it); without a prefix
    the first token cannot be predicted and stays NaN. ``advance(scored, read)`` is called with the tokens of each
    forward pass. ValueError for an id that the model has no row for.
    """
    prepared, begins = prepare(reference, transcripts)
    nats, ranks = np.full(len(prepared.ids), np.nan), np.zeros(len(prepared.ids), np.int64)
    for pack, (found, places) in reference.passes(prepared, reference.runner.start_ranks):
        nats[pack.at_N], ranks[pack.at_N] = found, places
        reference.places += pack.places
        reference.tokens += pack.tokens
        if advance is not None:
            advance(pack.tokens, int(prepared.lengths[pack.windows].sum()))
    windows = np.bincount(prepared.owners, minlength=len(transcripts))
    return [
        ScoredSequence(nats[at : at + len(one.ids)], ranks[at : at + len(one.ids)], int(windows[number]))
        for number, (one, at) in enumerate(zip(transcripts, begins, strict=True))
    ]


def prepare(reference: CausalReference, transcripts: Sequence[TokenSequence]) -> tuple[PreparedBatch, list[int]]:
    """The sequences end to end, each up to its last wanted token, in windows; and where each begins."""
    rows = reference.runner.model.get_input_embeddings().weight.shape[0]
    parts: list[NDArray[np.int32]] = []
    wanted: list[NDArray[np.bool_]] = []
    tables: list[NDArray[np.int64]] = []
    begins: list[int] = []
    place = 0
    for number, one in enumerate(transcripts):
        if len(one.ids) and int(one.ids.max()) >= rows:
            raise ValueError(f"token {int(one.ids.max())} is beyond the model's {rows} rows")
        lead = _lead(one, reference.prefix)
        begins.append(place + len(lead))
        parts += [lead, one.ids]
        wanted += [np.zeros(len(lead), np.bool_), one.wanted]
        tables.append(_windows(one, len(lead), number, place, reference.policy))
        place += len(lead) + len(one.ids)
    start, stop, score_from, owner, later = np.concatenate([np.zeros((0, 5), np.int64), *tables]).T
    count = len(start)
    return PreparedBatch(
        found=Likelihoods.blank(0),
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
        wanted=np.concatenate([np.zeros(0, np.bool_), *wanted]),
    ), begins


def _lead(one: TokenSequence, prefix: int | None) -> NDArray[np.int32]:
    begun = prefix is None or (len(one.ids) and int(one.ids[0]) == prefix and not one.wanted[0])
    return np.array([] if begun else [prefix], np.int32)


def _windows(one: TokenSequence, lead: int, number: int, place: int, policy: packing.WindowPolicy) -> NDArray[np.int64]:
    """The windows that score a wanted token.  → W×5: start, stop, score_from (in the flat ids), owner, not the first"""
    at = np.flatnonzero(one.wanted) + lead
    at = at[at > 0]
    if not len(at):
        return np.zeros((0, 5), np.int64)
    found = packing.cut_windows(int(at[-1]) + 1, policy, int(at[0]))
    firsts, lasts = np.searchsorted(at, found[:, 2]), np.searchsorted(at, found[:, 1])
    found = found[firsts < lasts]
    return np.column_stack([found + place, np.full(len(found), number), found[:, 0] > 0])
