"""Trials of two verbs at once on one run directory, in all ordered pairs.

    together  both start at the same moment
    paused    the second starts and ends while the first stands still in the middle of its work
    killed    the first is killed in the middle, and the second comes instead

Each either succeeds or is refused, and what lies there in the end is what those that succeeded leave when they run one
after the other, in one of the two orders. One that was refused or killed then runs again and must come to what it comes
to in peace after those that succeeded.
"""

import os
import signal
from dataclasses import replace
from pathlib import Path

from campaign import execution
from campaign.execution import Outcome
from campaign.oracle import REFUSED, SURVIVED, Verdict, describe, fail, find_rudeness, find_traceback
from campaign.preload import Fault
from campaign.scenarios import PAIRED, PAIRED_BEFORE, PAIRED_OTHERS, Words
from campaign.snapshots import Snapshot, compare_snapshots, take_snapshot
from campaign.world import CampaignError, Truth, World

MODES = ("together", "paused", "killed")
PATIENCE = 20
"""Seconds for which a second verb may wait for a first one that stands still."""


def list_pairs() -> list[tuple[str, str]]:
    """Return all ordered pairs of names: of verbs on one run, then each other verb with itself."""
    return [(one, two) for one in PAIRED for two in PAIRED] + [(one, one) for one in PAIRED_OTHERS]


def find_command(name: str) -> tuple[Words, tuple[Words, ...]]:
    """Return the command of a name in a pair, and the commands before."""
    return PAIRED_OTHERS[name] if name in PAIRED_OTHERS else (PAIRED[name], PAIRED_BEFORE)


def try_pair(world: World, pair: str, number: int) -> Verdict:
    """Run one pair, named ``FIRST+SECOND``, in the mode of ``number``."""
    (one, before), (two, _) = (find_command(part) for part in pair.split("+"))
    mode = MODES[number % len(MODES)]
    truth = world.truth(one, before)
    folder = world.begin(before)
    half = Fault("nothing", max(1, sum(call in Fault("kill", 0).calls for call in truth.calls) // 2))
    if mode == "killed":
        first = execution.run(folder, one, Fault("kill", half.number))
        second = execution.run(folder, two)
    elif mode == "together":
        children = [execution.start(folder, words) for words in (one, two)]
        first, second = (execution.wait(child) for child in children)
    else:
        first, second = _run_inside(folder, one, two, half.number)
    if complaints := [f"{mode}, {who}: {text}" for who, outcome in (("first", first), ("second", second))
                      for text in _complain(outcome, mode == "killed" and who == "first")]:  # fmt: skip
        return fail(pair, complaints)
    return _judge(world, (one, two), before, folder, (first, second), mode)


def _run_inside(folder: Path, one: Words, two: Words, number: int) -> tuple[Outcome, Outcome]:
    """Run ``two`` while ``one`` stands still at a call; where ``two`` waits for it, let it go on."""
    child = execution.start(folder, one, Fault("raise", number, value=signal.SIGSTOP))
    if not execution.wait_until_stopped(child):
        return execution.wait(child), execution.run(folder, two)
    other = execution.start(folder, two)
    execution.wait_until_stopped(other, PATIENCE)
    os.kill(child.pid, signal.SIGCONT)
    return execution.wait(child), execution.wait(other)


def _complain(outcome: Outcome, is_killed: bool) -> list[str]:
    if is_killed or outcome.code in (0, 3):
        return find_traceback(outcome)
    return find_rudeness(outcome, (1, 2, 4))  # 4: of what the other left, nothing is kept


def _judge(world: World, both: tuple[Words, Words], before: tuple[Words, ...], folder: Path,
           outcomes: tuple[Outcome, Outcome], mode: str) -> Verdict:  # fmt: skip
    """Compare with the serial runs of those that succeeded, then run again what did not."""
    succeeded = [words for words, outcome in zip(both, outcomes, strict=True) if outcome.code in (0, 3)]
    others = [words for words, outcome in zip(both, outcomes, strict=True) if outcome.code not in (0, 3)]
    said = f"{mode}: {' and '.join(describe(outcome) for outcome in outcomes)}"
    orders = {tuple(succeeded), tuple(reversed(succeeded))}
    if mode == "killed" and succeeded == [both[1]]:
        orders.add(both)  # what the first had done before it was killed may be there
    order_to_end = {order: end for order in sorted(orders) if (end := _find_end(world, order, before))}
    ends = list(order_to_end.values())
    found = take_snapshot(folder)
    if mode == "killed" or any(words[0] == "run" for words in others):
        differences = [_compare_work(folder, found, end) for end in ends if succeeded]
    else:
        differences = [compare_snapshots(found, end.after, end.loose) for end in ends]
    is_told = mode == "killed" and succeeded and succeeded[0][0] == "report"  # the page says what is not finished
    if differences and all(differences) and not is_told:
        return fail(said, min(differences, key=len))
    alike = [each for each, one in zip(order_to_end, differences, strict=False) if not one] or [tuple(succeeded)]
    page = ("report.html", "report.json") if is_told else ()
    for words in others:
        again = execution.run(folder, words)
        if complaints := _complain(again, False):
            return fail(f"{said}; curate {words[0]} again", complaints)
        alike = [(*order, words) for order in alike]
        ends = [end for order in alike if (end := _find_end(world, order, before))]
        if not ends:  # in peace, too, it is refused after the other
            return Verdict(REFUSED, said)
        if again.code not in (0, 3):
            return fail(f"{said}; curate {words[0]} again", describe(again))
        found = take_snapshot(folder)
        later = [compare_snapshots(found, end.after, end.loose | _find_named(end, page)) for end in ends]
        if all(later):
            return fail(f"{said}; curate {words[0]} again", min(later, key=len))
    return Verdict(SURVIVED if len(succeeded) == 2 or mode == "killed" else REFUSED, said)


def _find_named(end: Truth, names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(path for path in end.after if path.endswith(names)) if names else frozenset()


def _compare_work(folder: Path, found: Snapshot, end: Truth) -> list[str]:
    """Return what differs of the files that a verb writes in peace: of ``run.json``, of the records that it changes.

    A verb that was killed before may have left the rest in any state that the next call of it mends.
    """
    changed = {path for path, digest in end.after.items() if end.before.get(path) != digest}
    records = [path for path in changed if path.endswith("run.json")]
    work = changed - set(records) - end.loose
    differences = [f"{path} differs" for path in sorted(work) if found.get(path) != end.after[path]]
    return differences if len(records) == 0 or all((folder / path).exists() for path in records) else ["no run.json"]


def _find_end(world: World, order: tuple[Words, ...], before: tuple[Words, ...]) -> Truth | None:
    """Return what the commands leave one after the other; None where the last is refused after the others.

    What is loose after each of them alone is loose here.
    """
    if not order:
        state = take_snapshot(world.state(before))
        return Truth(0, "", state, state, frozenset(), (), 0.0)
    try:
        end = world.truth(order[-1], (*before, *order[:-1]), times=2 if len(order) == 1 else 1)
    except CampaignError:
        return None
    loose = frozenset().union(*(world.truth(words, before).loose for words in order))
    return replace(end, loose=end.loose | loose)
