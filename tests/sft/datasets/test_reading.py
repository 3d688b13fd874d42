"""A dataset is read to the last row, and each row gives examples or is counted under the reason why not."""

import json

import pyarrow as pa
import pytest
from helpers.corpora import write_columns, write_lines
from helpers.instruction_rows import NOTHING, ROWS, rows_of, said, set_of, texts_of

from curate.corpus.chat.schemas import SCHEMAS, read_turns
from curate.corpus.values.arrow_values import JSON_TYPE, from_values
from curate.errors import CorpusError, RowError, UsageError
from curate.sft.datasets import draw_sample, open_set
from curate.sft.examples import EMPTY_ANSWER, LABELLED_FALSE, NOT_ASKED, scored_turns

each_schema = pytest.mark.parametrize("schema", SCHEMAS)


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


@each_schema
def test_every_row_gives_examples_or_is_counted_under_the_reason_why_not(tmp_path, schema):
    good = [json.dumps(record).encode() for record in rows_of(schema)]
    bad = [json.dumps(NOTHING[schema]).encode(), b"{", b'{"unknown": 1}', b"[]", json.dumps(NOTHING[schema]).encode()]
    path = write_lines(tmp_path / "a.jsonl", good[:7] + bad + good[7:])
    dataset = open_set(str(path))
    found = draw_sample(dataset, None, 0)
    assert (dataset.name, dataset.schema, dataset.schema_given) == ("a", schema, False)
    assert is_conserved(found) and (found.rows, found.giving) == (17, 12)
    assert total(found.refused) == 2 and total(found.unreadable) == 3
    assert found.available == len(found.examples) == sum(ROWS[schema](n)[1] for n in range(12))
    assert found.schemas == {schema: 14}
    (tally,) = found.refused.values()
    assert tally.locations == ("a.jsonl, row 7", "a.jsonl, row 11")


def test_the_rows_of_these_tests_cover_every_schema():
    assert set(ROWS) == set(NOTHING) == set(SCHEMAS)


def test_a_column_called_text_does_not_hide_the_schema(tmp_path):
    for name in ("a.jsonl", "a.parquet"):
        found = draw_sample(set_of(tmp_path, name, rows_of("alpaca")), None, 0)
        assert texts_of(found) == [f"why {n}?\n\nso {n}" for n in range(12)]


def test_examples_know_their_row_their_part_and_their_id(tmp_path):
    records = [{"id": f"task {n}", **record} for n, record in enumerate(rows_of("instances", 2))]
    found = draw_sample(set_of(tmp_path, "a.jsonl", records), None, 0)
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
    found = draw_sample(dataset, None, 0)
    assert dataset.schema == "alpaca"  # that of most rows
    assert found.schemas == {"alpaca": 5, "messages": 3, "question": 2}
    assert found.giving == found.available == 10 and is_conserved(found)


def test_a_schema_that_is_said_is_that_of_every_row(tmp_path):
    records = rows_of("alpaca", 5) + rows_of("question", 3)
    dataset = set_of(tmp_path, "a.jsonl", records, "question")
    found = draw_sample(dataset, None, 0)
    assert dataset.schema_given and found.schemas == {"question": 3} and total(found.unreadable) == 5
    with pytest.raises(UsageError, match="not sharegpt") as raised:
        set_of(tmp_path, "a.jsonl", records, "sharegpt")
    assert all(schema in str(raised.value) for schema in SCHEMAS)


def test_reasons_are_counted_together_whatever_the_place_and_the_first_places_are_shown(tmp_path):
    records = rows_of("messages", 3)
    for number in range(5):
        records.append({"messages": [*said("a", "b")[: number % 2], {"role": f"king {number}", "content": "x"}]})
    found = draw_sample(set_of(tmp_path, "a.jsonl", records), None, 0)
    ((reason, tally),) = found.unreadable.items()
    assert reason.startswith("messages[N].role: expected one of system") and tally.count == 5
    assert len(tally.locations) == 3 and tally.locations[1].startswith("a.jsonl, row 4: messages[1].role: found")
    assert '"king 1"' in tally.locations[1]


def test_there_are_never_more_reasons_than_can_be_listed(tmp_path):
    records = rows_of("messages", 1) + [{"messages": [], chr(97 + n // 26) + chr(97 + n % 26): 1} for n in range(9)]
    records += [{"a" * n: 1} for n in range(1, 200)]
    path = write_lines(tmp_path / "a.jsonl", [json.dumps(record).encode() for record in records])
    found = draw_sample(open_set(str(path)), None, 0)
    assert len(found.unreadable) <= 51 and is_conserved(found)


def test_kto_and_its_kin_are_refused_by_reason(tmp_path):
    records = [{"messages": said("why?", "so"), "label": n % 3 > 0} for n in range(9)] + [{"messages": said("", "so")}]
    found = draw_sample(set_of(tmp_path, "a.parquet", records), None, 0)
    assert counts(found.refused) == {LABELLED_FALSE: 3, NOT_ASKED: 1} and found.giving == 6


def test_tools_come_along_from_every_format(tmp_path):
    tools = [{"name": "add", "parameters": {"a": "int"}}, {"name": "now"}]
    records = [{"messages": said("why?", "so"), "tools": tools}, {"messages": said("why?", "no"), "tools": []}]
    for name in ("a.jsonl", "a.parquet"):
        first, second = draw_sample(set_of(tmp_path, name, records), None, 0).examples
        assert json.loads(first.example.tools) == tools and second.example.tools is None


def test_on_error_stop_stops_at_rows_that_are_no_json_and_at_those_that_no_schema_reads(tmp_path):
    good = json.dumps(rows_of("alpaca", 1)[0]).encode()
    for bad in (b"{", b'{"other": 1}'):
        path = write_lines(tmp_path / "a.jsonl", [good] * 200 + [bad])
        assert total(draw_sample(open_set(str(path)), 10, 0).unreadable) == 1
        with pytest.raises(RowError, match=r"a\.jsonl, row 200: "):
            draw_sample(open_set(str(path), on_error="stop"), 10, 0)


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
        draw_sample(open_set(str(path), said_schema), None, 0)
    assert "empty: " in str(raised.value) or "none of its rows" in found or "--schema" in raised.value.hint


def test_the_examples_of_a_row_are_what_its_turns_say(tmp_path):
    records = rows_of("messages")
    found = draw_sample(set_of(tmp_path, "a.parquet", records), None, 0)
    for one, record in zip(found.examples, records, strict=True):
        assert list(one.example.turns) == read_turns(record, "messages")[:2]
        assert scored_turns(one.example, "all") == (1,)


CALL = {"type": "function", "function": {"name": "get_tide", "arguments": {"port": "Bergen"}}}
TALK = [
    {"role": "user", "content": [{"type": "text", "text": "High tide?"}], "tool_calls": None},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "14:20", "tool_calls": None},
    {"role": "assistant", "content": "At 14:20,\nor so.", "tool_calls": None},
]
MEMBERS = [("role", pa.string()), ("content", JSON_TYPE)]


@pytest.mark.parametrize(
    "kind",
    [
        JSON_TYPE,
        pa.list_(JSON_TYPE),
        pa.list_(pa.struct([*MEMBERS, ("tool_calls", JSON_TYPE)])),
        pa.large_list(pa.struct([*MEMBERS, ("tool_calls", pa.list_(JSON_TYPE))])),
    ],
    ids=str,
)
def test_examples_in_columns_of_json_values_are_those_of_json_lines(tmp_path, kind):
    lines = draw_sample(set_of(tmp_path, "a.jsonl", [{"messages": TALK}] * 3), None, 0)
    write_columns(tmp_path / "a.parquet", pa.table({"messages": from_values([TALK] * 3, kind)}), 2)
    typed = draw_sample(open_set(str(tmp_path / "a.parquet")), None, 0)
    assert [one.example.turns for one in typed.examples] == [one.example.turns for one in lines.examples]
    assert len(lines.examples) == lines.rows == typed.rows and lines.examples[0].example.turns[1].text.startswith("{")
