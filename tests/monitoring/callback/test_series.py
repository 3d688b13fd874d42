"""``series.json``: read again as it was written, and no series of another training is taken over."""

import json

import pytest

from curate.errors import UsageError
from curate.monitoring.callback.series import Evaluation, HeldOutSums, name_folder, open_series, read_series

MADE_FROM = {"tokenizer": "abc", "scoring": {"window": 32}}


def make(step, corpus=None):
    domains = {"a": HeldOutSums(1, 2.0, 3, 4)}
    numbers = {"documents": 1, "nats": 2.0, "scored_tokens": 3, "scored_bytes": 4, "perplexity": 5.0}
    return Evaluation(
        step, corpus, f"step-{step:08d}", "w", **numbers, bits_per_byte=1.0, domains=domains, epoch=0.5,
        train_loss=None, seconds=1.0,
    )  # fmt: skip


def test_a_series_is_read_as_it_was_written(tmp_path):
    series = open_series(tmp_path / "x", "me", MADE_FROM, 0)
    for evaluation in (make(4), make(0), make(4, "b"), make(4)):
        series.put(evaluation)
    series.flags.append({"flag": "leak", "corpus": None, "began": 4, "found": 4, "text": "…"})
    series.write()
    again = read_series(tmp_path / "x")
    assert again.evaluations == [make(0), make(4, "b"), make(4)] and again == series


def test_a_training_that_goes_on_keeps_what_it_had_up_to_its_checkpoint(tmp_path):
    series = open_series(tmp_path, "me", MADE_FROM, 0)
    for step in (0, 5, 10):
        series.put(make(step))
        series.flags.append({"flag": "leak", "corpus": None, "began": step, "found": step, "text": "…"})
        series.failures.append({"step": step, "corpus": None, "error": "…"})
    series.write()
    again = open_series(tmp_path, "other", MADE_FROM, 5)
    assert again.training == "me" and [each.step for each in again.evaluations] == [0, 5, 10]
    assert [each["found"] for each in again.flags] == [each["step"] for each in again.failures] == [0, 5]
    assert [each.step for each in again.list_evaluations(None, 5)] == [0, 5]


def test_what_is_no_series_of_this_training_is_refused(tmp_path):
    series = open_series(tmp_path, "me", MADE_FROM, 0)
    series.put(make(5))
    series.write()
    with pytest.raises(UsageError, match="another training, up to step 5"):
        open_series(tmp_path, "other", MADE_FROM, 0)
    with pytest.raises(UsageError, match="made otherwise: tokenizer is xyz, was abc"):
        open_series(tmp_path, "other", {**MADE_FROM, "tokenizer": "xyz"}, 5)
    other = open_series(tmp_path, "other", {}, 0, restart=True)
    assert other.evaluations == [] and other.training == "me"
    content = json.loads((tmp_path / "series.json").read_text())
    (tmp_path / "series.json").write_text(json.dumps({**content, "training": "somebody"}))
    with pytest.raises(UsageError, match="another training now"):
        series.write()
    for text, match in (
        ('{"format": 9, "training": "x", "evaluations": []}', "format 9"),
        ("[]", "no series"),
        ("{", "no s"),
    ):
        (tmp_path / "series.json").write_text(text)
        with pytest.raises(UsageError, match=match):
            read_series(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        open_series(tmp_path / "file", "me", MADE_FROM, 0)
    with pytest.raises(UsageError, match=r"has no series.json"):
        read_series(tmp_path / "nowhere")


def test_a_corpus_of_any_name_has_a_folder_below_the_series():
    for name in ("..", "a/b", "/etc", ".hidden", "x" * 400):
        folder = name_folder(name)
        assert "/" not in folder and folder not in (".", "..") and len(folder) < 256 and not folder.startswith(".")
    assert name_folder("web text") == "web text"
