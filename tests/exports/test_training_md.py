"""TRAINING.md names the settings and versions that were replayed."""

import json

import pytest
from helpers.ordered_exports import an_export

from curate.exports import training_md
from curate.exports.verify import loaders


def test_training_md_names_the_settings_the_versions_and_what_was_not_replayed(tmp_path):
    out = an_export(tmp_path)
    manifest = json.loads((out / "manifest.json").read_text())
    training_md.write_training(out, manifest)
    text = (out / "TRAINING.md").read_text()
    for word in (
        "train_sampling_strategy",
        "wrapped",
        "curriculum_sampling: true",
        "disable_shuffling: true",
        "60 doc",
    ):
        assert word in text
    assert text.count(training_md.REPLAYED) == 3 and text.count(training_md.NOT_REPLAYED) == 2
    assert max(map(len, text.splitlines())) <= 120


def test_the_settings_of_training_md_are_those_that_are_replayed_and_exist_in_what_is_installed():
    pytest.importorskip("trl")
    from transformers import TrainingArguments
    from trl import SFTConfig

    text = training_md.make_training({"format": "hf", "rows": 1, "tokens": 1, "files": [], "columns": {}})
    for name, value in {**loaders.ORDERED, **loaders.WRAPPED}.items():
        assert hasattr(SFTConfig, name) and name in text and str(value) in text
    assert TrainingArguments.train_sampling_strategy == "random"
    for name, version in loaders.list_versions().items():
        shown = training_md.SEEN.get(name, training_md.SEEN["TRL"])
        assert version.split("+")[0].split(".")[0] == shown.split(".")[0], name
