"""No network, few threads, and no colours or bars from libraries: what every test may rely on."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from helpers.paths import ROOT

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_HUB_DISABLE_PROGRESS_BARS="1", NO_COLOR="1")
os.environ["CURATE_SELF_CHECK"] = "always"  # tests change kernels, and must not leave what they found to a user

import pytest
import torch
from filelock import FileLock

from curate.runtime import console

SCORE = ["curate", "score", "recipes/sample"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell leaves it to what it starts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)
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


@pytest.fixture(autouse=True)
def _silence():
    """A test that typed a command in this process leaves the console as silent as it was."""
    yield
    console.enable(False)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """A cache of datasets for each test; the library would otherwise meet an earlier test's folder of the same name."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


@pytest.fixture
def sample_corpus():
    """The folder of the sample corpus."""
    return ROOT / "recipes" / "sample"


@dataclass(frozen=True)
class ScoredSample:
    """A copy of ``recipes`` whose sample was scored by the first command of the README, as a user does it."""

    folder: Path
    """Holds recipes/ and curated/. Others use it, too: copy it before anything is written there."""
    command: str
    done: subprocess.CompletedProcess


@pytest.fixture(scope="session")
def scored_sample(tmp_path_factory):
    """The sample corpus, scored once for all tests that need it whole, in all processes of pytest-xdist."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    folder, printed = shared / "scored-sample", shared / "scored-sample.json"
    with FileLock(shared / "scored-sample.lock"):
        if not printed.exists():
            shutil.copytree(ROOT / "recipes", folder / "recipes")
            done = score_sample(folder)
            assert done.returncode == 0, done.stderr
            printed.write_text(json.dumps([done.stdout, done.stderr]))
    return ScoredSample(
        folder, " ".join(SCORE), subprocess.CompletedProcess(SCORE, 0, *json.loads(printed.read_text()))
    )


def score_sample(folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    words = [sys.executable, "-W", "ignore", "-m", *SCORE]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, env=environment)
