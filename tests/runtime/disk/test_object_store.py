"""Objects of a store, in memory and on a real S3 server: what is listed, created once, refused, and told apart."""

import threading

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from curate.errors import StorageError, UsageError
from curate.runtime.disk.object_store import ObjectStore, check_slashes, find_filesystem, is_plain_name, is_store_url


@pytest.fixture(params=["memory_store", "bucket"])
def store(request):
    """A folder in a store, next to one whose name begins with its name."""
    found = request.getfixturevalue(request.param)
    url = found if isinstance(found, str) else found.url
    ObjectStore(f"{url}/run-2").write("other", b"1")
    return ObjectStore(f"{url}/run/")


def test_objects_are_written_listed_read_and_removed(store, tmp_path):
    for name in ("a/one", "a/b/two", "ab", "top"):
        store.write(name, name.encode())
    assert sorted(store.list()) == ["a/b/two", "a/one", "ab", "top"], "and nothing of run-2"
    assert sorted(store.list("a")) == ["a/b/two", "a/one"]
    assert sorted(store.list(deep=False)) == ["ab", "top"]
    assert store.list()["top"].size == 3 and store.read("a/b/two") == b"a/b/two"
    store.remove(["a/one", "not there"])
    assert "a/one" not in store.list() and store.look("a/one") is None
    assert store.list("nothing") == {}
    with pytest.raises(FileNotFoundError):
        store.read("a/one")
    with pytest.raises(FileNotFoundError):
        store.download("a/one", tmp_path / "x")


def test_a_file_comes_back_as_it_was_and_its_tag_tells_another_one(store, tmp_path):
    (tmp_path / "file").write_bytes(b"\0" * 100_000 + b"1")
    tag = store.upload(tmp_path / "file", "f/x")
    store.download("f/x", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()
    assert tag and tag == store.look("f/x").tag == store.list("f")["f/x"].tag
    (tmp_path / "file").write_bytes(b"\0" * 100_000 + b"2")
    assert store.upload(tmp_path / "file", "f/x") != tag


def test_of_many_that_create_one_object_one_does(store):
    won, start = [], threading.Barrier(6)

    def create(number):
        start.wait()
        if store.create("lock", str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and store.read("lock") == str(won[0]).encode()
    store.check_conditional("probe")
    assert sorted(store.list()) == ["lock"], "the probe is removed"


class ForgetfulFileSystem(MemoryFileSystem):
    """A store that writes over what is there, whatever it is asked."""

    protocol = "forgetful"
    store, pseudo_dirs = {}, [""]

    def pipe_file(self, path, value, mode="overwrite", **options):
        return super().pipe_file(path, value, mode="overwrite", **options)


class ReadOnlyFileSystem(ForgetfulFileSystem):
    """A store of which only reading is implemented."""

    protocol = "readonly"

    def pipe_file(self, path, value, mode="overwrite", **options):
        raise NotImplementedError


@pytest.mark.parametrize("kind", [ForgetfulFileSystem, ReadOnlyFileSystem])
def test_a_store_without_conditional_writes_is_refused_with_the_reason(kind):
    fsspec.register_implementation(kind.protocol, kind, clobber=True)
    store = ObjectStore(f"{kind.protocol}://bucket/run")
    with pytest.raises(StorageError, match="has no conditional writes: two processes there could not be kept apart"):
        store.check_conditional("probe")
    assert store.list() == {}


def test_what_a_store_refuses_names_the_url(bucket, s3_environment, monkeypatch):
    with pytest.raises(StorageError, match="s3://no-such-bucket-x/run: The specified bucket does not exist"):
        ObjectStore("s3://no-such-bucket-x/run").write("a", b"")
    assert ObjectStore("s3://no-such-bucket-x/run").list() == {}
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(StorageError, match=rf"{bucket.url}/run/a: Unable to locate credentials") as found:
        ObjectStore(f"{bucket.url}/run").write("a", b"")
    assert "AWS_ACCESS_KEY_ID" in found.value.hint


@pytest.mark.parametrize(
    ("path", "is_url"),
    [
        ("s3://b/x", True),
        ("gs://b", True),
        ("memory://x", True),
        ("file:///x", False),
        ("/a/b", False),
        ("s3:/b", False),
    ],
)
def test_what_is_a_url_of_a_store(path, is_url):
    assert is_store_url(path) is is_url


def test_names_that_lead_elsewhere_are_not_plain():
    assert all(map(is_plain_name, ("a", "a/b.c", "a b/…")))
    assert not any(map(is_plain_name, ("", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "a\\b", "a\0b")))


def test_protocols_that_nobody_knows_and_a_slash_that_is_missing_are_refused():
    with pytest.raises(UsageError, match="s4://b/x: Protocol not known: s4"):
        find_filesystem("s4://b/x")
    with pytest.raises(UsageError, match="// follows the colon") as found:
        check_slashes("s3:/bucket/run")
    assert found.value.hint == "name it as s3://bucket/run"
    for fine in ("s3://bucket/run", "c:/folder", "notes:/x", "/s3:/x"):
        check_slashes(fine)
