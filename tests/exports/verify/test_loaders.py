"""Real loaders: the recommended settings keep the order, and the defaults of trainers lose it."""

import importlib.util
import os
import random

import datasets
import numpy as np
import pyarrow as pa
import pytest
import torch
from helpers.exports import FORMATS
from helpers.ordered_exports import an_export, make_documents, write_ordered

from curate.exports.verify import loaders
from curate.exports.verify.order_check import follow_order
from curate.exports.verify.reader import index_positions
from curate.exports.verify.stage import stage_export
from curate.verbs.verify import verify


@pytest.mark.parametrize("kind", FORMATS)
def test_the_recommended_settings_keep_the_order_and_the_defaults_of_trainers_lose_it(tmp_path, kind):
    pytest.importorskip("trl")
    out = an_export(tmp_path, kind)
    found = verify(str(out), batch_size=4)
    kept = {(one.loader, one.settings): one.kept for one in found.replays}
    assert found.exit_code == 0 and found.whole
    assert kept[("dataloader", "any")] and kept[("streaming", "any")]
    assert kept[("trainer", "recommended")] and kept[("trl", "recommended")] and kept[("trl packed", "recommended")]
    assert kept[("trainer", "default")] is False and kept[("trl", "default")] is False
    assert all(one.documents == 60 for one in found.replays if one.kept)
    asked = verify(str(out), loader="trainer", settings="default", batch_size=4)
    assert asked.exit_code == 4 and "departs at step" in asked.render() and "train_sampling" in asked.render()
    assert max(map(len, found.render().replace(str(out), "out").splitlines())) <= 100


def test_the_departing_step_of_a_trainer_is_that_of_the_sampler_that_it_uses(tmp_path):
    pytest.importorskip("accelerate")
    out = an_export(tmp_path)
    found = verify(str(out), loader="trainer", settings="default", batch_size=1).replays[0]
    from transformers import Trainer, TrainingArguments

    arguments = TrainingArguments(str(tmp_path / "t"), per_device_train_batch_size=1, report_to="none", use_cpu=True)
    data = datasets.Dataset.from_dict({"input_ids": [[n] for n in range(60)]})
    trainer = Trainer(loaders._make_model(), arguments, train_dataset=data, processing_class=loaders._make_tokenizer())
    order = [int(batch["input_ids"][0, 0]) for batch in trainer.get_train_dataloader()]
    at = next(place for place, position in enumerate(order) if position != place)
    documents = make_documents(60)
    name = f"{documents['curate_file'][order[at]]}:{documents['curate_row'][order[at]]}"
    assert (found.departs_at_step, found.position, found.found) == (at + 1, at, name)
    assert found.tokens_before == sum(documents["curate_tokens"].to_pylist()[:at])


def test_trl_packs_longest_first_even_where_the_sampler_is_sequential(tmp_path):
    pytest.importorskip("trl")
    documents = make_documents(400)
    tokens = pa.array([1 + n % 40 for n in range(400)], pa.int64())
    out = write_ordered(tmp_path / "out", "parquet", documents.set_column(3, "curate_tokens", tokens), 20_000)
    packed = [one for one in verify(str(out), loader="trl", batch_size=1).replays if one.loader == "trl packed"]
    assert [one.kept for one in packed] == [False, True]
    with staged(out) as stage:
        case = loaders.LoaderCase("trl", "", "", loaders._read_trl, True, {"packing": True, **loaders.ORDERED})
        assert not follow_order(case.steps(stage), 400, True).kept


def staged(out, **options):
    from curate.exports.verify import reader

    export = reader.open_export(out)
    order = reader.read_order(export)
    known = {"batch_size": 1, "ranks": 1, "workers": 0, **options}
    return stage_export(export, index_positions(order), order.column("tokens").to_numpy(), *known.values())


def test_ranks_side_by_side_keep_the_order_and_a_shuffling_distributed_sampler_does_not(tmp_path):
    pytest.importorskip("accelerate")
    out = an_export(tmp_path, count=61)
    found = verify(str(out), loader="dataloader", batch_size=3, world_size=4)
    assert [(one.settings, one.kept) for one in found.replays] == [("default", False), ("recommended", True)]
    trainer = verify(str(out), loader="trainer", settings="recommended", batch_size=3, world_size=4).replays[0]
    assert trainer.kept and trainer.documents == 61 and "filled" in trainer.note


def test_workers_keep_a_map_style_order_and_lose_a_streamed_one_with_several_shards(tmp_path):
    out = an_export(tmp_path)
    kept = {
        one.loader: one.kept
        for name in ("dataloader", "streaming")
        for one in verify(str(out), loader=name, batch_size=4, loader_workers=2).replays
    }
    assert kept == {"dataloader": True, "streaming": False}


def test_a_replay_leaves_the_process_as_it_was_and_says_nothing(tmp_path, capfd, monkeypatch):
    pytest.importorskip("trl")
    from accelerate.state import PartialState

    monkeypatch.chdir(tmp_path)
    out = an_export(tmp_path)
    PartialState._reset_state()
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    expected = torch.rand(1), np.random.rand(), random.random()
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    before = sorted(os.listdir(tmp_path))
    verify(str(out), batch_size=4)
    assert (torch.rand(1), np.random.rand(), random.random()) == expected
    assert not PartialState._shared_state
    assert sorted(os.listdir(tmp_path)) == before
    assert capfd.readouterr() == ("", "")


def test_a_loader_that_is_not_installed_is_named_with_what_installs_it(tmp_path, monkeypatch):
    out = an_export(tmp_path)
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "trl" else real(name, *rest))
    found = verify(str(out), loader="trl")
    assert found.exit_code == 4 and all(one.kept is None for one in found.replays)
    assert "not verified: trl is not installed (pip install trl accelerate): trl, trl packed" in found.render()
    assert "survives" not in found.render()


def test_what_is_not_installed_is_left_out_of_the_claim_that_the_order_survives(tmp_path, monkeypatch):
    out = an_export(tmp_path)
    real = importlib.util.find_spec
    gone = ("accelerate", "trl")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in gone else real(name, *rest))
    found = verify(str(out))
    lines = found.render().splitlines()
    assert found.exit_code == 0
    assert "the order survives in dataloader, streaming under the settings of TRAINING.md" in lines
    assert "not verified: accelerate is not installed (pip install accelerate): trainer" in lines
    assert verify(str(out), loader="trainer").exit_code == 4


def test_a_library_that_is_too_old_for_a_loader_is_named_and_nothing_is_claimed(tmp_path, monkeypatch):
    def refuse(stage, rank, **options):
        raise ImportError("Using the `Trainer` requires `accelerate>=9.0`")

    monkeypatch.setattr(loaders, "_read_trainer", refuse)
    found = verify(str(an_export(tmp_path)), loader="trainer")
    assert found.exit_code == 4 and "survives" not in found.render()
    assert "not verified: Using the `Trainer` requires `accelerate>=9.0`: trainer" in found.render()


@pytest.mark.parametrize(
    ("options", "claimed", "code"),
    [
        ({"loader": "dataloader"}, "the order survives under the settings of TRAINING.md", 0),
        ({"loader": "dataloader", "settings": "default"}, "the order survives under the default settings", 0),
        ({"loader": "dataloader", "steps": 3}, "as far as was compared (of 60 documents: dataloader 24)", 0),
        ({"loader": "dataloader", "batch_size": 60}, "not verified: one step has all documents", 0),
        ({"loader": "dataloader", "batch_size": 60, "steps": 1}, "not verified: one step has all documents", 0),
        ({"loader": "streaming", "world_size": 2}, "not verified: no settings keep the order here: streaming", 4),
        (
            {"loader": "streaming", "world_size": 2, "settings": "recommended"},
            "not verified: no settings keep the order here: streaming",
            4,
        ),
        (
            {"loader": "streaming", "loader_workers": 2, "settings": "recommended"},
            "not verified: no settings keep the order here: streaming",
            4,
        ),
        ({"loader": "none"}, "", 0),
    ],
)
def test_verify_claims_of_the_order_what_it_replayed_and_no_more(tmp_path, options, claimed, code):
    found = verify(str(an_export(tmp_path)), **options)
    assert found.exit_code == code and claimed in found.render()
    assert ("the order survives" in found.render()) == claimed.startswith(("the order", "as far"))


def test_one_document_and_no_order_are_no_claim_either(tmp_path):
    alone = verify(str(an_export(tmp_path, count=1)), loader="dataloader", batch_size=1)
    assert "survives" not in alone.render() and "not verified: one step" in alone.render()
    unordered = verify(str(an_export(tmp_path / "other", ordered=False)), loader="dataloader")
    assert "survives" not in unordered.render() and "no order to verify" in unordered.render()
