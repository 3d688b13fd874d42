"""Columns of JSON values (datasets' ``Json``) read as the values that they are: as the same rows in JSON lines."""

import json

import datasets
import pyarrow as pa
import pytest
from helpers.corpora import write_columns

from curate.corpus import open_corpus, open_records
from curate.corpus.values.arrow_values import JSON_TYPE, encode_json, from_values, to_values

CALL = {"type": "function", "function": {"name": "get_tide", "arguments": {"port": "Bergen"}}}
TALKS = [
    [{"role": "user", "content": "How do I cook an egg?"}, {"role": "assistant", "content": "Boil it.\nNow."}],
    [{"role": "user", "content": [{"type": "text", "text": "And rice?"}]}, {"role": "assistant", "content": "Steam."}],
    [{"role": "user", "content": "Tide?"}, {"role": "assistant", "content": None, "tool_calls": [CALL]}],
    [{"role": "user", "content": "Tide?"}, {"role": "assistant", "content": "", "tool_calls": [CALL, {"name": "b"}]}],
    None,
]


def talk(**members):
    """The type of a list of messages with a role and these members."""
    return pa.list_(pa.struct([("role", pa.string()), *members.items()]))


TEXTS = ["one", "", None, ["two", "three"], 4, True, {"text": "x"}, "naïve \u2028 \U0001f642", 'a "quote"', "\ud800"]
IDS = [1, "x", None, 2.5, {"a": 1}, [1, "b"], True, 2**70]
JSON_LIST = pa.list_(JSON_TYPE)
VARIANTS = {
    "text": ([{"text": text} for text in TEXTS], {"text": JSON_TYPE}),
    "id": ([{"text": "a", "id": value} for value in IDS], {"text": pa.string(), "id": JSON_TYPE}),
    "a text within": (
        [{"meta": meta} for meta in ({"text": "a", "id": 7}, {"text": ["b"]}, None, "c", {"x": 1})],
        {"meta": JSON_TYPE},
    ),
    "content": ([{"messages": talk} for talk in TALKS[:2]], {"messages": talk(content=JSON_TYPE)}),
    "tool calls": (
        [{"messages": talk} for talk in TALKS[2:]],
        {"messages": talk(content=JSON_TYPE, tool_calls=JSON_TYPE)},
    ),
    "each tool call": (
        [{"messages": talk} for talk in TALKS[2:]],
        {"messages": talk(content=pa.string(), tool_calls=JSON_LIST)},
    ),
    "each message": ([{"messages": talk} for talk in TALKS], {"messages": JSON_LIST}),
    "each message of large lists": ([{"messages": talk} for talk in TALKS], {"messages": pa.large_list(JSON_TYPE)}),
    "messages": ([{"messages": talk} for talk in TALKS], {"messages": JSON_TYPE}),
    "conversations": (
        [{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": answer}]} for answer in ("b", 7)],
        {"conversations": JSON_LIST},
    ),
    "a prompt of messages and answers": (
        [
            {"prompt": "a", "chosen": "b", "rejected": "c"},
            {"prompt": TALKS[0][:1], "chosen": TALKS[0][1:], "rejected": [{"role": "assistant", "content": "d"}]},
        ],
        {"prompt": JSON_TYPE, "chosen": JSON_TYPE, "rejected": JSON_TYPE},
    ),
    "instruction": (
        [{"instruction": "a", "input": None, "output": 7}, {"instruction": "b", "input": "c", "output": "d"}],
        {"instruction": JSON_TYPE, "input": JSON_TYPE, "output": JSON_TYPE},
    ),
    "instances": (
        [{"instruction": "a", "instances": [{"input": "b", "output": "c"}, {"output": "d"}]}],
        {"instruction": pa.string(), "instances": JSON_LIST},
    ),
    "history": (
        [{"instruction": "a", "output": "b", "history": [["c", "d"]]}, {"instruction": "a", "output": "b"}],
        {"instruction": pa.string(), "output": pa.string(), "history": JSON_TYPE},
    ),
    "a tree": (
        [{"prompt": {"text": "a", "role": "prompter", "replies": [{"text": "b", "role": "assistant", "replies": []}]}}],
        {"prompt": JSON_TYPE},
    ),
}  # fmt: skip
FIELDS = {"a text within": {"text_field": "meta.text", "id_field": "meta.id"}}
FILES = ("a.parquet", "file.arrow", "stream.arrow", "a.feather")
each_variant = pytest.mark.parametrize("variant", VARIANTS)
each_file = pytest.mark.parametrize("name", FILES)


def make_table(variant):
    records, types = VARIANTS[variant]
    return pa.table({name: from_values([row.get(name) for row in records], kind) for name, kind in types.items()})


def open_both(folder, variant, name):
    """The corpus in JSON lines and with columns of JSON."""
    lines = folder / "a.jsonl"
    lines.write_text("".join(json.dumps(record) + "\n" for record in VARIANTS[variant][0]))
    write_columns(folder / "typed" / name, make_table(variant), 2)
    return [open_corpus(str(path), **FIELDS.get(variant, {})) for path in (lines, folder / "typed" / name)]


def read_values(corpus):
    (documents,) = corpus.slices()
    return documents.statuses, documents.texts, documents.turns, documents.ids


@each_file
@each_variant
def test_documents_are_those_of_json_lines(tmp_path, variant, name):
    lines, typed = open_both(tmp_path, variant, name)
    assert typed.text_field == lines.text_field and typed.id_field == lines.id_field
    assert read_values(typed) == read_values(lines)
    assert set(read_values(lines)[0]) != {"unreadable"}


@each_file
def test_records_are_those_of_json_lines(tmp_path, name):
    for variant, (records, _) in VARIANTS.items():
        write_columns(tmp_path / variant / name, make_table(variant), 2)
        found = [row.record for row in open_records([str(tmp_path / variant)]).records()]
        assert [only_held(record) for record in found] == [only_held(record) for record in records]


def only_held(value):
    """A value without nulls, which a struct of Arrow has for members that an object leaves out."""
    if isinstance(value, dict):
        return {name: only_held(item) for name, item in value.items() if item is not None}
    return [only_held(item) for item in value] if isinstance(value, list) else value


def test_datasets_saved_streamed_and_in_parquet_are_read_alike(tmp_path, monkeypatch):
    for variant in ("content", "each message", "id"):
        records, types = VARIANTS[variant]
        features = datasets.Features.from_arrow_schema(pa.schema(list(types.items())))
        folder = tmp_path / variant
        folder.mkdir()
        lines, _ = open_both(folder, variant, "a.parquet")
        saved = datasets.Dataset(datasets.table.InMemoryTable(make_table(variant)), info=datasets.DatasetInfo(features))
        assert saved.features == features
        saved.save_to_disk(folder / "saved")
        (folder / "hub" / "data").mkdir(parents=True)
        saved.to_parquet(folder / "hub" / "data" / "train-0.parquet")
        monkeypatch.chdir(folder)
        for path in ("saved", "hub/data/train-0.parquet", "hub:train"):
            assert read_values(open_corpus(path)) == read_values(lines)
        assert len(records) == len(saved)


def test_only_a_column_with_strings_is_taken_for_the_text(tmp_path):
    kinds = {"text": [{"a": 1}, [2]], "body": ["one", {"b": 1}], "meta": [{"x": "y"}, None]}
    table = pa.table({name: encode_json(values) for name, values in kinds.items()})
    write_columns(tmp_path / "a.parquet", table, 2)
    corpus = open_corpus(str(tmp_path))
    (documents,) = corpus.slices(columns="all")
    assert corpus.text_field == "body" and documents.texts == ["one", None]
    assert documents.reasons == [None, 'row 1: "body" is an object, not a string']
    # The text is text for whoever takes it from here; the others stay JSON. A row without a text has no columns.
    kinds = {name: documents.table.schema.field(name).type for name in documents.table.column_names}
    assert kinds == {"text": JSON_TYPE, "body": pa.large_string(), "meta": JSON_TYPE}
    assert documents.table.column("body").to_pylist() == ["one", None]
    assert to_values(documents.table.column("meta")) == [{"x": "y"}, None]


@each_file
def test_what_is_no_json_costs_its_own_row_or_stays_a_text(tmp_path, name):
    texts = ['"one"', "two", None, '"caf\\ud800"', "[" * 600 + "]" * 600, "[" * 5000 + "]" * 5000, '"three"']
    column = pa.ExtensionArray.from_storage(JSON_TYPE, pa.array(texts))
    write_columns(tmp_path / "text" / name, pa.table({"text": column, "id": column}), 4)
    (documents,) = open_corpus(str(tmp_path / "text")).slices()
    assert documents.texts == ["one", None, None, None, None, None, "three"]
    causes = ["not valid JSON", '"text" is null', "surrogate", "nested too deeply", "nested too deeply"]
    assert all(cause in reason for cause, reason in zip(causes, documents.reasons[1:6], strict=True))
    assert documents.ids == ["one", "two", None, "caf\ufffd", texts[4], texts[5], "three"]
    messages = from_values([[{"role": "user", "content": "a"}]] * 7, pa.list_(JSON_TYPE))
    write_columns(tmp_path / "chat" / name, pa.table({"messages": messages, "system": column}), 4)
    (documents,) = open_corpus(str(tmp_path / "chat")).slices(columns="all")
    assert documents.statuses == ["ok", "unreadable", "ok", "unreadable", "unreadable", "unreadable", "ok"]
    records = list(open_records([str(tmp_path / "chat")]).records())
    assert [row.reason is None for row in records] == [True, False, True, True, False, False, True]


@each_file
def test_carried_values_have_the_types_that_they_have_in_json_lines(tmp_path, name):
    values = {"lang": ["en", "de", None], "n": [1, None, 3], "meta": [{"a": {"b": "x"}}, {"a": {"b": "y"}}, {"c": 1}]}
    columns = {column: encode_json(of_column) for column, of_column in values.items()}
    write_columns(tmp_path / name, pa.table({"text": ["one", "two", "three"], **columns}), 3)
    corpus = open_corpus(str(tmp_path), text_field="text")
    (documents,) = corpus.slices(columns=("lang", "n", "meta.a.b", "meta.d"))
    assert documents.table.to_pydict() == {
        "lang": ["en", "de", None], "n": [1, None, 3], "meta.a.b": ["x", "y", None], "meta.d": [None] * 3
    }  # fmt: skip
    assert documents.table.schema.types == [pa.large_string(), pa.int64(), pa.large_string(), pa.null()]
