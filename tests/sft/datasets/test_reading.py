"""A dataset is read to the last row, each accounted for, and the sample of it is the same wherever its rows lie."""

import json
from collections import Counter

import numpy as np
import pytest
from helpers.corpora import write_lines, write_records

from curate.conversation import SCHEMAS, joined, read_turns
from curate.errors import CorpusError, RowError, UsageError
from curate.instruction import EMPTY_ANSWER, LABELLED_FALSE, NOT_ASKED, scored_turns
from curate.instructionsets import draw, drawing, name_sets, open_set


def said(*texts):
    return [{"role": role, "content": text} for role, text in zip(("user", "assistant") * 9, texts, strict=False)]


def tree(number):
    replies = [{"role": "assistant", "text": f"so {number} {part}", "replies": []} for part in range(number % 3 + 1)]
    return {"role": "prompter", "text": f"why {number}?", "replies": replies}


# A row of each schema, and how many examples it gives.
ROWS = {
    "tree": lambda n: ({"message_tree_id": n, "prompt": tree(n)}, n % 3 + 1),
    "preference": lambda n: ({"prompt": f"why {n}?", "chosen": f"so {n}", "rejected": "no"}, 1),
    "messages": lambda n: ({"messages": said(f"why {n}?", f"so {n}", "and?")}, 1),
    "conversations": lambda n: ({"conversations": said(f"why {n}?", f"so {n}")}, 1),
    "instances": lambda n: ({"instruction": f"add {n}", "instances": [{"output": "1"}, {"output": "2"}]}, 2),
    "alpaca": lambda n: ({"instruction": f"why {n}?", "input": "", "output": f"so {n}", "text": "all of it"}, 1),
    "prompt": lambda n: ({"prompt": f"why {n}?", "completion": f"so {n}"}, 1),
    "question": lambda n: ({"question": f"why {n}?", "answer": f"so {n}"}, 1),
    "query": lambda n: ({"query": f"why {n}?", "response": f"so {n}"}, 1),
    "problem": lambda n: ({"problem": f"why {n}?", "solution": f"so {n}"}, 1),
}
# A row of each schema that has nothing to learn.
NOTHING = {
    "tree": {"message_tree_id": 1, "prompt": {"role": "assistant", "text": "so", "replies": []}},
    "preference": {"prompt": "why?", "chosen": "", "rejected": "no"},
    "messages": {"messages": said("", "so")},
    "conversations": {"conversations": said("why?")},
    "instances": {"instruction": "add", "instances": []},
    "alpaca": {"instruction": "why?", "input": "", "output": "", "text": "all of it"},
    "prompt": {"prompt": "why?", "completion": "so", "label": False},
    "question": {"question": "", "answer": "so"},
    "query": {"query": "why?", "response": None},
    "problem": {"problem": "why?", "solution": " "},
}
each_schema = pytest.mark.parametrize("schema", SCHEMAS)


def rows_of(schema, count=12):
    return [ROWS[schema](number)[0] for number in range(count)]


def pairs(count=400, seed=0):
    """Questions with answers of very different lengths."""
    lengths = np.random.default_rng(seed).geometric(0.02, count)
    return [(f"why {n}?", "x" * int(length) + str(n)) for n, length in enumerate(lengths)]


def set_of(folder, name, records, schema=None, **options):
    return open_set(str(write_records(folder / name, records)), schema, **options)


def texts_of(found):
    return [joined(one.example.turns) for one in found.examples]


def counts(tallies):
    return {reason: tally.count for reason, tally in tallies.items()}


def total(tallies):
    return sum(tally.count for tally in tallies.values())


def is_conserved(found):
    return (
        found.rows
        == found.giving + total(found.refused) + total(found.unreadable)
        == (sum(found.schemas.values()) + total(found.unreadable))
    )


# ------------------------------------------------------------------------------------------------------------ reading


@each_schema
def test_every_row_gives_examples_or_is_counted_under_the_reason_why_not(tmp_path, schema):
    good = [json.dumps(record).encode() for record in rows_of(schema)]
    bad = [json.dumps(NOTHING[schema]).encode(), b"{", b'{"unknown": 1}', b"[]", json.dumps(NOTHING[schema]).encode()]
    path = write_lines(tmp_path / "a.jsonl", good[:7] + bad + good[7:])
    dataset = open_set(str(path))
    found = draw(dataset, None, 0)
    assert (dataset.name, dataset.schema, dataset.said) == ("a", schema, False)
    assert is_conserved(found) and (found.rows, found.giving) == (17, 12)
    assert total(found.refused) == 2 and total(found.unreadable) == 3
    assert found.available == len(found.examples) == sum(ROWS[schema](n)[1] for n in range(12))
    assert found.schemas == {schema: 14}
    (tally,) = found.refused.values()
    assert tally.places == ("a.jsonl, row 7", "a.jsonl, row 11")


def test_the_rows_of_these_tests_cover_every_schema():
    assert set(ROWS) == set(NOTHING) == set(SCHEMAS)


def test_a_column_called_text_does_not_hide_the_schema(tmp_path):
    for name in ("a.jsonl", "a.parquet"):
        found = draw(set_of(tmp_path, name, rows_of("alpaca")), None, 0)
        assert texts_of(found) == [f"why {n}?\n\nso {n}" for n in range(12)]


def test_examples_know_their_row_their_part_and_their_id(tmp_path):
    records = [{"id": f"task {n}", **record} for n, record in enumerate(rows_of("instances", 2))]
    found = draw(set_of(tmp_path, "a.jsonl", records), None, 0)
    assert [(one.file, one.row, one.part, one.id) for one in found.examples] == [
        ("a.jsonl", row, part, f"task {row}") for row in range(2) for part in range(2)
    ]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet", "file.arrow"])
def test_rows_of_another_schema_are_read_by_their_own(tmp_path, name):
    """In Parquet and Arrow every row has all columns, so those of its own schema are the ones that it fills."""
    records = rows_of("alpaca", 5) + rows_of("messages", 3) + rows_of("question", 2)
    if not name.endswith(("jsonl", "json")):
        columns = dict.fromkeys(column for record in records for column in record)
        records = [columns | record for record in records]
    dataset = set_of(tmp_path, name, records)
    found = draw(dataset, None, 0)
    assert dataset.schema == "alpaca"  # that of most rows
    assert found.schemas == {"alpaca": 5, "messages": 3, "question": 2}
    assert found.giving == found.available == 10 and is_conserved(found)


def test_a_schema_that_is_said_is_that_of_every_row(tmp_path):
    records = rows_of("alpaca", 5) + rows_of("question", 3)
    dataset = set_of(tmp_path, "a.jsonl", records, "question")
    found = draw(dataset, None, 0)
    assert dataset.said and found.schemas == {"question": 3} and total(found.unreadable) == 5
    with pytest.raises(UsageError, match="--schema sharegpt") as raised:
        set_of(tmp_path, "a.jsonl", records, "sharegpt")
    assert all(schema in raised.value.hint for schema in SCHEMAS)


def test_reasons_are_counted_together_whatever_the_place_and_the_first_places_are_shown(tmp_path):
    records = rows_of("messages", 3)
    for number in range(5):
        records.append({"messages": [*said("a", "b")[: number % 2], {"role": f"king {number}", "content": "x"}]})
    found = draw(set_of(tmp_path, "a.jsonl", records), None, 0)
    ((reason, tally),) = found.unreadable.items()
    assert reason.startswith("messages[N].role: expected one of system") and tally.count == 5
    assert len(tally.places) == 3 and tally.places[1].startswith("a.jsonl, row 4: messages[1].role: found")
    assert '"king 1"' in tally.places[1]


def test_there_are_never_more_reasons_than_can_be_listed(tmp_path):
    records = rows_of("messages", 1) + [{"messages": [], chr(97 + n // 26) + chr(97 + n % 26): 1} for n in range(9)]
    records += [{"a" * n: 1} for n in range(1, 200)]
    path = write_lines(tmp_path / "a.jsonl", [json.dumps(record).encode() for record in records])
    found = draw(open_set(str(path)), None, 0)
    assert len(found.unreadable) <= 51 and is_conserved(found)


def test_kto_and_its_kin_are_refused_by_reason(tmp_path):
    records = [{"messages": said("why?", "so"), "label": n % 3 > 0} for n in range(9)] + [{"messages": said("", "so")}]
    found = draw(set_of(tmp_path, "a.parquet", records), None, 0)
    assert counts(found.refused) == {LABELLED_FALSE: 3, NOT_ASKED: 1} and found.giving == 6


def test_tools_come_along_from_every_format(tmp_path):
    tools = [{"name": "add", "parameters": {"a": "int"}}, {"name": "now"}]
    records = [{"messages": said("why?", "so"), "tools": tools}, {"messages": said("why?", "no"), "tools": []}]
    for name in ("a.jsonl", "a.parquet"):
        first, second = draw(set_of(tmp_path, name, records), None, 0).examples
        assert json.loads(first.example.tools) == tools and second.example.tools is None


def test_on_error_stop_stops_at_rows_that_are_no_json_and_at_those_that_no_schema_reads(tmp_path):
    good = json.dumps(rows_of("alpaca", 1)[0]).encode()
    for bad in (b"{", b'{"other": 1}'):
        path = write_lines(tmp_path / "a.jsonl", [good] * 200 + [bad])
        assert total(draw(open_set(str(path)), 10, 0).unreadable) == 1
        with pytest.raises(RowError, match=r"a\.jsonl, row 200: "):
            draw(open_set(str(path), on_error="stop"), 10, 0)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([], "a is empty"),
        ([b"", b"  "], "a is empty"),
        ([b"{"], "none of its rows can be read; the first: a.jsonl: line 1, byte"),
        ([b'{"text": "x", "n": 1}'], "its rows follow no known schema; they have: text, n"),
        ([b"{}"], "they have no columns"),
        ([b'{"instruction": "q", "output": ""}'] * 3, f"no example in 3 rows: 3 × {EMPTY_ANSWER} \\(a.jsonl, row 0\\)"),
        ([b'{"messages": "x"}', b"{"], "no example in 2 rows: .*1 × not valid JSON.*the columns are: messages"),
    ],
    ids=str,
)
def test_a_dataset_without_an_example_says_what_was_found_and_what_is_expected(tmp_path, lines, found):
    path = write_lines(tmp_path / "a.jsonl", lines)
    said_schema = "messages" if any(b"messages" in line for line in lines) else None
    with pytest.raises(CorpusError, match=found) as raised:
        draw(open_set(str(path), said_schema), None, 0)
    assert "empty: " in str(raised.value) or "none of its rows" in found or "--schema" in raised.value.hint


# ------------------------------------------------------------------------------------------------------------ drawing


def test_one_example_is_a_sample_of_any_size(tmp_path):
    dataset = set_of(tmp_path, "a.jsonl", rows_of("alpaca", 1))
    for count in (1, 1000, None):
        assert texts_of(draw(dataset, count, 0)) == ["why 0?\n\nso 0"]
    with pytest.raises(ValueError, match="a sample of 0"):
        draw(dataset, 0, 0)


def as_alpaca(asked, answered):
    return {"instruction": asked, "output": answered}


def test_a_sample_has_its_size_and_its_order_and_holds_every_smaller_one(tmp_path):
    dataset = set_of(tmp_path, "a.jsonl", [as_alpaca(*pair) for pair in pairs()])
    larger = None
    for count in (400, 399, 200, 101, 100, 10, 1):
        found = draw(dataset, count, 7)
        rows = [one.row for one in found.examples]
        assert len(rows) == count and rows == sorted(rows) and found.available == 400
        assert larger is None or set(rows) < larger
        larger = set(rows)


def test_the_seed_chooses_the_sample_and_the_same_seed_the_same(tmp_path):
    dataset = set_of(tmp_path, "a.jsonl", [as_alpaca(*pair) for pair in pairs()])
    assert draw(dataset, 50, 1) == draw(dataset, 50, 1)
    common = set(texts_of(draw(dataset, 50, 1))) & set(texts_of(draw(dataset, 50, 2)))
    assert len(common) < 20  # 6 expected of two independent samples
    assert draw(dataset, 50, -1).examples  # any whole number is a seed


@pytest.mark.parametrize("count", [10, 37, 100, 250])
def test_every_tenth_of_the_lengths_gives_its_share(tmp_path, count):
    dataset = set_of(tmp_path, "a.jsonl", [as_alpaca(*pair) for pair in pairs()])
    lengths = sorted(len(answer) for _, answer in pairs())
    drawn = [len(one.example.turns[-1].text) for one in draw(dataset, count, 5).examples]
    for tenth in range(1, 10):
        edge = lengths[40 * tenth]
        ties = lengths.count(edge)
        below = sum(length < edge for length in drawn)
        assert abs(below - count * tenth / 10) <= 2 + ties


def test_what_is_scored_makes_the_length(tmp_path):
    """The last answers grow with the row; the first ones are longer, and in no order."""
    records = [{"messages": said("why?", "x" * (n * 37 % 200 * 10 + 1), "and?", "y" * (n + 1))} for n in range(200)]
    dataset = set_of(tmp_path, "a.jsonl", records)
    tenths = {which: sorted(one.row // 20 for one in draw(dataset, 10, 0, which).examples) for which in ("last", "all")}
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
        assert Counter(texts_of(draw(copy, count, 3))) == Counter(texts_of(draw(original, count, 3)))


def test_copies_of_one_example_are_not_drawn_together(tmp_path):
    """Of 20 examples in 20 copies each, 40 draws meet 17 or 18; two or three if copies came along."""
    dataset = set_of(tmp_path, "a.jsonl", [as_alpaca(f"why {n % 20}?", f"so {n % 20}") for n in range(400)])
    found = draw(dataset, 40, 0)
    assert len(set(texts_of(found))) > 12 and len({one.row for one in found.examples}) == 40


@pytest.mark.parametrize("schema", ["tree", "instances", "alpaca"])
def test_a_dataset_that_is_too_large_to_be_held_is_read_again_and_gives_the_same(tmp_path, monkeypatch, schema):
    dataset = set_of(tmp_path, "a.jsonl", [*rows_of(schema, 60), NOTHING[schema]])
    for count in (10, None):
        held = draw(dataset, count, 1)
        with monkeypatch.context() as patch:
            patch.setattr(drawing, "HELD_CHARACTERS", 300)
            assert draw(dataset, count, 1) == held


def test_no_more_than_the_room_is_held(tmp_path):
    dataset = set_of(tmp_path, "a.jsonl", rows_of("alpaca", 60))
    shelf = drawing.Shelf(100)
    most = 0
    for one in draw(dataset, None, 0).examples:
        shelf.add(one)
        most = max(most, sum(len(turn.text) for kept in shelf.held or () for turn in kept.example.turns))
    assert shelf.held is None and 50 < most <= 100


def test_a_dataset_that_changes_between_two_readings_is_an_error(tmp_path, monkeypatch):
    path = write_records(tmp_path / "a.jsonl", rows_of("alpaca"))
    dataset = open_set(str(path))
    monkeypatch.setattr(drawing, "HELD_CHARACTERS", 0)
    order = drawing.order_evenly

    for records in (rows_of("question"), [as_alpaca("why?", "x")] * 12, rows_of("alpaca", 3)):

        def change(*numbers, records=records):
            write_records(path, records)
            return order(*numbers)

        with monkeypatch.context() as patch:
            patch.setattr(drawing, "order_evenly", change)
            if records == rows_of("question"):
                assert len(draw(dataset, 5, 0).examples) == 5  # the same turns, so the same sample
            else:
                with pytest.raises(CorpusError, match="changed while it was read"):
                    draw(dataset, 12, 0)
        write_records(path, rows_of("alpaca"))


def test_the_limit_is_that_of_the_rows(tmp_path):
    dataset = set_of(tmp_path, "a.jsonl", rows_of("alpaca"), limit=5)
    found = draw(dataset, None, 0)
    assert found.rows == found.available == 5
    assert [one.row for one in found.examples] == list(range(5))


def test_the_examples_of_a_row_are_what_its_turns_say(tmp_path):
    records = rows_of("messages")
    found = draw(set_of(tmp_path, "a.parquet", records), None, 0)
    for one, record in zip(found.examples, records, strict=True):
        assert list(one.example.turns) == read_turns(record, "messages")[:2]
        assert scored_turns(one.example, "all") == (1,)


# ------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (["a/x.json", "b/y.jsonl.gz"], ["x", "y"]),
        (["a/x.json", "b/x.json", "mine=c/y.json", "d/z.json"], ["a/x", "b/x", "mine", "z"]),
        (["p/a/x.json", "q/a/x.json", "r/b/x.json"], ["p/a/x", "q/a/x", "b/x"]),
        (["a/x.json", "a/x.jsonl"], ["a/x.json", "a/x.jsonl"]),
        (["x=a/y.json", "b/x.json"], ["x", "b/x"]),
        (["some/folder/", "other"], ["folder", "other"]),
        (["tatsu-lab/alpaca:train", "yahma/alpaca:train"], ["tatsu-lab/alpaca", "yahma/alpaca"]),
        (["tatsu-lab/alpaca:train"], ["alpaca"]),
        (["o/set:train", "o/set:test"], ["set:train", "set:test"]),
        (["o/set@en:train", "o/set@de:train"], ["set@en:train", "set@de:train"]),
        (["data/*.json", "data/train-*.parquet"], ["data", "train"]),
        (["https://host/a/x.jsonl?download=true", "s3://bucket/b/x.jsonl"], ["a/x", "b/x"]),
        (["v1.5/x.json", "alpaca-v1.5.json"], ["x", "alpaca-v1.5"]),
    ],
)
def test_a_dataset_is_called_by_its_stem_and_by_its_folders_where_stems_are_the_same(data, names):
    found = name_sets(data)
    assert list(found) == names
    assert list(found.values()) == [one.partition("=")[2] if one[:5] in ("mine=", "x=a/y") else one for one in data]


def test_a_path_that_exists_is_a_path_whatever_is_in_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_records(tmp_path / "lang=en" / "x.jsonl", rows_of("alpaca"))
    assert name_sets(["lang=en/x.jsonl"]) == {"x": "lang=en/x.jsonl"}
    assert name_sets(["lang=*/x.jsonl"]) == {"x": "lang=*/x.jsonl"}
    dataset = open_set("mine=lang=en/x.jsonl")
    assert dataset.name == "mine" and draw(dataset, None, 0).rows == 12


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ([], "no dataset is named"),
        (["a.json", "a.json"], "a.json is given twice"),
        (["m=o/set:train", "n=o/set:train"], "o/set:train is given twice"),
        (["m=a.json", "m=b.json"], "two datasets are called m"),
        (["data/a*.json", "data/a?.json"], "two datasets are called"),
    ],
)
def test_a_dataset_twice_and_a_name_twice_are_refused(data, found):
    with pytest.raises(UsageError, match=found):
        name_sets(data)


def test_one_file_by_two_paths_is_one_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_records(tmp_path / "a.jsonl", rows_of("alpaca"))
    (tmp_path / "link.jsonl").symlink_to(path)
    for other in ("./a.jsonl", str(path), "link.jsonl", "mine=a.jsonl"):
        with pytest.raises(UsageError, match="given twice"):
            name_sets(["a.jsonl", other])
