"""Trials at calls of the C library: kills, signals that ask to stop, and errors."""

import errno
import os
import signal
import time
from pathlib import Path

from campaign import execution
from campaign.oracle import (
    SURVIVED,
    Verdict,
    check_between,
    describe,
    fail,
    find_rudeness,
    find_traceback,
    judge_again,
    looks_between,
)
from campaign.preload import CALLS, CHANGING, Fault
from campaign.scenarios import Scenario
from campaign.snapshots import compare_snapshots, take_snapshot
from campaign.world import Truth, World

GOLDEN = 0.6180339887498949
"""Steps of this share of a range visit it evenly, however many steps there are."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPPED = (130, 143, 129)
"""Exit codes of a verb that was asked to stop: 128 and the number of the signal."""
OPENS = ("openr", "openw")
ERRORS: dict[str, Fault] = {
    "the disk is full": Fault("fail", 0, ("write", "truncate", "mkdir"), errno.ENOSPC, lasting=True),
    "one I/O error": Fault("fail", 0, CHANGING, errno.EIO),
    "writes fail": Fault("fail", 0, ("write", "sync"), errno.EIO, lasting=True),
    "one read fails": Fault("fail", 0, ("read",), errno.EIO),
    "reads fail": Fault("fail", 0, ("read",), errno.EIO, lasting=True),
    "read-only from here on": Fault(
        "fail", 0, ("openw", "unlink", "rename", "mkdir", "rmdir", "truncate"), errno.EROFS, lasting=True
    ),
    "one permission": Fault("fail", 0, (*OPENS, "rename", "unlink", "mkdir", "rmdir"), errno.EACCES),
    "no descriptor left": Fault("fail", 0, OPENS, errno.EMFILE, lasting=True),
    "one interrupted call": Fault("fail", 0, (*OPENS, "read", "write", "sync"), errno.EINTR),
    "short writes": Fault("short", 0, ("write",), lasting=True),
    "short reads": Fault("short", 0, ("read",), lasting=True),
    "one failing rename": Fault("fail", 0, ("rename",), errno.EIO),
}
"""What the calls return, by a name for people; ``number`` is set by the trial."""


def pick(number: int, count: int) -> int:
    """Return one of 1 … ``count`` for trial ``number``: trials are spread evenly, and ``count`` may be anything."""
    return 1 + int(count * ((number * GOLDEN + 0.31) % 1.0))


def place(fault: Fault, number: int, truth: Truth) -> Fault | None:
    """Return a fault at one of the calls that the verb makes in peace; None where it makes none of these."""
    count = sum(call in fault.calls for call in truth.calls)
    at = pick(number, count)
    return Fault(fault.action, at, fault.calls, fault.value, fault.lasting) if count else None


def try_kill(world: World, scenario: Scenario, number: int) -> Verdict:
    """Kill at a call that changes something; look; run the same command again."""
    truth = world.truth(scenario.command, scenario.before)
    fault = place(Fault("kill", 0), number, truth)
    if fault is None:
        return Verdict("skipped", "the verb changes nothing")
    folder = world.begin(scenario.before)
    outcome = execution.run(folder, scenario.command, fault)
    if outcome.code != -signal.SIGKILL:
        return judge_end(scenario, truth, folder, outcome, world, number, f"no kill: call {fault.number} never came")
    if looks_between(number) and (complaints := check_between(world, scenario, folder)):
        return fail(f"killed at call {fault.number}", complaints)
    verdict = judge_again(scenario, truth, folder, outcome)
    return Verdict(SURVIVED, verdict.note) if verdict.status != "failed" else _at(verdict, fault)


def try_interrupt(world: World, scenario: Scenario, number: int) -> Verdict:
    """Ask to stop, at a call or, every fourth time, at a moment; run the same command again."""
    truth = world.truth(scenario.command, scenario.before)
    asked = SIGNALS[number % 3]
    folder = world.begin(scenario.before)
    if number % 4 == 3:
        child = execution.start(folder, scenario.command)
        moment = truth.seconds * ((number * GOLDEN) % 1.0)
        time.sleep(moment)
        os.kill(child.pid, asked)
        outcome, at = execution.wait(child), f"{asked.name} after {moment:.2f} s"
    else:
        fault = place(Fault("raise", 0, CALLS, asked), number, truth)
        assert fault is not None
        outcome, at = execution.run(folder, scenario.command, fault), f"{asked.name} at call {fault.number}"
    if outcome.code == truth.code:
        return judge_end(scenario, truth, folder, outcome, world, number, at)
    is_unheard = outcome.code == -asked or outcome.err.rstrip().endswith("KeyboardInterrupt")  # Python's own end
    if is_unheard and _is_untouched(truth, folder):
        return Verdict(SURVIVED, f"{at}: before or after the verb listens")
    complaints = find_traceback(outcome)
    if not complaints and outcome.code not in STOPPED:
        complaints = [f"{describe(outcome)}, not one of {STOPPED}"]
    if not complaints and "stopped" not in outcome.err:
        complaints = [f"it does not say that it stopped: {outcome.err[-100:]!r}"]
    if complaints:
        return fail(at, complaints)
    verdict = judge_again(scenario, truth, folder, outcome)
    return verdict if verdict.status != "failed" else Verdict("failed", f"{at}: {verdict.note}")


def _is_untouched(truth: Truth, folder: Path) -> bool:
    """Return whether a folder is as the verb finds it, or as it leaves it in peace."""
    found = take_snapshot(folder)
    return any(not compare_snapshots(found, state, truth.loose) for state in (truth.before, truth.after))


def try_error(world: World, scenario: Scenario, number: int) -> Verdict:
    """Let calls fail; run the same command again where they no longer do."""
    truth = world.truth(scenario.command, scenario.before)
    kind = list(ERRORS)[number % len(ERRORS)]
    fault = place(ERRORS[kind], number // len(ERRORS), truth)
    if fault is None:
        return Verdict("skipped", f"{kind}: the verb makes no such call")
    folder = world.begin(scenario.before)
    outcome = execution.run(folder, scenario.command, fault)
    return judge_end(scenario, truth, folder, outcome, world, number, f"{kind}, call {fault.number}")


LASTING = ("from here on", "no descriptor left")
"""Faults that do not end before the verb does, by their words."""


def judge_end(scenario: Scenario, truth: Truth, folder: Path, outcome: execution.Outcome, world: World, number: int,
              what: str) -> Verdict:  # fmt: skip
    """Judge a run that a fault did not end by force: right bytes, or one clean error and then right bytes."""
    if outcome.code == truth.code:
        if complaints := find_traceback(outcome):
            return fail(what, complaints)
        differences = compare_snapshots(take_snapshot(folder), truth.after, truth.loose)
        if not differences:
            return Verdict(SURVIVED, what)
        if not all(line.endswith("is left over") or _is_said(folder, line) for line in differences):
            return fail(f"{what}: success is reported, but", differences)
    elif complaints := _find_complaints(scenario, outcome):
        return fail(what, complaints)
    if looks_between(number) and (complaints := check_between(world, scenario, folder)):
        return fail(what, complaints)
    verdict = judge_again(scenario, truth, folder, outcome)
    if scenario.verb == "verify" and any(one in what for one in LASTING) and "differs" not in verdict.note:
        return Verdict(SURVIVED, what)  # a disk that refuses to the end does not let a temporary folder go
    return verdict if verdict.status != "failed" else Verdict("failed", f"{what}: {verdict.note}")


def _is_said(folder: Path, difference: str) -> bool:
    """Return whether a page differs and says of a text that it cannot be read, and why."""
    pages = ("p/report.html differs", "p/report.json differs")
    return difference in pages and '"missing": "' in (folder / "p" / "report.json").read_text(encoding="utf-8")


def _find_complaints(scenario: Scenario, outcome: execution.Outcome) -> list[str]:
    """Return complaints about a run that did not end as in peace; ``verify`` may say on stdout what is wrong."""
    if scenario.verb == "verify" and outcome.code == 4 and outcome.out:
        return find_traceback(outcome)
    return find_rudeness(outcome)


def _at(verdict: Verdict, fault: Fault) -> Verdict:
    return Verdict(verdict.status, f"call {fault.number}: {verdict.note}")
