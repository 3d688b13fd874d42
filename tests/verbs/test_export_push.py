"""``curate export --push-to-hub``: the whole folder is uploaded, and what fails is one line."""

import httpx2
import huggingface_hub
import pytest
from helpers.exports import FORMATS, load, shards_of
from helpers.runs import numbered_run, write_buckets
from huggingface_hub.utils import filter_repo_objects

from curate.errors import StorageError
from curate.verbs.export import export

pytestmark = pytest.mark.usefixtures("own_cache")


class StandIn:
    """An ``HfApi`` that keeps what it is told, or raises."""

    calls: list = []  # noqa: RUF012
    failures: dict = {}  # noqa: RUF012

    def __getattr__(self, name):
        def call(*args, **options):
            StandIn.calls.append((name, args, options))
            if name in StandIn.failures:
                raise StandIn.failures[name]

        return call


@pytest.fixture
def hub(monkeypatch):
    StandIn.calls, StandIn.failures = [], {}
    monkeypatch.setattr(huggingface_hub, "HfApi", StandIn)
    return StandIn


def refusal(status):
    response = httpx2.Response(status, request=httpx2.Request("POST", "https://hub.example/api"))
    return huggingface_hub.errors.HfHubHTTPError(f"{status} Client Error\nmore", response=response)


def test_a_push_creates_the_dataset_and_uploads_the_whole_folder(tmp_path, hub):
    run = numbered_run(tmp_path, [{}])
    found = export(str(tmp_path / "out"), str(run.path), push_to_hub="me/clean", private=True)
    assert [name for name, _, _ in hub.calls] == ["whoami", "create_repo", "upload_folder"]
    created, uploaded = hub.calls[1], hub.calls[2]
    assert created[1] == ("me/clean",)
    assert created[2] == {"repo_type": "dataset", "private": True, "exist_ok": True}
    assert (uploaded[2]["repo_id"], uploaded[2]["repo_type"]) == ("me/clean", "dataset")
    assert uploaded[2]["folder_path"] == tmp_path / "out"
    assert "train/data-*-of-*.arrow" in uploaded[2]["delete_patterns"]
    assert "huggingface.co/datasets/me/clean" in found.render()


@pytest.mark.parametrize("by_bucket", [False, True])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_push_replaces_every_shard_that_an_earlier_one_may_have_left(tmp_path, hub, kind, by_bucket):
    run = numbered_run(tmp_path, [{}, {}])
    write_buckets(run, ["head", "tail"])
    export(str(tmp_path / "out"), str(run.path), format=kind, by_bucket=by_bucket, push_to_hub="me/clean")
    patterns = hub.calls[-1][2]["delete_patterns"]
    written = shards_of(tmp_path / "out")
    assert len(written) == 1 + by_bucket
    assert sorted(filter_repo_objects(written, allow_patterns=patterns)) == sorted(written)
    assert not list(filter_repo_objects(["README.md", "my/notes.jsonl"], allow_patterns=patterns))


def test_a_missing_token_is_found_before_the_work(tmp_path, hub):
    hub.failures = {"whoami": huggingface_hub.errors.LocalTokenNotFoundError("long\ntext")}
    run = numbered_run(tmp_path, [{}])
    with pytest.raises(StorageError, match="no token") as caught:
        export(str(tmp_path / "out"), str(run.path), push_to_hub="me/clean")
    assert "hf auth login" in caught.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("failure", [refusal(403), refusal(500), httpx2.ConnectError("down"), RuntimeError("uploader")])
def test_a_push_that_fails_is_one_line_and_leaves_a_whole_export(tmp_path, hub, failure):
    hub.failures = {"upload_folder": failure}
    run = numbered_run(tmp_path, [{}])
    with pytest.raises(StorageError) as caught:
        export(str(tmp_path / "out"), str(run.path), push_to_hub="me/clean")
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert len(load(tmp_path / "out")) == 1
