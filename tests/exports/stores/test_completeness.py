"""What has its manifest is complete: killed exports, failing stores, two at once, and what others put there."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from helpers.exports import files_of
from helpers.runs import numbered_run, ppl
from helpers.stores import Killed, bury_process, fail_writes, read_store, write_object

from curate.errors import BusyError, CurateError, Interrupted, StorageError, TableError, UsageError
from curate.exports.stores.output import StoredOutput, open_output
from curate.runtime.disk import claims
from curate.runtime.disk.object_store import ObjectStore
from curate.verbs.export import export

OPTIONS = {"format": "jsonl", "shard_size": "2kB"}


@pytest.fixture
def made(tmp_path, memory_store):
    """A run, the URL of an export that is not there, and the files of the same export in a folder."""
    run = numbered_run(tmp_path, ppl(*range(2, 50)))
    export(str(tmp_path / "out"), str(run.path), **OPTIONS)
    return str(run.path), f"{memory_store}/b/out", files_of(tmp_path / "out")


def list_shards(url):
    """The shards of exports to a URL that are under way, or were."""
    above, _, name = url.rpartition("/")
    return list(read_store(f"{above}/.{name}.export/shards"))


def count_writes(run, url):
    with pytest.MonkeyPatch.context() as patch:
        done = fail_writes(patch, 10**6, Killed())
        export(url, run, **OPTIONS)
    return len(done)


@pytest.mark.parametrize("overwrites", [False, True])
def test_an_export_that_is_killed_at_any_write_is_never_taken_for_a_whole_one(made, overwrites):
    run, url, files = made
    older = {}
    if overwrites:
        export(url, run, format="jsonl", shard_size="9kB")
        older = read_store(url)
    count = count_writes(run, f"{url}-other")
    assert count > 20
    for number in range(overwrites, count + 2 * len(older) + 9, 3):
        with pytest.MonkeyPatch.context() as patch:
            fail_writes(patch, number, Killed())
            try:
                export(url, run, overwrite=overwrites, **OPTIONS)
                killed = False
            except Killed:
                killed = True
        bury_process(url)
        found = read_store(url)
        if "manifest.json" in found:
            assert found in (older, files)
        if not killed:
            break
        export(url, run, overwrite=overwrites or "manifest.json" in found, **OPTIONS)
        assert read_store(url) == files and not list_shards(url)
        for name in files:
            ObjectStore(url).remove([name])
        for name, data in older.items():
            write_object(f"{url}/{name}", data)
    assert not killed and number >= count - 3


@pytest.mark.parametrize("overwrites", [False, True])
@pytest.mark.parametrize("number", [0, 3, 9, 12, 17])
def test_a_store_that_fails_leaves_a_whole_export_or_none(made, overwrites, number):
    run, url, files = made
    if overwrites:
        export(url, run, format="jsonl", shard_size="9kB")
    older = read_store(url)
    with pytest.MonkeyPatch.context() as patch:
        fail_writes(patch, number, StorageError("the store is full"), lambda name: ".claims" not in name)
        with pytest.raises(StorageError, match="the store is full") as caught:
            export(url, run, overwrite=overwrites, **OPTIONS)
    assert "complete parts are kept" not in caught.value.hint
    assert read_store(url) == older or "manifest.json" not in read_store(url)
    export(url, run, overwrite=overwrites, **OPTIONS)
    assert read_store(url) == files and not list_shards(url)


def test_an_upload_that_fails_once_leaves_nothing_of_it(made, monkeypatch):
    """Unlike a killed process, one that goes on cleans up."""
    run, url, _ = made
    real = ObjectStore.copy

    def copy(store, name, other, target):
        if target.endswith("00001-of-00005.jsonl") or "00002-of" in target:
            raise StorageError("no route to the store")
        real(store, name, other, target)

    monkeypatch.setattr(ObjectStore, "copy", copy)
    with pytest.raises(StorageError, match="no route"):
        export(url, run, **OPTIONS)
    assert read_store(url) == {} and not list_shards(url)


def test_ctrl_c_while_shards_get_their_names_leaves_nothing(made, monkeypatch):
    run, url, _ = made

    def stop(store, name, other, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(ObjectStore, "copy", stop)
    with pytest.raises(Interrupted, match="nothing half written"):
        export(url, run, **OPTIONS)
    assert read_store(url) == {} and not list_shards(url)


def test_an_earlier_export_is_replaced_only_when_asked(made):
    run, url, files = made
    export(url, run, format="parquet")
    before = read_store(url)
    with pytest.raises(UsageError, match="holds an earlier export") as refused:
        export(url, run, **OPTIONS)
    assert "--overwrite" in refused.value.hint and read_store(url) == before
    export(url, run, overwrite=True, **OPTIONS)
    assert read_store(url) == files


def test_what_others_put_there_is_named_and_kept(made):
    run, url, files = made
    write_object(f"{url}/data/train-00000-of-00001.jsonl", b"mine")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match=r"did not write: data/train-00000-of-00001\.jsonl"):
            export(url, run, overwrite=overwrite, **OPTIONS)
    write_object(f"{url}/manifest.json", b'{"made_by": "me"}')
    with pytest.raises(UsageError, match="did not write"):
        export(url, run, overwrite=True, **OPTIONS)
    assert sorted(read_store(url)) == ["data/train-00000-of-00001.jsonl", "manifest.json"]
    ObjectStore(url).remove(read_store(url))
    export(url, run, **OPTIONS)
    write_object(f"{url}/notes.txt", b"mine")
    with pytest.raises(UsageError, match=r"out/notes\.txt is there"):
        export(url, run, overwrite=True, **OPTIONS)
    assert read_store(url) == {**files, "notes.txt": b"mine"}


def test_an_object_in_the_place_of_the_folder_is_refused(made):
    run, url, _ = made
    write_object(url, b"mine")
    with pytest.raises(UsageError, match="is an object; an export is a folder"):
        export(url, run, **OPTIONS)


@pytest.mark.parametrize("data", [b"mine", None])
def test_another_program_that_writes_there_meanwhile_spoils_the_export_and_is_named(made, monkeypatch, data):
    run, url, _ = made
    real = ObjectStore.copy

    def copy(store, name, other, target):
        real(store, name, other, target)
        if target.endswith("00000-of-00002.jsonl") or "-00001-of" in target:
            other.remove([target]) if data is None else write_object(f"{url}/other.jsonl", data)

    monkeypatch.setattr(ObjectStore, "copy", copy)
    with pytest.raises(StorageError, match="another program writes there") as caught:
        export(url, run, **OPTIONS)
    assert ("is not there" if data is None else "other.jsonl has 4 bytes") in caught.value.message
    assert read_store(url) == ({} if data is None else {"other.jsonl": data})


def test_an_export_whose_claim_was_taken_over_touches_nothing_more(made, monkeypatch):
    run, url, _ = made
    export(url, run, format="jsonl", shard_size="9kB")
    before, real = read_store(url), StoredOutput._note

    def lose(self, *sizes):
        real(self, *sizes)
        bury_process(url)

    monkeypatch.setattr(StoredOutput, "_note", lose)
    with pytest.raises(TableError, match="was taken over"):
        export(url, run, overwrite=True, **OPTIONS)
    assert read_store(url) == before


def test_a_second_export_to_the_same_url_is_refused_and_one_beside_it_is_not(made):
    run, url, files = made
    failed = []
    with claims.scope():
        open_output(url).claim("export")

        def second():
            try:
                export(url, run, **OPTIONS)
            except CurateError as error:
                failed.append(error)

        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        export(f"{url}2", run, **OPTIONS)
    assert isinstance(failed[0], BusyError) and failed[0].message.startswith(f"curate export is writing {url}: pid")
    assert read_store(f"{url}2") == files and read_store(url) == {}
    export(url, run, **OPTIONS)


SCRIPT = """
import os, sys, time
from curate.runtime.disk.object_store import ObjectStore
mark, *words = sys.argv[1:]
real = ObjectStore.copy

def copy(store, name, other, target):
    if "-00002-of" in target:
        open(mark, "w").close()
        time.sleep(600)
    real(store, name, other, target)

ObjectStore.copy = copy
from curate.cli import app
app(words)
"""


def test_a_process_that_is_killed_is_busy_before_and_begun_anew_after(tmp_path, bucket):
    run = numbered_run(tmp_path, ppl(*range(2, 50)))
    export(str(tmp_path / "out"), str(run.path), **OPTIONS)
    url, mark = f"{bucket.url}/out", tmp_path / "mark"
    words = ["export", url, "--run", str(run.path), "--format", "jsonl", "--shard-size", "2kB"]
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(mark), *words])
    try:
        while not mark.exists():
            assert process.poll() is None
            os.sched_yield()
        with pytest.raises(BusyError, match=f"is writing {url}: pid {process.pid} on"):
            export(url, str(run.path), **OPTIONS)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    left = bucket.list()
    assert "out/manifest.json" not in left and any(name.startswith("out/data/") for name in left)
    assert json.loads(bucket.read(".out.export/placing.json"))["made_by"] == "curate export"
    export(url, str(run.path), **OPTIONS)
    assert files_of(bucket.download("out", tmp_path / "got")) == files_of(tmp_path / "out")
    assert [name.rpartition("-")[0] for name in bucket.list(".")] == [".out.export/.claims/lock"]
