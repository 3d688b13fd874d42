"""Frames: what many items of a set, or many places of the corpus, have is no item's own."""

import random

import numpy as np
from helpers.eval_items import Item

from curate.matching import words
from curate.stages.decontaminate import queries, surprisal
from curate.stages.decontaminate.wordlists import frames


def topics(count, seed=0):
    draw = random.Random(seed)
    return ["".join(draw.choice("bcdfgklmnprst") + draw.choice("aeiou") for _ in range(4)) for _ in range(count)]


def make(texts):
    return queries.make_queries([Item("set", (text,)) for text in texts], surprisal.load_word_model())


def own_bits(made, query):
    first, last = made.words.offsets[query : query + 2]
    return made.own[first:last]


def test_a_frame_that_many_items_share_has_next_to_no_bits_and_the_topic_keeps_its_own():
    made = make([f"Compose a sonnet that praises the {topic} in a rural parish" for topic in topics(40)])
    bits = own_bits(made, 0)
    assert bits[6] > 10 and np.delete(bits, 6).sum() < 12
    few = own_bits(make([f"Compose a sonnet that praises the {topic} in a rural parish" for topic in topics(3)]), 0)
    assert np.delete(few, 6).sum() > 30


def test_the_same_question_with_other_numbers_keeps_its_bits():
    text = "A baker sells {} rye loaves and {} poppy rolls before noon; how many loaves are left on the shelf?"
    alone, pair = make([text.format(12, 30)]), make([text.format(12, 30), text.format(45, 9)])
    assert own_bits(pair, 0).sum() > 0.8 * own_bits(alone, 0).sum()


def test_what_the_corpus_says_in_many_contexts_is_common_and_copies_of_one_text_are_not():
    made = make(["Compose a sonnet that praises the zygomorphic quokka"])
    query_words = frames.QueryWords(made.words.hashes, np.zeros(len(made.words), np.int64), made.words.offsets)

    def after(texts):
        return frames.discount_common_runs(made.own, query_words, words.split_words(texts)).sum()

    many = [f"Compose a sonnet that praises the {topic} of {other} and so on" for topic, other in
            zip(topics(60), topics(60, 1), strict=True)]  # fmt: skip
    copies = ["Compose a sonnet that praises the zygomorphic quokka and so on and on"] * 60
    assert after(many) < 0.6 * made.own.sum()
    assert after(copies) == made.own.sum() == after([])


def test_a_run_does_not_reach_from_one_query_into_the_next():
    split = words.split_words(["a b", "b c", "a b"])
    owners = np.repeat(np.arange(3), split.counts)
    query_words = frames.QueryWords(split.hashes, owners, split.offsets)
    assert frames.count_others(query_words, np.zeros(3, np.int64), 2).tolist() == [1, 0, 0, 0, 1, 0]
    assert frames.count_others(query_words, np.array([0, 0, 1]), 2).tolist() == [0] * 6
    assert frames.count_others(query_words, np.zeros(3, np.int64), 1).tolist() == [1, 2, 2, 0, 1, 2]
