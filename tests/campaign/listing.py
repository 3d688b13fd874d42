"""All trials of a campaign, and how a share of them is drawn: the list depends on nothing but the code and the seed.

A trial is called ``KIND/SCENARIO/NUMBER``; its number says where the fault strikes, spread evenly over what there is.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from campaign import calls, damaged_files, disks, pairs
from campaign.oracle import Verdict, looks_between, prepare_between
from campaign.scenarios import NAME_TO_SCENARIO, SCENARIOS, Scenario
from campaign.world import World

Attempt = Callable[[World, Scenario, int], Verdict]


@dataclass(frozen=True)
class Kind:
    """One kind of fault."""

    name: str
    title: str
    """As in the table."""
    count: int
    """Trials of each subject; a slow one has a third."""
    attempt: Attempt | None
    """Tries it on a scenario; None where the subject is a pair or a reader."""


KINDS = (
    Kind("kill", "killed at a system call", 15, calls.try_kill),
    Kind("interrupt", "SIGINT, SIGTERM, SIGHUP", 8, calls.try_interrupt),
    Kind("error", "errors and short counts of system calls", 24, calls.try_error),
    Kind("full", "full disk (tmpfs)", 6, disks.try_full),
    Kind("limit", "files that may not grow (RLIMIT_FSIZE)", 5, disks.try_limit),
    Kind("readonly", "read-only mount", 3, disks.try_read_only),
    Kind("pair", "two verbs at once, and one in place of a killed one", 3, None),
    Kind("damage", "damaged file under a reading verb", 36, None),
    Kind("foreign", "somebody's files where a verb writes", 8, damaged_files.try_foreign),
)
NAME_TO_KIND = {one.name: one for one in KINDS}
UNWRITING = ("error", "interrupt", "readonly")
"""Kinds that are tried on verbs that only read, too."""
LOOKING = ("kill", "interrupt", "error", "full", "limit")
"""Kinds with a look at the run between the fault and the next call."""


@dataclass(frozen=True)
class Trial:
    """One fault in one run of one verb."""

    kind: str
    subject: str
    """The name of a scenario, of a reading verb, or of a pair, ``FIRST+SECOND``."""
    number: int

    def __str__(self) -> str:
        return f"{self.kind}/{self.subject}/{self.number}"

    def is_of(self, verbs: set[str]) -> bool:
        """Return whether each verb of it, or the name of its scenario, is among ``verbs``."""
        return all(
            name in verbs or (name in NAME_TO_SCENARIO and NAME_TO_SCENARIO[name].verb in verbs)
            for name in self.subject.split("+")
        )


def parse_trial(text: str) -> Trial:
    """Return the trial of a name ``KIND/SCENARIO/NUMBER``. Raises ValueError."""
    kind, subject, number = text.split("/")
    if kind not in NAME_TO_KIND or subject not in list_subjects(kind):
        raise ValueError(f"{text}: there is no such trial")
    return Trial(kind, subject, int(number))


def list_subjects(kind: str) -> list[str]:
    """Return what a kind is tried on."""
    if kind == "pair":
        return ["+".join(pair) for pair in pairs.list_pairs()]
    if kind == "damage":
        return list(damaged_files.READERS)
    return [one.name for one in SCENARIOS if one.writes or kind in UNWRITING]


def list_trials(kinds: Sequence[str], verbs: Sequence[str], share: float, seed: int) -> list[Trial]:
    """Return the trials of some kinds and verbs (none: all); of each kind and subject the same ``share``, drawn.

    At least one of a kind is taken, however small the share.
    """
    chosen = []
    for kind in KINDS:
        if kinds and kind.name not in kinds:
            continue
        found = []
        for subject in list_subjects(kind.name):
            slow = subject in NAME_TO_SCENARIO and NAME_TO_SCENARIO[subject].slow
            count = -(-kind.count // 3) if slow else kind.count
            found += [Trial(kind.name, subject, number) for number in range(count)]
        found = [trial for trial in found if not verbs or trial.is_of(set(verbs))]
        draw = random.Random(f"{seed} {kind.name}")
        size = max(1, round(share * len(found))) if found else 0
        chosen += sorted(draw.sample(found, size), key=str) if share < 1 else found
    return chosen


def try_trial(world: World, trial: Trial) -> Verdict:
    """Carry out one trial in ``world.here``."""
    if trial.kind == "pair":
        return pairs.try_pair(world, trial.subject, trial.number)
    if trial.kind == "damage":
        return damaged_files.try_damage(world, trial.subject, trial.number)
    attempt = NAME_TO_KIND[trial.kind].attempt
    assert attempt is not None
    scenario = NAME_TO_SCENARIO[trial.subject]
    if trial.kind in LOOKING and looks_between(trial.number):
        prepare_between(world, scenario)
    return attempt(world, scenario, trial.number)
