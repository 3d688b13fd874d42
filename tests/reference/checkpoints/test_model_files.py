"""A model before it is loaded: one under any path, another by the name of the file that differs."""

import json

import pytest

from curate.reference.checkpoints.model_files import describe_model, list_differing_files
from curate.runtime.disk.files import EDGE_BYTES


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "m"
    path.mkdir()
    (path / "config.json").write_text('{"hidden_size": 8, "transformers_version": "1"}')
    (path / "tokenizer.json").write_text('{"version": "1.0", "model": {}}')
    (path / "model-1.safetensors").write_bytes(b"w" * 5 * EDGE_BYTES)
    (path / "model-2.safetensors").write_bytes(b"w")
    (path / "README.md").write_text("a card")
    return path


def test_one_folder_is_one_model_however_it_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(folder)
    known = [describe_model(name) for name in ("m", "./m", "m/", str(folder), "link", "m/../m")]
    assert known == [known[0]] * 6 and known[0]["name"] == str(folder)
    assert set(known[0]["files"]) == {"config.json", "tokenizer.json", "model-1.safetensors", "model-2.safetensors"}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("config.json", lambda path: path.write_text('{"hidden_size": 9, "transformers_version": "1"}')),
        ("config.json", lambda path: path.write_text("{")),
        ("tokenizer.json", lambda path: path.write_text('{"version": "1.0", "model":  {}}')),
        ("merges.txt", lambda path: path.write_text("a b")),
        ("model-1.safetensors", lambda path: path.write_bytes(b"v" + path.read_bytes()[1:])),
        ("model-1.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-1] + b"v")),
        ("model-1.safetensors", lambda path: path.write_bytes(path.read_bytes() + b"w")),
        ("model-2.safetensors", lambda path: path.unlink()),
        ("pytorch_model.bin", lambda path: path.write_bytes(b"w")),
    ],
)
def test_the_file_that_differs_is_named(folder, name, change):
    before = describe_model(str(folder))
    change(folder / name)
    assert list_differing_files(before, describe_model(str(folder))) == [name]


def test_what_no_number_depends_on_does_not_differ(folder):
    before = describe_model(str(folder))
    config = {"transformers_version": "2", "_name_or_path": "x", "dtype": "bfloat16", "hidden_size": 8}
    (folder / "config.json").write_text(json.dumps(config, indent=3))
    (folder / "README.md").write_text("another card")
    (folder / "generation_config.json").write_text("{}")
    assert list_differing_files(before, describe_model(str(folder))) == []


def test_models_without_files_are_told_apart_by_name_and_revision(folder):
    none, hub, pinned = describe_model("none"), describe_model("org/model"), describe_model("org/model", "v1")
    assert (none, hub, pinned) == (
        {"name": "none"}, {"name": "org/model"}, {"name": "org/model", "revision": "v1"},
    )  # fmt: skip
    assert list_differing_files(hub, dict(hub)) == []
    for one, two in ((none, hub), (hub, pinned), (hub, describe_model(str(folder))), (describe_model("builtin"), none)):
        assert list_differing_files(one, two) is None
    assert "model.safetensors" in describe_model("builtin")["files"]
