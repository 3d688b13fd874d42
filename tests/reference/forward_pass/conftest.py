"""A tiny model, read plainly, and read as on a CUDA device.

There is none here: ``Watched`` stands for ``torch.cuda``, does each copy at once, and keeps the order in
which streams record, wait for and are asked about events.
"""

from contextlib import contextmanager

import pytest
import torch
from helpers import models
from helpers.packs import SIZES

from curate.reference import load
from curate.reference.forward_pass.device_transfer import DeviceTransfer
from curate.reference.protocol import ScoringConfig


class Watched:
    """What ``DeviceTransfer`` uses of ``torch.cuda``."""

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
    return load(str(folder), ScoringConfig(exact=True))


@pytest.fixture
def flying(folder):
    """A reference that runs as one on CUDA does, but for the device."""
    reference = load(str(folder), ScoringConfig(exact=True))
    reference.runner.sizes = SIZES
    reference.runner.transfer = DeviceTransfer(torch.device("cpu"), 3, cuda=Watched(), pinned=False)
    return reference
