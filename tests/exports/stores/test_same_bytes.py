"""An export in an object store has the objects that a local one has as files, and needs little room on this machine."""

import datasets
import pytest
from helpers.exports import FORMATS, files_of, load
from helpers.random_exports import draw_run
from helpers.runs import make_run, numbered_run, ppl, write_buckets, write_lines, write_order
from helpers.stores import read_store

from curate.exports.stores.shards import StoredShards
from curate.rundir.run import open_run
from curate.verbs.export import export

SHARDS = ("700B", "3kB", "20kB")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("placed", [False, True])
@pytest.mark.parametrize("seed", [1, 5, 6])
def test_a_random_run_gives_the_same_bytes_in_a_store_and_in_a_folder(tmp_path, memory_store, kind, placed, seed):
    run = draw_run(tmp_path, seed, placed)
    options = {"format": kind, "shard_size": SHARDS[seed % 3], "by_bucket": placed and seed % 2 == 1}
    local = export(str(tmp_path / "out"), str(run.path), **options)
    stored = export(f"{memory_store}/bucket/out", str(run.path), **options)
    assert read_store(f"{memory_store}/bucket/out") == files_of(tmp_path / "out")
    assert {**stored.as_dict(), "out": ""} == {**local.as_dict(), "out": ""}


@pytest.mark.parametrize("kind", FORMATS)
def test_shards_that_must_be_written_again_at_the_end_are_brought_back(tmp_path, memory_store, kind, monkeypatch):
    fetched, real = [], StoredShards.fetch
    monkeypatch.setattr(StoredShards, "fetch", lambda self, name: (fetched.append(name), real(self, name)))
    run = draw_run(tmp_path, 0)
    for out in (str(tmp_path / "out"), f"{memory_store}/b/out"):
        export(out, str(run.path), format=kind, shard_size="2kB")
    assert len(fetched) > 2
    assert read_store(f"{memory_store}/b/out") == files_of(tmp_path / "out")


def test_a_name_that_is_taken_late_begins_the_export_again_in_the_store_too(tmp_path, memory_store):
    rows = [{"text": f"document {n} " + "word " * 20} for n in range(60)]
    write_lines(tmp_path / "c" / "a.jsonl", [*rows, {"text": "the last", "curate_tokens": "mine"}])
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=500)
    for out in (str(tmp_path / "out"), f"{memory_store}/b/out"):
        found = export(out, str(run.path), format="parquet", shard_size="2kB")
    assert found.prefix == "curate2_" and found.shards > 2
    assert read_store(f"{memory_store}/b/out") == files_of(tmp_path / "out")


@pytest.mark.parametrize("options", [{"format": kind} for kind in FORMATS] + [{"by_bucket": True}], ids=str)
def test_s3_has_the_files_of_a_local_export_and_beside_them_only_a_lock(tmp_path, bucket, options):
    run = numbered_run(tmp_path, ppl(*range(2, 80)))
    write_order(run, list(range(77, -1, -1)))
    write_buckets(open_run(run.path), ["low", "high"] * 39)
    for out in (str(tmp_path / "out"), f"{bucket.url}/sets/out"):
        export(out, str(run.path), shard_size="2kB", **options)
    assert files_of(bucket.download("sets/out", tmp_path / "got")) == files_of(tmp_path / "out")
    others = [name for name in bucket.list() if not name.startswith("sets/out/")]
    assert [name.rpartition("-")[0] for name in others] == ["sets/.out.export/.claims/lock"]
    assert not list((tmp_path / "mirrors" / "exports").iterdir())
    if not options.get("by_bucket"):
        assert load(tmp_path / "got") == load(tmp_path / "out") and len(load(tmp_path / "got")) == 78


@pytest.mark.parametrize("layout", ["megatron", "numpy"])
@pytest.mark.parametrize("ordered", [False, True])
def test_token_files_are_the_same_too(tmp_path, bucket, layout, ordered):
    run = numbered_run(tmp_path, ppl(*range(2, 60)))
    if ordered:
        write_order(run, list(range(57, -1, -1)))
    options = {"format": "tokens", "tokenizer": "builtin", "layout": layout, "append": "none", "shard_size": "200B"}
    for out in (str(tmp_path / "out"), f"{bucket.url}/out"):
        found = export(out, str(run.path), **options)
    assert found.shards > 2
    assert files_of(bucket.download("out", tmp_path / "got")) == files_of(tmp_path / "out")


def test_datasets_loads_an_export_from_s3_as_the_summary_says(tmp_path, bucket, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    run = numbered_run(tmp_path, ppl(*range(2, 40)))
    export(str(tmp_path / "out"), str(run.path))
    for kind in FORMATS:
        shown = export(f"{bucket.url}/{kind}", str(run.path), format=kind, shard_size="2kB").render()
        line = next(line for line in shown.splitlines() if line.startswith(">>> "))
        rows = eval(line.removeprefix(">>> "), {"datasets": datasets})["train"].to_list()
        assert rows == load(tmp_path / "out")


def count_shards(monkeypatch, suffix):
    """The number of shards in the folder in which an export is built, whenever one is about to leave it."""
    counts, real = [], StoredShards._upload

    def count(self, name):
        found = self.folder.rglob(f"*{suffix}")
        counts.append(len([path for path in found if not {".spill", ".texts"} & set(path.parts)]))
        real(self, name)

    monkeypatch.setattr(StoredShards, "_upload", count)
    return counts


KINDS = {"hf": ".arrow", "parquet": "-00000.parquet", "jsonl": ".jsonl", "tokens": ".bin"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ordered", [False, True])
def test_this_machine_holds_two_shards_of_an_export_at_most(tmp_path, memory_store, kind, ordered, monkeypatch):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": f"document {n} " + "word " * 300} for n in range(300)])
    run = make_run(tmp_path / "run", [tmp_path / "c"], slice_bytes=20_000)
    if ordered:
        write_order(run, list(range(299, -1, -1)))
    suffix = KINDS[kind].removeprefix("-00000") if ordered else KINDS[kind]
    counts = count_shards(monkeypatch, suffix)
    options = {"format": kind, **({"tokenizer": "builtin", "append": "none"} if kind == "tokens" else {})}
    found = export(f"{memory_store}/b/out", str(run.path), shard_size="10kB", workers=1, **options)
    assert found.shards > 4 and len(counts) >= found.shards
    assert max(counts) <= 2 + (kind == "parquet" and ordered)  # and decisions.parquet
