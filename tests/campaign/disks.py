"""Trials on disks that refuse: full ones, files that may not grow, and read-only ones."""

import subprocess
from functools import cache
from pathlib import Path

from campaign import execution
from campaign.calls import GOLDEN, judge_end
from campaign.oracle import SKIPPED, SURVIVED, Verdict, describe, fail, find_rudeness, find_run, judge_again
from campaign.preload import find_mount_wrapper
from campaign.scenarios import Scenario
from campaign.snapshots import compare_snapshots, copy_tree, take_snapshot
from campaign.world import World

PAGE = 4096


@cache
def why_no_mounts() -> str | None:
    """Return why nothing can be mounted here; None where it can. This process must have been started by a wrapper."""
    return (
        None if find_mount_wrapper() else "mounts need root or user namespaces (unshare -Urm), which are refused here"
    )


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


def _count_pages(folder: Path) -> int:
    """Return the pages that a copy of a folder takes on a tmpfs: of files alone, directories take none."""
    return sum(-(-path.stat().st_size // PAGE) for path in folder.rglob("*") if path.is_file())


def try_full(world: World, scenario: Scenario, number: int) -> Verdict:
    """Work on a tmpfs with room for a part of what the verb writes; make room; run the same command again.

    Every fourth time the temporary files alone are on it.
    """
    if reason := why_no_mounts():
        return Verdict(SKIPPED, reason)
    truth = world.truth(scenario.command, scenario.before)
    state = world.state(scenario.before)
    after = world.state((*scenario.before, scenario.command)) if scenario.writes else state
    temporary = number % 4 == 3
    used = 0 if temporary else _count_pages(state)
    grown = 24 if temporary else max(8, (_count_pages(after) - used) * 3 // 2)
    pages = used + 1 + int(grown * ((number * GOLDEN) % 1.0))
    folder = world.begin(scenario.before) if temporary else world.begin_empty()
    disk = folder / "tmp" if temporary else folder
    what = f"a {'temporary folder' if temporary else 'disk'} with {pages - used} pages left"
    _mount("-t", "tmpfs", "-o", f"size={pages * PAGE}", "tmpfs", str(disk))
    try:
        if not temporary:
            for one in state.iterdir():
                target = folder / one.name
                if one.is_dir():
                    copy_tree(one, target)
                else:
                    subprocess.run(["cp", "-p", str(one), str(target)], check=True)
        outcome = execution.run(folder, scenario.command)
        _mount("-o", "remount,size=64m", str(disk))
        return judge_end(scenario, truth, folder, outcome, world, number, what)
    finally:
        _unmount(disk)


def try_limit(world: World, scenario: Scenario, number: int) -> Verdict:
    """Let no file grow past a size (RLIMIT_FSIZE); run the same command again without a limit."""
    truth = world.truth(scenario.command, scenario.before)
    folder = world.begin(scenario.before)
    largest = int(16 * 2000 ** ((number * GOLDEN) % 1.0))
    outcome = execution.run(folder, scenario.command, largest=largest)
    return judge_end(scenario, truth, folder, outcome, world, number, f"files of at most {largest} bytes")


def try_read_only(world: World, scenario: Scenario, number: int) -> Verdict:
    """Work where all is read-only, or the run directory alone; then where it is not.

    A verb that writes nothing must work; one that writes is refused, and nothing has changed.
    """
    if reason := why_no_mounts():
        return Verdict(SKIPPED, reason)
    truth = world.truth(scenario.command, scenario.before)
    folder = world.begin(scenario.before)
    run = find_run(scenario)
    places = ["", *([run] if run and (folder / run).exists() else []), *(["out"] if (folder / "out").exists() else [])]
    place = folder / places[number % len(places)]
    what = f"{places[number % len(places)] or 'everything'} read-only"
    before = take_snapshot(folder)
    _mount("--bind", str(place), str(place))
    try:
        _mount("-o", "remount,ro,bind", str(place))
        if place == folder:
            _mount("-t", "tmpfs", "tmpfs", str(folder / "tmp"))
        outcome = execution.run(folder, scenario.command)
        if place == folder:
            _unmount(folder / "tmp")
    finally:
        _unmount(place)
    if outcome.code == truth.code:
        same_words = scenario.writes or outcome.out == truth.out
        expected = truth.after if place != folder else before
        differences = compare_snapshots(take_snapshot(folder), expected, truth.loose)
        return Verdict(SURVIVED, what) if same_words and not differences else fail(what, differences, "another output")
    if complaints := find_rudeness(outcome):
        return fail(what, complaints)
    if differences := compare_snapshots(take_snapshot(folder), before) if place == folder else []:
        return fail(f"{what}, after {describe(outcome)}", differences)
    if not scenario.writes:
        return fail(what, f"a verb that only reads has {describe(outcome)}")
    return judge_again(scenario, truth, folder, outcome)
