"""Words, shingles, MinHash signatures and LSH bands: laws, known answers, and datasketch's own values."""

import math
import re
import unicodedata

import numpy as np
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from curate import kernels, minhash, words

HALF = [pytest.param(False, id="numpy"), pytest.param(True, id="numba")]


@pytest.fixture
def way(request, monkeypatch):
    """Signatures by plain NumPy, or by the compiled kernel where numba is installed."""
    if request.param and not kernels.available():
        pytest.skip("numba is not installed")
    monkeypatch.setattr(kernels, "available", lambda: request.param)


def flat(sets):
    """Sets one after the other, and their offsets."""
    arrays = [np.array(sorted(one), np.uint64) for one in sets]
    return np.concatenate([np.zeros(0, np.uint64), *arrays]), np.cumsum([0, *map(len, arrays)])


def sets_of_similarity(numerator, denominator, size, count, seed):
    """Pairs of random sets whose Jaccard similarity is numerator / denominator exactly."""
    generator = np.random.default_rng(seed)
    union = size * denominator
    pairs = []
    for _ in range(count):
        elements = generator.integers(0, 1 << 32, 2 * union, dtype=np.uint64)
        elements = np.unique(elements)[:union]
        generator.shuffle(elements)
        common, rest = elements[: size * numerator], elements[size * numerator :]
        pairs.append((np.concatenate([common, rest[::2]]), np.concatenate([common, rest[1::2]])))
    return pairs


def signatures_of(pairs):
    """Signatures of the first and of the second of each pair."""
    hashes, offsets = flat([one for pair in pairs for one in pair])
    found = minhash.signatures(hashes, offsets, minhash.permutations())
    return found[::2], found[1::2]


# Signatures.


@pytest.mark.parametrize("way", HALF, indirect=True)
def test_signatures_are_those_of_datasketch_value_for_value(way):
    generator = np.random.default_rng(5)
    sizes = [0, 1, 2, 3, 17, 500, 0, 2000, 1, 0]
    sets = [set(generator.integers(0, 1 << 32, size).tolist()) for size in sizes] + [{0}, {(1 << 32) - 1}, {0, 1}]
    for count, seed in ((128, 1), (16, 42), (1, 7)):
        found = minhash.signatures(*flat(sets), minhash.permutations(count, seed))
        for one, mine in zip(sets, found, strict=True):
            theirs = MinHash(num_perm=count, seed=seed, scheme=minhash.SCHEME, hashfunc=int)
            for element in one:
                theirs.update(element)
            assert np.array_equal(mine, theirs.hashvalues)


@pytest.mark.parametrize("way", HALF, indirect=True)
def test_repeats_order_and_the_high_bits_of_an_element_change_nothing(way):
    generator = np.random.default_rng(6)
    elements = generator.integers(0, 1 << 32, 300, dtype=np.uint64)
    table, offsets = minhash.permutations(), np.array([0, 300])
    once = minhash.signatures(elements, offsets, table)
    shuffled = generator.permutation(np.concatenate([elements, elements[:100]])) | (np.uint64(77) << np.uint64(32))
    assert np.array_equal(minhash.signatures(shuffled, np.array([0, 400]), table), once)


@pytest.mark.parametrize("way", HALF, indirect=True)
def test_a_set_larger_than_a_block_has_the_minimum_over_its_parts(way):
    generator = np.random.default_rng(7)
    size = 2 * minhash.BLOCK + 5
    elements = generator.integers(0, 1 << 32, size, dtype=np.uint64)
    table = minhash.permutations(8)
    cuts = np.array([0, 0, 3, minhash.BLOCK + 1, size])
    parts = minhash.signatures(elements, cuts, table)
    assert (parts[0] == minhash.EMPTY).all()
    assert np.array_equal(minhash.signatures(elements, np.array([0, size]), table)[0], parts.min(axis=0))


@pytest.mark.parametrize(("numerator", "denominator"), [(1, 10), (1, 2), (4, 5), (19, 20)])
def test_the_estimate_lies_within_its_standard_error(numerator, denominator):
    pairs = sets_of_similarity(numerator, denominator, 12, 400, seed=numerator)
    similarity = numerator / denominator
    first, second = signatures_of(pairs)
    error = math.sqrt(similarity * (1 - similarity) / minhash.PERMUTATIONS)
    scores = ((first == second).mean(axis=1) - similarity) / error
    assert abs(scores.mean()) < 4 / math.sqrt(len(scores))
    assert np.abs(scores).max() < 5
    assert 0.8 < scores.std() < 1.2


# Bands.


@pytest.mark.parametrize(("numerator", "denominator"), [(3, 5), (7, 10), (4, 5), (9, 10)])
def test_pairs_meet_in_a_band_as_often_as_the_law_says(numerator, denominator):
    pairs, similarity = sets_of_similarity(numerator, denominator, 10, 1500, seed=denominator), numerator / denominator
    first, second = signatures_of(pairs)
    for bands in (minhash.Bands(18, 7), minhash.Bands(9, 13), minhash.Bands(32, 4)):
        same = minhash.band_keys(first, bands) == minhash.band_keys(second, bands)
        for met, law, trials in (
            (same.any(axis=1).sum(), 1 - (1 - similarity**bands.rows) ** bands.bands, len(pairs)),
            (same.sum() / bands.bands, similarity**bands.rows, len(pairs)),
        ):
            assert abs(met - trials * law) <= 4.5 * math.sqrt(trials * law * (1 - law)) + 1, (bands, law)


def test_the_probability_is_the_published_formula():
    assert minhash.Bands(20, 5).probability(0.8) == pytest.approx(0.99964, abs=1e-5)  # Mining of Massive Datasets, 3.4
    assert minhash.Bands(20, 5).probability(0.2) == pytest.approx(0.006, abs=5e-4)
    assert minhash.Bands(7, 3).probability(0) == 0 and minhash.Bands(7, 3).probability(1) == 1


@settings(max_examples=60, deadline=None)
@given(threshold=st.floats(0.05, 1), permutations=st.integers(1, 300))
def test_bands_have_the_most_rows_that_still_find_pairs_at_the_threshold(threshold, permutations):
    found = minhash.choose_bands(threshold, permutations)
    assert 1 <= found.bands * found.rows <= permutations
    if found.rows > 1:
        assert found.probability(threshold) >= 0.98
    for rows in range(found.rows + 1, permutations + 1):
        assert minhash.Bands(permutations // rows, rows).probability(threshold) < 0.98


def test_the_default_bands_are_eighteen_of_seven_and_nonsense_is_refused():
    assert minhash.choose_bands(0.8) == minhash.Bands(18, 7)
    assert minhash.choose_bands(1.0) == minhash.Bands(1, 128)
    for threshold in (0, -1, 1.01, math.nan):
        with pytest.raises(ValueError):
            minhash.choose_bands(threshold)


def test_a_key_tells_its_rows_and_its_band():
    bands = minhash.Bands(4, 3)
    signed = np.zeros((3, 12), np.uint32)
    signed[1, 4] = 1  # a row of the second band
    signed[2, :3] = [1, 0, 0]
    keys = minhash.band_keys(signed, bands)
    assert [(keys[0] == keys[1]).tolist(), (keys[0] == keys[2]).tolist()] == [
        [True, False, True, True],
        [False, True, True, True],
    ]
    assert len(set(keys[0].tolist())) == 4


# Words.


def naive_words(text):
    """Words as words.py describes them, one character after the other: the folded characters of each."""
    spelled = [""]
    for char in text:
        kind = unicodedata.category(char)
        if kind in ("Cf", "Mn", "Me") and (unicodedata.combining(char) or words.vanishes(char)):
            continue
        plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold())
        for one in plain:
            if unicodedata.combining(one):
                continue
            alone = any(begin <= ord(one) < end for begin, end in words.SPACELESS)
            if unicodedata.category(one)[0] not in "LNM":
                spelled.append("")
            elif alone:
                spelled += [one, ""]
            else:
                spelled[-1] += one
        if not plain:
            spelled.append("")
    return [word for word in spelled if word]


def naive_hash(word):
    value = sum(ord(char) * pow(words.BASE, place, 1 << 64) for place, char in enumerate(word)) % (1 << 64)
    value ^= value >> 33
    value = value * 0xFF51AFD7ED558CCD % (1 << 64)
    value ^= value >> 33
    value = value * 0xC4CEB9FE1A85EC53 % (1 << 64)
    return value ^ (value >> 33)


TEXTS = st.text(st.sampled_from("aBcéÉßıİﬁｘ １９Ⅷ½我们กน가한़́\u00ad\u200d.,'-_\n\t\"«»𝒳🙂अ़िकЯй"), max_size=30)


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(TEXTS, max_size=5))
def test_words_are_those_of_a_loop_over_characters(texts):
    found = words.split_words(texts)
    expected = [naive_words(text) for text in texts]
    assert found.counts.tolist() == [len(one) for one in expected]
    assert found.hashes.tolist() == [naive_hash(word) for one in expected for word in one]


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
def test_places_point_at_the_words(texts):
    found = words.split_words(texts)
    for number, text in enumerate(texts):
        for place in range(found.offsets[number], found.offsets[number + 1]):
            piece = text[found.starts[place] : found.ends[place]]
            assert found.hashes[place] in words.split_words([piece]).hashes


@pytest.mark.parametrize(
    "other",
    [
        "the QUICK brown fox's café no 12",
        "  The\tquick\n\nbrown,fox-s (cafe) «no» 12!",
        "ＴＨＥ quick bro\u00adwn fox\u2019s cafe\u0301 no １２",
        "thé qüick bröwn fox s cáfe nö 12",
    ],
)
def test_case_space_punctuation_accents_and_compatible_forms_make_no_difference(other):
    expected = words.split_words(["The quick brown fox s cafe no 12"]).hashes
    assert np.array_equal(words.split_words([other]).hashes, expected)
    assert len(expected) == 8


def test_words_that_differ_in_a_letter_or_a_digit_differ():
    texts = ["12", "13", "ab", "ba", "a b", "abc", "а"]
    found = words.split_words(texts)
    assert len(set(found.hashes.tolist())) == len(found) == 8
    assert words.split_words(["a"]).hashes[0] in words.split_words(["a b"]).hashes


@pytest.mark.parametrize(
    ("text", "count"), [("我们在家", 4), ("我们ABC在家", 5), ("ひらがな", 4), ("กขค", 3), ("한국어 말", 2)]
)
def test_each_character_is_a_word_in_scripts_without_spaces(text, count):
    assert words.split_words([text]).counts.tolist() == [count]


def test_a_text_without_letters_has_no_words():
    assert words.split_words(["", " \n", "…!?—", "🙂"]).counts.tolist() == [0, 0, 0, 0]
    assert len(words.split_words([])) == 0


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text("ab ", max_size=30), max_size=6), size=st.integers(1, 6))
def test_inner_shingles_are_those_of_each_document_alone(texts, size):
    found = words.split_words(texts)
    run = words.shingle(found.hashes, size)
    kept = run[words.inner(found.offsets, size, len(run))]
    alone = [words.shingle(words.split_words([text]).hashes, size) for text in texts]
    assert kept.tolist() == [value for one in alone for value in one.tolist()]


def test_a_shingle_tells_its_words_and_their_order():
    shown = ["a b c", "c b a", "a c b", "a b", "b c d"]
    hashes = [words.shingle(words.split_words([text]).hashes, 3).tolist() for text in shown]
    assert hashes[3] == []
    assert len({value for one in hashes for value in one}) == 4


def test_the_naive_words_of_the_tests_are_the_plain_ones_for_ascii():
    text = "It's 12 o'clock, _really_ - at last."
    assert naive_words(text) == re.findall(r"[a-z0-9]+", text.lower())
