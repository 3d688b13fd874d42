"""``curate verify``: a departure from the order is found at its step, a kept order passes, and damage is named."""

import importlib.util
import json
import os
import random
import shutil

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from helpers.ordered_exports import make_documents, order_table, write_ordered
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from curate import loaders, trainingnotes
from curate.departures import UNKNOWN, follow
from curate.errors import TableError, UsageError
from curate.exportbook import index_places
from curate.verification import replay, verify

FORMATS = ("hf", "parquet", "jsonl")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def an_export(folder, kind="parquet", count=60, **options):
    return write_ordered(folder / "out", kind, make_documents(count), **options)


def cut(positions, size):
    return [np.array(positions[start : start + size], np.int64) for start in range(0, len(positions), size)]


# The comparison.


@given(st.integers(1, 80), st.integers(1, 9))
def test_an_order_is_kept_whatever_the_batch_and_inside_a_step_it_means_nothing(total, size):
    steps = [step[::-1] for step in cut(range(total), size)]
    course = follow(steps, total)
    assert course.kept and course.documents == total and course.steps == len(steps)


@given(st.integers(2, 80), st.integers(1, 9), st.data())
def test_two_documents_of_different_steps_that_change_places_depart_at_the_first_of_these(total, size, data):
    first, second = sorted(data.draw(st.lists(st.integers(0, total - 1), min_size=2, max_size=2, unique=True)))
    positions = list(range(total))
    positions[first], positions[second] = second, first
    course = follow(cut(positions, size), total)
    if first // size == second // size:
        assert course.kept
        return
    lost = course.departure
    assert (lost.step, lost.expected, lost.found, lost.repeated) == (first // size + 1, first, second, False)


@given(st.integers(2, 80), st.integers(1, 9), st.data())
def test_a_document_that_is_left_out_departs_where_it_was_next(total, size, data):
    missing = data.draw(st.integers(0, total - 1))
    course = follow(cut([n for n in range(total) if n != missing], size), total)
    last = -(-(total - 1) // size)
    step = missing // size + 1 if missing < total - 1 else last + 1  # without the last one the documents end early
    assert (course.departure.expected, course.departure.step) == (missing, step)


def test_documents_that_end_early_foreign_ones_and_repeated_ones_depart():
    assert follow(cut([0, 1], 1), 3).departure == follow(cut([0, 1, UNKNOWN], 1), 3).departure.__class__(3, 2, None)
    assert follow(cut([0, UNKNOWN, 2], 1), 3).departure.found == UNKNOWN
    again = follow(cut([0, 1, 1, 2], 1), 3).departure
    assert (again.step, again.found, again.repeated) == (3, 1, True)
    assert follow(cut([0, 1], 1), 3, most=2).kept  # stopped by the user, not by the documents


def test_a_last_step_filled_with_the_beginning_is_counted_and_with_anything_else_departs():
    assert follow(cut([0, 1, 2, 3, 4, 0], 3), 5).filled == 1
    assert not follow(cut([0, 1, 2, 3, 4, 2], 3), 5).kept
    assert not follow(cut([0, 1, 0, 2, 3, 4], 3), 5).kept  # not the last step


def test_a_packed_document_may_go_on_in_the_next_step_but_not_come_back_later():
    assert follow([np.array([0, 0, 1]), np.array([1, 1, 2])], 3, packed=True).kept
    assert not follow([np.array([0, 0, 1]), np.array([0, 1, 2])], 4, packed=True).kept
    assert not follow([np.array([0, 0, 1]), np.array([1, 1, 2])], 3).kept


# Real loaders.


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
        case = loaders.Case("trl", "", "", loaders._read_trl, True, {"packing": True, **loaders.ORDERED})
        assert not follow(case.steps(stage), 400, True).kept


def staged(out, **options):
    from curate import exportbook

    export = exportbook.open_export(out)
    order = exportbook.read_order(export)
    known = {"batch_size": 1, "ranks": 1, "workers": 0, **options}
    return loaders.staged(export, index_places(order), order.column("tokens").to_numpy(), *known.values())


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
        for one in verify(str(out), loader=name, batch_size=4, workers=2).replays
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
    assert found.exit_code == 0 and all(one.kept is None for one in found.replays)
    assert "pip install trl" in found.render()


# A loader of the user's own.


@pytest.mark.parametrize("kind", FORMATS)
def test_a_shuffled_loader_of_ones_own_is_caught_and_a_sequential_one_passes(tmp_path, kind):
    out = an_export(tmp_path, kind)
    rows = datasets.load_dataset(str(out), split="train")
    assert replay(str(out), DataLoader(rows, batch_size=4)).kept
    torch.manual_seed(0)
    lost = replay(str(out), DataLoader(rows, batch_size=4, shuffle=True))
    assert not lost.kept and lost.departs_at_step == 1
    assert replay(str(out), iter(rows)).kept  # rows one by one
    assert replay(str(out), DataLoader(rows, 4, collate_fn=list), key="text").kept
    assert replay(str(out), ([n] for n in range(60)), key=lambda batch: batch).kept
    swapped = [*range(10), 11, 10, *range(12, 60)]
    lost = replay(str(out), ([n] for n in swapped), key=lambda batch: batch)
    assert (lost.departs_at_step, lost.position) == (11, 10)
    assert replay(str(out), ([n] for n in swapped), key=lambda batch: batch, world_size=2).kept


def test_equal_texts_are_told_apart_by_their_turn(tmp_path):
    documents = make_documents(6).set_column(0, "text", pa.array(["a", "b", "a", "a", "c", "b"]))
    out = write_ordered(tmp_path / "out", "parquet", documents)
    assert replay(str(out), ({"text": text} for text in "abaacb"), key="text").kept
    assert replay(str(out), ({"text": text} for text in "ababcb"), key="text").departs_at_step == 4


def test_a_batch_that_does_not_name_its_documents_is_answered_with_what_to_do(tmp_path):
    out = an_export(tmp_path)
    with pytest.raises(UsageError, match="curate_file") as caught:
        replay(str(out), [{"input_ids": [1]}])
    assert "key=" in caught.value.hint


# The export against itself.


def wrong(out):
    found = verify(str(out), loader="none")
    assert found.exit_code == (0 if found.whole else 4)
    problems = [one for one in found.findings if not one.ok]
    return {
        check: "; ".join(one.detail for one in problems if one.check == check) for check in {p.check for p in problems}
    }


@pytest.mark.parametrize("kind", FORMATS)
def test_a_changed_byte_a_missing_file_and_swapped_shards_are_named(tmp_path, kind):
    out = an_export(tmp_path, kind, hashed=True)
    assert wrong(out) == {}
    shards = sorted(path for path in (out / ("train" if kind == "hf" else "data")).iterdir() if "-of-" in path.name)
    octets = shards[1].read_bytes()
    shards[1].write_bytes(octets[:-20] + bytes([octets[-20] ^ 1]) + octets[-19:])
    assert "sha256" in wrong(out)["files"] and shards[1].name in wrong(out)["files"]
    shards[1].write_bytes(octets[:-1])
    assert "bytes" in wrong(out)["files"]
    shards[1].unlink()
    assert "missing" in wrong(out)["files"]
    shards[1].write_bytes(shards[0].read_bytes())
    shards[0].write_bytes(octets)
    assert shards[0].name in wrong(out)["files"]


@pytest.mark.parametrize("kind", FORMATS)
def test_documents_that_do_not_stand_where_the_order_says_are_named_though_all_checksums_agree(tmp_path, kind):
    out, documents = an_export(tmp_path, kind), make_documents(60)
    other = documents.take([0, 2, 1, *range(3, 60)])
    shutil.copy(out / "order.parquet", tmp_path / "order.parquet")
    shutil.rmtree(out)
    write_ordered(out, kind, other)
    shutil.copy(tmp_path / "order.parquet", out / "order.parquet")
    found = wrong(out)
    assert set(found) in ({"documents"}, {"tokens"}, {"shards"}) and "position 1" in found.get(
        "documents", "position 1"
    )


def test_a_text_under_the_key_of_another_is_found_by_its_hash(tmp_path):
    documents = make_documents(60)
    texts = documents["text"].to_pylist()
    texts[7] = texts[7].upper()
    out = write_ordered(tmp_path / "out", "parquet", documents.set_column(0, "text", pa.array(texts)), hashed=True)
    manifest = json.loads((out / "manifest.json").read_text())
    files = [argument(file) for file in manifest["files"]]
    pq.write_table(order_table(documents, files, hashed=True), out / "order.parquet")
    assert "position 7" in wrong(out)["documents"] and "text" in wrong(out)["documents"]


def argument(file):
    from curate.shards import Written

    return Written(**file)


def change_order(out, change):
    table = pq.read_table(out / "order.parquet")
    columns = {name: table[name].to_pylist() for name in table.column_names}
    change(columns)
    pq.write_table(pa.table(columns, schema=table.schema), out / "order.parquet")


def test_an_order_that_was_permuted_or_damaged_is_told_from_one_that_holds(tmp_path):
    out = an_export(tmp_path)
    keep = (out / "order.parquet").read_bytes()

    def swap(name, one=3, two=4):
        def change(columns):
            values = columns[name]
            values[one], values[two] = values[two], values[one]

        return change

    cases = {"file": "documents", "row": "documents", "shard_row": "shards", "position": "shards"}
    for name, check in cases.items():
        one, two = (0, 1) if name == "file" else (3, 4)
        change_order(out, swap(name, one, two))
        assert check in wrong(out), name
        (out / "order.parquet").write_bytes(keep)
    change_order(out, lambda columns: columns["position"].__setitem__(5, 6))
    assert "permutation" in wrong(out)["order"]
    (out / "order.parquet").write_bytes(keep)
    change_order(out, lambda columns: columns["cumulative_tokens"].__setitem__(5, 1))
    assert "position 5" in wrong(out)["tokens"]
    (out / "order.parquet").write_bytes(b"no parquet")
    assert "order" in wrong(out)
    (out / "order.parquet").unlink()
    assert "order.parquet is not there" in wrong(out)["order"]


def test_an_export_without_an_order_is_checked_for_integrity_alone_and_says_so(tmp_path):
    out = an_export(tmp_path, ordered=False)
    found = verify(str(out))
    assert found.exit_code == 0 and not found.replays and "no order to verify" in found.render()
    with pytest.raises(TableError, match="no order"):
        replay(str(out), [])


def test_a_place_that_is_no_export_and_options_that_mean_nothing_are_answered(tmp_path):
    with pytest.raises(UsageError, match="there is no export"):
        verify(str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="no export of curate"):
        verify(str(tmp_path))
    for name in ("batch_size", "world_size", "steps"):
        with pytest.raises(UsageError, match=f"--{name.replace('_', '-')}"):
            verify(str(tmp_path), **{name: 0})


# TRAINING.md.


def test_training_md_names_the_settings_the_versions_and_what_was_not_replayed(tmp_path):
    out = an_export(tmp_path)
    manifest = json.loads((out / "manifest.json").read_text())
    trainingnotes.write_training(out, manifest)
    text = (out / "TRAINING.md").read_text()
    for word in (
        "train_sampling_strategy",
        "wrapped",
        "curriculum_sampling: true",
        "disable_shuffling: true",
        "60 doc",
    ):
        assert word in text
    assert text.count(trainingnotes.REPLAYED) == 3 and text.count(trainingnotes.NOT_REPLAYED) == 2
    assert max(map(len, text.splitlines())) <= 120


def test_the_settings_of_training_md_are_those_that_are_replayed_and_exist_in_what_is_installed():
    pytest.importorskip("trl")
    from transformers import TrainingArguments
    from trl import SFTConfig

    text = trainingnotes.make_training({"format": "hf", "rows": 1, "tokens": 1, "files": [], "columns": {}})
    for name, value in {**loaders.ORDERED, **loaders.WRAPPED}.items():
        assert hasattr(SFTConfig, name) and name in text and str(value) in text
    assert TrainingArguments.train_sampling_strategy == "random"
    for name, version in loaders.versions().items():
        shown = trainingnotes.SEEN.get(name, trainingnotes.SEEN["TRL"])
        assert version.split("+")[0].split(".")[0] == shown.split(".")[0], name


# Exports that curate wrote.


def a_written_export(folder, kind, by_bucket):
    from runs_helper import write_buckets
    from test_ordered_export import plain_run, shuffled

    from curate.exporting import export

    run, _ = plain_run(folder, 90)
    shuffled(run, list(range(90)), 90)
    if by_bucket:
        write_buckets(run, [("head", "tail", "other")[n % 3] for n in range(90)])
    export(str(folder / "out"), str(run.path), format=kind, shard_size="4kB", by_bucket=by_bucket)
    return folder / "out"


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("by_bucket", [False, True])
def test_what_export_writes_is_verified_and_training_md_loads_it_and_names_what_is_replayed(tmp_path, kind, by_bucket):
    out = a_written_export(tmp_path, kind, by_bucket)
    found = verify(str(out), loader="trainer", batch_size=4)
    assert found.whole and found.exit_code == 0
    assert {one.settings: one.kept for one in found.replays} == {"default": False, "recommended": True}
    assert verify(str(out), loader="dataloader", batch_size=4).replays[0].documents == 90
    notes = (out / "TRAINING.md").read_text()
    for case in loaders.list_cases("all", "recommended", 1):
        assert all(f"{name}=" in notes and str(value) in notes for name, value in case.options.items())
    (load,) = [line for line in notes.splitlines() if line.startswith("documents = ")]
    space = {"datasets": datasets}
    exec(load.replace("OUT", str(out)), space)
    rows = space["documents"]
    assert replay(str(out), DataLoader(rows, batch_size=4)).kept
    torch.manual_seed(1)
    assert not replay(str(out), DataLoader(rows, batch_size=4, shuffle=True)).kept


def test_a_bucket_that_is_not_in_order_and_documents_that_changed_places_are_found(tmp_path):
    out = a_written_export(tmp_path, "parquet", True)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["files"] = [file for file in manifest["files"] if file["path"] != "order.parquet"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    keep = (out / "order.parquet").read_bytes()
    for name, check, word in (("position", "order", "not in order"), ("row", "documents", "should be")):

        def swap(columns, name=name):
            columns[name][3], columns[name][4] = columns[name][4], columns[name][3]

        change_order(out, swap)
        assert word in wrong(out)[check]
        (out / "order.parquet").write_bytes(keep)
    assert wrong(out) == {}
