"""URLs as people mistype them, and places to which nothing may be exported: refused before any work, by name."""

import errno

import fsspec
import pytest
from helpers.runs import make_run, numbered_run, ppl, write_lines
from helpers.stores import read_store

from curate.cli import app
from curate.errors import CurateError, StorageError, UsageError
from curate.exports.formats.shard_writer import ShardWriter
from curate.exports.stores.names import check_url_outside, is_output_url
from curate.runtime.disk.object_store import ObjectStore
from curate.verbs.export import export
from curate.verbs.filter import filter as choose
from curate.verbs.verify import verify

MISTYPED = {
    "s3://bucket": ("names a bucket and no folder", "curate export s3://bucket/dataset"),
    "s3://": ("names a bucket and no folder", "curate export s3://bucket/dataset"),
    "s3:/bucket/out": ("neither a URL nor a folder", "s3://bucket/out"),
    "s4://bucket/out": ("Protocol not known: s4", "URLs begin with s3://"),
    "s3://bucket//out": ("a folder without a name", "without them"),
    "s3://bucket/a/../out": ("a folder without a name", "without them"),
    "s3://bucket/a*": ("read as a pattern", "name a folder"),
    "file:///tmp/out": ("is on this machine", "/tmp/out"),
    "https://a.b/out": ("can only be read", "name a folder"),
    "hf://datasets/me/set": ("not written to the Hub", "curate export OUT --push-to-hub me/set"),
}


@pytest.mark.parametrize("out", MISTYPED)
def test_a_mistyped_url_is_refused_before_the_run_is_read(tmp_path, out, monkeypatch, s3_environment):
    monkeypatch.chdir(tmp_path)
    message, hint = MISTYPED[out]
    with pytest.raises(UsageError, match=message) as refused:
        export(out, str(tmp_path / "none"))
    assert out in refused.value.message and hint in refused.value.hint
    assert [path.name for path in tmp_path.iterdir() if path.name != "mirrors"] == []


def test_a_folder_with_a_colon_is_a_folder():
    assert not any(map(is_output_url, ("a:b/out", "./s3:/out", "C:/out", "today:/out", "out")))
    assert is_output_url("s3://bucket/out") and is_output_url("S3://bucket/out")


@pytest.mark.parametrize("missing", ["gcsfs", "s3fs"])
def test_a_driver_that_is_not_installed_is_named_with_the_command(tmp_path, monkeypatch, missing):
    def refuse(protocol):
        raise ImportError(f"install {missing}")

    monkeypatch.setattr(fsspec.core, "get_filesystem_class", refuse)
    protocol = {"gcsfs": "gs", "s3fs": "s3"}[missing]
    with pytest.raises(UsageError, match=f"install {missing}") as refused:
        export(f"{protocol}://bucket/out", str(tmp_path))
    assert refused.value.hint == f"pip install 'curate[{ {'gs': 'gcs', 's3': 's3'}[protocol] }]'"


@pytest.mark.parametrize(
    "options", [{"part": "0/2"}, {"engine": "ray"}, {"push_to_hub": "me/x"}], ids=lambda each: next(iter(each))
)
def test_what_needs_a_folder_is_refused_with_the_command_that_names_one(memory_store, options):
    with pytest.raises(UsageError, match="and a URL") as refused:
        export(f"{memory_store}/b/out", "run", **options)
    assert refused.value.hint.startswith("curate export dataset --run run --")


def test_a_probe_is_written_to_folders(tmp_path, memory_store):
    run = numbered_run(tmp_path, ppl(2, 3))
    with pytest.raises(UsageError, match=f"--probe {memory_store}/b/out: its exports are written to a folder"):
        choose(str(run.path), by="ppl", probe=f"{memory_store}/b/out")


def test_an_export_inside_the_corpus_is_refused(tmp_path, bucket):
    rows = tmp_path / "a.jsonl"
    write_lines(rows, [{"text": "document 0"}])
    bucket.write("corpus/a.jsonl", rows.read_bytes())
    run = make_run(tmp_path / "run", [f"{bucket.url}/corpus"])
    for out in (f"{bucket.url}/corpus/out", f"{bucket.url}/corpus", f"s3a://{bucket.name}/corpus/x/y"):
        with pytest.raises(UsageError, match=f"is inside the corpus {bucket.url}/corpus: the next verb would read it"):
            export(out, str(run.path))
    assert bucket.list() == ["corpus/a.jsonl"]
    export(f"{bucket.url}/corpus-out", str(run.path))
    assert "corpus-out/manifest.json" in bucket.list()


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("s3://b/c/*.jsonl", False),
        ("s3://b/*/x", True),
        ("s3://b/c/**", True),
        ("s3://b/co", False),
        ("gs://b/c", False),
    ],
)
def test_a_pattern_covers_what_it_may_match(tmp_path, path, inside):
    try:
        check_url_outside([path], tmp_path, "s3://b/c/x/out")
        found = False
    except UsageError:
        found = True
    assert found is inside


def test_an_export_inside_a_run_is_refused(tmp_path, bucket):
    run = numbered_run(tmp_path, ppl(2, 3))
    for name in (".curate-run.jsonl", "run.json"):
        bucket.write(f"runs/one/{name}", b"{}\n")
    with pytest.raises(UsageError, match=f"is inside the run {bucket.url}/runs/one"):
        export(f"{bucket.url}/runs/one/out", str(run.path))
    with pytest.raises(UsageError, match="holds something that curate export did not write"):
        export(f"{bucket.url}/runs/one", str(run.path), overwrite=True)


def run_command(*words):
    """Run a command as typed in a shell.  → its exit code"""
    with pytest.raises(SystemExit) as ended:
        app(list(map(str, words)), standalone_mode=True)
    return ended.value.code or 0


def test_a_bucket_that_does_not_exist_and_missing_keys_are_one_line_each(tmp_path, s3_environment, monkeypatch, capsys):
    run = numbered_run(tmp_path, ppl(2, 3))
    with pytest.raises(StorageError) as refused:
        export("s3://no-such-bucket/out", str(run.path))
    assert refused.value.message == "s3://no-such-bucket/out: The specified bucket does not exist"
    assert refused.value.hint == "create the bucket, or name another one"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(StorageError, match=r"^s3://another-bucket/out: Unable to locate credentials$") as refused:
        export("s3://another-bucket/out", str(run.path))
    assert "AWS_ACCESS_KEY_ID" in refused.value.hint


def test_nothing_that_is_printed_names_the_folder_in_which_an_export_is_built(tmp_path, bucket, capsys, monkeypatch):
    run = numbered_run(tmp_path, ppl(2, 3))
    assert run_command("export", f"{bucket.url}/out", "--run", run.path) == 0
    assert run_command("verify", f"{bucket.url}/out", "--json") == 0
    bucket.write("out/train/data-00000-of-00001.arrow", b"x")
    assert run_command("verify", f"{bucket.url}/out") == 4
    assert run_command("export", f"{bucket.url}/out", "--run", run.path) == 2

    def fail(self):
        raise StorageError(f"{self.folder}/data could not be read")

    monkeypatch.setattr(ShardWriter, "finish", fail)
    assert run_command("export", f"{bucket.url}/out", "--run", run.path, "--overwrite") == 1
    shown = "".join(capsys.readouterr())
    assert (
        f"error: {bucket.url}/out/data could not be read" in shown
        and str(tmp_path / "mirrors") not in shown
        and ".tmp" not in shown
    )


def test_verify_says_what_is_no_export(memory_store, bucket):
    with pytest.raises(UsageError, match=f"there is no export {bucket.url}/none") as refused:
        verify(f"{bucket.url}/none")
    assert refused.value.hint == f"curate export {bucket.url}/none"
    bucket.write("other/manifest.json", b"{}")
    with pytest.raises(UsageError, match="is not an export of curate"):
        verify(f"{bucket.url}/other")
    with pytest.raises(CurateError, match="names a bucket") as refused:
        verify(bucket.url)
    assert refused.value.hint == f"curate verify {bucket.url}/dataset" and read_store(f"{memory_store}/b") == {}


def test_a_full_disk_of_this_machine_is_named_as_that(tmp_path, memory_store, monkeypatch):
    run = numbered_run(tmp_path, ppl(2, 3))
    export(f"{memory_store}/b/old", str(run.path))

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ObjectStore, "download", fail)
    monkeypatch.setattr(ShardWriter, "finish", fail)
    for verb in (lambda: export(f"{memory_store}/b/out", str(run.path)), lambda: verify(f"{memory_store}/b/old")):
        with pytest.raises(StorageError, match=f"the disk is full: {tmp_path}/mirrors/exports") as refused:
            verb()
        assert "CURATE_MIRRORS=FOLDER" in refused.value.hint
    assert read_store(f"{memory_store}/b/out") == {}
