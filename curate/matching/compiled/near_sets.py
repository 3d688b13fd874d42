"""Near sets of documents from their bytes, in one pass over each: the loops of ``stages.dedup.numba_sketches``.

    UTF-8 ──► folded code points and their kinds ──► strict words ──► hash of the sequence
          ──► plain words (a document of few words: its strict ones) ──► shingles

The arrays are named as in ``curate.matching.words`` and ``strict_words``. Words are found without a branch for each
character: the value so far is written to the entry of the word that is open, which the next one overwrites.
"""

from typing import Any

import numpy as np

from curate.matching import words
from curate.matching.compiled import compiled
from curate.matching.compiled.words import mix
from curate.matching.shingles import SHORT
from curate.matching.strict_words import (
    ALONE,
    APOSTROPHE,
    BANG,
    COMMA,
    DIGIT,
    GLUED,
    JOINT,
    LETTER,
    MARK,
    NOTHING,
    STOP,
    SYMBOL,
    WEAK,
)  # fmt: skip
from curate.runtime.arrays import Array, Int64Array, UInt8Array, UInt64Array

PRIMES = 3
"""Apostrophes that are glued behind a glued one (``strict_words.glue_primes``)."""
PAD = 2
"""Entries of NOTHING before the first kind and behind the last."""
POWERS = np.uint64(1024)
"""Code points of a word for which the powers of BASE are in a table."""
ROOM = 4096
"""Entries of arrays that grow."""
OPENING = np.uint64(1 << SYMBOL | 1 << ALONE)
"""The kinds that begin a word wherever they are, as bits."""
APART = np.uint64(1 << NOTHING | 1 << SYMBOL | 1 << ALONE)
"""The kinds behind which a word begins."""
LEAP = np.uint64(pow(words.BASE, int(POWERS), 1 << 64))
NONE, ONE, ON_CARRIER = np.uint64(0), np.uint64(1), np.uint64(MARK)
BASE, JOIN, MOVED = np.uint64(words.BASE), np.uint64(words.JOIN), np.uint32(words.COMPLEX)


@compiled
def decode_point(raw: UInt8Array, index: Any) -> Any:
    """Return the code point (uint32) at a byte of UTF-8 that is not ASCII, and its number of bytes."""
    lead, six, low = np.uint32(raw[index]), np.uint32(6), np.uint32(0x3F)
    point = (lead & np.uint32(0x1F)) << six | (np.uint32(raw[index + ONE]) & low)
    if lead < 0xE0:
        return np.uint32(point), np.uint64(2)
    point = point << six | (np.uint32(raw[index + np.uint64(2)]) & low)
    if lead < 0xF0:
        return np.uint32(point), np.uint64(3)
    point = (point & np.uint32(0x7FFF)) << six | (np.uint32(raw[index + np.uint64(3)]) & low)
    return np.uint32(point), np.uint64(4)


@compiled
def fold_bytes(raw: UInt8Array, begin: int, end: int, tables: Any, points: Array, kinds: UInt8Array) -> int:
    """Write the folded code points and their kinds, as far as there is room, and return how many there are."""
    single, first, count, spelled, kind_of = tables
    size, room, index, stop = PAD, len(points) - PAD, np.uint64(begin), np.uint64(end)
    kinds[0] = kinds[1] = NOTHING
    while index < stop:
        if raw[index] < 0x80 and size < room:
            points[size] = single[raw[index]]
            kinds[size] = kind_of[points[size]]
            size, index = size + 1, index + ONE
            continue
        point, step = np.uint32(raw[index]), ONE
        if point >= 0x80:
            point, step = decode_point(raw, index)
        index += step
        is_moved = single[point] == MOVED
        for turn in range(count[point] if is_moved else 1):
            folded = spelled[first[point] + turn] if is_moved else single[point]
            if size < room:
                points[size], kinds[size] = folded, kind_of[folded]
            size += 1
    if size <= room:
        kinds[size] = kinds[size + 1] = NOTHING
    return size - PAD


@compiled
def resolve_kind(kinds: UInt8Array, at: int, primes: int) -> tuple[int, int]:
    """Return what a weak kind is where it stands, and how many apostrophes behind it may still be glued.

    ``primes`` is what this returned for the entry before. The twin of ``strict_words.resolve_punctuation``.
    """
    here, after, before, earlier = kinds[at], kinds[at + 1], kinds[at - 1], kinds[at - 2]
    inner, opened = LETTER <= after <= ALONE, LETTER <= before <= ALONE
    single = (before in (LETTER, MARK)) and not LETTER <= earlier <= ALONE
    glued = loud = False
    if here == STOP:
        glued = inner and (opened or after == DIGIT)
        loud = before == NOTHING and (after == SYMBOL or (after == STOP and kinds[at + 2] == SYMBOL))
        loud |= before == STOP and earlier == NOTHING and after == SYMBOL
    elif here == JOINT:
        glued = inner and opened
        loud = after in (SYMBOL, JOINT) or before == JOINT or (before == SYMBOL and inner)
    elif here == COMMA:
        glued = before == DIGIT and after == DIGIT
    elif here == APOSTROPHE:
        if opened and (inner or (single and earlier != APOSTROPHE)):
            return GLUED, PRIMES
        return (GLUED, primes - 1) if before == APOSTROPHE and primes > 0 else (NOTHING, 0)
    else:
        loud = inner or after == SYMBOL or before == DIGIT or single or (here == BANG and before == SYMBOL)
    return GLUED if glued else SYMBOL if loud else NOTHING, 0


@compiled
def add_point(state: Any, point: Any, inside: Any, begins: Any, powers: UInt64Array, hashes: UInt64Array) -> Any:
    """Add a code point to the polynomial of the word that is open, a new one where it ``begins``; return the state.

    The state is the number of words, the value, and of the power of BASE the exponent below POWERS and the rest; all of
    them, ``inside`` and ``begins`` are uint64. What is not ``inside`` a word has to be 0.
    """
    found, value, exponent, rest = state
    kept = begins - ONE
    exponent = (exponent + inside) & kept
    rest = (rest & kept) | begins
    if exponent == POWERS:
        hashes[NONE], exponent, rest = value, NONE, rest * LEAP  # the write keeps this a branch, which is rarely taken
    value = (value & kept) + point * (powers[exponent] * rest)
    found += begins
    hashes[found] = value
    return found, value, exponent, rest


@compiled
def mix_hashes(hashes: UInt64Array, count: Any) -> Any:
    """Mix the hashes of ``count`` words, from entry 1 on, in place, and return the count (int64)."""
    for number in range(1, np.int64(count) + 1):
        hashes[number] = mix(hashes[number])
    return np.int64(count)


@compiled
def hash_strict_words(points: Array, kinds: UInt8Array, size: int, powers: UInt64Array, hashes: UInt64Array) -> Any:
    """Write the hashes of the strict words from entry 1 on, and return how many there are: at most ``size``."""
    primes, before, carrier, state = 0, NONE, NONE, (NONE, NONE, NONE, ONE)
    for at in range(PAD, size + PAD):
        kind = np.uint64(kinds[at])
        if kinds[at] >= WEAK:
            resolved, primes = resolve_kind(kinds, at, primes)
            kind = np.uint64(resolved)
        inside, is_mark = np.uint64(kind != NONE), np.uint64(kind == ON_CARRIER)
        behind = np.uint64(before == NONE)
        begins = inside & (is_mark & behind | (is_mark ^ ONE) & (OPENING >> kind | APART >> carrier))
        kept = is_mark - ONE
        before, carrier = kind, (kind & kept) | (carrier & ~kept)  # marks stand on the carrier
        point = np.uint64(points[at]) & (NONE - inside)
        state = add_point(state, point, inside, begins, powers, hashes)
    return mix_hashes(hashes, state[0])


@compiled
def hash_plain_words(
    raw: UInt8Array, begin: int, end: int, tables: Any, powers: UInt64Array, hashes: UInt64Array
) -> Any:
    """Write the hashes of the plain words from entry 1 on, and return how many there are; −1 where room lacks.

    There has to be room for a word a byte.
    """
    single, first, count, spelled, alone = tables
    index, stop, apart, state = np.uint64(begin), np.uint64(end), ONE, (NONE, NONE, NONE, ONE)
    while index < stop:
        if raw[index] < 0x80:
            folded = np.uint64(single[raw[index]])
            inside, index = np.uint64(folded != NONE), index + ONE
            state = add_point(state, folded, inside, inside & apart, powers, hashes)
            apart = inside ^ ONE
            continue
        point, step = decode_point(raw, index)
        index += step
        is_moved = single[point] == MOVED
        turns = np.int64(count[point]) if is_moved else 1
        if is_moved and state[0] + np.uint64(turns) + stop - index >= np.uint64(len(hashes)):
            return -1
        for turn in range(turns):
            folded = np.uint64(spelled[first[point] + turn]) if is_moved else np.uint64(single[point])
            inside, lone = np.uint64(folded != NONE), np.uint64(alone[folded])
            state = add_point(state, folded, inside, inside & (apart | lone), powers, hashes)
            apart = (inside ^ ONE) | lone
    return mix_hashes(hashes, state[0])


@compiled
def fit_plain_words(
    raw: UInt8Array, begin: int, end: int, tables: Any, powers: UInt64Array, hashes: UInt64Array
) -> Any:
    """Return what ``hash_plain_words`` does, and the array with the hashes: a larger one where room lacks."""
    if len(hashes) < end - begin + PAD:
        hashes = np.empty(end - begin + PAD, np.uint64)
    found = hash_plain_words(raw, begin, end, tables, powers, hashes)
    while found < 0:
        hashes = np.empty(2 * len(hashes), np.uint64)
        found = hash_plain_words(raw, begin, end, tables, powers, hashes)
    return found, hashes


@compiled
def hash_sequence(hashes: UInt64Array) -> Any:
    """Return the halves of the hash of a sequence of words; the twin of ``shingles.hash_sequences``."""
    high, low, power = np.uint64(0), np.uint64(0), np.uint64(1)
    for value in hashes:
        high += value * power
        low += mix(value + SHORT) * power
        power *= BASE
    if len(hashes):
        high, low = mix(high + np.uint64(len(hashes))), mix(low + np.uint64(len(hashes)))
    return high, low


@compiled
def write_shingles(hashes: UInt64Array, size: int, out: UInt64Array) -> int:
    """Write the shingle hashes of the words of a document, and return how many; as ``shingles.make_shingle_sets``."""
    many = len(hashes) - size + 1
    if many <= 0:
        value = np.uint64(len(hashes)) * SHORT
        for word in hashes:
            value = value * JOIN + word
        out[0] = mix(value)
        return min(len(hashes), 1)
    for at in range(many):
        value = hashes[at]
        for step in range(1, size):
            value = value * JOIN + hashes[at + step]
        out[at] = mix(value)
    return many


@compiled
def number_repeats(out: UInt64Array) -> None:
    """Tell the shingles that a document repeats apart, in place; the twin of ``shingles.number_repeats``."""
    room = 4
    while room < 2 * len(out):
        room *= 2
    known, counts, mask = np.empty(room, np.uint64), np.zeros(room, np.uint32), np.uint64(room - 1)
    for index in range(len(out)):
        value = out[index]
        slot = value & mask
        while counts[slot] and known[slot] != value:
            slot = (slot + ONE) & mask
        if counts[slot]:
            out[index] = mix(value + np.uint64(counts[slot]) * SHORT)
        known[slot] = value
        counts[slot] += np.uint32(1)


@compiled
def grow(out: UInt64Array, filled: int, least: int) -> UInt64Array:
    """Return a larger array with the first ``filled`` entries, and room for ``least`` more."""
    grown = np.empty(2 * len(out) + least, np.uint64)
    for index in range(filled):
        grown[index] = out[index]
    return grown


@compiled
def fill_near_sets(
    prepared: UInt8Array, ends: Int64Array, raw: UInt8Array, raw_ends: Int64Array, strictly: Any, plainly: Any,
    powers: UInt64Array, size: int, strict_below: int, counts: Int64Array, halves: UInt64Array, offsets: Int64Array,
) -> UInt64Array:  # fmt: skip
    """Fill counts, halves of hashes (2, documents) and offsets, and return the hashes of all near sets."""
    points, kinds = np.empty(ROOM, np.uint32), np.empty(ROOM, np.uint8)
    strict, plain, out = np.empty(ROOM, np.uint64), np.empty(ROOM, np.uint64), np.empty(len(raw) // 4 + 64, np.uint64)
    begin = raw_begin = 0
    for number in range(len(counts)):
        end, raw_end, found = ends[number], raw_ends[number], 0
        folded = fold_bytes(prepared, begin, end, strictly, points, kinds)
        if folded + 2 * PAD > len(points):
            room = folded + 2 * PAD
            points, kinds, strict = np.empty(room, np.uint32), np.empty(room, np.uint8), np.empty(room, np.uint64)
            fold_bytes(prepared, begin, end, strictly, points, kinds)
        counts[number] = hash_strict_words(points, kinds, folded, powers, strict)
        chosen = strict[1 : counts[number] + 1]
        halves[0, number], halves[1, number] = hash_sequence(chosen)
        if counts[number] >= strict_below:
            found, plain = fit_plain_words(raw, raw_begin, raw_end, plainly, powers, plain)
        if found >= size:
            chosen = plain[1 : found + 1]
        at = offsets[number]
        if at + len(chosen) >= len(out):
            out = grow(out, at, len(chosen))
        offsets[number + 1] = at + write_shingles(chosen, size, out[at:])
        if found < size:
            number_repeats(out[at : offsets[number + 1]])
        begin, raw_begin = end, raw_end
    return out[: offsets[len(counts)]]
