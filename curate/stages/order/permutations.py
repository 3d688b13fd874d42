"""The order in which a model reads: each schedule as a permutation of ranks.

Documents are ranked by a key, rank 0 the lowest; an order is a permutation of the ranks 0 … N−1, read from its
beginning. A schedule is a rule for one:

    sort            0, 1, 2 …
    shuffle         any order
    fold L          ranks 0, L, 2L …, then 1, L+1 …, up to L−1: L rises over the whole range
    zigzag L        fold, every second rise reversed, so that the key never jumps
    segment x y     lowest x first, highest y last, the rest between, each part shuffled
    stair, saw      sort, but around each border between sections a band is folded (stair) or zigzagged (saw)
    pace            competence: each draw is from the easiest share of the tokens, which grows with what was read
    warm_up         the first tokens as in pace, then everything else shuffled

Fold, zigzag, stair and saw count documents, as published; the shares of segment, pace and warm_up are of tokens, for a
model reads tokens. A document belongs to the share in which its middle token lies.

Random numbers are the raw 64 bits of NumPy's PCG64, seeded through its SeedSequence, and all else is integers and
correctly rounded IEEE operations, so that a seed means the same order on every machine. Every function takes ``empty``,
which makes the large arrays: in memory, or mapped to a file where memory is too small.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from curate.runtime.arrays import Float64Array, Int64Array

Ranks = Int64Array
"""A permutation of ranks, or a number for each rank."""
Empty = Callable[[int], Ranks]
"""Makes an array of so many integers, not yet set."""
Bits = np.random.PCG64

BLOCK = 1 << 20
"""Numbers in a block of ``blocks``: 8 MB."""
STEPS = 1000
"""How often the competence is computed; for fewer documents, once for each."""


def in_memory(count: int) -> Ranks:
    """Return an array of ``count`` integers in memory, not yet set."""
    return np.empty(count, np.int64)


def random_bits(seed: int, *purpose: int) -> Bits:
    """Return a stream of random bits, another one for each purpose of a seed (a schedule, jitter, one stratum)."""
    return np.random.PCG64(np.random.SeedSequence(seed, spawn_key=purpose))


def blocks(count: int) -> Iterator[slice]:
    """Yield slices that cover 0 … ``count``, each of at most ``BLOCK`` numbers, to fit the cache."""
    return (slice(begin, min(begin + BLOCK, count)) for begin in range(0, count, BLOCK))


def sort(count: int, empty: Empty = in_memory) -> Ranks:
    """Return the ranks from the lowest key to the highest."""
    out = empty(count)
    _fill(out, 0, 1)
    return out


def shuffle(count: int, bits: Bits, empty: Empty = in_memory) -> Ranks:
    """Return all ranks in random order: sorted by a random number whose last bits are the rank.

    Of ten million documents 40 bits are random: 45 pairs, of 5·10¹³, are expected to stay in their order by a tie.
    """
    out, width = empty(count), max(1, (count - 1).bit_length())
    keys = out.view(np.uint64)
    for block in blocks(count):
        drawn = bits.random_raw(block.stop - block.start)
        keys[block] = drawn >> np.uint64(width) << np.uint64(width) | np.arange(*block.indices(count), dtype=np.uint64)
    keys.sort()
    for block in blocks(count):
        keys[block] &= np.uint64((1 << width) - 1)
    return out


def fold(count: int, folds: int = 3, empty: Empty = in_memory) -> Ranks:
    """Return every ``folds``-th rank, then the same from the next on: s[0::L], s[1::L], …, s[L−1::L].

    The folding of DELT (Dai et al. 2025, arXiv 2506.21545). ValueError for fewer than one fold.
    """
    return _folded(count, folds, False, empty)


def zigzag(count: int, folds: int = 5, empty: Empty = in_memory) -> Ranks:
    """Return a fold with every odd cycle reversed: up, down, up … (after Dai et al. 2026, arXiv 2605.30334)."""
    return _folded(count, folds, True, empty)


def stair(count: int, sections: int = 2, band: float = 0.225, folds: int = 3, empty: Empty = in_memory) -> Ranks:
    """Return sorted ranks, with a folded band of ± ``band`` · N around each border between ``sections`` equal sections.

    STR of Dai et al. 2026 (arXiv 2605.30334). ValueError for bands that overlap.
    """
    return _banded(count, sections, band, folds, False, empty)


def saw(count: int, sections: int = 3, band: float = 0.075, folds: int = 2, empty: Empty = in_memory) -> Ranks:
    """Return sorted ranks, with a zigzagged band of ± ``band`` · N around each border of ``sections`` equal sections.

    SAW of Dai et al. 2026 (arXiv 2605.30334). ValueError for bands that overlap.
    """
    return _banded(count, sections, band, folds, True, empty)


def _fill(out: Ranks, first: int, step: int) -> None:
    """Set ``out`` to ``first``, ``first`` + ``step`` …, block by block."""
    for block in blocks(len(out)):
        out[block] = first + step * np.arange(block.start, block.stop, dtype=np.int64)


def _folded(count: int, folds: int, turning: bool, empty: Empty) -> Ranks:
    if folds < 1:
        raise ValueError(f"an order of {folds} folds")
    out, begin = empty(count), 0
    for first in range(min(folds, count)):
        many = (count - first + folds - 1) // folds
        back = turning and first % 2 == 1
        _fill(out[begin : begin + many], first + (many - 1) * folds if back else first, -folds if back else folds)
        begin += many
    return out


def _banded(count: int, sections: int, band: float, folds: int, turning: bool, empty: Empty) -> Ranks:
    if sections < 1 or not 0 <= band * 2 * sections <= 1:
        raise ValueError(f"bands of ±{band} around the borders of {sections} sections overlap")
    out = sort(count, empty)
    for border in range(1, sections):
        low, high = (math.floor((border / sections + side) * count + 0.5) for side in (-band, band))
        part = _folded(high - low, folds, turning, empty)
        for block in blocks(high - low):
            out[low + block.start : low + block.stop] = low + part[block]
    return out


def segment(tokens: Ranks, bits: Bits, low: float = 0.1, high: float = 0.1, empty: Empty = in_memory) -> Ranks:
    """Return the lowest share ``low`` of the tokens first, the highest share ``high`` last, the rest between.

    Each of the three is shuffled. ``tokens`` are those of the documents by rank. After Dai et al. 2026 (arXiv
    2605.30334). ValueError for shares below 0 or above 1 together.
    """
    if low < 0 or high < 0 or low + high > 1:
        raise ValueError(f"segments of {low} and {high} of the tokens")
    out = empty(len(tokens))
    first = count_below(tokens, low)
    last = max(first, count_below(tokens, 1 - high))
    for begin, end in ((0, first), (first, last), (last, len(tokens))):
        part = shuffle(end - begin, bits, empty)
        for block in blocks(end - begin):
            out[begin + block.start : begin + block.stop] = begin + part[block]
    return out


def pace(tokens: Ranks, bits: Bits, start: float = 0.01, empty: Empty = in_memory) -> Ranks:
    """Return an order in which each draw is from the easiest share c(t) = √(t (1 − c₀²) / T + c₀²) of the tokens.

    t are the tokens drawn so far, T all of them, c₀ = ``start``: the competence of Platanios et al. 2019 (arXiv
    1903.09848), with its square root. They draw with replacement from a corpus that they read many times; here each
    document is drawn once, and since c(t) ≥ t/T there is always one to draw. A document is eligible when its first
    token lies within the share; c(t) is computed anew after each thousandth of T. ``tokens`` are by rank.
    """
    return _draw(tokens, bits, 1.0, start, empty)[0]


def warm_up(tokens: Ranks, bits: Bits, share: float = 0.2, start: float = 0.01, empty: Empty = in_memory) -> Ranks:
    """Return the first ``share`` of the tokens easy to hard, as ``pace`` draws with T = that share; then shuffled.

    By the end of the warm-up every document can be drawn. The curriculum as a warm-up of Zhang et al. 2025 (arXiv
    2506.11300), who train on 20 % so. ValueError for a share outside 0 … 1.
    """
    out, drawn = _draw(tokens, bits, share, start, empty)
    rest = out[drawn:]
    before, indices = empty(len(rest)), shuffle(len(rest), bits, empty)
    before[:] = rest
    for block in blocks(len(rest)):
        rest[block] = before[indices[block]]
    return out


def count_below(tokens: Ranks, share: float) -> int:
    """Return how many documents, from the first on, have their middle token below a share of all tokens."""
    limit, passed, found = math.ceil(2 * share * _sum(tokens)), 0, 0
    for block in blocks(len(tokens)):
        ends = np.cumsum(tokens[block]) + passed
        found += int(np.searchsorted(2 * ends - tokens[block], limit))
        passed = int(ends[-1])
    return found


def _sum(tokens: Ranks) -> int:
    return sum(int(tokens[block].sum()) for block in blocks(len(tokens)))


def _starts(tokens: Ranks, empty: Empty) -> Ranks:
    """Return the tokens before each document."""
    out, passed = empty(len(tokens)), 0
    for block in blocks(len(tokens)):
        ends = np.cumsum(tokens[block]) + passed
        out[block] = ends - tokens[block]
        passed = int(ends[-1])
    return out


def _draw(tokens: Ranks, bits: Bits, share: float, start: float, empty: Empty) -> tuple[Ranks, int]:
    """Return an order, and how many of its first documents are paced over a share of the tokens.

    One array holds what was drawn, then what can be drawn, then the rest: a draw swaps, as in the shuffle of Fisher
    and Yates.
    """
    if not (0 <= share <= 1 and 0 <= start <= 1):
        raise ValueError(f"a pace over {share} of the tokens from a competence of {start}")
    count, total = len(tokens), _sum(tokens)
    out, starts = sort(count, empty), _starts(tokens, empty)
    drawn, passed, end = 0, 0, share * total
    while drawn < count and (passed < end or share == 1):
        time = passed / end if end else 1.0
        competence = math.sqrt(time * (1 - start * start) + start * start)
        reached = max(int(np.searchsorted(starts, math.ceil(competence * total))), drawn + 1)
        goal = min((math.floor(time * STEPS) + 1) / STEPS, 1.0) * end
        many, weight = _swap(out[drawn:reached], tokens, bits, goal - passed, max(total / count, 1.0))
        drawn, passed = drawn + many, passed + weight
    return out, drawn


def _swap(pool: Ranks, tokens: Ranks, bits: Bits, budget: float, typical: float) -> tuple[int, int]:
    """Draw documents to the front of the pool until they have ``budget`` tokens; return how many, and their tokens.

    At least one document is drawn; together they may have fewer tokens. ``typical`` are the mean tokens of a document.
    """
    indices = _choose(len(pool), math.ceil(1.1 * max(budget, 0) / typical) + 1, bits)
    chosen = pool[indices]
    ends = np.cumsum(tokens[chosen])
    many = min(int(np.searchsorted(ends, math.ceil(budget))) + 1, len(indices))
    indices = indices[:many]
    front = np.ones(many, np.bool_)
    front[indices[indices < many]] = False
    pool[indices[indices >= many]] = pool[:many][front]
    pool[:many] = chosen[:many]
    return many, int(ends[many - 1])


def _choose(size: int, many: int, bits: Bits) -> Ranks:
    """Return up to ``many`` numbers of 0 … ``size`` − 1, none twice, in random order."""
    if 4 * many >= size:
        return shuffle(size, bits)[:many]
    drawn = (bits.random_raw(many) % np.uint64(size)).astype(np.int64)
    return np.asarray(drawn[np.sort(np.unique(drawn, return_index=True)[1])])


def jitter(order: Ranks, window: int, bits: Bits) -> None:
    """Shuffle ``order`` in place inside consecutive windows of ``window`` documents; nothing leaves its window.

    The last window may be shorter. ValueError for a window of less than one document.
    """
    if window < 1:
        raise ValueError(f"a window of {window} documents")
    end = len(order) // window * window
    step = max(1, BLOCK // window) * window
    for begin in range(0, end, step):
        part = order[begin : min(begin + step, end)].reshape(-1, window)
        indices = np.argsort(bits.random_raw(part.size).reshape(part.shape), axis=1, kind="stable")
        part[:] = np.take_along_axis(part, indices, axis=1)
    rest = order[end:]
    rest[:] = rest[np.argsort(bits.random_raw(len(rest)), kind="stable")]


def merge(orders: Sequence[Ranks], tokens: Ranks, empty: Empty = in_memory) -> Ranks:
    """Return orders of disjoint documents as one, in which each keeps its share of the tokens along the way.

    Documents are sorted by the position of their middle token, as a fraction of the tokens of their order; ties go to
    the order that comes first in ``orders``. Any prefix of the result has the same fraction of each order, but for one
    document.
    """
    paths = [_fractions(order, tokens, empty) for order in orders]
    out, written = empty(sum(map(len, orders))), 0
    pieces = max(1, math.ceil(len(out) / BLOCK))
    done = [0] * len(orders)
    for piece in range(pieces):
        ends = [
            len(path) if piece == pieces - 1 else int(np.searchsorted(path, (piece + 1) / pieces)) for path in paths
        ]
        cut = [slice(begin, end) for begin, end in zip(done, ends, strict=True)]
        found = np.concatenate([order[part] for order, part in zip(orders, cut, strict=True)] or [out[:0]])
        positions = np.concatenate([path[part] for path, part in zip(paths, cut, strict=True)] or [np.empty(0)])
        out[written : written + len(found)] = found[np.argsort(positions, kind="stable")]
        written, done = written + len(found), ends
    return out


def _fractions(order: Ranks, tokens: Ranks, empty: Empty) -> Float64Array:
    """Return where each document's middle lies, from 0 to 1; counted in documents where no document has a token."""
    out = empty(len(order)).view(np.float64)
    total, passed = sum(int(tokens[order[block]].sum()) for block in blocks(len(order))), 0
    for block in blocks(len(order)):
        weights = tokens[order[block]] if total else np.ones(block.stop - block.start, np.int64)
        ends = np.cumsum(weights) + passed
        out[block] = (2 * ends - weights) / (2 * (total or len(order)))
        passed = int(ends[-1])
    return out
