"""Whether a corpus is of conversations or of plain text, and files of another schema refused by name."""

import pyarrow as pa
import pytest
from helpers.conversations import corpus_of, each_name, gathered, rows_of, shared
from helpers.corpora import write_columns, write_records

from curate.corpus import Corpus, open_corpus
from curate.corpus import corpus as corpus_corpus
from curate.corpus.chat.schemas import SCHEMAS, read_turns
from curate.errors import CorpusError, UsageError


@pytest.mark.parametrize("column", ["text", "content"])
@each_name
def test_an_obvious_text_column_wins_unless_the_schema_is_named(tmp_path, name, column):
    records = [{column: f"a text {n}", **record} for n, record in enumerate(rows_of("messages"))]
    corpus = corpus_of(tmp_path, name, records)
    assert corpus.text_field == column and corpus.conversation is None
    assert [documents.texts[0] for documents in corpus.slices()] == ["a text 0"]
    named = open_corpus([str(tmp_path / name)], text_field="@messages")
    assert gathered(named)[0] == [tuple(read_turns(record, "messages")) for record in records]


@pytest.mark.parametrize("beside", ["source", "tools", "system", "conversation_id"])
def test_the_only_column_of_strings_gives_way_to_the_conversations_beside_it(tmp_path, beside):
    corpus = corpus_of(tmp_path, "part.jsonl", [{beside: "web", "conversations": shared("a", "b")}])
    assert corpus.text_field == "@conversations"


@pytest.mark.parametrize(
    "record",
    [{"prose": "a text", "messages": 3}, {"messages": "a text"}, {"prose": "a text", "messages": None}],
    ids=str,
)
def test_the_only_column_of_strings_is_the_text_where_nothing_is_said(tmp_path, record):
    name = next(name for name, value in record.items() if value == "a text")
    assert corpus_of(tmp_path, "part.jsonl", [record]).text_field == name


def test_a_file_whose_first_rows_say_nothing_is_one_of_conversations_all_the_same(tmp_path):
    corpus = corpus_of(tmp_path, "part.jsonl", [{"messages": []}, {"messages": None}])
    assert corpus.text_field == "@messages" and gathered(corpus)[2] == ["empty", "empty"]


def test_first_rows_that_cannot_be_read_stop_at_once_and_may_be_asked_for(tmp_path):
    write_records(tmp_path / "part.jsonl", [{"messages": [{"role": "narrator", "content": "once"}], "n": 1}])
    with pytest.raises(CorpusError, match=r'no obvious text column.*in the schema "messages".*narrator'):
        open_corpus([str(tmp_path)])
    assert gathered(open_corpus([str(tmp_path)], text_field="@messages"))[2] == ["unreadable"]


def test_an_unknown_schema_is_refused_and_the_known_ones_are_named(tmp_path):
    write_records(tmp_path / "part.jsonl", rows_of("messages"))
    with pytest.raises(UsageError, match="@chat") as caught:
        open_corpus([str(tmp_path)], text_field="@chat")
    assert all(f"@{schema}" in caught.value.hint for schema in SCHEMAS)


def test_a_column_whose_name_begins_with_an_at_is_a_column(tmp_path):
    corpus = corpus_of(tmp_path, "part.jsonl", [{"@value": "a text", "n": 1}])
    assert corpus.text_field == "@value" and corpus.conversation is None
    assert [one.texts for one in Corpus.from_spec(corpus.spec()).slices()] == [["a text"]]


@pytest.mark.parametrize("name", ["b.jsonl", "b.parquet", "b.csv", "b.arrow"])
def test_files_of_another_schema_are_refused_by_name(tmp_path, name):
    write_records(tmp_path / "a.jsonl", rows_of("messages"))
    write_records(tmp_path / name, rows_of("question"))
    with pytest.raises(CorpusError, match=rf'{name} has no column messages.*"messages".*question, answer') as caught:
        open_corpus([str(tmp_path)])
    assert "--text-field NAME" in caught.value.hint


def test_plain_text_beside_conversations_is_refused(tmp_path):
    write_records(tmp_path / "a.jsonl", rows_of("messages"))
    (tmp_path / "notes.txt").write_text("a text")
    with pytest.raises(CorpusError, match=r"notes\.txt is plain text"):
        open_corpus([str(tmp_path)])


@pytest.mark.parametrize("values", [[3], [True], [b"why?"]], ids=str)
def test_a_column_that_can_hold_no_turns_is_refused(tmp_path, values):
    write_columns(tmp_path / "part.parquet", pa.table({"messages": values, "text": ["a"]}), 1)
    with pytest.raises(CorpusError, match=r'part\.parquet holds \w+ in "messages", not a list of messages'):
        open_corpus([str(tmp_path)], text_field="@messages")


def test_numbers_may_be_an_answer_in_a_column_too(tmp_path):
    corpus = corpus_of(tmp_path, "part.parquet", [{"question": "6 times 7?", "answer": 42}], text_field="@question")
    assert gathered(corpus)[1] == ["6 times 7?\n\n42"]


def test_files_not_looked_at_ahead_are_checked_when_their_turn_comes(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_corpus, "FILES_AHEAD", 1)
    write_records(tmp_path / "a.jsonl", rows_of("messages"))
    write_records(tmp_path / "b.jsonl", rows_of("question"))
    slices = open_corpus([str(tmp_path)]).slices()
    assert len(next(slices)) == 7
    with pytest.raises(CorpusError, match=r"b\.jsonl has no column messages"):
        next(slices)
