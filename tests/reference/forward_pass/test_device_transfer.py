"""Packs in flight: started ahead, landed in order, through a ring of slots; and what is written behind the scorer.

There is no CUDA device here: ``Watched`` stands for ``torch.cuda``, does each copy at once, and keeps the order in
which streams record, wait for and are asked about events.
"""

import functools
import threading
from collections import deque
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from helpers import models
from hypothesis import given
from hypothesis import strategies as st

from curate import crew
from curate.errors import ModelError
from curate.likelihood import Passage
from curate.packing import fit_size, pack, pack_fixed
from curate.reference import Reading, ahead, attention, batches, causal, load, selfcheck, tuning
from curate.reference.lane import Here, Lane
from curate.reference.runner import CausalModel

SIZES = (256, 64, 16)
TEXTS = [
    "hello world",
    "a",
    "Größe 東京 🙂 and more words",
    "def f(x):\n    return x + 1\n" * 5,
    "the same words " * 40,
]


class Watched:
    """What of ``torch.cuda`` a lane uses."""

    def __init__(self):
        self.log, self.streams, self.events, self.now = [], 0, 0, None
        self.now = self.Stream(None)
        self.log.clear()

    def Stream(self, _device):  # noqa: N802
        self.streams += 1
        return _Stream(self, ("main", "there", "back")[self.streams - 1])

    def Event(self, blocking=False):  # noqa: N802
        self.events += 1
        return _Event(self, ("copied", "computed", "landed")[(self.events - 1) % 3], (self.events - 1) // 3, blocking)

    def current_stream(self, _device):
        return self.now

    @contextmanager
    def stream(self, other):
        before, self.now = self.now, other
        yield
        self.now = before


class _Stream:
    def __init__(self, cuda, name):
        self.cuda, self.name = cuda, name

    def wait_event(self, event):
        self.cuda.log.append(f"{self.name} waits for {event}")


class _Event:
    def __init__(self, cuda, name, slot, blocking):
        self.cuda, self.name, self.slot, self.blocking = cuda, name, slot, blocking

    def record(self, stream):
        assert stream is self.cuda.now or stream.name == "main"
        self.cuda.log.append(f"{stream.name} records {self}")

    def synchronize(self):
        assert self.blocking, "a host that spins takes a core from the tokenizer"
        self.cuda.log.append(f"host waits for {self}")

    def __str__(self):
        return f"{self.name} {self.slot}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return models.save(tmp_path_factory.mktemp("models") / "llama", "llama")


@pytest.fixture
def plain(folder):
    return load(str(folder), Reading(exact=True))


@pytest.fixture
def flying(folder):
    """A reference that runs as one on CUDA does, but for the device."""
    reference = load(str(folder), Reading(exact=True))
    reference.runner.sizes = SIZES
    reference.runner.lane = Lane(torch.device("cpu"), 3, cuda=Watched(), pinned=False)
    return reference


def batches_of(count):
    return [[Passage(text + f" {number}") for text in TEXTS[: 1 + number % len(TEXTS)]] for number in range(count)]


def same(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.nats, other.nats, rtol=2e-6)
        assert one.tokens.tolist() == other.tokens.tolist() and one.status == other.status


# ---- packs of fixed size --------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 200), max_size=80), st.sampled_from([(64, 16, 4), (100, 25), (256, 64, 16), (7,)]))
def test_every_window_is_in_one_pack_and_packs_of_many_sizes_waste_less_than_of_one(lengths, sizes):
    lengths = np.array(lengths, np.int64)
    found = pack_fixed(lengths, sizes)
    assert sorted(np.concatenate(found).tolist() if found else []) == list(range(len(lengths)))
    places = [fit_size(int(lengths[one].sum()), sizes) for one in found]
    whole = [fit_size(int(lengths[one].sum()), sizes[:1]) for one in pack(lengths, sizes[0])]
    assert sum(places) <= sum(whole)
    for one, size in zip(found, places, strict=True):
        used = int(lengths[one].sum())
        assert used <= size and (size in sizes or (len(one) == 1 and size % sizes[0] == 0 and size - used < sizes[0]))


def test_what_is_left_of_a_batch_takes_small_packs():
    lengths = np.array([60] * 5 + [10])  # 310 of places: one of 256 holds four, then 60 + 10 are left
    found = pack_fixed(lengths, (256, 64, 16))
    assert sorted(fit_size(int(lengths[one].sum()), (256, 64, 16)) for one in found) in ([64, 256], [16, 64, 256])
    assert pack_fixed(np.zeros(0, np.int64), (4,)) == []
    with pytest.raises(ValueError, match="positive and fall"):
        pack_fixed(lengths, (16, 64))


@pytest.mark.parametrize("kind", ["llama", "gpt2", "mistral", "gemma2"])
def test_the_filling_of_a_pack_changes_no_number(tmp_path, kind):
    """Exact mode, so that a leak from the filling would show."""
    reference = load(str(models.save(tmp_path / kind, kind)), Reading(exact=True))
    wanted = list(reference.score(iter(batches_of(5))))
    seen, real = [], CausalModel.nats
    reference.runner.sizes = SIZES
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CausalModel, "nats", lambda self, pack: (seen.append(pack.places), real(self, pack))[1])
        found = list(reference.score(iter(batches_of(5))))
    same(found, wanted)
    assert set(seen) <= set(SIZES) and len(set(seen)) >= 2


def test_a_window_longer_than_a_pack_takes_whole_multiples(folder):
    reference = load(str(folder), Reading(exact=True, window=60))
    wanted = list(reference.score([[Passage(TEXTS[4])]]))
    reference.runner.sizes = (16, 4)
    same(list(reference.score([[Passage(TEXTS[4])]])), wanted)


# ---- in flight ------------------------------------------------------------------------------------------------------


def test_what_comes_through_the_lane_is_what_a_cpu_gives_at_once(flying, plain):
    told = []
    found = list(flying.score(iter(batches_of(9)), lambda tokens, share: told.append((tokens, share))))
    same(found, list(plain.score(iter(batches_of(9)))))
    assert flying.tokens == plain.tokens == sum(tokens for tokens, _ in told)
    assert sum(share for _, share in told) == pytest.approx(9)
    assert all(slot.free and slot.kept is None for slot in flying.runner.lane.slots)


def test_the_host_waits_for_nothing_but_the_nats_that_it_takes(flying):
    list(flying.score(iter(batches_of(6))))
    log = flying.runner.lane._cuda.log
    assert {line.split()[3] for line in log if line.startswith("host")} == {"landed"}
    for slot in range(3):
        own = [line.rsplit(" ", 1)[0] for line in log if line.endswith(f" {slot}")]
        new = ["main records computed", "there waits for computed"]  # memory that was just made is waited for first
        while new[1] in own:
            at = own.index(new[1])
            assert own[at - 1 : at + 1] == new and own[at + 1] == "there records copied"
            del own[at - 1 : at + 1]
        cycle = [
            "there records copied",
            "main waits for copied",
            "main records computed",
            "back waits for computed",
            "back records landed",
            "host waits for landed",
        ]
        assert own == cycle * (len(own) // 6), "a slot is written again only when it was landed"
    started = [at for at, line in enumerate(log) if line.startswith("there records")]
    landed = [at for at, line in enumerate(log) if line.startswith("host waits")]
    ahead = [sum(at < one for at in started) - number for number, one in enumerate(landed)]
    assert max(ahead) == 3, "three packs are in flight when the oldest is waited for"


def test_ranks_travel_with_the_nats(flying, plain):
    prepared = plain.prepare([Passage(text) for text in TEXTS])
    wanted = {}
    for pack_, (nats, ranks) in plain.passes(prepared, plain.runner.start_ranks):
        wanted.update(zip(pack_.at_N.tolist(), zip(nats.tolist(), ranks.tolist(), strict=True), strict=True))
    seen = 0
    for pack_, (nats, ranks) in flying.passes(prepared, flying.runner.start_ranks):
        for at, nat, rank in zip(pack_.at_N.tolist(), nats.tolist(), ranks.tolist(), strict=True):
            assert wanted[at][0] == pytest.approx(nat, rel=1e-5) and abs(wanted[at][1] - rank) <= 1
            seen += 1
    assert seen == len(wanted) > 50


def test_out_of_memory_in_flight_lands_what_flies_halves_the_sizes_and_loses_nothing(flying, plain, monkeypatch):
    real, sizes = CausalModel._compute, []

    def small(self, at, pack, ranked):
        if self.lane is not None and sizes and sizes[-1] > 64:
            assert all(slot.free for slot in self.lane.slots), "what flew is landed before it is tried again"
        sizes.append(pack.places)
        if pack.places > 64:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, at, pack, ranked)

    monkeypatch.setattr(CausalModel, "_compute", small)
    found = list(flying.score(iter(batches_of(7))))
    same(found, list(plain.score(iter(batches_of(7)))))
    assert max(sizes) == 256 and flying.runner.sizes == (64, 16, 4)
    assert all(slot.free for slot in flying.runner.lane.slots)


def test_a_run_given_up_half_way_leaves_no_slot_in_flight(flying):
    run = flying.score(iter(batches_of(8)))
    next(run)
    run.close()
    assert all(slot.free for slot in flying.runner.lane.slots)
    assert len(list(flying.score(iter(batches_of(2))))) == 2


def test_a_fourth_pack_in_three_slots_is_an_error_of_ours_and_not_a_wrong_number(flying):
    prepared = flying.prepare([Passage("hello world")])
    pack_ = batches.build(prepared, np.array([0]), "packed", 0, SIZES)
    for _ in range(3):
        flying.runner.start(pack_)
    with pytest.raises(RuntimeError, match="all 3 slots are in flight"):
        flying.runner.start(pack_)


def test_packs_of_a_later_batch_start_before_an_earlier_batch_is_done(flying):
    started = []
    flying.runner.sizes = (16,)

    def start(pack_):
        started.append(len(pack_.windows))
        return Here(np.zeros(pack_.tokens, np.float32))

    feed = [flying.prepare([Passage(f"hello {number}")]) for number in range(6)]
    reads = []
    for read in flying.flow(iter(feed), start, deque()):
        reads.append((feed.index(read.batch) if read.batch in feed else None, len(started), read.last))
    assert [which for which, _, _ in reads] == list(range(6)) and all(last for *_, last in reads)
    assert reads[0][1] == 3, "the first batch is landed when the third is started"


def test_while_nothing_is_ready_what_flies_is_landed(flying):
    feed = [flying.prepare([Passage("hello")]), None, None, flying.prepare([Passage("world")])]
    events = []

    def start(pack_):
        events.append("start")
        return Here(np.zeros(pack_.tokens, np.float32))

    for _ in flying.flow(iter(feed), start, deque()):
        events.append("land")
    assert events == ["start", "land", "start", "land"]


def test_the_reader_says_that_nothing_is_ready_to_one_who_is_busy():
    may_go_on, prepared = threading.Event(), object()

    def slow():
        yield ["a"]
        assert may_go_on.wait(20)
        yield ["b"]

    busy = False
    feed = ahead.prepare_ahead(slow(), lambda _: prepared, lambda: busy)
    assert next(feed) is prepared, "one who is not busy waits"
    busy = True
    assert next(feed) is None, "the second batch cannot be there"
    may_go_on.set()
    busy = False
    assert list(feed) == [prepared]


# ---- the ladder of kernels ------------------------------------------------------------------------------------------


def looped(query, key, value, scale, window, edges, longest):
    """What the kernel for many documents computes, document by document; edges are those of the device."""
    assert edges.dtype == torch.int32 and int((edges[1:] - edges[:-1]).max()) == longest
    parts = []
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        one = (whole[:, :, begin:end] for whole in (query, key, value))
        parts.append(attention._document(*one, scale, window, None, None).transpose(1, 2))
    return torch.cat(parts, dim=1)


def with_kernel(monkeypatch, kernel):
    monkeypatch.setattr(attention, "_varlen", kernel)
    monkeypatch.setattr(selfcheck, "kernels", lambda runner, rung: (True, False) if rung == "packed" else (False,))


def test_one_kernel_for_all_documents_is_used_where_it_gives_the_numbers(folder, monkeypatch):
    with_kernel(monkeypatch, looped)
    reference = load(str(folder), Reading(dtype="bf16"))
    assert reference.runner.varlen and reference.identity["attention"] == "varlen"
    monkeypatch.undo()
    other = load(str(folder), Reading(dtype="bf16"))
    assert not other.runner.varlen and other.identity["attention"] == "documents"
    with_kernel(monkeypatch, looped)
    (found,), (wanted,) = reference.score(batches_of(1)), other.score(batches_of(1))
    np.testing.assert_allclose(found.nats, wanted.nats, rtol=1e-2)


@pytest.mark.parametrize("fault", ["raises", "leaks"])
def test_where_the_kernel_fails_documents_go_apart_and_it_is_said(folder, monkeypatch, fault):
    def broken(query, key, value, scale, window, edges, longest):
        if fault == "raises":
            raise RuntimeError("FlashAttention only supports Ampere GPUs or newer.")
        return attention._document(query, key, value, scale, window, None, None).transpose(1, 2)  # one long document

    with_kernel(monkeypatch, broken)
    reference = load(str(folder), Reading(dtype="bf16"))
    assert reference.runner.rung == "packed" and not reference.runner.varlen
    if fault == "raises":
        assert any("one kernel" in note and "Ampere" in note for note in reference.notes)


@pytest.mark.parametrize("third", [False, True])
@pytest.mark.parametrize("heads", [(6, 2), (4, 4)])
@pytest.mark.parametrize("window", [None, 16])
def test_torchs_own_kernel_is_asked_in_words_that_it_knows(monkeypatch, third, heads, window):
    """On tensors without contents, where all is done but the computing."""
    from torch.nn.attention import varlen

    asked, real = [], varlen.varlen_attn

    @functools.wraps(real)
    def watched(*words, **named):
        asked.append(named)
        return real(*words, **named)

    monkeypatch.setattr(varlen, "varlen_attn", watched)
    monkeypatch.setattr(attention, "_third", third)
    query, key = (torch.empty(1, count, 128, 64, dtype=torch.bfloat16, device="meta") for count in heads)
    edges = torch.empty(3, dtype=torch.int32, device="meta")
    found = attention._varlen(query, key, key, 0.1, window, edges, 78)
    assert found.shape == (1, 128, heads[0], 64) and found.dtype == torch.bfloat16
    (named,) = asked
    assert named["window_size"] == ((-1, 0) if window is None else (15, 0)), "a window of 16 sees itself and 15 before"
    assert named["scale"] == 0.1 and named.get("num_splits") == (1 if third else None)


def test_the_hopper_kernel_is_left_alone_where_it_is_missing_or_fails(monkeypatch, capsys):
    from torch.nn import attention as kernels

    from curate import console

    console.enable(True)
    called = []
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    monkeypatch.setattr(kernels, "activate_flash_attention_impl", called.append)
    monkeypatch.setattr(kernels, "restore_flash_attention_impl", lambda: called.append("restored"))
    assert not attention.activate_hopper_kernel(torch.device("cuda")) and not called
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(attention, "find_spec", lambda name: None)
    assert not attention.activate_hopper_kernel(torch.device("cuda")) and not called
    monkeypatch.setattr(attention, "find_spec", lambda name: name)
    monkeypatch.setattr(attention, "_varlen", lambda *words: (_ for _ in ()).throw(RuntimeError("no kernel image")))
    assert not attention.activate_hopper_kernel(torch.device("cpu")) and called == ["FA3", "restored"]
    assert not attention._third and "installed and fails (no kernel image)" in capsys.readouterr().err
    monkeypatch.setattr(attention, "_varlen", lambda *words: None)
    assert attention.activate_hopper_kernel(torch.device("cpu")) and called[-1] == "FA3"
    monkeypatch.setattr(attention, "_third", False)


def test_a_cpu_and_exact_numbers_take_no_kernel_for_half_precision(plain):
    assert selfcheck.kernels(plain.runner, "packed") == (False,)
    plain.runner.device = torch.device("cuda")
    assert selfcheck.kernels(plain.runner, "packed") == (False,), "float32"
    plain.runner.model.to(torch.bfloat16)
    assert selfcheck.kernels(plain.runner, "packed") == (True, False)
    assert selfcheck.kernels(plain.runner, "padded") == (False,)


# ---- how many tokens a pack has -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hidden", "inner", "wanted"), [(576, 1536, 65536), (896, 4864, 16384), (2048, 8192, 8192), (4096, 14336, 8192)]
)
def test_the_activations_of_a_pack_stay_near_a_gigabyte_whatever_the_model(plain, hidden, inner, wanted):
    from dataclasses import replace

    from curate.reference.checkpoint import open_checkpoint

    checkpoint = open_checkpoint("builtin", None, False, torch.bfloat16)
    checkpoint.model.config.hidden_size, checkpoint.model.config.intermediate_size = hidden, inner
    assert tuning.choose_pack(replace(checkpoint), torch.device("cuda")) == wanted
    assert tuning.choose_pack(checkpoint, torch.device("cpu")) == tuning.CPU_PACK


def test_packs_that_a_trial_has_no_room_for_are_halved(plain, monkeypatch):
    tried = []

    def nats(self, pack_):
        tried.append(pack_.places)
        if pack_.places > 1024:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return np.zeros(pack_.tokens, np.float32)

    monkeypatch.setattr(CausalModel, "nats", nats)
    assert tuning.fit_packs(plain.runner, 4096) == 1024 and tried == [4096, 2048, 1024]
    assert plain.runner.sizes == (1024, 256, 64)
    monkeypatch.setattr(CausalModel, "nats", lambda self, pack_: (_ for _ in ()).throw(RuntimeError("no kernel image")))
    with pytest.raises(RuntimeError, match="no kernel image"):
        tuning.fit_packs(plain.runner, 4096)


def test_with_nothing_left_to_halve_the_window_is_named(flying, monkeypatch):
    def never(self, at, pack_, ranked):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(CausalModel, "_compute", never)
    with pytest.raises(ModelError, match="a single window of"):
        list(flying.score(batches_of(1)))
    assert causal.halve((64, 16, 4)) == (32, 8, 2) and causal.halve((2, 1)) == (1,)


# ---- written behind -------------------------------------------------------------------------------------------------


def test_work_behind_is_done_in_order_and_all_of_it_whatever_ends_the_block():
    done = []

    def interrupted():
        with crew.Behind() as behind:
            for number in range(20):
                behind.put(lambda number=number: done.append(number))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done == list(range(20))


@pytest.mark.parametrize("later", [0, 5])
def test_what_fails_behind_is_raised_in_front_and_nothing_after_it_is_begun(later):
    done = []

    def fail():
        raise OSError("disk is full")

    def work():
        with crew.Behind() as behind:
            behind.put(lambda: done.append(1))
            behind.put(fail)
            for _ in range(later):
                behind.put(lambda: done.append(2))

    with pytest.raises(OSError, match="disk is full"):
        work()
    assert done == [1]
