"""Several devices, a process for each: the same bytes as one, whatever finishes first; and one that dies is named."""

import json
import os
import re
import signal

import numpy as np
import pytest
from helpers import models

import curate
from curate.errors import ModelError, UsageError
from curate.reference import load, multi_device
from curate.reference.likelihood import Passage
from curate.reference.protocol import ScoringConfig
from curate.runtime.work import profiler

READING = ScoringConfig(exact=True, device="cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(models.save(tmp_path_factory.mktemp("model"), "llama"))


@pytest.fixture(scope="module")
def pair(model):
    found = load(model, READING, "cpu,cpu")
    yield found
    found.close()


def write_batches(count=17):
    """Batches of very unequal work, so that they do not finish in the order in which they were given out."""
    return [
        [Passage(f"batch {number} has some words " * (1 + 40 * (number % 5 == 0)))] * (1 + number % 3)
        for number in range(count)
    ]


def test_answers_come_in_the_order_of_the_batches_and_are_those_of_one_device(pair, model):
    batches, told = write_batches(), []
    with profiler.measure_spans() as watch:
        found = list(pair.score(iter(batches), lambda tokens, share: told.append((tokens, share))))
    assert watch.here["wait"] > watch.seconds / 2, "the time goes into waiting for the devices, and is said so"
    alone = load(model, READING)
    wanted = list(alone.score(iter(batches)))
    assert [len(one.nats) for one in found] == [len(batch) for batch in batches]
    for one, other in zip(found, wanted, strict=True):
        assert np.array_equal(one.nats, other.nats) and np.array_equal(one.tokens, other.tokens)
    assert (pair.num_scored_tokens, pair.num_computed_tokens) == (alone.num_scored_tokens, alone.num_computed_tokens)
    assert sum(tokens for tokens, _ in told) == pair.num_scored_tokens and {share for _, share in told} == {1.0}
    assert pair.identity == alone.identity and pair.parameters == alone.parameters


def test_no_process_has_more_in_hand_than_it_should_and_little_is_read_ahead(pair):
    taken = 0

    def feed():
        nonlocal taken
        for batch in write_batches(60):
            taken += 1
            assert all(worker.num_pending <= multi_device.MAX_PENDING for worker in pair.workers)
            yield batch

    for number, _ in enumerate(pair.score(feed()), 1):
        assert taken - number <= 2 * multi_device.MAX_PENDING * len(pair.workers) + 1
    assert taken == 60


def test_a_table_is_the_same_to_the_byte_on_two_devices_as_on_one(model, tmp_path, sample_corpus):
    options = {"model": model, "exact": True, "max_tokens": 64, "slice_bytes": 3_000}
    corpus = [str(sample_corpus / "leaks.jsonl")]
    curate.score(corpus, run=str(tmp_path / "one"), device="cpu", **options)
    curate.score(corpus, run=str(tmp_path / "two"), devices="cpu,cpu", **options)
    one, two = (sorted((tmp_path / name / "scores").glob("*.parquet")) for name in ("one", "two"))
    assert len(one) >= 4 and [part.name for part in one] == [part.name for part in two]
    assert [part.read_bytes() for part in one] == [part.read_bytes() for part in two]
    records = [json.loads((tmp_path / name / "run.json").read_text()) for name in ("one", "two")]
    assert [record["score"]["request"]["options"].pop("device", None) for record in records] == ["cpu", None]
    assert [bool(record.pop("checksum")) for record in records] == [True, True]
    assert records[0] == records[1]


def test_a_process_that_dies_is_named_and_ends_the_run(model):
    pair = load(model, READING, "cpu,cpu")

    def feed():
        yield from write_batches(4)
        os.kill(pair.workers[1].process.pid, signal.SIGKILL)
        yield from write_batches(40)

    try:
        with pytest.raises(ModelError, match="the process of cpu was ended by signal 9") as told:
            list(pair.score(feed()))
        assert "fewer --devices" in told.value.hint
    finally:
        pair.close()
    assert all(worker.process.poll() is not None for worker in pair.workers)


def test_what_is_wrong_with_a_model_is_told_as_on_one_device(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError) as alone:
        load(str(tmp_path / "empty"), READING)
    with pytest.raises(ModelError) as together:
        load(str(tmp_path / "empty"), READING, "cpu,cpu")
    assert (str(together.value), together.value.hint) == (str(alone.value), alone.value.hint)


def test_devices_are_named_by_number_by_name_or_all(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    assert multi_device.parse_devices("all") == ["cuda:0", "cuda:1", "cuda:2"]
    assert multi_device.parse_devices("0, 2") == ["cuda:0", "cuda:2"]
    assert multi_device.parse_devices("cpu,cpu") == ["cpu", "cpu"]
    assert multi_device.parse_devices("cuda") == ["cuda:0"]
    refused = {
        "0,cpu": "mixes cpu and cuda",
        "1,1": "names cuda:1 twice",
        "cuda,0": "names cuda:0 twice",
        " , ": "must name at least one device",
        "foo": "must be 0,1 or all (CUDA), or cpu,cpu, not foo",
        "0,3": "there is no cuda:3 here (cuda:0, cuda:1, cuda:2)",
    }
    for text, message in refused.items():
        with pytest.raises(UsageError, match=re.escape(message)):
            multi_device.parse_devices(text)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    for text in ("all", "0,1"):
        with pytest.raises(UsageError, match="no CUDA device is available"):
            multi_device.parse_devices(text)


def test_one_device_and_several_cannot_both_be_named(model, tmp_path, sample_corpus):
    with pytest.raises(UsageError, match="say different things"):
        curate.score([str(sample_corpus)], model=model, run=str(tmp_path / "run"), device="cpu", devices="cpu,cpu")


def test_each_process_says_where_its_time_went_when_it_is_asked(pair):
    with profiler.measure_spans() as watch:
        list(pair.score(iter(write_batches(6))))
    assert list(watch.other_processes) == ["cpu", "cpu (2)"]
    for found in watch.other_processes.values():
        assert found["here"]["forward"] > 0 and 0 <= found["idle"] <= 1 and not found["apart"]
    lines = profiler.render_profile(profiler.describe_profile(watch))
    assert [line.split(":")[0].strip() for line in lines[-2:]] == ["cpu", "cpu (2)"]
    assert all("forward" in line and "without a pack" in line for line in lines[-2:])
    list(pair.score(iter(write_batches(2))))
    assert list(watch.other_processes) == ["cpu", "cpu (2)"], "nobody asked the second time"
