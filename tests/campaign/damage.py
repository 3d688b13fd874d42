"""Damage every file of a small run, and read it with every verb: the right result, or one error that names the file.

    python tests/campaign/damage.py --seed 0 --flips 4 --share 1.0

A case is a file, a damage and a verb. It survives where the verb ends as on the sound run, with the same output and the
same files, or with exit code 1 and one ``error:`` line that names the file (or its manifest), without a traceback. With
``--mend`` the command of the hint, where it can be pasted, must end with the bytes of the sound run.
"""

import argparse
import hashlib
import json
import os
import random
import re
import shlex
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from typer.testing import CliRunner

from curate.cli import app
from curate.corpus.files.run_marks import MARK

VERBS: Mapping[str, Sequence[str]] = {
    "status": ["status", "--run", "run"],
    "explain": ["explain", "d0-9", "--run", "run", "--json"],
    "filter": ["filter", "--max-ppl", "1e9", "--min-tokens", "3", "--run", "run", "--json"],
    "bucket": ["bucket", "--by", "bytes", "--run", "run", "--json"],
    "order": ["order", "--by", "bytes", "--run", "run", "--json"],
    "export": ["export", "out", "--run", "run", "--format", "jsonl"],
    "report": ["report", "--run", "run"],
    "dedup": ["dedup", "--run", "run", "--json"],
    "decontaminate": ["decontaminate", "evals.jsonl", "--run", "run"],
    "score": ["score", "corpus", "--run", "run"],
}
STEPS = (
    ["score", "corpus", "--run", "run", "--slice-bytes", "3000"],
    ["decontaminate", "evals.jsonl", "--run", "run"],
    ["dedup", "--run", "run"],
    ["filter", "--max-ppl", "1e9", "--run", "run"],
    ["bucket", "--by", "bytes", "--run", "run"],
    ["order", "--by", "bytes", "--run", "run"],
)
REMADE = {"canaries.jsonl", "contamination.html", "report.html", MARK}
"""Files that no verb reads, or that heal, as the mark of a run does: what is written over them is right."""
UNREAD = ("aside/",)

Damage = Callable[[Path, random.Random], None]


def delete(path: Path, _: random.Random) -> None:
    path.unlink()


def empty(path: Path, _: random.Random) -> None:
    path.write_bytes(b"")


def truncate(path: Path, draw: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: draw.randrange(max(1, len(content)))])


def cut_last_byte(path: Path, _: random.Random) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def append(path: Path, _: random.Random) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def flip_bit(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if content:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)


def swap(path: Path, draw: random.Random) -> None:
    others = sorted(one for one in path.parent.iterdir() if one.is_file() and one != path)
    if not others:
        path.write_bytes(b"swapped")
        return
    other = draw.choice(others)
    first, second = path.read_bytes(), other.read_bytes()
    path.write_bytes(second)
    other.write_bytes(first)


def make_folder(path: Path, _: random.Random) -> None:
    path.unlink()
    path.mkdir()
    (path / "file").write_text("of somebody")


def make_loop(path: Path, _: random.Random) -> None:
    """Make it unreadable, for root too: a link to itself."""
    path.unlink()
    path.symlink_to(path.name)


DAMAGES: Mapping[str, Damage] = {
    "delete": delete,
    "empty": empty,
    "truncate": truncate,
    "cut": cut_last_byte,
    "append": append,
    "flip": flip_bit,
    "swap": swap,
    "folder": make_folder,
    "loop": make_loop,
}


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    output: str
    crash: str
    files: Mapping[str, str]


@dataclass
class Tally:
    """Cases by verb and result, and the failures in words."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, verb: str, result: str, words: str = "") -> None:
        self.counts[verb, result] += 1
        if result == "failed":
            self.failures.append(words)


def write_inputs(folder: Path, draw: random.Random) -> None:
    """Write a corpus of two files with copies, leaks and rows that cannot be read, and an eval set."""
    words = ["".join(draw.choices("abcdefghijklmnop", k=draw.randint(3, 8))) for _ in range(300)]
    items = [" ".join(draw.choices(words, k=25)) for _ in range(12)]
    lines = [json.dumps({"id": f"e{n}", "question": item, "answer": "x"}) for n, item in enumerate(items)]
    (folder / "evals.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "corpus").mkdir()
    for number in range(2):
        texts: list[str] = []
        with open(folder / "corpus" / f"f{number}.jsonl", "w") as file:
            for row in range(30):
                text = " ".join(draw.choices(words, k=50))
                text += f" {items[row % 12]}" if row % 9 == 0 else ""
                texts.append(draw.choice(texts) if row % 7 == 6 else text)
                kinds = {"domain": "ab"[row % 2], "language": ["en", "fr"][row % 3 == 0]}
                file.write(json.dumps({"id": f"d{number}-{row}", "text": texts[-1], **kinds}) + "\n")
            file.write("{broken\n")


def invoke(words: Sequence[str]) -> Outcome:
    """Run a command in this process, in the working folder."""
    result = CliRunner().invoke(app, list(words))
    crash = "" if result.exception is None or isinstance(result.exception, SystemExit) else repr(result.exception)
    return Outcome(result.exit_code, re.sub(r"[0-9.]+ ?s\b", "", result.output), crash, hash_files(Path()))


def hash_files(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the files of the run and of what was exported, by their paths."""
    names = [path for part in ("run", "out") for path in sorted((folder / part).rglob("*")) if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in names}


def differing(found: Mapping[str, str], sound: Mapping[str, str]) -> list[str]:
    return [
        name
        for name in sorted({*found, *sound})
        if found.get(name) != sound.get(name) and Path(name).name not in REMADE
    ]


def restore(sound: Path) -> None:
    """Make the working folder what the sound run was."""
    for name in ("run", "out"):
        shutil.rmtree(name, ignore_errors=True)
    shutil.copytree(sound, "run", symlinks=True)


def judge(file: str, outcome: Outcome, sound: Outcome, untouched: Mapping[str, str], before: Mapping[str, str]) -> str:
    """Return ``right``, ``named`` or, as a sentence, why a case failed.

    ``sound`` is the outcome on the sound run, whose files were ``before``; ``untouched`` are the damaged files.
    """
    if outcome.crash:
        return f"crashed: {outcome.crash[:300]}"
    if outcome.code == sound.code:
        wrong = differing(outcome.files, sound.files)
        others = [name for name in wrong if outcome.files.get(name) != untouched.get(name)]
        if others:
            return f"exit {outcome.code} with other files: {', '.join(others[:4])}"
        return "right"
    errors = [line for line in outcome.output.splitlines() if line.startswith("error:")]
    if outcome.code != 1 or len(errors) != 1:
        return f"exit {outcome.code}: {outcome.output[-300:]}"
    damaged = {file, *(name.removeprefix("run/") for name in differing(untouched, before))}
    named = any(Path(name).name in errors[0] for name in damaged) or "manifests/" in errors[0]
    return "named" if named else f"does not name it: {errors[0]}"


def list_cases(sound: Path, draw: random.Random, flips: int, share: float) -> Iterator[tuple[str, str, str]]:
    files = sorted(str(path.relative_to(sound)) for path in sound.rglob("*") if path.is_file())
    for file in files:
        if Path(file).name in REMADE:
            continue
        for damage in DAMAGES:
            for _ in range(flips if damage in ("flip", "truncate") else 1):
                for verb in VERBS:
                    if draw.random() < share:
                        yield file, damage, verb


def mend(outcome: Outcome, sound: Path) -> str | None:
    """Run the command of the hint; return why the run is not the sound one after it, None where it is, or cannot be."""
    hint = next((line[6:].strip() for line in outcome.output.splitlines() if line.startswith("hint:")), "")
    if not hint.startswith("curate ") or "…" in hint or ";" in hint:
        return None
    after = invoke(shlex.split(hint)[1:])
    if after.crash or after.code not in (0, 3):
        return f"the hint ({hint}) ended with {after.code}: {after.crash or after.output[-300:]}"
    expected = {name.replace(str(sound), "run", 1): one for name, one in hash_sound(sound).items()}
    wrong = differing(hash_files(Path()), expected)
    return f"after the hint ({hint}) other files: {', '.join(wrong[:4])}" if wrong else None


def hash_sound(sound: Path) -> dict[str, str]:
    return {
        f"run/{path.relative_to(sound)}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(sound.rglob("*"))
        if path.is_file()
    }


def run_campaign(seed: int, flips: int, share: float, mending: bool) -> Tally:
    """Run the cases of a seed in a new folder, which becomes the working folder, and return what came of them."""
    draw, tally = random.Random(seed), Tally()
    write_inputs(Path(), draw)
    for step in STEPS:
        outcome = invoke(step)
        assert not outcome.crash and outcome.code in (0, 3), outcome.output
    sound = Path("sound")
    shutil.move("run", sound)
    expected = {}
    for verb, words in VERBS.items():
        restore(sound)
        expected[verb] = invoke(words)
        assert expected[verb].code in (0, 3), expected[verb].output
    for number, (file, damage, verb) in enumerate(list_cases(sound, draw, flips, share)):
        restore(sound)
        of_case = random.Random(f"{seed} {number}")
        DAMAGES[damage](Path("run") / file, of_case)
        untouched = hash_files(Path())
        outcome = invoke(VERBS[verb])
        result = judge(file, outcome, expected[verb], untouched, hash_sound(sound))
        words = f"{damage} {file}, {verb}"
        tally.add(verb, result if result in ("right", "named") else "failed", f"{words}: {result}")
        if mending and result == "named" and damage not in ("swap",):
            problem = mend(outcome, sound)
            tally.add(verb, "failed" if problem else "mended", f"{words}: {problem}")
    return tally


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--flips", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--mend", action="store_true")
    options = parser.parse_args(arguments)
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            tally = run_campaign(options.seed, options.flips, options.share, options.mend)
        finally:
            os.chdir(before)
    for failure in tally.failures:
        print(failure)
    for verb in VERBS:
        print(f"{verb:<15}", *(f"{name} {tally.counts[verb, name]}" for name in ("right", "named", "mended", "failed")))
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
