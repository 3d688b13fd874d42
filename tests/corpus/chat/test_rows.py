"""Conversations in a corpus: every schema in every format, bad rows in their places, the same slices after any cut."""

import json
import pickle
from dataclasses import asdict
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from helpers import models
from helpers.conversations import NAMES, OF_EACH, ROWS, corpus_of, each_name, gathered, rows_of, said
from helpers.corpora import write_columns, write_lines, write_records

from curate.corpus import Corpus, open_corpus
from curate.corpus.chat.messages import SYSTEM_COLUMNS
from curate.corpus.chat.rows import list_columns
from curate.corpus.chat.schemas import SCHEMAS, read_conversation, read_turns
from curate.corpus.chat.types import ConversationError, Turn, join_turns
from curate.corpus.readers import arrow, read_blocks
from curate.corpus.types import ReadOptions, ReadStart
from curate.errors import RowError
from curate.verbs.score import score

each_schema = pytest.mark.parametrize("schema", SCHEMAS)


def as_value(documents):
    table = None if documents.table is None else repr(documents.table.to_pylist())
    columns = [getattr(documents, name) for name in (*OF_EACH, "ids", "read_bytes")]
    return documents.mark, documents.rows.tolist(), *columns, table


# ------------------------------------------------------------------------------------------------------ what is read


def test_the_rows_of_these_tests_cover_every_schema():
    assert set(ROWS) == set(SCHEMAS)


@each_name
@each_schema
def test_each_schema_is_found_in_each_format_and_its_turns_are_the_document(tmp_path, schema, name):
    records = rows_of(schema)
    corpus = corpus_of(tmp_path, name, records, slice_bytes=400)
    assert corpus.text_field == f"@{schema}" and corpus.conversation == schema
    turns, texts, statuses, reasons = gathered(corpus)
    assert turns == [tuple(read_turns(record, schema)) for record in records]
    assert texts == [join_turns(found) for found in turns] and all("\n\n" in text for text in texts)
    assert statuses == ["ok"] * 7 and reasons == [None] * 7


@pytest.mark.parametrize("schema", ["alpaca", "prompt", "question", "query", "problem"])
def test_schemas_of_plain_columns_are_read_from_csv(tmp_path, schema):
    records = rows_of(schema)
    corpus = corpus_of(tmp_path, "part.csv", records)
    assert corpus.conversation == schema
    assert gathered(corpus)[0] == [tuple(read_turns(record, schema)) for record in records]


def test_messages_as_a_json_string_are_read_from_csv(tmp_path):
    records = [{"kind": "web", "messages": json.dumps(said("why?", f"so, {n}"))} for n in range(3)]
    corpus = corpus_of(tmp_path, "part.tsv", records)
    assert corpus.conversation == "messages"
    assert gathered(corpus)[1] == [f"why?\n\nso, {n}" for n in range(3)]


def test_datasets_saved_to_disk_and_of_the_hub_are_read(tmp_path, monkeypatch):
    records = rows_of("messages")
    expected = [tuple(read_turns(record, "messages")) for record in records]
    datasets.Dataset.from_list(records).save_to_disk(tmp_path / "saved")
    assert gathered(open_corpus([str(tmp_path / "saved")]))[0] == expected
    write_records(tmp_path / "owner" / "set" / "data" / "train-0.parquet", records)
    monkeypatch.chdir(tmp_path)
    hub = open_corpus(["owner/set:train"])
    assert hub.conversation == "messages" and gathered(hub)[0] == expected


class Watched(dict):
    """A row that notes which of its columns are looked at."""

    def __init__(self, row):
        super().__init__(row)
        self.seen = set()

    def get(self, name, default=None):
        self.seen.add(name)
        return super().get(name, default)

    def __getitem__(self, name):
        self.seen.add(name)
        return super().__getitem__(name)

    def __contains__(self, name):
        self.seen.add(name)
        return super().__contains__(name)


@each_schema
def test_every_column_that_a_schema_looks_at_is_read_and_no_other(schema):
    row = Watched(ROWS[schema](1))
    read_conversation(row, schema)
    bare = Watched({})
    with pytest.raises(ConversationError):
        read_conversation(bare, schema)
    assert row.seen | bare.seen <= set(list_columns(schema))
    assert set(list_columns(schema)) - row.seen <= set(SYSTEM_COLUMNS) | {"history"} | bare.seen
    names = ["other", *reversed(list_columns(schema)), "id"]
    assert set(ReadOptions(None, "id", conversation=schema).project(names)) == {*list_columns(schema), "id"}


def test_only_the_columns_of_the_schema_are_read_of_a_parquet_file(tmp_path, monkeypatch):
    corpus = corpus_of(tmp_path, "part.parquet", rows_of("alpaca"))
    asked = []

    class File(pq.ParquetFile):
        def iter_batches(self, **options):
            asked.append(options["columns"])
            return super().iter_batches(**options)

    monkeypatch.setattr(arrow.pq, "ParquetFile", File)
    list(corpus.slices())
    assert asked and all(set(columns) == {"id", "instruction", "input", "output"} for columns in asked)


@each_name
def test_all_columns_travel_as_they_are(tmp_path, name):
    records = rows_of("messages")
    corpus = corpus_of(tmp_path, name, records)
    (documents,) = corpus.slices(columns="all")
    assert documents.table.to_pylist() == records


def test_plain_corpora_have_no_turns(tmp_path):
    for name in ("part.jsonl", "part.parquet"):
        corpus = corpus_of(tmp_path, name, [{"text": "a"}, {"text": "b"}])
        assert corpus.conversation is None and [one.turns for one in corpus.slices()] == [None]


# ---------------------------------------------------------------------------------------------------------- bad rows


ODD = [
    said("why?", "so"),
    [{"role": "narrator", "content": "once"}],
    [],
    said("  ", "\n"),
    None,
    [{"role": "user", "content": "alone"}],
]
STATUSES = ["ok", "unreadable", "empty", "empty", "empty", "ok"]
FOUND = 'messages[0].role: found the string "narrator", expected one of system'


@each_name
def test_bad_rows_keep_their_place_and_say_where_and_why(tmp_path, name):
    corpus = corpus_of(tmp_path, name, [{"n": n, "messages": messages} for n, messages in enumerate(ODD)])
    (documents,) = corpus.slices(columns="all")
    assert documents.rows.tolist() == list(range(6)) and documents.statuses == STATUSES
    assert documents.turns[1] is None and documents.texts[1] is None
    assert documents.turns[2:5] == [(), (), ()] and documents.texts[2:5] == ["", "", ""]
    assert documents.turns[5] == (Turn("user", "alone"),)
    assert [reason is None for reason in documents.reasons] == [True, False, True, True, True, True]
    assert FOUND in documents.reasons[1] and documents.reasons[1].startswith(
        ("line 2, byte", "element 2, byte", "row 1:")
    )
    assert documents.table.column("n").to_pylist() == [0, None, 2, 3, 4, 5]


def test_rows_that_are_no_json_and_rows_without_the_columns_keep_their_place_too(tmp_path):
    good = json.dumps({"messages": said("a", "b")}).encode()
    write_lines(tmp_path / "a.jsonl", [good, b'{"messages": [', b"", b'{"chat": []}', b"7", good])
    (documents,) = open_corpus([str(tmp_path)]).slices()
    assert documents.rows.tolist() == [0, 1, 3, 4, 5]
    assert documents.statuses == ["ok", "unreadable", "unreadable", "unreadable", "ok"]
    assert [turns is None for turns in documents.turns] == [False, True, True, True, False]
    for reason, words in zip(
        documents.reasons[1:4], ("not valid JSON", "no such column", "not an object"), strict=True
    ):
        assert words in reason


def test_strings_that_are_no_utf8_cost_their_own_rows(tmp_path):
    words = pa.array([b"why?", b"caf\xe9", b"so"]).view(pa.string())
    messages = pa.StructArray.from_arrays([pa.array(["user"] * 3), words], ["role", "content"])
    table = pa.table({"messages": pa.ListArray.from_arrays([0, 1, 2, 3], messages)})
    write_columns(tmp_path / "part.parquet", table, rows_per_group=3)
    turns, _, statuses, reasons = gathered(open_corpus([str(tmp_path)]))
    assert statuses == ["ok", "unreadable", "ok"] and turns[2] == (Turn("user", "so"),)
    assert reasons[1] == "row 1: invalid UTF-8 (unexpected end of data)"


def test_a_damaged_file_is_an_unreadable_row_without_turns(tmp_path):
    write_records(tmp_path / "a.parquet", rows_of("messages"))
    (tmp_path / "b.parquet").write_bytes(b"PAR1 this is not parquet PAR1")
    first, second = open_corpus([str(tmp_path)]).slices()
    assert len(first.turns) == 7 and second.turns == [None] and second.statuses == ["unreadable"]


def test_on_error_stop_raises_at_the_first_bad_row(tmp_path):
    corpus = corpus_of(tmp_path, "a.jsonl", [{"messages": messages} for messages in ODD], on_error="stop")
    with pytest.raises(RowError, match=r"a\.jsonl, row 1: line 2, byte \d+: messages\[0\]\.role"):
        list(corpus.slices())


# ------------------------------------------------------------------------------------------------ slices and resuming


@pytest.mark.parametrize("options", [{}, {"limit": 9}, {"sample": 0.5}], ids=str)
@each_name
def test_a_run_cut_anywhere_goes_on_with_the_same_slices(tmp_path, name, options):
    records = [{"messages": messages, "n": n} for n, messages in enumerate(ODD * 2)]
    write_records(tmp_path / "corpus" / name, records)
    write_records(tmp_path / "corpus" / "z" / name, records[::-1])
    corpus = open_corpus([str(tmp_path / "corpus")], slice_bytes=200, **options)
    whole = [as_value(documents) for documents in corpus.slices(columns="all")]
    assert len(whole) > 3 and [value[0] for value in whole] == [one.mark for one in corpus.slices()]
    assert all(len(value[2]) == value[0].documents == len(value[1]) for value in whole)
    for cut in range(len(whole)):
        done = {}
        for value in whole[:cut]:
            done.setdefault(value[0].file, []).append(value[0])
        assert [as_value(documents) for documents in corpus.slices(done, columns="all")] == whole[cut:]


def test_the_slices_count_the_joined_text_and_are_the_same_in_every_format(tmp_path):
    records = [{"messages": said("é" * n, "so"), "n": "x" * 500} for n in range(1, 30)]
    sizes = [len(join_turns(read_turns(record, "messages")).encode()) + 64 for record in records]
    cuts = [
        [asdict(one.mark) for one in corpus_of(tmp_path, name, records, slice_bytes=300).slices()] for name in NAMES
    ]
    for marks in cuts:
        rows = [(mark["first_row"], mark["next_row"]) for mark in marks]
        assert rows == [(mark["first_row"], mark["next_row"]) for mark in cuts[0]] and len(rows) > 5
        assert all(sum(sizes[first:stop]) <= 300 < sum(sizes[first : stop + 1]) for first, stop in rows[:-1])


def test_the_size_of_the_chunks_is_invisible(tmp_path):
    write_records(tmp_path / "a.jsonl", [{"messages": messages} for messages in ODD * 3])
    (source,) = open_corpus([str(tmp_path)]).sources
    found = []
    for chunk in (16, 200, 1 << 20):
        blocks = list(
            read_blocks(source, ReadStart(), ReadOptions(None, None, chunk_bytes=chunk, conversation="messages"))
        )
        found.append([turns for block in blocks for turns in block.turns])
    assert found[0] == found[1] == found[2] and [turns is None for turns in found[0][:3]] == [False, True, False]


def test_what_lies_behind_the_limit_is_a_slice_of_no_turns(tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        write_records(tmp_path / name, rows_of("messages", 3))
    slices = list(open_corpus([str(tmp_path)], limit=3).slices())
    assert [len(documents.turns) for documents in slices] == [3, 0]


# -------------------------------------------------------------------------------------------- which field is the text


def test_describe_says_which_schema_is_read_and_which_columns(tmp_path):
    said_of = {schema: corpus_of(tmp_path, f"{schema}.jsonl", rows_of(schema)).describe() for schema in SCHEMAS}
    plain = [{"instruction": "a", "input": "b", "output": "c"}]
    line = corpus_of(tmp_path, "part.json", plain).describe()
    assert line.endswith('1 file, 51 bytes json; conversations in the schema "alpaca" (instruction, input, output)')
    assert said_of["alpaca"].endswith('"alpaca" (instruction, input, output) (also: id, source)')
    assert said_of["conversations"].endswith('conversations in the schema "conversations" (system, conversations)')
    assert said_of["tree"].endswith('conversations in the schema "tree" (prompt) (also: message_tree_id)')


# --------------------------------------------------------------------------------------------- identity, and a verb


def test_the_schema_travels_with_the_corpus_and_makes_its_identity(tmp_path):
    corpus = corpus_of(tmp_path, "part.jsonl", [{"prompt": "a", "completion": "b", "question": "c", "answer": "d"}])
    assert corpus.text_field == corpus.spec()["text_field"] == "@prompt"
    again = Corpus.from_spec(json.loads(json.dumps(corpus.spec())))
    assert again.text_field == "@prompt"
    assert (again.fingerprint(), again.identity()) == (corpus.fingerprint(), corpus.identity())
    other = open_corpus([str(tmp_path)], text_field="@question")
    assert other.fingerprint() != corpus.fingerprint() and other.identity() != corpus.identity()
    assert pickle.loads(pickle.dumps(corpus)) == corpus
    (documents,) = corpus.slices()
    assert (
        pickle.loads(pickle.dumps(documents)).turns == documents.turns == [(Turn("user", "a"), Turn("assistant", "b"))]
    )


def test_a_file_of_messages_is_scored_by_its_joined_turns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = models.save(Path("model"), "llama")
    records = [{"messages": messages} for messages in ODD]
    write_records("talk.jsonl", records)
    write_records("plain.jsonl", [{"text": join_turns(read_turns(records[n], "messages"))} for n in (0, 5)])
    for name in ("talk", "plain"):
        score([f"{name}.jsonl"], model=str(model), run=name, exact=True)
    talk, plain = (pq.read_table(f"{name}/scores").to_pylist() for name in ("talk", "plain"))
    assert [row["status"] for row in talk] == STATUSES
    assert talk[0]["hash"] == xxhash.xxh3_64_intdigest(b"why?\n\nso")
    for spoken, written in zip((talk[0], talk[5]), plain, strict=True):
        assert all(spoken[name] == written[name] for name in ("hash", "bytes", "chars", "tokens", "status"))
        assert spoken["nats"] == pytest.approx(written["nats"], rel=1e-5)
