"""``export --format tokens``: the ids of every document, read back by readers written from the published formats."""

import itertools
import json
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.models import tokenizer
from helpers.runs import make_run, write_lines
from hypothesis import given, settings
from hypothesis import strategies as st

from curate import tokenfiles, tokenshards
from curate.errors import ModelError, TableError, UsageError
from curate.exporting import export
from curate.reference.vocabulary import open_vocabulary
from curate.tokenfiles import TokenShard, choose_dtype
from curate.verification import verify

TEXTS = [f"document {n} <|endoftext|> 東京 🙂 " + "word " * (n % 7) for n in range(40)]


def a_run(folder, texts=TEXTS, **fields):
    write_lines(folder / "c" / "a.jsonl", ({"text": text, **fields} for text in texts))
    return str(make_run(folder / "run", [folder / "c"], slice_bytes=700).path)


def a_tokenizer(folder):
    tokenizer().save_pretrained(folder / "tok")
    return str(folder / "tok")


def read_megatron(path):
    """An independent reader of .bin and .idx, after Megatron-LM's description of its index."""
    index = path.with_suffix(".idx").read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00"
    (version,), (code,) = struct.unpack_from("<Q", index, 9), struct.unpack_from("<B", index, 17)
    count, marks = struct.unpack_from("<QQ", index, 18)
    kind = {4: np.int32, 8: np.uint16}[code]
    lengths = np.frombuffer(index, np.int32, count, 34)
    pointers = np.frombuffer(index, np.int64, count, 34 + lengths.nbytes)
    documents = np.frombuffer(index, np.int64, marks, 34 + lengths.nbytes + pointers.nbytes)
    assert version == 1 and documents.tolist() == list(range(count + 1))
    data = path.read_bytes()
    return [np.frombuffer(data, kind, length, start).tolist() for length, start in zip(lengths, pointers, strict=True)]


def read_numpy(path):
    ids, offsets = np.load(path, mmap_mode="r"), np.load(str(path)[:-4] + ".offsets.npy")
    return [ids[first:last].tolist() for first, last in itertools.pairwise(offsets)]


READERS = {"megatron": (read_megatron, "*.bin"), "numpy": (read_numpy, "train-*[0-9].npy")}


def read_all(out, layout):
    reader, pattern = READERS[layout]
    return [ids for path in sorted((out / "tokens").glob(pattern)) for ids in reader(path)]


def plain_ids(texts, end):
    backend = type(tokenizer().backend_tokenizer).from_str(tokenizer().backend_tokenizer.to_str())
    backend.encode_special_tokens = True
    return [backend.encode(text, add_special_tokens=False).ids + end for text in texts]


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


def test_the_real_reader_of_megatron_reads_the_same(tmp_path):
    indexed = pytest.importorskip("megatron.core.datasets.indexed_dataset")
    export(str(tmp_path / "out"), a_run(tmp_path), format="tokens", tokenizer=a_tokenizer(tmp_path))
    (path,) = (tmp_path / "out" / "tokens").glob("*.bin")
    found = indexed.IndexedDataset(str(path.with_suffix("")))
    assert [found[n].tolist() for n in range(len(found))] == read_megatron(path)


def test_an_order_is_verified_over_token_files(tmp_path):
    out, layout = tmp_path / "out", "megatron"
    export(str(out), a_run(tmp_path), format="tokens", tokenizer=a_tokenizer(tmp_path), shard_size="900B")
    documents = pq.read_table(out / "documents.parquet")
    names = sorted(path.relative_to(out).as_posix() for path in (out / "tokens").glob("*.bin"))
    columns = {name: documents[name] for name in ("shard_row", "file", "row", "tokens")}
    columns["position"] = pa.array(range(40), pa.int64())
    columns["shard"] = pa.array([names[n] for n in documents["shard"].to_pylist()], pa.large_string())
    columns["cumulative_tokens"] = pa.array(np.cumsum(documents["tokens"].to_numpy()))
    pq.write_table(pa.table(columns), out / "order.parquet")
    assert verify(str(out)).exit_code == 0
    columns["row"] = pa.array([1, 0, *range(2, 40)], pa.int64())
    pq.write_table(pa.table(columns), out / "order.parquet")
    found = verify(str(out))
    assert found.exit_code == 4 and any("position 0" in one.detail for one in found.findings)
    assert len(read_all(out, layout)) == 40


def test_an_index_that_contradicts_its_tokens_is_named_though_the_checksums_agree(tmp_path):
    out = tmp_path / "out"
    export(str(out), a_run(tmp_path), format="tokens", tokenizer=a_tokenizer(tmp_path))
    (index,) = (out / "tokens").glob("*.idx")
    octets = bytearray(index.read_bytes())
    octets[34] += 1
    index.write_bytes(octets)
    import hashlib

    manifest = json.loads((out / "manifest.json").read_text())
    for file in manifest["files"]:
        if file["path"].endswith(".idx"):
            file["sha256"] = hashlib.sha256(octets).hexdigest()
    (out / "manifest.json").write_text(json.dumps(manifest))
    found = verify(str(out))
    assert found.exit_code == 4 and {one.check for one in found.findings if not one.ok} == {"token files"}


@settings(max_examples=25)
@given(
    st.lists(st.lists(st.integers(0, 65_000), max_size=9), min_size=1, max_size=9),
    st.sampled_from([".bin", ".npy"]),
    st.sampled_from(["uint16", "int32"]),
)
def test_token_files_give_back_what_was_written_empty_documents_too(tmp_path_factory, documents, suffix, dtype):
    path = tmp_path_factory.mktemp("tokens") / ("train-0" + suffix)
    shard = TokenShard(path, dtype)
    shard.write([np.array(ids, np.int32) for ids in documents])
    shard.close()
    found = (read_megatron if suffix == ".bin" else read_numpy)(path)
    assert found == documents
    index = tokenfiles.read_index(path)
    assert index.dtype == dtype and np.diff(index.offsets).tolist() == [len(ids) for ids in documents]


def test_the_type_of_the_ids_follows_the_vocabulary():
    assert (choose_dtype(50_257), choose_dtype(65_499), choose_dtype(65_500)) == ("uint16", "uint16", "int32")


@given(st.lists(st.integers(0, 3_000_000), max_size=50))
def test_batches_are_bounded_and_cover_every_document_once(lengths):
    batches = tokenshards.cut_batches(np.array(lengths, np.int64))
    assert [n for first, last in batches for n in range(first, last)] == list(range(len(lengths)))
    for first, last in batches:
        assert sum(lengths[first:last]) <= tokenshards.BATCH_CHARACTERS or last - first == 1


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
    assert open_vocabulary("builtin").size == 4096
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    write_lines(tmp_path / "c" / "a.jsonl", [{"messages": turns}])
    run = str(make_run(tmp_path / "run", [tmp_path / "c"]).path)
    with pytest.raises(UsageError, match="conversations"):
        export(str(tmp_path / "out"), run, format="tokens", tokenizer="builtin")
