"""Known keys looked up: ``numba_kernels.KeyTable``."""

import numpy as np

from curate.matching.compiled import compiled
from curate.runtime.arrays import Array

ONE, SIX, LOW = np.uint64(1), np.uint64(6), np.uint64(63)


@compiled
def find_key(key: np.uint64, known: Array, starts: Array, filtered: Array, shift: np.uint64, narrow: np.uint64) -> int:
    """Return the index of a key in a table (``numba_kernels.list_table``), or -1."""
    word = filtered[key >> narrow]
    if not (word >> (key & LOW)) & (word >> ((key >> SIX) & LOW)) & ONE:
        return -1
    bucket = key >> shift
    for slot in range(starts[bucket], starts[bucket + ONE]):
        if known[slot] == key:
            return slot
    return -1


@compiled
def look_up(
    keys: Array, valid: Array, known: Array, starts: Array, filtered: Array, shift: np.uint64, narrow: np.uint64,
    positions: Array, slots: Array,
) -> int:  # fmt: skip
    """Write the index of each known key, and where it is known, and return how many there are."""
    passed, count = np.uint64(0), 0
    for index in range(len(keys)):  # without a branch, which would be foretold wrong
        key = keys[index]
        word = filtered[key >> narrow]
        positions[passed] = index
        passed += ((word >> (key & LOW)) & (word >> ((key >> SIX) & LOW)) & ONE) & np.uint64(valid[index])
    for number in range(passed):
        index = positions[number]
        slot = find_key(keys[index], known, starts, filtered, shift, narrow)
        if slot >= 0:
            positions[count], slots[count] = index, slot
            count += 1
    return count
