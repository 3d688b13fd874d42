"""What numba compiles gives the near sets, hashes and keys of its twin in NumPy, bit for bit, wherever text is odd."""

import random
import re

import numpy as np
import pytest
from helpers.near_copies import random_documents, rows_of, run_on

from curate.matching import minhash, numba_kernels, strict_words
from curate.stages.dedup import sketches
from curate.stages.dedup.sketches import SketchConfig

CONFIG = SketchConfig(5, 128, 3, minhash.Bands(18, 7), 49)
LETTERS = [*"aabcdeEXYZ0159", *"éßσς\u0130ıḿ", *"ни", "\u0915", "\u0e01", "中", "か", "\uff76", "각"]
MARKS = ["\u0301", "\u0308", "\u093f", "\u0e31", "\u3099", "\uff9e", "\uff9f", "\u20dd", "\ufe0f", "\u200d", "\u00ad"]
WEAK = [*".,:;!''’", ".", ",", "''", "::", "...", "٫"]
SYMBOLS = [*'+-−–<=>$%&#@/\\^|~()[]{}_`*?"', "**", "***", "😀", "\U0001f1e9", "½", "①", "ℝ", "ﬁ", "ﷺ", "㌖", "㍿"]
BLANKS = [" ", " ", " ", "\n", "\t", "\u00a0", "\u200b", "\u3000", "\0"]
KINDS = (LETTERS, LETTERS, LETTERS, LETTERS, MARKS, WEAK, SYMBOLS, BLANKS, BLANKS)
OLD_EMPHASIS = re.compile(r"\*(?<![\w*]\*)(\*{0,2})(?=[^\s*])([^*\n]*[^\s*])\*\1(?![\w*])")


def write_odd_texts(seed, count):
    chance = random.Random(seed)
    texts = []
    for _ in range(count):
        size = chance.choice([0, 1, 3, 10, 40, 200, 800])
        kinds = KINDS if chance.random() < 0.7 else (LETTERS, BLANKS)
        texts.append("".join(chance.choice(chance.choice(kinds)) for _ in range(size)))
    return texts


@pytest.fixture
def both():
    """A function that returns what numba makes of something, and what NumPy does."""
    if not numba_kernels.is_numba_available():
        pytest.skip("numba is not installed")

    def run_both(function, *arguments):
        return function(*arguments, compiled=True), function(*arguments)

    return run_both


def assert_same_sets(both, texts, config=CONFIG):
    """Compare the sets of some texts, and return them."""
    compiled, plain = both(sketches.hash_texts, texts, config)
    for name in sketches.NearSets.__slots__:
        one, other = getattr(compiled, name), getattr(plain, name)
        assert one.dtype == other.dtype, name
        np.testing.assert_array_equal(one, other, err_msg=name)
    return plain


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("strict_below", [0, 49, 10**6])
def test_odd_texts_have_the_same_sets(both, seed, strict_below):
    texts = write_odd_texts(seed, 60)
    plain = assert_same_sets(both, texts, SketchConfig(5, 128, 3, CONFIG.bands, strict_below))
    assert (plain.counts > 100).any() and (plain.counts == 0).any() and len(plain.hashes) > 500


@pytest.mark.parametrize("shingle", [1, 2, 9])
def test_shingles_of_any_size_are_the_same(both, shingle):
    assert_same_sets(both, write_odd_texts(shingle, 40), SketchConfig(shingle, 16, 3, CONFIG.bands, 49))


@pytest.mark.parametrize("size", [1023, 1024, 1025, 2047, 2048, 2049, 5000])
def test_words_of_any_length_have_the_same_hash(both, size):
    """Powers of the base beyond a table are made from it."""
    long = "x" * (size - 1) + "y"
    texts = [long, f"{long} a {long}z", "é" * size + " b", " " * size + "a b", f"one {long}. " * 60]
    plain = assert_same_sets(both, texts)
    assert plain.counts.tolist() == [1, 3, 2, 2, 120]


@pytest.mark.parametrize("char", ["ﷺ", "㌖", "中", "½", "a "])
def test_there_is_room_for_whatever_a_character_is_spelled_by(both, char):
    assert_same_sets(both, [char * 9000, "", char * 30, char])


@pytest.mark.parametrize("count", [3, 80, 700])
def test_repeated_shingles_of_strict_documents_are_told_apart_alike(both, count):
    texts = ["= - + " * count, "a b " * count, "x " * count]
    plain = assert_same_sets(both, texts, SketchConfig(5, 128, 3, CONFIG.bands, 10**6))
    assert len(np.unique(plain.hashes)) == len(plain.hashes)


@pytest.mark.parametrize("permutations", [1, 7, 128, 250])
def test_keys_are_those_of_the_signatures(both, permutations):
    from curate.stages.dedup import numba_sketches

    bands = minhash.choose_bands(0.8, permutations)
    sets = sketches.hash_texts(write_odd_texts(9, 80), CONFIG)
    assert {0, 1, 2, 3} <= set((np.diff(sets.offsets) % 4).tolist())
    table = minhash.make_permutations(permutations, 5)
    keys = numba_sketches.compute_keys(sets.hashes, sets.offsets, table, bands)
    expected = minhash.band_keys(minhash.compute_signatures(sets.hashes, sets.offsets, table), bands)
    assert keys.dtype == expected.dtype and keys.shape == (80, bands.bands)
    np.testing.assert_array_equal(keys, expected)


@pytest.mark.parametrize("seed", range(4))
def test_emphasis_is_found_without_going_back(seed):
    """A pattern that never tries a shorter run finds what the one that tries them all finds."""
    chance = random.Random(seed)
    for _ in range(4000):
        text = "".join(chance.choice(["*", "*", "**", "a", "b_", " ", "\n", "é", "."]) for _ in range(14))
        assert strict_words.EMPHASIS.sub(r"\2", text) == OLD_EMPHASIS.sub(r"\2", text), text


def test_a_run_that_is_compiled_gives_the_same_bytes(both, tmp_path, monkeypatch):
    documents = [*random_documents(31, 150), *write_odd_texts(31, 60), *write_odd_texts(31, 60)]
    found, tables = [], []
    for name, least in (("compiled", 0), ("plain", sketches.LEAST_BYTES)):
        monkeypatch.setattr(sketches, "LEAST_BYTES", least)
        (tmp_path / name).mkdir()
        found.append(run_on(tmp_path / name, documents))
        tables.append(rows_of(tmp_path / name))
    assert tables[0] == tables[1] and found[0].counts() == found[1].counts()
    assert found[0].exact > 20 and found[0].near > 20


def test_numba_is_loaded_for_large_corpora_alone(both):
    sizes = [sketches.LEAST_BYTES // 2, sketches.LEAST_BYTES // 2 - 1]
    assert not sketches.pays_to_compile(sizes)
    assert sketches.pays_to_compile([*sizes, 1]) and sketches.pays_to_compile([1, None])
