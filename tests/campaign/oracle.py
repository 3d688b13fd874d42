"""Judges what is left: the truth is an undisturbed run, and every other ending must say what it is.

survived  the verb ended as in peace, and the bytes are those of peace
refused   it ended with one line `error:` and no traceback; the same command, undisturbed, then reached the truth
failed    anything else
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from campaign import execution
from campaign.execution import Outcome
from campaign.scenarios import Scenario, Words
from campaign.snapshots import Snapshot, compare_snapshots, take_snapshot
from campaign.world import CampaignError, Truth, World

SURVIVED, REFUSED, FAILED, SKIPPED = "survived", "refused", "failed", "skipped"
UNFINISHED = re.compile("did not finish|do not belong together")
"""What ``status`` says of a table that has no record, or not its own: its numbers are those without it."""
PARTIAL = ("score", "merge", "run")
"""Verbs whose work shows in ``status`` while it is not complete."""


@dataclass(frozen=True)
class Verdict:
    """How a trial ended, and for a person what was found."""

    status: str
    note: str = ""


def fail(what: str, *findings: Iterable[str] | str) -> Verdict:
    """Return a verdict of failure that shows the first findings."""
    lines = [one for found in findings for one in ([found] if isinstance(found, str) else list(found))]
    more = f" … and {len(lines) - 4} more" if len(lines) > 4 else ""
    return Verdict(FAILED, f"{what}: {'; '.join(lines[:4])}{more}")


def find_traceback(outcome: Outcome) -> list[str]:
    """Return complaints about a run that may end with any exit code: it hung, or showed a traceback."""
    if outcome.hung:
        return [f"no end after {execution.SECONDS} s"]
    if "Traceback (most recent call last)" in outcome.err or "Exception ignored" in outcome.err:
        last = [line for line in outcome.err.splitlines() if line and not line.startswith((" ", "error:", "hint:"))]
        where = re.findall(r'File "[^"]*?/([\w/]*curate/[\w/]+\.py)", line (\d+)', outcome.err)
        at = f" ({where[-1][0].split('curate/')[-1]}:{where[-1][1]})" if where else ""
        return [f"traceback{at}: {last[-1][:160] if last else ''}"]
    return []


def find_rudeness(outcome: Outcome, codes: tuple[int, ...] = (1, 2)) -> list[str]:
    """Return complaints about a run that had to be refused: no traceback, one ``error:``, and an exit code of those."""
    complaints = find_traceback(outcome)
    errors = [line for line in outcome.err.splitlines() if line.startswith("error:")]
    if not complaints and outcome.code not in codes:
        complaints.append(f"exit code {outcome.code}: {outcome.err[-160:]!r}")
    if not complaints and len(errors) != 1:
        complaints.append(f"{len(errors)} lines of error: {outcome.err[-160:]!r}")
    return complaints


def show_error(outcome: Outcome) -> str:
    """Return the line ``error:`` of a run, or the end of what it said."""
    lines = [line for line in outcome.err.splitlines() if line.startswith("error:")]
    return (lines[0] if lines else outcome.err.strip()[-160:])[:200]


def find_run(scenario: Scenario) -> str | None:
    """Return the run directory that a command writes; None where it writes none."""
    for option in ("--run", "--into"):
        if option in scenario.command:
            return scenario.command[scenario.command.index(option) + 1]
    return "p" if scenario.verb == "run" else None


def list_looks(scenario: Scenario) -> list[Words]:
    """Return the commands that look at the run of a scenario."""
    run = find_run(scenario)
    return [("status", "--run", run, "--json"), ("explain", "d3", "--run", run, "--json")] if run else []


def looks_between(number: int) -> bool:
    """Return whether a trial of this number looks at the run between the fault and the next call: every third does."""
    return number % 3 == 0


def prepare_between(world: World, scenario: Scenario) -> None:
    """Find what ``check_between`` compares with, so that nothing need be found while a trial lies on a mount."""
    world.truth(scenario.command, scenario.before)
    for words in list_looks(scenario):
        find_right_outputs(world, scenario, words)


def find_right_outputs(world: World, scenario: Scenario, words: Words) -> set[str]:
    """Return what a look says before the command of a scenario, and what after it."""
    right = set()
    for before in (scenario.before, (*scenario.before, scenario.command)):
        try:
            right.add(world.truth(words, before, times=1).out)
        except CampaignError:  # there is no run yet
            continue
    return right


def check_between(world: World, scenario: Scenario, folder: Path) -> list[str]:
    """Return complaints about ``status`` and ``explain`` between a fault and the next call."""
    run, complaints = find_run(scenario), []
    for words in list_looks(scenario) if run and (folder / run).exists() else []:
        outcome = execution.run(folder, words)
        complaints += [f"then {words[0]}: {one}" for one in find_traceback(outcome)]
        if not complaints and outcome.code == 0 and scenario.verb not in PARTIAL:
            is_told = UNFINISHED.search(outcome.out) or admits(outcome.out)
            if not is_told and outcome.out not in find_right_outputs(world, scenario, words):
                complaints.append(f"then {words[0]}: numbers that are neither those before nor those after")
        elif not complaints and outcome.code not in (0, 1, 2, 3):  # 2: a document that is not there yet
            complaints.append(f"then {words[0]}: exit code {outcome.code}: {show_error(outcome)}")
    return complaints


def admits(out: str) -> bool:
    """Return whether ``status`` or ``explain`` says which table of the run is not finished, or not to be used.

    Its numbers are those of the other tables then, and a document that hangs on that table is undecided.
    """
    try:
        value = json.loads(out)
    except ValueError:
        return False
    return bool(value.get("stale")) or any(one["decision"] == "undecided" for one in value.get("documents", ()))


def judge_again(
    scenario: Scenario, truth: Truth, folder: Path, first: Outcome, expected: Snapshot | None = None
) -> Verdict:
    """Run the command of a trial again, undisturbed, and judge: it must reach the truth, and leave nothing else.

    A second export to a folder is refused; that is right where the first had written all of it. ``expected`` is what
    must lie there in place of the truth.
    """
    after = expected or truth.after
    again = execution.run(folder, scenario.command)
    if complaints := find_traceback(again):
        return fail(f"after {describe(first)}, the same command again", complaints)
    if again.code != truth.code:
        if not find_rudeness(again) and not compare_snapshots(take_snapshot(folder), after, truth.loose):
            return Verdict(REFUSED, f"{describe(first)}; all was written")
        return fail(f"after {describe(first)}, the same command again has exit code {again.code}", show_error(again))
    if differences := compare_snapshots(take_snapshot(folder), after, truth.loose):
        return fail(f"after {describe(first)} and the same command again", differences)
    return Verdict(REFUSED, describe(first))


def describe(outcome: Outcome) -> str:
    """Return in a few words how a run ended."""
    if outcome.code < 0:
        return f"a death by signal {-outcome.code}"
    return f"exit code {outcome.code}" + (f" ({show_error(outcome)})" if outcome.code not in (0, 3) else "")
