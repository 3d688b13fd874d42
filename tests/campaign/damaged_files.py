"""Trials on what others do to files: damage to those of a run, and files of somebody else in its place."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from campaign import execution
from campaign.calls import pick
from campaign.oracle import REFUSED, SURVIVED, Verdict, describe, fail, find_rudeness, find_traceback, show_error
from campaign.scenarios import BUCKET, CHAIN, EXPORT, FILTER, ORDER, REPORT, SCORE, SCORE_OTHERS, Scenario, Words, words
from campaign.snapshots import DIRECTORY, compare_snapshots, take_snapshot
from campaign.world import World

from curate.corpus.files.run_marks import MARK

COMPLETE = (*CHAIN, EXPORT, REPORT, SCORE_OTHERS)
FOREIGN = b"somebody's notes\n"
FOLDERS = ("p", "q", "z", "out", "another", "probes", "r", "ex", "m2")
"""Those that commands of scenarios write into."""
RUNS = ("p", "q", "z")
"""The run directories. In the folders of curate within them, and in its exports, a file of the very name of one of its
own is taken for that one, damaged."""
READERS: dict[str, Words] = {
    "status": words("status --run p --json"),
    "explain": words("explain d3 --run p --json"),
    "verify": words("verify out"),
    "report": REPORT,
    "filter": FILTER,
    "bucket": BUCKET,
    "order": ORDER,
    "export": words("export another --run p --format jsonl --workers 1"),
    "decontaminate": words("decontaminate evals --run p --canaries 4 --workers 1"),
    "dedup": words("dedup --run p --workers 1"),
    "score": SCORE,
    "merge": words("merge p q --into z"),
}
"""Verbs that read a complete run, or an export, that has one damaged file."""


def _delete(path: Path, _: random.Random) -> None:
    path.unlink()


def _truncate(path: Path, draw: random.Random) -> None:
    os.truncate(path, draw.randrange(path.stat().st_size or 1))


def _empty(path: Path, _: random.Random) -> None:
    os.truncate(path, 0)


def _flip_bit(path: Path, draw: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(data)


def _overwrite(path: Path, draw: random.Random) -> None:
    data = bytearray(path.read_bytes())
    at = draw.randrange(len(data) or 1)
    data[at : at + 16] = draw.randbytes(len(data[at : at + 16]))
    path.write_bytes(data)


def _replace(path: Path, _: random.Random) -> None:
    """By a file of the same suffix from the same folder or, where there is none, from the run."""
    others = [one for one in sorted(path.parent.glob(f"*{path.suffix}")) if one != path]
    others = others or [one for one in sorted(path.parent.rglob(f"*{path.suffix}")) if one != path]
    others = others or [one for one in sorted(path.parent.parent.rglob(f"*{path.suffix}")) if one != path]
    shutil.copyfile(others[0], path) if others else path.write_bytes(b"{}\n")


def _replace_from_run(path: Path, draw: random.Random) -> None:
    """By the file of the same name in another run."""
    other = path.parents[len(path.parts) - 1 - path.parts.index("p")] if "p" in path.parts else None
    twin = other.parent / "q" / path.relative_to(other) if other else None
    shutil.copyfile(twin, path) if twin and twin.exists() else _flip_bit(path, draw)


def _make_directory(path: Path, _: random.Random) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path, random.Random], None]] = {
    "deleted": _delete,
    "truncated": _truncate,
    "emptied": _empty,
    "one bit flipped": _flip_bit,
    "sixteen bytes overwritten": _overwrite,
    "replaced by its neighbour": _replace,
    "replaced by another run's": _replace_from_run,
    "a directory in its place": _make_directory,
}


def try_damage(world: World, reader: str, number: int) -> Verdict:
    """Damage one file of a complete run or of its export; a verb gives the right bytes, or names the file."""
    command = READERS[reader]
    truth = world.truth(command, COMPLETE)
    folder = world.begin(COMPLETE)
    below = ("out/",) if reader == "verify" else ("p/",)
    files = sorted(path for path, digest in truth.before.items() if digest != DIRECTORY and path.startswith(below))
    at = pick(number, len(files) * len(DAMAGES)) - 1
    path, damage = files[at // len(DAMAGES)], list(DAMAGES)[at % len(DAMAGES)]
    DAMAGES[damage](folder / path, random.Random(number))
    what = f"{path} {damage}"
    damaged = take_snapshot(folder)
    outcome = execution.run(folder, command)
    if complaints := find_traceback(outcome):
        return fail(what, complaints)
    is_meant = {one for one in {*damaged, *truth.before} if damaged.get(one) != truth.before.get(one)}
    if outcome.code == truth.code:
        after = take_snapshot(folder)
        differences = [
            line
            for line in compare_snapshots(after, truth.after, truth.loose)
            if not (path.endswith(MARK) and line.startswith(f"{path} "))  # which heals: names are entered again
            and not (
                line.split(" ")[0] in is_meant and after.get(line.split(" ")[0]) == damaged.get(line.split(" ")[0])
            )
        ]
        if differences:
            return fail(f"{what}: success is reported, but", differences)
        if not (reader in ("status", "explain") and outcome.out != truth.out):
            return Verdict(SURVIVED, what)
        return fail(f"{what}: success is reported, but the output differs")
    if outcome.code != 4 and (complaints := find_rudeness(outcome)):  # verify: 4 where an export is not what it was
        return fail(what, complaints)
    said = outcome.out + outcome.err
    if Path(path).name not in said and not any(part in said for part in (path, str(Path(path).parent))):
        return fail(f"{what}: the error does not name it", show_error(outcome))
    return Verdict(REFUSED, f"{what}: {show_error(outcome)}")


def try_foreign(world: World, scenario: Scenario, number: int) -> Verdict:
    """Put a file of somebody else where the verb is going to write; it must be there, unchanged, afterwards."""
    truth = world.truth(scenario.command, scenario.before)
    folder = world.begin(scenario.before)
    own = sorted({*truth.after} - {*truth.before})
    places = []
    for path in own:
        if truth.after[path] == DIRECTORY:
            places += [f"{path}/notes.txt", f"{path}/deep/notes.txt", path]
        elif (parent := str(Path(path).parent)) in RUNS or truth.before.get(parent) != DIRECTORY:
            places += [path, f"{path}/notes.txt"]
    kept = sorted(
        path for path, digest in truth.before.items() if digest == DIRECTORY and path.split("/")[0] in FOLDERS
    )
    places += [
        f"{path}/{extra}" for path in kept for extra in ("notes.txt", ".notes.tmp", "deep/notes.txt", "x.parquet")
    ]
    place = folder / places[pick(number, len(places)) - 1]
    if place.exists() or not all(one.is_dir() for one in place.parents if one.exists()):
        return Verdict("skipped", f"{place.name} is there")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(FOREIGN)
    what = f"somebody's {place.relative_to(folder)}"
    outcome = execution.run(folder, scenario.command)
    if complaints := find_traceback(outcome):
        return fail(what, complaints)
    if not place.is_file() or place.read_bytes() != FOREIGN:
        return fail(what, f"it is gone or overwritten, with {describe(outcome)}")
    if outcome.code == truth.code:
        alien = {
            str(place.relative_to(folder)),
            *(str(one.relative_to(folder)) for one in place.parents if folder in one.parents),
        }
        after = {path: digest for path, digest in take_snapshot(folder).items() if path not in alien}
        expected = {path: digest for path, digest in truth.after.items() if path not in alien}
        differences = compare_snapshots(after, expected, truth.loose)
        return fail(f"{what}: success is reported, but", differences) if differences else Verdict(SURVIVED, what)
    if complaints := find_rudeness(outcome):
        return fail(what, complaints)
    return Verdict(REFUSED, f"{what}: {show_error(outcome)}")
