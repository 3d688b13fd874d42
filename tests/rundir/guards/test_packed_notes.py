"""What is packed comes out as it was: random metadata, and the cases in which Python and JSON differ."""

import json
import random

import pytest

from curate.rundir.guards.packed_notes import PackedNotes, pack_notes

VALUES = (
    0,
    0.0,
    False,
    1,
    1.0,
    True,
    None,
    "",
    "é\n\u2028",
    "\ud800",
    [],
    [0],
    [False],
    {},
    {"a": [None], "b": 1},
    -0.0,
)


def unpack(packed, count):
    notes = PackedNotes(json.loads(json.dumps(packed)))
    return [notes.get(index) for index in range(count)]


@pytest.mark.parametrize("seed", range(40))
def test_notes_come_out_as_they_went_in(seed):
    chance = random.Random(seed)
    names = chance.sample("abcdefgh", chance.randint(0, 5))
    common = {name: chance.choice(VALUES) for name in names if chance.random() < 0.5}
    notes = [
        None if chance.random() < 0.1 else {**{name: chance.choice(VALUES) for name in names}, **common}
        for _ in range(chance.randint(0, 9))
    ]
    ordered = [None if note is None else dict(sorted(note.items())) for note in notes]
    assert json.dumps(unpack(pack_notes(notes), len(notes))) == json.dumps(ordered)


def test_what_all_say_alike_stands_once_and_zero_is_not_false():
    packed = pack_notes([{"made_from": "f", "limit": 0, "n": 1}, None, {"made_from": "f", "limit": False, "n": 2}])
    assert packed["shared"] == {"made_from": "f"}


def test_the_order_of_keys_does_not_matter():
    assert pack_notes([{"a": 1, "b": {"c": 1, "d": 2}}]) == pack_notes([{"b": {"d": 2, "c": 1}, "a": 1}])
