"""``curate verify`` of an export in an object store says what it says of the same one in a folder."""

import json

import fsspec
import pytest
from helpers.exports import files_of
from helpers.ordered_exports import an_export
from helpers.runs import numbered_run, ppl, write_order

from curate.exports.verify import replay
from curate.runtime.disk.object_store import ObjectStore
from curate.verbs.decontaminate import decontaminate
from curate.verbs.export import export
from curate.verbs.verify import verify


def show(found):
    return {**found.as_dict(), "out": "", "versions": {}}


@pytest.mark.parametrize("kind", ["hf", "parquet", "jsonl", "tokens"])
@pytest.mark.parametrize("ordered", [False, True])
def test_the_findings_are_those_of_the_folder(tmp_path, bucket, kind, ordered):
    run = numbered_run(tmp_path, ppl(*range(2, 40)))
    if ordered:
        write_order(run, list(range(37, -1, -1)))
    options = {"format": kind, **({"tokenizer": "builtin", "append": "none"} if kind == "tokens" else {})}
    for out in (str(tmp_path / "out"), f"{bucket.url}/out"):
        export(out, str(run.path), shard_size="2kB", **options)
    local, stored = (verify(out, loader="dataloader") for out in (str(tmp_path / "out"), f"{bucket.url}/out"))
    assert show(local) == show(stored) and stored.out == f"{bucket.url}/out" and stored.exit_code == 0
    assert not list((tmp_path / "mirrors" / "exports").iterdir())


@pytest.mark.parametrize("what", ["damaged", "missing", "more"])
def test_an_object_that_is_not_as_the_manifest_says_is_found(tmp_path, bucket, what):
    folder = an_export(tmp_path / "out")
    name = next(name for name in files_of(folder) if name.endswith("00001-of-00002.parquet") or "00000-of" in name)
    bucket.upload(folder, "out")
    for path, store in ((folder / name, bucket),):
        data = path.read_bytes()
        if what == "damaged":
            path.write_bytes(b"x" * len(data))
            store.write(f"out/{name}", b"x" * len(data))
        elif what == "missing":
            path.unlink()
            store.remove(f"out/{name}")
        else:
            path.with_name("z.parquet").write_bytes(data)
            store.write("out/data/z.parquet", data)
    local, stored = (verify(out, loader="none") for out in (str(folder), f"{bucket.url}/out"))
    assert stored.exit_code == 4 and show(local) == show(stored)


def test_large_objects_that_are_no_part_of_it_are_not_fetched(tmp_path, memory_store, monkeypatch):
    folder = an_export(tmp_path / "out")
    filesystem = fsspec.filesystem("memory")
    url = f"{memory_store}/b/out"
    for name, data in {**files_of(folder), "checkpoints/model.bin": b"large"}.items():
        filesystem.pipe_file(f"{url}/{name}", data)
    fetched, real = [], ObjectStore.download
    monkeypatch.setattr(
        ObjectStore, "download", lambda self, name, path: (fetched.append(name), real(self, name, path))
    )
    assert verify(url, loader="none").exit_code == 0
    assert sorted(fetched) == sorted(files_of(folder))


def test_a_loader_of_yours_is_compared_with_an_export_at_a_url(tmp_path, bucket):
    folder = an_export(tmp_path / "out")
    url = bucket.upload(folder, "out")
    batches = [[position] for position in range(59, -1, -1)]
    shown = [replay(out, batches, key=lambda batch: batch) for out in (str(folder), url)]
    assert shown[0] == shown[1] and shown[0].kept is False


def test_decontaminate_searches_an_export_at_a_url(tmp_path, bucket):
    run = numbered_run(tmp_path, ppl(*range(2, 9)))
    export(f"{bucket.url}/out", str(run.path), format="parquet")
    item = '{"question": "what is the capital of the country in which people eat long bread", "answer": "Paris"}\n'
    (tmp_path / "evals.jsonl").write_text(item)
    found = decontaminate(
        [str(tmp_path / "evals.jsonl")], str(tmp_path / "other"), verify=f"{bucket.url}/out", canaries=1
    )
    assert found.as_dict()["counts"]["read"] == 7


@pytest.mark.parametrize("listed", [False, True])
def test_names_that_lead_out_of_an_export_are_never_written(tmp_path, bucket, listed):
    folder = an_export(tmp_path / "out")
    if listed:
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["files"].append({"path": "../../../../up", "bytes": 1})
        (folder / "manifest.json").write_text(json.dumps(manifest))
    url = bucket.upload(folder, "out")
    bucket.write("out/../../../../up", b"x")
    verify(url, loader="none")
    assert not list(tmp_path.rglob("up"))
