"""Packs in flight: started ahead, landed in order, through a ring of slots.

There is no CUDA device here: ``Watched`` of conftest.py stands for ``torch.cuda``.
"""

from collections import deque

import numpy as np
import pytest
import torch
from helpers.packs import SIZES, TEXTS, batches_of, same

from curate.errors import ModelError
from curate.reference import causal
from curate.reference.forward_pass import batches
from curate.reference.forward_pass.device_transfer import HostResult
from curate.reference.forward_pass.forward import CausalModel
from curate.reference.likelihood import Passage


def test_what_comes_through_the_transfer_is_what_a_cpu_gives_at_once(flying, plain):
    told = []
    found = list(flying.score(iter(batches_of(9)), lambda tokens, share: told.append((tokens, share))))
    same(found, list(plain.score(iter(batches_of(9)))))
    assert flying.num_scored_tokens == plain.num_scored_tokens == sum(tokens for tokens, _ in told)
    assert sum(share for _, share in told) == pytest.approx(9)
    assert all(slot.free and slot.in_use is None for slot in flying.runner.transfer.slots)


def test_the_host_waits_for_nothing_but_the_nats_that_it_takes(flying):
    list(flying.score(iter(batches_of(6))))
    log = flying.runner.transfer._cuda.log
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


def test_what_is_measured_of_tokens_travels_with_the_nats(flying, plain):
    measures = ("kinds", "calibration")
    found, wanted = (list(one.score(iter(batches_of(6)), measures=measures)) for one in (flying, plain))
    same(found, wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.sums.keys() == other.sums.keys() and len(one.sums) == 21
        for name, values in other.sums.items():
            edge = 1.01 if name.startswith("ece") else 1e-4  # a probability at the edge of a bin falls to either side
            np.testing.assert_allclose(one.sums[name], values, rtol=1e-5, atol=edge, err_msg=name)
    assert all(slot.free for slot in flying.runner.transfer.slots)
    list(flying.score(iter(batches_of(3))))  # the slots hold other numbers now


def test_out_of_memory_in_flight_lands_what_flies_halves_the_sizes_and_loses_nothing(flying, plain, monkeypatch):
    real, sizes = CausalModel._compute, []

    def small(self, at, pack, ranked):
        if self.transfer is not None and sizes and sizes[-1] > 64:
            assert all(slot.free for slot in self.transfer.slots), "what flew is landed before it is tried again"
        sizes.append(pack.num_positions)
        if pack.num_positions > 64:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, at, pack, ranked)

    monkeypatch.setattr(CausalModel, "_compute", small)
    found = list(flying.score(iter(batches_of(7))))
    same(found, list(plain.score(iter(batches_of(7)))))
    assert max(sizes) == 256 and flying.runner.sizes == (64, 16, 4)
    assert all(slot.free for slot in flying.runner.transfer.slots)


def test_a_run_given_up_half_way_leaves_no_slot_in_flight(flying):
    run = flying.score(iter(batches_of(8)))
    next(run)
    run.close()
    assert all(slot.free for slot in flying.runner.transfer.slots)
    assert len(list(flying.score(iter(batches_of(2))))) == 2


def test_a_fourth_pack_in_three_slots_is_an_error_of_ours_and_not_a_wrong_number(flying):
    prepared = flying.prepare([Passage("hello world")])
    pack_ = batches.build_pack(prepared, np.array([0]), "packed", 0, SIZES)
    for _ in range(3):
        flying.runner.start(pack_)
    with pytest.raises(RuntimeError, match="all 3 slots are in flight"):
        flying.runner.start(pack_)


def test_packs_of_a_later_batch_start_before_an_earlier_batch_is_done(flying):
    started = []
    flying.runner.sizes = (16,)

    def start(pack_):
        started.append(len(pack_.windows))
        return HostResult(np.zeros(pack_.tokens, np.float32))

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
        return HostResult(np.zeros(pack_.tokens, np.float32))

    for _ in flying.flow(iter(feed), start, deque()):
        events.append("land")
    assert events == ["start", "land", "start", "land"]


def test_with_nothing_left_to_halve_the_window_is_named(flying, monkeypatch):
    def never(self, at, pack_, ranked):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(CausalModel, "_compute", never)
    with pytest.raises(ModelError, match="a single window of"):
        list(flying.score(batches_of(1)))
    assert causal.halve((64, 16, 4)) == (32, 8, 2) and causal.halve((2, 1)) == (1,)
