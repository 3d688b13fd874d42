"""The ground on which trials stand: states before commands, and the truth, which is what undisturbed runs leave.

A state is the folder after some commands; a truth is taken twice, so that what depends on chance or time is known. Both
are made when first needed, by whichever process needs them, and kept for all. Everything happens in a folder of one
path, ``World.here``, since runs record where their corpus lies; with mounts each worker has one of its own there.
"""

import ctypes
import fcntl
import hashlib
import pickle
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from campaign import execution, material
from campaign.preload import CALLS, Fault, find_mount_wrapper
from campaign.scenarios import Words
from campaign.snapshots import Snapshot, clear_folder, compare_snapshots, copy_tree, take_snapshot

CLONE_NEWNS = 0x20000
TIMED = ("m2/README.md", "m2/training.json")
"""Files that say how many seconds the work took; two runs may happen to take the same."""


class CampaignError(Exception):
    """An undisturbed run does not do what it must; no trial can be judged by it."""


@dataclass(frozen=True)
class Truth:
    """What a command does in peace."""

    code: int
    out: str
    before: Snapshot
    after: Snapshot
    loose: frozenset[str]
    """Files whose bytes differ between two undisturbed runs."""
    calls: tuple[str, ...]
    """The kind of each call on paths in the folder, in order."""
    seconds: float


@dataclass(frozen=True)
class World:
    """The folder of a campaign, with states, truths and the folders of trials in it."""

    folder: Path
    seed: int = 0

    @property
    def here(self) -> Path:
        """The folder in which every command runs."""
        return self.folder / "ground" / "here"

    def take_ground(self) -> None:
        """Give this process a ``here`` of its own, and make it. Several may call it where mounts are allowed."""
        (self.folder / "ground").mkdir(exist_ok=True)
        if find_mount_wrapper():
            if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
                raise OSError(ctypes.get_errno(), "unshare")
            words = ["mount", "-t", "tmpfs", "tmpfs", str(self.folder / "ground")]
            subprocess.run(words, check=True)

    @contextmanager
    def _vacated(self) -> Iterator[Path]:
        """Put aside what lies in ``here`` for a while. → ``here``, which does not exist"""
        aside = self.here.with_name(f"aside-{time.monotonic_ns()}")
        if self.here.exists():
            self.here.rename(aside)
        try:
            yield self.here
        finally:
            clear_folder(self.here)
            if aside.exists():
                aside.rename(self.here)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with open(self.folder / f"{name}.lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _keep(self, name: str, make: Callable[[], Any]) -> Any:
        """Return a value that any process of the campaign has made, or make and keep it."""
        path = self.folder / f"{name}.pickle"
        if not path.exists():
            with self._locked(name):
                if not path.exists():
                    try:
                        value = make()
                    except CampaignError as error:
                        value = error
                    path.with_suffix(".new").write_bytes(pickle.dumps(value))
                    path.with_suffix(".new").rename(path)
        value = pickle.loads(path.read_bytes())
        if isinstance(value, CampaignError):
            raise value
        return value

    def state(self, commands: tuple[Words, ...]) -> Path:
        """Return a folder, not to be changed, after these commands on the material. Raises CampaignError."""
        name = f"state-{_digest(commands)}"
        self._keep(name, lambda: self._make_state(self.folder / name, commands))
        return self.folder / name

    def _make_state(self, folder: Path, commands: tuple[Words, ...]) -> None:
        if not commands:
            material.write_material(folder)
            (folder / "tmp").mkdir()
            return
        earlier = self.state(commands[:-1])
        with self._vacated() as here:
            copy_tree(earlier, here)
            apply_in_peace(here, commands[-1])
            copy_tree(here, folder)

    def truth(self, command: Words, before: tuple[Words, ...], times: int = 2) -> Truth:
        """Return what ``command`` does after the commands ``before``; with ``times`` 1 nothing is known as loose.

        Raises CampaignError.
        """
        name = f"truth-{times}-{_digest((command, before))}"
        return self._keep(name, lambda: self._find_truth(command, before, times))

    def _find_truth(self, command: Words, before: tuple[Words, ...], times: int) -> Truth:
        state, name = self.state(before), f"{times}-{_digest((command, before))}"
        snapshots, outcomes, seconds = [], [], 0.0
        log = self.folder / f"calls-{name}"
        for _ in range(times):
            with self._vacated() as here:
                copy_tree(state, here)
                began = time.monotonic()
                one = execution.run(here, command, Fault("nothing", 0, CALLS), log=log if not outcomes else None)
                seconds = time.monotonic() - began
                check_peace(command, one)
                outcomes.append(one)
                snapshots.append(take_snapshot(here))
        calls = tuple(line.split(" ", 1)[0] for line in log.read_text(errors="replace").splitlines())
        loose = [path for path in snapshots[0] if path in TIMED]
        loose += [line.removesuffix(" differs") for line in compare_snapshots(snapshots[0], snapshots[-1])]
        before_snapshot = take_snapshot(state)
        one = outcomes[0]
        return Truth(one.code, one.out, before_snapshot, snapshots[0], frozenset(loose), calls, seconds)

    def begin(self, commands: tuple[Words, ...]) -> Path:
        """Return ``here``, in the state after ``commands``."""
        state = self.state(commands)
        clear_folder(self.here)
        copy_tree(state, self.here)
        return self.here

    def begin_empty(self) -> Path:
        """Return ``here``, empty."""
        clear_folder(self.here)
        self.here.mkdir(parents=True)
        return self.here


def apply_in_peace(folder: Path, command: Words) -> None:
    """Do a command of a scenario in ``folder``. Raises CampaignError."""
    if command[0] == "+":
        (folder / command[2]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / command[1], folder / command[2])
    else:
        check_peace(command, execution.run(folder, command))


def check_peace(command: Words, outcome: execution.Outcome) -> None:
    """Raise CampaignError where an undisturbed command did not end with 0 or 3."""
    if outcome.code not in (0, 3):
        raise CampaignError(f"curate {' '.join(command)}: exit code {outcome.code}\n{outcome.err[-2000:]}")


def _digest(value: object) -> str:
    return hashlib.blake2b(repr(value).encode(), digest_size=5).hexdigest()
