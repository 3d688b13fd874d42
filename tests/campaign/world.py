"""The ground on which trials stand: states before commands, and the truth, which is what undisturbed runs leave.

A state is the folder after some commands; a truth is taken twice, in two folders with different names, so that what
depends on the folder or on chance is known and said. Both are made when first needed, by whichever process needs them.
"""

import fcntl
import hashlib
import pickle
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from campaign import execution, material
from campaign.preload import CALLS, Fault
from campaign.scenarios import Words
from campaign.snapshots import Snapshot, clear_folder, compare_snapshots, copy_tree, take_snapshot


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
        copy_tree(self.state(commands[:-1]), folder)
        apply_in_peace(folder, commands[-1])

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
        for folder in (self.folder / f"peace-{name}", self.folder / f"elsewhere-and-longer-{name}")[:times]:
            copy_tree(state, folder)
            began = time.monotonic()
            outcomes.append(execution.run(folder, command, Fault("nothing", 0, CALLS), log=log))
            seconds = time.monotonic() - began
            check_peace(command, outcomes[-1])
            snapshots.append(take_snapshot(folder))
            clear_folder(folder)
            if len(outcomes) == 1:
                calls = tuple(line.split(" ", 1)[0] for line in log.read_text(errors="replace").splitlines())
        loose = [line.removesuffix(" differs") for line in compare_snapshots(snapshots[0], snapshots[-1])]
        before_snapshot = take_snapshot(state)
        one = outcomes[0]
        return Truth(one.code, one.out, before_snapshot, snapshots[0], frozenset(loose), calls, seconds)

    def begin(self, commands: tuple[Words, ...], name: str) -> Path:
        """Return a new folder for a trial, in the state after ``commands``."""
        folder = self.folder / f"trial-{name}"
        clear_folder(folder)
        copy_tree(self.state(commands), folder)
        return folder


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
