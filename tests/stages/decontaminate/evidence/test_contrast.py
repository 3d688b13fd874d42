"""What opposes a match: other words in the place of the item's own, within the document's sentence."""

import re

import numpy as np
import pytest

from curate.matching import words
from curate.stages.decontaminate import alignment, thresholds
from curate.stages.decontaminate.evidence import contrast

ITEM = "Which of the following statements about photosynthesis in ferns is correct?"


def text_words(text):
    split = words.split_words([text])
    return contrast.TextWords(
        text, split.hashes.tolist(), list(zip(split.starts.tolist(), split.ends.tolist(), strict=True))
    )


def compare(document, item=ITEM, language="en"):
    ours, theirs = text_words(item), text_words(document)
    shingles = [words.hash_shingles(np.array(one.hashes, np.uint64), 3) for one in (ours, theirs)]
    runs = sorted(alignment.find_runs(*shingles), key=lambda run: run.document)
    made = contrast.make_contrast(ours, theirs, runs, language)
    spelled = ours.spell(0, len(ours.spans))
    return made, [word for word, opposed in zip(spelled, made.opposed, strict=True) if opposed]


@pytest.mark.parametrize(
    ("document", "opposed"),
    [
        (ITEM, []),
        ("Well: which of the following statements about inflation in ferns is correct? Yes.", ["photosynthesis"]),
        ("Which of the following statements about photosynthesis\n\nThe weather was fine.", []),
        (
            "Which of the following statements about the weather forecast of Sunday is",
            ["photosynthesis", "in", "ferns"],
        ),
        ("Which of the following statements about photosynthesis in fern is correct", []),
        ("In the following statements about photosynthesis in ferns is correct", ["which", "of"]),
    ],
)
def test_words_that_others_stand_for_are_opposed_and_words_that_are_cut_off_are_not(document, opposed):
    assert compare(document)[1][: len(opposed)] == opposed
    assert bool(compare(document)[1]) == bool(opposed)


def test_words_left_out_within_the_match_are_opposed():
    item = "Write a function that reverses only the vowels of any given string."
    assert compare("Write a function that reverses any given string.", item)[1] == ["only", "the", "vowels", "of"]


def test_a_word_of_the_next_sentence_that_the_item_has_too_does_not_carry_the_match_on():
    item = "Develop a small program that reads all files under a directory and counts the words in them"
    made, opposed = compare(
        "Develop a small program that reads all files under a directory\n\nAnd then it rained.", item
    )
    assert opposed == [] and not made.matched[11]


@pytest.mark.parametrize(
    ("word", "other", "same"),
    [("permutation", "permutations", True), ("walk", "walked", True), ("photosynthesis", "phototropism", False),
     ("cat", "cats", False), ("vowels", "towels", False)],
)  # fmt: skip
def test_forms_of_a_word_begin_alike(word, other, same):
    assert contrast.is_form(word, other) is contrast.is_form(other, word) is same


def of(bits, matched, opposed):
    shape = np.zeros(len(bits), bool)
    made = contrast.Contrast(np.isin(range(len(bits)), matched), np.isin(range(len(bits)), opposed), shape, shape)
    return contrast.holds_own_words(made, np.array(bits, float))


def test_a_match_without_the_word_that_the_item_is_about_is_not_of_the_item():
    frame = [1.0] * 9
    assert of([*frame, 15.0], range(9), []) is True
    assert of([*frame, 15.0], range(9), [9]) is False
    assert of([*frame, 15.0], range(1, 10), [0]) is True
    assert of([*frame, 15.0, 14.0, 14.0, 14.0, 14.0], [*range(9), 10, 11, 12, 13], [9]) is True


def reworded(bits, opposed, missing=(), numbers=()):
    count = len(bits)
    marks = [np.isin(range(count), indices) for indices in ([*opposed, *missing], opposed, numbers)]
    made = contrast.Contrast(~marks[0], marks[1], marks[2], np.zeros(count, bool))
    return contrast.is_reworded(made, np.array(bits, float))


def test_a_question_is_reworded_where_single_words_are_opposed_and_enough_telling_ones_are_there():
    rare, common = thresholds.TELLING, thresholds.TELLING - 0.1
    bits = [common] * 11 + [rare] * 2 + [20.0]
    assert reworded(bits, [13])
    assert not reworded([*bits[:11], rare, common, 20.0], [13])
    assert reworded(bits, [0, 2]) and not reworded(bits, [0, 1]) and not reworded(bits, [0, 2, 4])
    assert not reworded(bits, [13], missing=[0]) and not reworded(bits, [13], numbers=[0])
    assert not reworded(bits, [11, 13])
    assert reworded([rare, common, rare, 20.0], [3])  # one word, however few there are


def test_many_opposed_words_are_another_text_and_a_passage_is_a_leak_whatever_stands_beside_it():
    bits = [5.0] * 20
    most = int(thresholds.OPPOSED_WORDS * 20)
    assert of(bits, range(most, 20), range(most)) is True
    assert of(bits, range(most + 1, 20), range(most + 1)) is False
    long = [5.0] * 60
    assert of(long, range(40), range(40, 60)) is (thresholds.OWN_PASSAGE <= 200)


def test_ends_of_sentences_of_arabic_and_hindi_are_known():
    for end in "؟।؛":
        made = text_words(f"one two{end} three")
        assert made.ends_sentence(1) and not made.ends_sentence(0)
    assert re.search("؟", "".join(contrast.ENDS))
