"""From passages to the arrays that a model reads: token ids, windows, packs. NumPy only; no device.

All ids of one batch of passages are in one flat array. A window is a range of it; a pack is a set of windows. The
model returns nats per scored token. They are summed per window in float64 and per passage in the order of its windows,
so that a passage's sums depend neither on its neighbours nor on the order in which packs were run.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from curate.reference import packing
from curate.reference.checkpoints.tokenizer import TextEncoder
from curate.reference.conventions.framing import UNFRAMED, TextFrame
from curate.reference.forward_pass.framed_text import FramedText, frame_text, record_counts, share_windows
from curate.reference.forward_pass.token_measures import TokenMeasures
from curate.reference.likelihood import Likelihoods, Passage
from curate.reference.packing import WindowPolicy
from curate.runtime.arrays import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from curate.runtime.choices import TokenMeasure

Layout = Literal["packed", "padded", "equal", "alone"]
"""How windows share a forward pass (``causal`` describes each)."""
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
"""All layouts, the fastest first."""
FILLER = 256  # positions of a document of the filling: one long one would cost the attention of a long document


@dataclass(slots=True)
class PreparedBatch:
    """A batch of passages as ids and windows. W windows; x is prefix + context + target of each passage, end to end."""

    likelihoods: Likelihoods
    """One row a passage. ``finish_batch`` fills in its sums."""
    ids: Int32Array
    """All x, flat."""
    starts: Int64Array
    """W: index into ``ids`` of the window's first input."""
    lengths: Int64Array
    """W: number of inputs."""
    scored: Int64Array
    """W: how many of a window's predictions are scored; they are its last."""
    owners: Int64Array
    """W: index of the passage that the window belongs to."""
    heads: Int64Array
    """W: 1 where the first scored token is the passage's first token, else 0."""
    replaced: BoolArray
    """W: whether the prefix token replaces the first input."""
    nats: Float64Array
    """W: sum over the scored tokens. NaN until ``record_nats`` fills it, like the next two."""
    firsts: Float64Array
    """W: nats of the first scored token."""
    peaks: Float64Array
    """W: the largest nats of a token."""
    is_scored: BoolArray | None = None
    """One for each of ``ids``: score only these of the tokens that ``scored`` covers. None: all of them."""
    texts: Int64Array | None = None
    """P×2 of P passages: where the kept tokens of the target begin and end in ``ids``; 0, 0 without a window."""
    padding: Int64Array | None = None
    """W: tokens of padding in front of the text, which attention does not see. None: no window has any."""
    shares: Float64Array | None = None
    """W: the share of a window's nats that counts. None: all of them."""
    begins_alike: bool = False
    """Whether windows may begin alike, so that packs read their beginnings once (``shared_beginnings``)."""
    measures: TokenMeasures | None = None
    """What is measured of tokens beside the sums of their nats. None: nothing."""


@dataclass(frozen=True, slots=True)
class SpreadIndex:
    """Where the windows of a pack lie whose beginnings stand in it once. T positions, E inputs of all windows."""

    spread_E: Int64Array
    """E: the position of each input of each window, window by window."""
    kept_T: Int64Array
    """T: the input, among E, by which each position is computed."""
    copies: Int64Array
    """One for each of ``ScoringPack.at_N``: its prediction among those that are computed."""


@dataclass(frozen=True, slots=True)
class ScoringPack:
    """What one forward pass reads. B rows, L positions; N scored predictions in all, window by window."""

    ids_BL: Int64Array
    positions_BL: Int64Array
    """Position of each token in its window, from 0."""
    edges: Int64Array | None
    """Bounds of the windows inside the one row (B = 1), 0 and L included; None: a row is a window."""
    rows_N: Int64Array
    """Positions (flattened B·L) whose next token is scored."""
    targets_N: Int64Array
    """Ids of the scored tokens."""
    offsets: Int64Array
    """Index among N of each window's first prediction."""
    windows: Int64Array
    """Indices of the windows in the ``PreparedBatch``."""
    at_N: Int64Array
    """Index of each target in ``PreparedBatch.ids``."""
    seen_BL: Int64Array | None = None
    """1 for the positions that attention sees, 0 for padding. None: whatever is before a position."""
    spread: SpreadIndex | None = None
    """Where windows share their beginnings; ``edges`` are then those of the windows spread out. None: they do not."""

    @property
    def tokens(self) -> int:
        """The number of scored tokens, N."""
        return len(self.targets_N)

    @property
    def counts(self) -> Int64Array:
        """The number of scored tokens of each window."""
        return np.diff(self.offsets, append=self.tokens)

    @property
    def num_positions(self) -> int:
        """The number of positions that the forward pass computes, B·L, padding and filling included."""
        return int(self.ids_BL.size)


def prepare_batch(
    passages: Sequence[Passage],
    encoder: TextEncoder,
    policy: WindowPolicy,
    prefix: int | None,
    longest: int,
    frame: TextFrame = UNFRAMED,
    measures: Collection[TokenMeasure] = (),
) -> PreparedBatch:
    """Return a batch of passages, tokenised and cut into windows; ``measures`` are to be measured of its tokens.

    A passage that cannot be scored has no window, and its row of ``likelihoods`` gives the reason: ``too_long`` for
    more than ``longest`` UTF-8 bytes, ``unscorable`` for a text without a token to predict. Context and target are
    tokenised apart, so that a target's tokens do not depend on its context. ``frame`` is what a convention adds.
    """
    likelihoods = Likelihoods.blank(len(passages))
    usable = [row for row, passage in enumerate(passages) if _fits(passage, row, likelihoods, longest)]
    texts = [passages[row].target for row in usable]
    targets = encoder.encode(texts) if policy.max_tokens is None else encoder.encode_in_pieces(texts)
    contexts = encoder.encode([passages[row].context for row in usable if passages[row].context])
    context_of = iter(contexts)
    lead = np.array([] if prefix is None else [prefix], dtype=np.int32)
    framed: list[tuple[int, FramedText]] = []
    measured = TokenMeasures.make(measures)
    for row, text, target in zip(usable, texts, targets, strict=True):
        kept = target if policy.max_tokens is None else target[: policy.max_tokens]
        context = next(context_of) if passages[row].context else frame.pad(len(kept))
        one = frame_text(text, kept, context, lead, policy, frame)
        likelihoods.text_tokens[row] = len(target)
        octets = record_counts(likelihoods, row, text, target, one, encoder, policy, frame)
        if octets:
            framed.append((row, one))
            if measured is not None:
                measured.add_text(row, text, target, one, octets, encoder)
    batch = _join_texts(likelihoods, framed, policy, prefix, frame)
    if measured is not None:
        measured.make_room(len(batch.ids), len(batch.lengths))
        batch.measures = measured
    return batch


def _join_texts(
    likelihoods: Likelihoods,
    framed: Sequence[tuple[int, FramedText]],
    policy: WindowPolicy,
    prefix: int | None,
    frame: TextFrame,
) -> PreparedBatch:
    """Return the batch of the texts that can be scored, each with its row."""
    parts: list[Int32Array] = []
    tables: list[Int64Array] = []
    spans = np.zeros((len(likelihoods.status), 2), np.int64)
    base = 0
    for row, one in framed:
        of_each = np.full(len(one.windows), base)
        is_head = (one.windows[:, 2] == one.begin) & one.is_head
        of_row, padding = np.full_like(of_each, row), np.full_like(of_each, one.padding)
        tables.append(np.column_stack([one.windows, of_row, of_each, is_head, padding]))
        parts += one.ids
        spans[row] = base + one.begin, base + one.end
        base += one.length
    table = np.concatenate(tables) if tables else np.zeros((0, 7), dtype=np.int64)
    start, stop, score_from, owner, bases, head, padding = table.T
    count = len(table)
    return PreparedBatch(
        likelihoods=likelihoods,
        ids=np.concatenate(parts) if parts else np.array([], dtype=np.int32),
        starts=start + bases,
        lengths=stop - 1 - start,
        scored=stop - score_from,
        owners=owner,
        heads=head,
        replaced=(start > 0) & policy.prefix_each & (prefix is not None),
        nats=np.full(count, np.nan),
        firsts=np.full(count, np.nan),
        peaks=np.full(count, np.nan),
        texts=spans,
        padding=padding if frame.pads_left else None,
        shares=None if policy.stride is None else share_windows(table[:, :3], policy),
    )


def _fits(passage: Passage, row: int, likelihoods: Likelihoods, longest: int) -> bool:
    """Return whether a target has at most ``longest`` bytes; refuse its row otherwise."""
    # A character is at most four bytes of UTF-8: most texts are cleared without being encoded.
    if 4 * len(passage.target) <= longest or len(passage.target.encode()) <= longest:
        return True
    likelihoods.refuse(row, "too_long", f"{len(passage.target.encode()):,} bytes, above the limit of {longest:,}")
    return False


def split_windows(lengths: Int64Array, layout: Layout, capacity: int, sizes: Sequence[int] = ()) -> list[Int64Array]:
    """Distribute windows over forward passes of at most ``capacity`` positions, in the given layout.

    ``sizes`` are those that packs are filled up to, where packs have fixed sizes; they replace ``capacity``. Return one
    array of indices into ``lengths`` for each pass; each index is in exactly one.
    """
    if layout == "packed":
        return packing.pack_fixed(lengths, sizes) if sizes else packing.pack_windows(lengths, capacity)
    if layout == "alone":
        return [np.array([window]) for window in range(len(lengths))]
    return packing.batch_windows(lengths, capacity, equal=layout == "equal")


def build_pack(
    prepared: PreparedBatch,
    windows: Int64Array,
    layout: Layout,
    prefix: int | None,
    sizes: Sequence[int] = (),
    fill_from: int = 0,
) -> ScoringPack:
    """Return the arrays of one forward pass over some windows (indices; at least one).

    A pack is filled up to the smallest of ``sizes`` that holds it, if there are any. The filling is documents of the
    token 0, which nothing of the pack sees and of which nothing is scored. With ``fill_from`` above 0, a pack of fewer
    inputs than that, or of more than the largest size, is not filled.
    """
    lengths, scored = prepared.lengths[windows], prepared.scored[windows]
    starts = prepared.starts[windows]
    at = _count_up(starts + lengths - scored + 1, scored)  # the last target of a window follows its last input
    first = np.cumsum(lengths) - lengths
    if layout == "packed":
        edges = np.append(first, lengths.sum())
        positions = _count_up(np.zeros_like(lengths), lengths)[None]
        ids = prepared.ids[_count_up(starts, lengths)].astype(np.int64)[None]
        begins = first
    else:
        edges, width = None, int(lengths.max())
        inside = np.arange(width) < lengths[:, None]
        ids = np.zeros(inside.shape, dtype=np.int64)
        ids[inside] = prepared.ids[_count_up(starts, lengths)]
        positions = np.broadcast_to(np.arange(width), ids.shape).copy()
        begins = np.arange(len(windows)) * width
    seen = None if prepared.padding is None else _hide_padding(ids.shape, prepared.padding[windows], prefix)
    if prefix is not None:
        ids.reshape(-1)[begins[prepared.replaced[windows]]] = prefix
    rows = _count_up(begins + lengths - scored, scored)
    if sizes and edges is not None and (not fill_from or fill_from <= ids.size <= sizes[0]):
        ids, positions, edges = _fill(ids, positions, edges, packing.fit_size(ids.size, sizes))
    if prepared.is_scored is not None:
        kept = prepared.is_scored[at]
        of_window = np.repeat(np.arange(len(windows)), scored)[kept]
        at, rows, scored = at[kept], rows[kept], np.bincount(of_window, minlength=len(windows))
    offsets = np.concatenate([[0], np.cumsum(scored)[:-1]])
    return ScoringPack(ids, positions, edges, rows, prepared.ids[at].astype(np.int64), offsets, windows, at, seen)


def _hide_padding(shape: tuple[int, ...], padding: Int64Array, prefix: int | None) -> Int64Array:
    """Return 0 for the positions of padding, which follow the prefix of each row, and 1 for all others, B×L."""
    before = 0 if prefix is None else 1
    place = np.arange(shape[1])
    return ((place < before) | (place >= before + padding[:, None])).astype(np.int64)


def _count_up(starts: Int64Array, lengths: Int64Array) -> Int64Array:
    """Return start, start + 1, … for each start, as many as its length, end to end."""
    before = np.cumsum(lengths) - lengths
    return np.asarray(np.arange(int(lengths.sum()), dtype=np.int64) + np.repeat(starts - before, lengths))


def _fill(
    ids_1L: Int64Array, positions_1L: Int64Array, edges: Int64Array, num_positions: int
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Append documents of the token 0 to a pack, up to ``num_positions``; return ids, positions, edges."""
    used = ids_1L.size
    more = np.arange(num_positions - used, dtype=np.int64)
    ids = np.concatenate([ids_1L[0], np.zeros_like(more)])[None]
    positions = np.concatenate([positions_1L[0], more % FILLER])[None]
    bounds = np.arange(used + FILLER, num_positions, FILLER, dtype=np.int64)
    return (
        ids,
        positions,
        np.concatenate([edges, bounds, [num_positions] if num_positions > used else []]).astype(np.int64),
    )


def record_nats(prepared: PreparedBatch, pack: ScoringPack, nats_N: Float32Array) -> None:
    """Sum the nats of a pack's tokens per window, in float64, into ``prepared``."""
    exact = nats_N.astype(np.float64)
    prepared.nats[pack.windows] = np.add.reduceat(exact, pack.offsets)
    prepared.firsts[pack.windows] = exact[pack.offsets]
    prepared.peaks[pack.windows] = np.maximum.reduceat(exact, pack.offsets)
    if prepared.measures is not None:
        prepared.measures.record(pack.windows, pack.counts, pack.at_N, exact, prepared.shares)


def record_likely(prepared: PreparedBatch, pack: ScoringPack, likely_NK: Float32Array, vocabulary: int) -> None:
    """Sum what calibration needs of a pack's tokens, N×K, into ``prepared``; ``vocabulary`` tokens have a logit."""
    assert prepared.measures is not None
    prepared.measures.record_likely(pack.windows, pack.counts, likely_NK, vocabulary)


def finish_batch(prepared: PreparedBatch) -> Likelihoods:
    """Return the likelihoods of a batch of which all packs are recorded.

    The windows of a passage are summed in their order. A passage with a nat that is not finite is refused.
    """
    likelihoods = prepared.likelihoods
    if len(prepared.owners):
        if prepared.shares is not None:
            prepared.nats = np.where(prepared.shares > 0, prepared.nats * prepared.shares, 0.0)
        begins = np.flatnonzero(np.diff(prepared.owners, prepend=-1))
        rows = prepared.owners[begins]
        likelihoods.nats[rows] = np.add.reduceat(prepared.nats, begins)
        likelihoods.max_nats[rows] = np.maximum.reduceat(prepared.peaks, begins)
        likelihoods.first_nats[rows] = np.where(prepared.heads[begins] == 1, prepared.firsts[begins], np.nan)
        for row in rows[~np.isfinite(likelihoods.nats[rows])].tolist():
            likelihoods.refuse(row, "not_finite", "the model gave NaN or infinity for one of its tokens")
        if prepared.measures is not None and prepared.texts is not None:
            prepared.measures.write_sums(likelihoods, rows, begins, prepared.texts)
    return likelihoods
