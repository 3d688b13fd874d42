"""The sample of a dataset is the same wherever its rows lie, in its shares of lengths, and of bounded size."""

from collections import Counter

import numpy as np
import pytest
from helpers.corpora import write_records
from helpers.instruction_rows import NOTHING, rows_of, said, set_of, texts_of

from curate.errors import CorpusError
from curate.sft.datasets import draw_sample, open_set, sampling


def pairs(count=400, seed=0):
    """Questions with answers of very different lengths."""
    lengths = np.random.default_rng(seed).geometric(0.02, count)
    return [(f"why {n}?", "x" * int(length) + str(n)) for n, length in enumerate(lengths)]


def test_one_example_is_a_sample_of_any_size(tmp_path):
    dataset = set_of(tmp_path, "a.jsonl", rows_of("alpaca", 1))
    for count in (1, 1000, None):
        assert texts_of(draw_sample(dataset, count, 0)) == ["why 0?\n\nso 0"]
    with pytest.raises(ValueError, match="at least 1 or None, not 0"):
        draw_sample(dataset, 0, 0)


def as_alpaca(asked, answered):
    return {"instruction": asked, "output": answered}


def test_a_sample_has_its_size_and_its_order_and_holds_every_smaller_one(tmp_path):
    dataset = set_of(tmp_path, "a.jsonl", [as_alpaca(*pair) for pair in pairs()])
    larger = None
    for count in (400, 399, 200, 101, 100, 10, 1):
        found = draw_sample(dataset, count, 7)
        rows = [one.row for one in found.examples]
        assert len(rows) == count and rows == sorted(rows) and found.available == 400
        assert larger is None or set(rows) < larger
        larger = set(rows)


def test_the_seed_chooses_the_sample_and_the_same_seed_the_same(tmp_path):
    dataset = set_of(tmp_path, "a.jsonl", [as_alpaca(*pair) for pair in pairs()])
    assert draw_sample(dataset, 50, 1) == draw_sample(dataset, 50, 1)
    common = set(texts_of(draw_sample(dataset, 50, 1))) & set(texts_of(draw_sample(dataset, 50, 2)))
    assert len(common) < 20  # 6 expected of two independent samples
    assert draw_sample(dataset, 50, -1).examples  # any whole number is a seed


@pytest.mark.parametrize("count", [10, 37, 100, 250])
def test_every_tenth_of_the_lengths_gives_its_share(tmp_path, count):
    dataset = set_of(tmp_path, "a.jsonl", [as_alpaca(*pair) for pair in pairs()])
    lengths = sorted(len(answer) for _, answer in pairs())
    drawn = [len(one.example.turns[-1].text) for one in draw_sample(dataset, count, 5).examples]
    for tenth in range(1, 10):
        edge = lengths[40 * tenth]
        ties = lengths.count(edge)
        below = sum(length < edge for length in drawn)
        assert abs(below - count * tenth / 10) <= 2 + ties


def test_what_is_scored_makes_the_length(tmp_path):
    """The last answers grow with the row; the first ones are longer, and in no order."""
    records = [{"messages": said("why?", "x" * (n * 37 % 200 * 10 + 1), "and?", "y" * (n + 1))} for n in range(200)]
    dataset = set_of(tmp_path, "a.jsonl", records)
    tenths = {
        which: sorted(one.row // 20 for one in draw_sample(dataset, 10, 0, which).examples) for which in ("last", "all")
    }
    assert tenths["last"] == list(range(10)) != tenths["all"]


COPIES = {
    "alpaca": as_alpaca,
    "messages": lambda asked, answered: {"messages": said(asked, answered)},
    "conversations": lambda asked, answered: {
        "conversations": [{"from": "human", "value": asked}, {"from": "gpt", "value": answered}]
    },
    "question": lambda asked, answered: {"question": asked, "answer": answered},
    "preference": lambda asked, answered: {"prompt": asked, "chosen": answered, "rejected": "no"},
    "instances": lambda asked, answered: {"instruction": asked, "instances": [{"input": "", "output": answered}]},
}


@pytest.mark.parametrize("schema", COPIES)
@pytest.mark.parametrize("name", ["a.jsonl", "b.parquet"])
def test_a_copy_in_another_schema_order_or_format_gives_the_same_sample(tmp_path, schema, name):
    known = pairs(150) + pairs(30)  # thirty are there twice
    original = set_of(tmp_path, "original.jsonl", [as_alpaca(*pair) for pair in known])
    order = np.random.default_rng(1).permutation(len(known))
    copy = set_of(tmp_path, name, [COPIES[schema](*known[place]) for place in order])
    assert copy.schema == schema
    for count in (20, 100):
        assert Counter(texts_of(draw_sample(copy, count, 3))) == Counter(texts_of(draw_sample(original, count, 3)))


def test_copies_of_one_example_are_not_drawn_together(tmp_path):
    """Of 20 examples in 20 copies each, 40 draws meet 17 or 18; two or three if copies came along."""
    dataset = set_of(tmp_path, "a.jsonl", [as_alpaca(f"why {n % 20}?", f"so {n % 20}") for n in range(400)])
    found = draw_sample(dataset, 40, 0)
    assert len(set(texts_of(found))) > 12 and len({one.row for one in found.examples}) == 40


@pytest.mark.parametrize("schema", ["tree", "instances", "alpaca"])
def test_a_dataset_that_is_too_large_to_be_held_is_read_again_and_gives_the_same(tmp_path, monkeypatch, schema):
    dataset = set_of(tmp_path, "a.jsonl", [*rows_of(schema, 60), NOTHING[schema]])
    for count in (10, None):
        held = draw_sample(dataset, count, 1)
        with monkeypatch.context() as patch:
            patch.setattr(sampling, "KEPT_CHARACTERS", 300)
            assert draw_sample(dataset, count, 1) == held


def test_no_more_than_the_room_is_held(tmp_path):
    dataset = set_of(tmp_path, "a.jsonl", rows_of("alpaca", 60))
    store = sampling.ExampleStore(100)
    most = 0
    for one in draw_sample(dataset, None, 0).examples:
        store.add(one)
        most = max(most, sum(len(turn.text) for kept in store.examples or () for turn in kept.example.turns))
    assert store.examples is None and 50 < most <= 100


def test_a_dataset_that_changes_between_two_readings_is_an_error(tmp_path, monkeypatch):
    path = write_records(tmp_path / "a.jsonl", rows_of("alpaca"))
    dataset = open_set(str(path))
    monkeypatch.setattr(sampling, "KEPT_CHARACTERS", 0)
    order = sampling.order_evenly

    for records in (rows_of("question"), [as_alpaca("why?", "x")] * 12, rows_of("alpaca", 3)):

        def change(*numbers, records=records):
            write_records(path, records)
            return order(*numbers)

        with monkeypatch.context() as patch:
            patch.setattr(sampling, "order_evenly", change)
            if records == rows_of("question"):
                assert len(draw_sample(dataset, 5, 0).examples) == 5  # the same turns, so the same sample
            else:
                with pytest.raises(CorpusError, match="changed while it was read"):
                    draw_sample(dataset, 12, 0)
        write_records(path, rows_of("alpaca"))
