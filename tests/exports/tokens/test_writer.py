"""``export --format tokens``: the ids of every document, and what is said where there can be none."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.models import tokenizer
from helpers.runs import make_run, write_lines
from helpers.tokens import TEXTS, a_run, a_tokenizer, plain_ids, read_all
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import ModelError, TableError, UsageError
from curate.exports.tokens import writer
from curate.exports.tokens.formats import TokenShard
from curate.exports.tokens.tokenizer import load_tokenizer
from curate.verbs.export import export
from curate.verbs.verify import verify


@pytest.mark.parametrize("layout", ["megatron", "numpy"])
@pytest.mark.parametrize("append", ["eos", "none"])
def test_every_document_comes_back_as_its_ids_and_text_that_spells_a_special_token_is_text(tmp_path, layout, append):
    run, out = a_run(tmp_path), tmp_path / "out"
    spoken = {"tokenizer": a_tokenizer(tmp_path), "layout": layout, "append": append}
    result = export(str(out), run, format="tokens", shard_size="900B", **spoken)
    expected = plain_ids(TEXTS, [0] if append == "eos" else [])
    assert read_all(out, layout) == expected
    assert result.shards > 2 and result.tokens == sum(map(len, expected))
    manifest = json.loads((out / "manifest.json").read_text())
    notes = manifest["tokenised"]
    assert (notes["tokens"], notes["dtype"], notes["layout"]) == (result.tokens, "uint16", layout)
    assert notes["tokenizer"] == "tok" and str(tmp_path) not in json.dumps(notes)
    assert all(file["bytes"] <= 900 for file in manifest["files"] if file["path"].endswith(".bin"))
    documents = pq.read_table(out / "documents.parquet").to_pylist()
    assert [row["row"] for row in documents] == list(range(40))
    found = verify(str(out))
    assert found.exit_code == 0 and "token files" in found.render() and "no order" in found.render()


@given(st.lists(st.integers(0, 3_000_000), max_size=50))
def test_batches_are_bounded_and_cover_every_document_once(lengths):
    batches = writer.cut_batches(np.array(lengths, np.int64))
    assert [n for first, last in batches for n in range(first, last)] == list(range(len(lengths)))
    for first, last in batches:
        assert sum(lengths[first:last]) <= writer.BATCH_CHARACTERS or last - first == 1


def test_the_text_may_lie_inside_a_column(tmp_path):
    rows = [{"body": {"text": text}} for text in TEXTS[:5]]
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    run = str(make_run(tmp_path / "run", [tmp_path / "c"], text_field="body.text").path)
    export(str(tmp_path / "out"), run, format="tokens", tokenizer=a_tokenizer(tmp_path))
    assert read_all(tmp_path / "out", "megatron") == plain_ids(TEXTS[:5], [0])


def test_ids_that_were_lost_on_the_way_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(TokenShard, "size", lambda self: 0)
    run, write = a_run(tmp_path), TokenShard.write
    monkeypatch.setattr(TokenShard, "write", lambda self, documents: write(self, documents[1:]))
    with pytest.raises(TableError, match="ids"):
        export(str(tmp_path / "out"), run, format="tokens", tokenizer=a_tokenizer(tmp_path))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("begun", [True, False])
def test_a_writer_is_abandoned_without_an_index_and_as_often_as_one_likes(tmp_path, begun):
    vocabulary = load_tokenizer(a_tokenizer(tmp_path))
    abandoned = writer.TokenWriter(tmp_path / "out", vocabulary, "megatron", "eos", "text", ("file", "row"), 900)
    (tmp_path / "out").mkdir()
    if begun:
        abandoned.add(pa.table({"text": ["a document"], "file": ["a.jsonl"], "row": [0]}))
    abandoned.abandon()
    abandoned.abandon()
    names = ["documents.parquet", "tokens", "tokens/train-00000-of-00000.bin"] if begun else []
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")) == names


def test_mistakes_are_answered_with_what_to_do(tmp_path):
    run, out = a_run(tmp_path), str(tmp_path / "out")
    with pytest.raises(UsageError, match="needs a tokenizer"):
        export(out, run, format="tokens")
    for options in ({"tokenizer": "builtin"}, {"layout": "numpy"}, {"append": "none"}):
        with pytest.raises(UsageError, match="are about token files"):
            export(out, run, **options)
    with pytest.raises(ModelError, match="there is no folder"):
        export(out, run, format="tokens", tokenizer="./nope")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="cannot be loaded"):
        export(out, run, format="tokens", tokenizer=str(tmp_path / "empty"))
    bare = tmp_path / "bare"
    bare.mkdir()
    tokenizer().backend_tokenizer.save(str(bare / "tokenizer.json"))
    with pytest.raises(UsageError, match="no EOS"):
        export(out, run, format="tokens", tokenizer=str(bare))
    assert export(out, run, format="tokens", tokenizer=str(bare), append="none").documents == 40


def test_conversations_are_refused_and_the_builtin_tokenizer_works(tmp_path):
    assert load_tokenizer("builtin").size == 4096
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    write_lines(tmp_path / "c" / "a.jsonl", [{"messages": turns}])
    run = str(make_run(tmp_path / "run", [tmp_path / "c"]).path)
    with pytest.raises(UsageError, match="conversations"):
        export(str(tmp_path / "out"), run, format="tokens", tokenizer="builtin")


def test_texts_are_those_of_a_column_or_of_a_path_into_one():
    rows = [{"text": "outer", "a.b": "flat", "a": {"b": "inner", "c": {"d": "deep"}}}]
    table = pa.Table.from_pylist(rows)
    for path, text in (("text", "outer"), ("a.b", "flat"), ("a.c.d", "deep")):
        found = writer.take_texts(table, path)
        assert found.to_pylist() == [text] and found.type == pa.large_string()
    assert writer.take_texts(table.drop_columns(["a.b"]), "a.b").to_pylist() == ["inner"]
    with pytest.raises(TableError, match="2 of the documents to write have no text in t"):
        writer.take_texts(pa.table({"t": ["x", None, None]}), "t")


@pytest.mark.parametrize("append", ["eos", "none"])
def test_the_manifest_says_by_which_tokenizer_and_how_documents_were_spelled(tmp_path, append):
    run, words = a_run(tmp_path), a_tokenizer(tmp_path)
    result = export(str(tmp_path / "out"), run, format="tokens", tokenizer=words, append=append)
    loaded = load_tokenizer(words)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["tokenised"] == {
        "tokenizer": "tok",
        "tokenizer_hash": loaded.encoder.name,
        "vocabulary": loaded.size,
        "layout": "megatron",
        "dtype": "uint16",
        "append": append,
        "eos": {"id": 0, "text": "<|endoftext|>"} if append == "eos" else None,
        "tokens": result.tokens,
        "documents": "documents.parquet",
    }


def test_a_folder_with_tokenizer_json_alone_is_a_tokenizer(tmp_path):
    (tmp_path / "alone").mkdir()
    tokenizer().backend_tokenizer.save(str(tmp_path / "alone" / "tokenizer.json"))
    found = load_tokenizer(str(tmp_path / "alone"))
    assert (found.name, found.size, found.eos) == ("alone", load_tokenizer(a_tokenizer(tmp_path)).size, None)
