"""The surprisal of words in ordinary English: common ones less than rare ones."""

import numpy as np
import pytest
from helpers.eval_items import ITEMS

from curate.matching import words
from curate.stages.decontaminate import canaries, detector, queries, surprisal


def test_common_english_is_less_surprising_than_rare_words_and_more_so_in_order():
    known = surprisal.load_word_model()
    text = words.split_words(["one of the most important things", "zygomorphic quokka vellichor palimpsest"])
    bits = queries.total_bits(text, surprisal.surprise(text.hashes, np.zeros(len(text), bool), known))
    assert bits[0] < 35 < 60 < bits[1]
    with pytest.raises(ValueError):
        canaries.plant_canaries(detector.make_detector(ITEMS).queries, [])
