"""No network, few threads, and no colours or bars from libraries: what every test may rely on."""

import os
import socket

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_HUB_DISABLE_PROGRESS_BARS="1", NO_COLOR="1")

import pytest
import torch

torch.set_num_threads(1)  # the models here are so small that a second thread only waits


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """A test that reaches for the network fails at once, and says so."""

    def refuse(self, address, *rest):
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "localhost", "::1"):
            raise RuntimeError(f"a test tried to connect to {address}")
        return connect(self, address, *rest)

    connect = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def sample_corpus():
    """The folder of the sample corpus."""
    from pathlib import Path

    return Path(__file__).parent.parent / "recipes" / "sample"
