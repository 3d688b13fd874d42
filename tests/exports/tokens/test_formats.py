"""Layouts of token files: what was written is read back, and an index that contradicts its tokens is named."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.tokens import a_run, a_tokenizer, read_all, read_megatron, read_numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.exports.tokens import formats
from curate.exports.tokens.formats import TokenShard, choose_dtype
from curate.verbs.export import export
from curate.verbs.verify import verify


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
    index = formats.read_index(path)
    assert index.dtype == dtype and np.diff(index.offsets).tolist() == [len(ids) for ids in documents]


def test_the_type_of_the_ids_follows_the_vocabulary():
    assert (choose_dtype(50_257), choose_dtype(65_499), choose_dtype(65_500)) == ("uint16", "uint16", "int32")
