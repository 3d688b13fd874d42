"""Attack every verb of curate, and judge what it leaves by the bytes of an undisturbed run.

    python tests/campaign                          everything: under 30 minutes on two cores
    python tests/campaign --share 0.02             a share of each kind, drawn by --seed
    python tests/campaign --kinds kill,pair --verbs dedup,export
    python tests/campaign --only kill/dedup/17     one trial, as a failure names it
    python tests/campaign --list                   the names of the trials

README.md in this folder says what is tried. The exit code is 1 where a trial failed, else 0.
"""

import argparse
import multiprocessing
import os
import shlex
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[0:1] = [str(HERE.parent), str(HERE.parent.parent)]

from campaign import execution, listing, preload, tables  # noqa: E402
from campaign.listing import Trial  # noqa: E402
from campaign.oracle import FAILED, SKIPPED, Verdict, fail  # noqa: E402
from campaign.scenarios import CHAIN, EXPORT, RANK, REPORT, SCORE_OTHERS, TRAIN, words  # noqa: E402
from campaign.snapshots import clear_folder, copy_tree  # noqa: E402
from campaign.world import World  # noqa: E402

WARMING = (*CHAIN, EXPORT, REPORT, SCORE_OTHERS, RANK, TRAIN, words("export hf --run p"),
           words("export tokens --run p --format tokens --tokenizer model"), words("verify out"),
           words("explain d3 --run p"), words("status --run p"), words("merge p q --into z"))  # fmt: skip

MANY = 200
"""Trials for which it pays to look in each verb for what it imports late."""


def read_arguments() -> argparse.Namespace:
    """Return what was typed."""
    parser = argparse.ArgumentParser(prog="python tests/campaign", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kinds", default="", help=f"kinds of faults, with commas: {', '.join(listing.NAME_TO_KIND)}")
    parser.add_argument("--verbs", default="", help="verbs or names of scenarios, with commas")
    parser.add_argument("--share", type=float, default=1.0, help="share of the trials of each kind that is drawn")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    parser.add_argument("--jobs", type=int, default=2, help="trials at once")
    parser.add_argument("--only", action="append", default=[], help="one trial by its name; repeatable")
    parser.add_argument("--list", action="store_true", help="print the names of the trials and stop")
    parser.add_argument("--keep", action="store_true", help="keep the folders of failed trials, and name them")
    parser.add_argument("--verbose", action="store_true", help="print every trial, not only those that failed")
    parser.add_argument("--readme", action="store_true", help="write the table into README.md of this folder")
    parser.add_argument("--folder", type=Path, help="folder to work in; it is removed  [default: /dev/shm or /tmp]")
    return parser.parse_args()


def main() -> int:
    """Run the campaign. → the exit code"""
    given = read_arguments()
    kinds, verbs = ([one for one in text.split(",") if one] for text in (given.kinds, given.verbs))
    trials = listing.list_trials(kinds, verbs, given.share, given.seed)
    if given.only:
        trials = [listing.parse_trial(text) for text in given.only]
    if given.list:
        print("\n".join(map(str, trials)))
        return 0
    if reason := preload.why_not():
        print(f"skipped: {reason}")
        return 0
    if not preload.is_loaded():
        preload.restart_with_library([sys.executable, str(HERE), *sys.argv[1:]])
    base = given.folder or Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir())
    world = World(Path(tempfile.mkdtemp(prefix="curate-campaign-", dir=base)), given.seed)
    began = time.monotonic()
    try:
        results = list(run_trials(world, trials, given))
    finally:
        if not given.keep:
            clear_folder(world.folder)
        clear_folder(Path(os.environ[preload.LOADED]).parent)
    return report(results, time.monotonic() - began, given)


def run_trials(world: World, trials: Sequence[Trial], given: argparse.Namespace) -> Iterator[tuple[Trial, Verdict]]:
    """Yield each trial with its verdict, as they come, from forks of a process that has imported everything."""
    warm_up(world, len(trials) >= MANY)
    jobs = given.jobs if preload.find_mount_wrapper() else 1
    if jobs < given.jobs:
        print("one trial at a time: several need mounts of their own (root, or unshare -Urm)", flush=True)
    forks = multiprocessing.get_context("fork")
    with forks.Pool(jobs, initializer=_take_world, initargs=(world, given.keep)) as pool:
        for trial, verdict in pool.imap_unordered(_try, sorted(trials, key=_spread)):
            if verdict.status == FAILED or given.verbose:
                print(f"{verdict.status}: {trial}: {verdict.note}", flush=True)
            if verdict.status == FAILED:
                print(f"        python tests/campaign --only {shlex.quote(str(trial))}", flush=True)
            yield trial, verdict


def warm_up(world: World, thoroughly: bool) -> None:
    """Import what verbs import; ``thoroughly`` also what they are seen to import late in a run of each kind of work."""
    execution.import_everything()
    (world.folder / "ground").mkdir()
    if not thoroughly:
        return
    traces, names = world.folder / "modules", set()
    folder = world.begin(())
    for command in WARMING:
        execution.run(folder, command, traces=traces)
        names |= set(traces.read_text().split("\n")) if traces.exists() else set()
    execution.import_everything(sorted(names - set(sys.modules)))
    clear_folder(folder)


def _spread(trial: Trial) -> tuple[int, str, str]:
    """Order trials so that early ones are of all kinds, and both jobs rarely wait for one state."""
    return trial.number, trial.subject, trial.kind


_WORLD: list[tuple[World, bool]] = []


def _take_world(world: World, keep: bool) -> None:
    world.take_ground()
    _WORLD[:] = [(world, keep)]


def _try(trial: Trial) -> tuple[Trial, Verdict]:
    """In a worker: carry out a trial. A mistake of the campaign itself is a failure, too."""
    world, keep = _WORLD[0]
    try:
        verdict = listing.try_trial(world, trial)
    except Exception as error:
        verdict = fail("the campaign itself", f"{type(error).__name__}: {error}", traceback.format_exc()[-600:])
    if keep and verdict.status == FAILED:
        kept = world.folder / "kept" / str(trial).replace("/", "-")
        copy_tree(world.here, kept)
        verdict = Verdict(verdict.status, f"{verdict.note} [{kept}]")
    clear_folder(world.here)
    return trial, verdict


def report(results: Sequence[tuple[Trial, Verdict]], seconds: float, given: argparse.Namespace) -> int:
    """Print the table, and why trials were skipped. → 1 where one failed"""
    failed = sum(verdict.status == FAILED for _, verdict in results)
    reasons = Counter(f"{trial.kind}: {verdict.note}" for trial, verdict in results if verdict.status == SKIPPED)
    for reason, count in sorted(reasons.items()):
        print(f"skipped {count}: {reason}")
    table = tables.render_table(results)
    words_of_time = f"{len(results):,} trials, seed {given.seed}, {given.jobs} at once, {seconds / 60:.0f} minutes."
    print(f"\n{table}\n{words_of_time}")
    if given.readme:
        tables.write_into(HERE / "README.md", f"{table}\n{words_of_time}\n")
    return int(failed > 0)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # libraries that take themselves down would print what they leak
