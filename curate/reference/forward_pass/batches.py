"""From passages to the arrays that a model reads: token ids, windows, packs. NumPy only; no device.

All ids of one batch of passages lie in one flat array. A window is a range of it; a pack is a set of windows. What the
model gives back, nats per scored token, is summed per window in float64 and per passage in the order of its windows,
so that a passage's sums depend on neither its neighbours nor the order in which packs were run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.reference import packing
from curate.reference.likelihood import Likelihoods, Passage
from curate.reference.packing import WindowPolicy
from curate.reference.tokenizer import TextEncoder

RUNGS = ("packed", "padded", "equal", "alone")
FILLER = 256  # places of a document of the filling: one long one would cost the attention of a long document


@dataclass(slots=True)
class PreparedBatch:
    """A batch of passages as ids and windows. W windows; x is prefix + context + target of each passage, end to end."""

    found: Likelihoods
    ids: NDArray[np.int32]  # all x, flat
    starts: NDArray[np.int64]  # W, place in ``ids`` of the first input
    lengths: NDArray[np.int64]  # W, inputs
    scored: NDArray[np.int64]  # W, how many of a window's predictions count: the last so many
    owners: NDArray[np.int64]  # W, the passage of the window
    heads: NDArray[np.int64]  # W, 1 where the first scored token is the passage's first token, else 0
    replaced: NDArray[np.bool_]  # W, the first input gives way to the prefix token
    nats: NDArray[np.float64]  # W, to be filled
    firsts: NDArray[np.float64]  # W, nats of the first scored token
    peaks: NDArray[np.float64]  # W, the largest nats of a token
    wanted: NDArray[np.bool_] | None = None  # one for each of ``ids``: whether it is scored; None: all that windows say


@dataclass(frozen=True, slots=True)
class ScoringPack:
    """What one forward pass reads. B rows, L places; N scored predictions in all, window by window."""

    ids_BL: NDArray[np.int64]
    positions_BL: NDArray[np.int64]
    edges: NDArray[np.int64] | None  # bounds of the windows inside one row (B = 1), or None: a row is a window
    rows_N: NDArray[np.int64]  # places (flattened B·L) whose next token is scored
    targets_N: NDArray[np.int64]
    offsets: NDArray[np.int64]  # where each window's predictions begin among N
    windows: NDArray[np.int64]  # the windows, as numbers in ``Prepared``
    at_N: NDArray[np.int64]  # where each target stands in ``Prepared.ids``

    @property
    def tokens(self) -> int:
        return len(self.targets_N)

    @property
    def places(self) -> int:
        return int(self.ids_BL.size)


def prepare(
    passages: Sequence[Passage], encoder: TextEncoder, policy: WindowPolicy, prefix: int | None, longest: int
) -> PreparedBatch:
    """Tokenise and window a batch of passages; those that cannot be scored are refused with their reason.

    A text of more than ``longest`` UTF-8 bytes is too long; one without a token to predict is unscorable. Context and
    target are tokenised apart, so that a target's tokens do not depend on its context.
    """
    found = Likelihoods.blank(len(passages))
    usable = [row for row, passage in enumerate(passages) if _fits(passage, row, found, longest)]
    texts = [passages[row].target for row in usable]
    if policy.max_tokens is None:
        targets = encoder.encode(texts)
    else:
        texts, targets = encoder.encode_starts(texts, policy.max_tokens)
    contexts = encoder.encode([passages[row].context for row in usable if passages[row].context])
    context_of = iter(contexts)
    parts: list[NDArray[np.int32]] = []
    tables: list[NDArray[np.int64]] = []
    place = 0
    lead = np.array([] if prefix is None else [prefix], dtype=np.int32)
    for row, text, target in zip(usable, texts, targets, strict=True):
        passage = passages[row]
        context = next(context_of) if passage.context else lead[:0]
        kept = target if policy.max_tokens is None else target[: policy.max_tokens]
        before = len(lead) + len(context)
        length = before + len(kept)
        first = max(before, 1)
        if length <= first:
            why = "its only token has nothing before it to be predicted from" if length else "it gives no token"
            found.refuse(row, "unscorable", why)
            continue
        windows = packing.cut_windows(length, policy, first)
        found.tokens[row], found.windows[row] = length - first, len(windows)
        found.truncated[row] = len(kept) < len(target)
        found.scored_bytes[row] = _scored_bytes(text, len(kept), len(target), first - before, encoder)
        is_head = (windows[:, 2] == first) & (first == before)
        tables.append(np.column_stack([windows, np.full(len(windows), row), np.full(len(windows), place), is_head]))
        parts += [lead, context, kept]
        place += length
    ids = np.concatenate(parts) if parts else np.array([], dtype=np.int32)
    table = np.concatenate(tables) if tables else np.zeros((0, 6), dtype=np.int64)
    start, stop, score_from, owner, base, head = table.T
    count = len(table)
    return PreparedBatch(
        found=found,
        ids=ids,
        starts=start + base,
        lengths=stop - 1 - start,
        scored=stop - score_from,
        owners=owner,
        heads=head,
        replaced=(start > 0) & policy.prefix_each & (prefix is not None),
        nats=np.full(count, np.nan),
        firsts=np.full(count, np.nan),
        peaks=np.full(count, np.nan),
    )


def _fits(passage: Passage, row: int, found: Likelihoods, longest: int) -> bool:
    # A character is at most four bytes of UTF-8: most texts are cleared without being encoded.
    if 4 * len(passage.target) <= longest or len(passage.target.encode()) <= longest:
        return True
    found.refuse(row, "too_long", f"{len(passage.target.encode()):,} bytes, above the limit of {longest:,}")
    return False


def _scored_bytes(text: str, kept: int, tokens: int, unscored: int, encoder: TextEncoder) -> int:
    """The bytes that the scored tokens spell: all, less the cut-off end and the unscored first token."""
    end = len(text.encode()) if kept == tokens else encoder.octets_until(text, kept - 1)
    return end - (encoder.octets_until(text, unscored - 1) if unscored else 0)


def split(lengths: NDArray[np.int64], rung: str, capacity: int, sizes: Sequence[int] = ()) -> list[NDArray[np.int64]]:
    """Share windows out over forward passes of at most ``capacity`` places, in the manner of a rung.

    ``sizes`` are those that packs are filled up to, where packs have fixed sizes. → indices into ``lengths``
    """
    if rung == "packed":
        return packing.pack_fixed(lengths, sizes) if sizes else packing.pack(lengths, capacity)
    if rung == "alone":
        return [np.array([window]) for window in range(len(lengths))]
    return packing.batch(lengths, capacity, equal=rung == "equal")


def build(
    prepared: PreparedBatch,
    windows: NDArray[np.int64],
    rung: str,
    prefix: int | None,
    sizes: Sequence[int] = (),
    least: int = 0,
) -> ScoringPack:
    """The arrays of one forward pass over some windows; a pack is filled up to the smallest of ``sizes`` that holds it.

    The filling is documents of the token 0, which nothing of the pack sees and of which nothing is scored. A pack of
    fewer than ``least`` inputs, or more than the largest size, is not filled where ``least`` is set.
    """
    lengths, scored = prepared.lengths[windows], prepared.scored[windows]
    starts = prepared.starts[windows]
    at = _count_up(starts + lengths - scored + 1, scored)  # the last target of a window stands behind its last input
    first = np.cumsum(lengths) - lengths
    if rung == "packed":
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
    if prefix is not None:
        ids.reshape(-1)[begins[prepared.replaced[windows]]] = prefix
    rows = _count_up(begins + lengths - scored, scored)
    if sizes and edges is not None and (not least or least <= ids.size <= sizes[0]):
        ids, positions, edges = _fill(ids, positions, edges, packing.fit_size(ids.size, sizes))
    if prepared.wanted is not None:
        kept = prepared.wanted[at]
        of_window = np.repeat(np.arange(len(windows)), scored)[kept]
        at, rows, scored = at[kept], rows[kept], np.bincount(of_window, minlength=len(windows))
    offsets = np.concatenate([[0], np.cumsum(scored)[:-1]])
    return ScoringPack(ids, positions, edges, rows, prepared.ids[at].astype(np.int64), offsets, windows, at)


def _count_up(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """start, start + 1, … of each start, as many as its length, end to end."""
    before = np.cumsum(lengths) - lengths
    return np.asarray(np.arange(int(lengths.sum()), dtype=np.int64) + np.repeat(starts - before, lengths))


def _fill(
    ids_1L: NDArray[np.int64], positions_1L: NDArray[np.int64], edges: NDArray[np.int64], places: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Documents of the token 0 behind those of a pack, up to ``places``."""
    used = ids_1L.size
    more = np.arange(places - used, dtype=np.int64)
    ids = np.concatenate([ids_1L[0], np.zeros_like(more)])[None]
    positions = np.concatenate([positions_1L[0], more % FILLER])[None]
    bounds = np.arange(used + FILLER, places, FILLER, dtype=np.int64)
    return ids, positions, np.concatenate([edges, bounds, [places] if places > used else []]).astype(np.int64)


def record(prepared: PreparedBatch, pack: ScoringPack, nats: NDArray[np.float32]) -> None:
    """Sum the nats of a pack's tokens per window, in float64."""
    exact = nats.astype(np.float64)
    prepared.nats[pack.windows] = np.add.reduceat(exact, pack.offsets)
    prepared.firsts[pack.windows] = exact[pack.offsets]
    prepared.peaks[pack.windows] = np.maximum.reduceat(exact, pack.offsets)


def finish(prepared: PreparedBatch) -> Likelihoods:
    """Sum the windows per passage, in their order; a passage with a nat that is not finite is refused."""
    found = prepared.found
    if len(prepared.owners):
        begins = np.flatnonzero(np.diff(prepared.owners, prepend=-1))
        rows = prepared.owners[begins]
        found.nats[rows] = np.add.reduceat(prepared.nats, begins)
        found.max_nats[rows] = np.maximum.reduceat(prepared.peaks, begins)
        found.first_nats[rows] = np.where(prepared.heads[begins] == 1, prepared.firsts[begins], np.nan)
        for row in rows[~np.isfinite(found.nats[rows])].tolist():
            found.refuse(row, "not_finite", "the model gave NaN or infinity for one of its tokens")
    return found
