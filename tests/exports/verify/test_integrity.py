"""What the manifest, the order and the shards say of one another, each wrong by one."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.ordered_exports import an_export
from helpers.tokens import a_run, a_tokenizer

from curate.exports.verify import integrity
from curate.exports.verify.reader import open_export
from curate.verbs.export import export


def problems_of(findings):
    return [finding.detail for finding in findings if not finding.ok]


def edit_manifest(out, change):
    manifest = json.loads((out / "manifest.json").read_text())
    change(manifest)
    (out / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "hf"])
def test_a_shard_that_the_manifest_does_not_list_is_a_problem(tmp_path, kind):
    out = an_export(tmp_path, kind)
    assert problems_of(integrity.check_files(open_export(out))) == []
    shard = out / open_export(out).shards[0]["path"]
    stray = shard.with_name(f"stray{shard.suffix}")
    shutil.copy(shard, stray)
    [problem] = problems_of(integrity.check_files(open_export(out)))
    assert problem == f"{stray.relative_to(out).as_posix()} is not in the manifest"


def test_other_files_and_what_datasets_caches_are_no_problem(tmp_path):
    out = an_export(tmp_path)
    folder = (out / open_export(out).shards[0]["path"]).parent
    (folder / "notes.txt").write_text("mine")
    (folder / "cache-0123.parquet").write_bytes(b"")
    assert problems_of(integrity.check_files(open_export(out))) == []


@pytest.mark.parametrize("more", [-1, 1])
def test_the_rows_of_the_shards_are_those_of_the_manifest(tmp_path, more):
    out = an_export(tmp_path)
    edit_manifest(out, lambda manifest: manifest.update(rows=manifest["rows"] + more))
    [problem] = problems_of(integrity.check_files(open_export(out)))
    assert problem == f"the shards have 60 documents, the manifest counts {60 + more}"


@pytest.mark.parametrize("more", [-1, 1])
def test_the_tokens_of_the_order_are_those_of_the_manifest(tmp_path, more):
    out = an_export(tmp_path)
    total = open_export(out).manifest["tokens"]
    edit_manifest(out, lambda manifest: manifest.update(tokens=total + more))
    assert problems_of(integrity.check_order(open_export(out))) == [
        f"the order has {total:,} tokens, the manifest {total + more:,}"
    ]


@pytest.fixture
def token_export(tmp_path):
    export(str(tmp_path / "out"), a_run(tmp_path), format="tokens", tokenizer=a_tokenizer(tmp_path), shard_size="900B")
    return tmp_path / "out"


@pytest.mark.parametrize("more", [-1, 1])
def test_the_ids_of_token_files_are_those_of_the_manifest(token_export, more):
    assert problems_of(integrity.check_tokens(open_export(token_export))) == []
    total = open_export(token_export).manifest["tokenised"]["tokens"]
    edit_manifest(token_export, lambda manifest: manifest["tokenised"].update(tokens=total + more))
    [problem] = problems_of(integrity.check_tokens(open_export(token_export)))
    assert problem == f"the files have {total:,} ids of 40 documents, the manifest says {total + more:,}"


@pytest.mark.parametrize("name", ["start", "tokens", "shard"])
def test_documents_parquet_and_the_indexes_agree_document_by_document(token_export, name):
    path = token_export / "documents.parquet"
    table = pq.read_table(path)
    values = table[name].to_pylist()
    values[-1] += 1
    index = table.column_names.index(name)
    pq.write_table(table.set_column(index, name, pa.array(values, table.schema.field(name).type)), path)
    [problem] = problems_of(integrity.check_tokens(open_export(token_export)))
    assert "documents.parquet" in problem


def test_a_document_more_in_documents_parquet_than_in_the_files_is_a_problem(token_export):
    path = token_export / "documents.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table.slice(len(table) - 1)]), path)
    assert problems_of(integrity.check_tokens(open_export(token_export))) != []
