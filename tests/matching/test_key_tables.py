"""Known keys are found where they are, and no others; what is compiled is taken from numba's cache."""

import importlib
import pkgutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.matching import numba_code, numba_kernels, numba_postings, numba_triples, numba_words, words

KEYS = st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 63, 64, 2**58, 2**63, 2**64 - 1])


@pytest.fixture(autouse=True)
def numba_is_installed():
    if not numba_kernels.is_numba_available():
        pytest.skip("numba is not installed")


@settings(deadline=None)
@given(st.sets(KEYS, max_size=40), st.lists(KEYS, max_size=20), st.randoms())
def test_valid_keys_are_found_where_they_are(known, strangers, draw):
    known = np.array(sorted(known), np.uint64)
    asked = np.array([*known.tolist(), *strangers], np.uint64)
    valid = np.array([draw.random() < 0.8 for _ in asked], bool)
    positions, slots = numba_kernels.look_up(asked, valid, numba_kernels.make_key_table(known))
    wanted = [
        (index, known.tolist().index(key))
        for index, key in enumerate(asked.tolist())
        if valid[index] and key in known.tolist()
    ]
    assert list(zip(positions.tolist(), slots.tolist(), strict=True)) == wanted


def test_few_strangers_pass_a_filter_and_the_table_stays_small():
    known = np.unique(np.random.default_rng(1).integers(0, 2**64, 20_000, dtype=np.uint64))
    table = numba_kernels.make_key_table(known)
    assert 8 * len(known) <= 64 * len(table.filter) <= 32 * len(known)
    owners = np.arange(len(known)) % 3
    filters = numba_kernels.make_filters(known, owners, 3, 14, 3)
    bits = np.unpackbits(filters.view(np.uint8), axis=1, bitorder="little")
    for mark in range(3):
        word = (known >> np.uint64(65 - filters.shape[1].bit_length())).astype(np.int64)
        assert bits[owners, 64 * word + ((known >> np.uint64(6 * mark)) & np.uint64(63)).astype(np.int64)].all()
    assert bits.sum() <= 3 * len(known) and bits.mean() < 0.25


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("aZ9é .,\n’ﬁ中\u0301"), max_size=60))
def test_words_are_the_same_by_either_loop_and_by_numpy(text):
    folding = words.load_folding()
    found = numba_words.find_words(text, folding, words.BASE, words.COMPLEX)
    points, origin = words.fold_text(text)
    first, last = words.find_boundaries(points, text.isascii())
    hashes = words.mix_bits(words.hash_spans(points, first, last))
    places = (first, last + 1) if origin is None else (origin[first], origin[last] + 1)
    assert [column.tolist() for column in found] == [column.tolist() for column in (hashes, *places)]


@pytest.mark.parametrize("size", [numba_words.POWERS - 1, numba_words.POWERS, numba_words.POWERS + 1])
def test_words_are_the_same_on_either_side_of_the_powers_that_are_listed(size):
    text = ("ab c " * size)[:size]
    hashes, starts, ends = numba_words.find_words(text, words.load_folding(), words.BASE, words.COMPLEX)
    points, _ = words.fold_text(text)
    first, last = words.find_boundaries(points, True)
    assert (starts == first).all() and (ends == last + 1).all()
    assert (hashes == words.mix_bits(words.hash_spans(points, first, last))).all()


def list_compiled():
    """Return every function of the package that numba compiles, by name."""
    import curate.matching.compiled as folder

    found = {}
    for module in pkgutil.iter_modules(folder.__path__):
        loaded = importlib.import_module(f"{folder.__name__}.{module.name}")
        found |= {name: each for name, each in vars(loaded).items() if hasattr(each, "py_func")}
    makers = [numba_postings._compile_blocks, numba_postings._compile_names]
    return found | {maker.__name__: maker() for maker in [*makers, numba_postings._compile_covered]}


def test_nothing_that_is_compiled_comes_from_a_function_around_it():
    """Numba's cache knows a function by what it encloses too, which is another one in each process."""
    found = list_compiled()
    assert {
        "find_plain_words",
        "find_key",
        "find_groups",
        "find_bands",
        "normalise",
        "lower_minima",
        "fill_near_sets",
    } <= set(found)
    assert [name for name, each in found.items() if each.py_func.__closure__] == []


def test_constants_of_compiled_loops_are_those_of_their_callers():
    from curate.matching.compiled import code, triples

    assert (triples.SUMS, triples.DIAGONAL_BITS) == (numba_triples.SUMS, numba_triples.DIAGONAL_BITS)
    assert code.TABLE_BITS == numba_code.TABLE_BITS
