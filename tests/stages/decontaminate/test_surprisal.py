"""The surprisal of words in ordinary English: common ones less than rare ones."""

import numpy as np
import pytest
from helpers.eval_items import ITEMS

from curate.matching import words
from curate.stages.decontaminate import canaries, detector, queries, surprisal
from curate.stages.decontaminate.surprisal import WordModel, WordSurprisal


def test_common_english_is_less_surprising_than_rare_words_and_more_so_in_order():
    known = surprisal.load_word_model()
    text = words.split_words(["one of the most important things", "zygomorphic quokka vellichor palimpsest"])
    bits = queries.total_bits(text, surprisal.surprise(text.hashes, np.zeros(len(text), bool), known))
    assert bits[0] < 35 < 60 < bits[1]
    with pytest.raises(ValueError):
        canaries.plant_canaries(detector.make_detector(ITEMS).queries, [])


def model_of(text, **counts):
    """A model that counted some runs (written with _ between words) in a thousand words, and the hashes of a text."""
    keys, values = [], []
    for order in (1, 2, 3):
        runs = {
            int(
                words.hash_shingles(words.split_words([run.replace("_", " ")]).hashes, order)[0] & np.uint64(0xFFFFFFFF)
            ): n
            for run, n in counts.items()
            if run.count("_") == order - 1
        }
        keys.append(np.array(sorted(runs), np.uint32))
        values.append(np.array([runs[key] for key in sorted(runs)], float))
    return words.split_words([text]).hashes, WordModel(tuple(keys), tuple(values), 1000.0)


def bits_of(text, alone=False, **counts):
    hashes, known = model_of(text, **counts)
    return surprisal.surprise(hashes, np.full(len(hashes), alone), known)


def test_the_bits_of_a_word_are_those_of_the_longest_run_that_was_counted():
    found = bits_of("a b c", a=100, b=50, c=10, a_b=25, b_c=5, a_b_c=20)
    assert found.first == pytest.approx(-np.log2([0.1, 0.05, 0.01]))
    assert found.second == pytest.approx(-np.log2([0.4 * 0.1, 25 / 100, 5 / 50]))
    assert found.later == pytest.approx(-np.log2([0.4 * 0.1, 25 / 100, 20 / 25]))


def test_each_word_of_context_that_is_given_up_costs_a_factor_of_four_tenths():
    found = bits_of("a b c", a=100, b=50, c=10)
    assert found.second == pytest.approx(-np.log2([0.04, 0.02, 0.004]))
    assert found.later == pytest.approx(-np.log2([0.04, 0.02, 0.0016]))
    assert bits_of("a b c", c=10, b_c=1).later[2] == pytest.approx(-np.log2(0.4 * 1))  # b itself was never counted
    assert bits_of("a b c", a=100, b=50, c=10, a_b_c=3).later[2] == pytest.approx(-np.log2(0.0016))


def test_no_word_has_more_bits_than_one_that_was_never_counted_and_none_has_fewer_than_0():
    found = bits_of("a b c", a=1000, a_b=4000)
    assert found.first.tolist() == [0, 20, 20] and found.second.tolist()[1:] == [0, 20]
    assert found.later.tolist()[2] == 20
    assert bits_of("a b c", alone=True).first.tolist() == [6, 6, 6]


@pytest.mark.parametrize(("uses", "bits"), [(19, 20.0), (20, -np.log2(20 / 40))])
def test_a_word_that_the_eval_sets_use_twenty_times_is_common_there(uses, bits):
    others = [f"w{number}" for number in range(40 - uses)]
    assert bits_of(" ".join(["zzz"] * uses + others)).first[0] == pytest.approx(bits)


def test_a_run_is_worth_its_first_its_second_and_its_later_words():
    bits = WordSurprisal(np.array([1.0, 2, 4, 8]), np.array([10.0, 20, 40, 80]), np.array([100.0, 200, 400, 800]))
    assert [bits.of_run(1, length) for length in range(4)] == [0, 2, 2 + 40, 2 + 40 + 800]
    assert bits.of_run(0, 4) == 1 + 20 + 400 + 800 and bits.of_run(1, -1) == 0
    assert bits.of_run(3, 1) == 8


def test_the_bits_of_documents_are_those_of_their_runs_also_where_some_are_empty():
    split = words.split_words(["", "one", "two three", "", "four five six seven", ""])
    bits = WordSurprisal(*(np.arange(7.0) + 1000.0**power for power in range(3)))
    wanted = [bits.of_run(first, last - first) for first, last in zip(split.offsets, split.offsets[1:], strict=False)]
    assert queries.total_bits(split, bits).tolist() == pytest.approx(wanted)


def test_a_model_file_gives_the_counts_to_an_eighth_of_a_power_of_two(tmp_path, monkeypatch):
    """A run that occurs less often than asked for is left out; the look-up of it gives 0."""
    texts = ["a b a b a b a c", "a b", "x"]
    runs, total = surprisal.count_runs(texts)
    assert total == 11 and [len(each) for each in runs] == [11, 8, 6]
    np.savez(tmp_path / "model.npz", **surprisal.pack_counts(runs, total, least=(2, 3, 1)))
    monkeypatch.setattr(surprisal, "TABLE", tmp_path / "model.npz")
    known = surprisal.load_word_model.__wrapped__()
    split = words.split_words(["a b a c x"]).hashes

    def count(order):
        return known.count(order, words.hash_shingles(split, order)).tolist()

    assert known.total == 11
    assert count(1) == pytest.approx([5, 4, 5, 0, 0], rel=0.05)
    assert count(2) == pytest.approx([4, 3, 0, 0], rel=0.05)
    assert count(3) == pytest.approx([3, 1, 0], rel=0.05)
    assert WordModel((np.zeros(0, np.uint32),) * 3, (np.zeros(0),) * 3, 1.0).count(1, split).tolist() == [0] * 5
