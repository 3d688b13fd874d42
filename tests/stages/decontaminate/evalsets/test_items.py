"""The hash of an item and the fingerprint of a set are of what they say, in order."""

from helpers.evalsets import read_item, read_rows

from curate.stages.decontaminate.evalsets import hash_item


def test_the_hash_of_an_item_is_of_what_it_says_alone(tmp_path):
    first = read_item(tmp_path, {"id": "a", "question": "What is\nit?", "answer": "caf\u00e9"})
    again = read_item(tmp_path, {"prompt": "What  is it? ", "solution": "cafe\u0301", "key": 9})
    assert hash_item(first) == hash_item(again)
    rest = {"question": "What is it?", "answer": "café"}
    for other in ({"context": "C"}, {"options": ["w", "x"]}, {"answer": "CAFÉ"}, {"question": "What is it"}):
        assert hash_item(read_item(tmp_path, {**rest, **other})) != hash_item(first)
    assert hash_item(read_item(tmp_path, {"turns": ["a", "b"]})) != hash_item(read_item(tmp_path, {"turns": ["a b"]}))


def test_the_fingerprint_of_a_set_is_of_its_items_in_order(tmp_path):
    rows = [{"question": "Q1"}, {"question": "Q2"}]
    prints = [read_rows(tmp_path, some).fingerprint for some in (rows, rows[::-1], rows[:1], rows)]
    assert len(set(prints)) == 3 and prints[0] == prints[3]
    assert (
        read_rows(tmp_path, [{"prompt": "Q1", "id": 5}, {"prompt": "Q2", "id": 6}], name="x.csv").fingerprint
        == prints[0]
    )
