"""Change the code that decides in small ways, and list the changes that no test notices.

    pip install mutmut
    python tests/mutation.py                          # every group, all mutants: hours on two cores
    python tests/mutation.py masks quantiles          # groups by name
    python tests/mutation.py --share 0.2 --jobs 2     # a seeded fifth of each group

mutmut makes the mutants: each function of a module is copied once for each change, behind a trampoline that calls the
copy asked for. Its own runner starts pytest anew for each mutant, which here imports torch and collects for longer than
the tests take. So the tests of a group are collected once, in a copy of the repository; a first run notes which test
calls which function; then a process is forked for each mutant, which runs the tests that call it, the fastest first,
until one fails.

The laws that Hypothesis checks run with EXAMPLES examples, always the same.

Not counted: changes within ``raise`` statements and of texts with a space in them, which are wording; of ``strict=``,
which asserts what holds; and the functions that mutmut leaves alone (decorated ones: properties, cached functions,
compiled loops). ``mutation.toml`` lists the survivors that change nothing that could be tested, each with its
reason; they are counted as argued.
"""

import argparse
import ast
import difflib
import importlib
import importlib.util
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TABLES = Path(__file__).with_suffix(".toml")
"""The groups and the argued survivors."""
GROUPS = tomllib.loads(TABLES.read_text())["groups"]
OUTCOMES = ("killed", "timeout", "argued", "survived", "untested")
EXAMPLES = 25
SLOWEST = 10.0
"""A test that takes longer than these seconds in the first run is left out for the mutants."""


@dataclass
class Mutant:
    """One change of one function."""

    module: str
    """Relative to the repository."""
    function: str
    """Its name, with the class's before a dot."""
    key: str
    """mutmut's name of the copy."""
    minus: str
    """The lines that the change takes away, without their indentation."""
    plus: str
    """The lines that it puts in their place."""
    diff: str
    outcome: str = ""
    seconds: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.module.removesuffix('.py').replace('/', '.')}.{self.key}"

    @property
    def original(self) -> str:
        return self.name.rpartition("__mutmut_")[0]

    def matches(self, entry: dict[str, str]) -> bool:
        return all(entry[name].strip() == getattr(self, name) for name in ("module", "function", "minus", "plus"))


def make_mutants(module: str, folder: Path) -> list[Mutant]:
    """Write the module with all its mutants into a copy of the repository, and return those that are not wording."""
    from mutmut.mutation.file_mutation import mutate_file_contents

    mutated = mutate_file_contents(module, (folder / module).read_text())
    (folder / module).write_text(mutated.code)
    lines = mutated.code.splitlines()

    def text_of(name: str) -> list[str]:
        span = mutated.line_span_by_function_name[name]
        texts = lines[span.start - 1 : span.end]
        while texts and not texts[0].strip():
            texts = texts[1:]
        return [line.replace(f"def {name}(", f"def {name.rpartition('__mutmut_')[0]}(") for line in texts]

    mutants = []
    for key in mutated.mutant_names:
        stem = key.rpartition("__mutmut_")[0]
        before, after = text_of(f"{stem}__mutmut_orig"), text_of(key)
        if is_wording(before, after):
            continue
        diff = list(difflib.unified_diff(before, after, n=1, lineterm=""))[2:]
        minus, plus = ("\n".join(line[1:].strip() for line in diff if line[0] == sign) for sign in "-+")
        function = stem.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
        mutants.append(Mutant(module, function, key, minus, plus, "\n".join(diff)))
    return mutants


def is_wording(before: list[str], after: list[str]) -> bool:
    """Return whether two versions of a function differ only within a ``raise`` or in a text with a space in it."""
    texts = [re.sub(r"strict=\w+", "", textwrap.dedent("\n".join(lines))) for lines in (before, after)]
    found = find_change(*map(ast.parse, texts))
    if found is None:
        return True
    in_raise, node = found
    return in_raise or (isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value)


def find_change(one: Any, other: Any, in_raise: bool = False) -> tuple[bool, Any] | None:
    """Return the smallest node of ``one`` with all that differs from ``other``, and whether it lies in a ``raise``."""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        changes = [each for pair in zip(one, other, strict=True) if (each := find_change(*pair, in_raise))]
    elif isinstance(one, ast.AST) and type(one) is type(other):
        inside = in_raise or isinstance(one, ast.Raise)
        pairs = [(getattr(one, name, None), getattr(other, name, None)) for name in one._fields if name != "kind"]
        changes = [each for pair in pairs if (each := find_change(*pair, inside))]
        changes = [(hit[0], one if not isinstance(hit[1], (ast.AST, list)) else hit[1]) for hit in changes]
        in_raise = inside
    else:
        return None if one == other and type(one) is type(other) else (in_raise, one)
    return (changes[0] if len(changes) == 1 else (in_raise, one)) if changes else None


@dataclass
class Campaign:
    """A pytest plugin that runs the collected tests for each mutant instead of once."""

    mutants: list[Mutant]
    jobs: int
    folder: Path
    """Where the temporary folders of the tests go."""
    seconds: dict[str, float] = field(default_factory=dict)
    tests_of: dict[str, set[str]] = field(default_factory=dict)
    """The tests that call each function."""

    def pytest_runtestloop(self, session: Any) -> bool:
        if session.testsfailed:
            raise session.Failed("the tests could not be collected")
        items = {item.nodeid: item for item in session.items}
        self.note_calls(list(items.values()))
        running: dict[int, tuple[Mutant, float, float]] = {}
        waiting = self.mutants[::-1]
        while waiting or running:
            while waiting and len(running) < self.jobs:
                mutant = waiting.pop()
                names = sorted(self.tests_of.get(mutant.original, ()), key=self.seconds.__getitem__)
                if not names:
                    mutant.outcome = "untested"
                    continue
                limit = 20 + 10 * sum(self.seconds[name] for name in names)
                pid = self.fork(lambda: self.run([items[name] for name in names], mutant.name), limit)  # noqa: B023
                running[pid] = mutant, time.monotonic(), limit
            if running:
                self.reap(running)
        return True

    def reap(self, running: dict[int, tuple[Mutant, float, float]]) -> None:
        """Wait until a process ends, and kill those that ran past their limit."""
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in running:
                break
            for other, (_, began, limit) in running.items():
                if time.monotonic() - began > limit:
                    os.killpg(other, signal.SIGKILL)
            time.sleep(0.01)
        mutant, began, _ = running.pop(pid)
        mutant.seconds = round(time.monotonic() - began, 2)
        killed_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        timed_out = killed_by in (signal.SIGKILL, signal.SIGXCPU)
        mutant.outcome = "timeout" if timed_out else "killed" if status else "survived"
        shutil.rmtree(self.folder / str(pid), ignore_errors=True)
        print(f"{mutant.outcome:9}{mutant.seconds:7.2f} s  {mutant.name}", flush=True)

    def note_calls(self, items: list[Any]) -> None:
        """Run every test once unchanged, in a process of its own, and import here what it imported there."""
        report = self.folder / "calls.json"
        pid = self.fork(lambda: self.trace(items, report), limit=3600)
        _, status = os.waitpid(pid, 0)
        shutil.rmtree(self.folder / str(pid), ignore_errors=True)
        if status or not report.exists():
            raise SystemExit(f"error: a test fails without any change; see {self.folder}")
        traced = json.loads(report.read_text())
        self.seconds = traced["seconds"]
        for name, functions in traced["calls"].items():
            for function in functions if self.seconds[name] <= SLOWEST else ():
                self.tests_of.setdefault(function, set()).add(name)
        for name in traced["modules"]:
            try:
                importlib.import_module(name)
            except Exception:
                continue

    def trace(self, items: list[Any], report: Path) -> int:
        from mutmut.mutation import trampoline

        called: set[str] = set()
        trampoline.record_trampoline_hit = lambda name, caller=None: called.add(name)  # mutmut's takes far longer
        trampoline._mutant_under_test = "stats"  # not in the environment: a process of a test has no configuration
        before, calls, seconds = set(sys.modules), {}, {}
        for item, following in zip(items, [*items[1:], None], strict=True):
            called.clear()
            began = time.monotonic()
            failure = run_test(item, following)
            if failure:
                sys.__stderr__.write(f"{item.nodeid}\n{failure}\n")
                return 1
            calls[item.nodeid], seconds[item.nodeid] = sorted(called), time.monotonic() - began
        modules = [
            name for name in sys.modules.copy() if name not in before and not name.startswith(("test", "helpers", "_"))
        ]
        report.write_text(json.dumps({"calls": calls, "seconds": seconds, "modules": modules}))
        return 0

    def run(self, items: list[Any], name: str) -> int:
        from mutmut.mutation import trampoline

        trampoline.set_mutant_under_test(name)
        pairs = zip(items, [*items[1:], None], strict=True)
        return int(any(run_test(item, following) for item, following in pairs))

    def fork(self, work: Any, limit: float) -> int:
        """Return the id of a process that does the work and ends with its result."""
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            os.setpgid(0, 0)
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 5))
            resource.setrlimit(resource.RLIMIT_DATA, (8 << 30, 8 << 30))
            self.use_own_folder(self.folder / str(os.getpid()))
            code = work()
        finally:
            os._exit(code)

    def use_own_folder(self, folder: Path) -> None:
        folder.mkdir()
        self.config._tmp_path_factory._basetemp = folder
        tempfile.tempdir = str(folder)

    def pytest_sessionstart(self, session: Any) -> None:
        from hypothesis import Phase, settings

        self.config, fixed = session.config, {"derandomize": True, "deadline": None, "database": None}
        phases = (Phase.explicit, Phase.generate)  # nobody reads the smallest example
        settings.register_profile("mutation", max_examples=EXAMPLES, phases=phases, **fixed)
        settings.load_profile("mutation")


def run_test(item: Any, following: Any) -> str:
    """Return the report of a failure of one test, empty where it passes."""
    from _pytest.runner import runtestprotocol

    reports = runtestprotocol(item, log=False, nextitem=following)
    return "\n".join(str(each.longrepr) for each in reports if each.failed)


def copy_repository(folder: Path) -> None:
    """Copy what git knows of, and files of tests that it does not know yet."""
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split("\0"):
        if name and (ROOT / name).is_file() and not name.startswith("notebooks/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    with (folder / "pyproject.toml").open("a") as file:
        file.write('\n[tool.mutmut]\nsource_paths = ["curate"]\n')


def sample(mutants: list[Mutant], share: float, seed: int, only: str) -> list[Mutant]:
    mutants = [each for each in mutants if only in f"{each.module}:{each.function}"]
    keep = set(random.Random(seed).sample(range(len(mutants)), max(1, round(share * len(mutants)))) if mutants else ())
    return [each for index, each in enumerate(mutants) if index in keep]


def run_group(name: str, options: argparse.Namespace) -> list[Mutant]:
    """Return the mutants of one group with their outcomes. The caller's process must be thrown away afterwards."""
    import pytest

    group, work = GROUPS[name], Path(tempfile.mkdtemp(prefix="curate-mutation-"))
    try:
        copy_repository(folder := work / "copy")
        os.chdir(folder)
        sys.path[:] = [str(folder), *(each for each in sys.path if Path(each or ".").resolve() != ROOT)]
        os.environ["PYTHONPATH"] = str(folder)
        mutants = [mutant for module in group["modules"] for mutant in make_mutants(module, folder)]
        mutants = sample(mutants, options.share, options.seed, options.only)
        tests = [test for test in group["tests"] if (folder / test).exists()]
        campaign = Campaign(mutants, options.jobs, work)
        flags = ["-n", "0"] if importlib.util.find_spec("xdist") else []
        flags += [f"--deselect={test}" for test in group.get("slow", ())]
        code = pytest.main(["-q", "-p", "no:cacheprovider", *flags, *tests], plugins=[campaign])
        if code or any(not mutant.outcome for mutant in mutants):
            raise SystemExit(f"error: the tests of {name} could not be run")
        return mutants
    finally:
        shutil.rmtree(work, ignore_errors=True)


def argue(mutants: list[Mutant]) -> None:
    """Count the survivors that ``mutation.toml`` lists as argued."""
    entries = tomllib.loads(TABLES.read_text()).get("argued", [])
    for mutant in mutants:
        if mutant.outcome in ("survived", "untested") and any(mutant.matches(entry) for entry in entries):
            mutant.outcome = "argued"


def show(results: dict[str, list[Mutant]]) -> Iterator[str]:
    """Yield the lines of the report: a table, then each survivor."""
    yield f"| group | mutants | {' | '.join(OUTCOMES)} |"
    yield "|---|" + "---|" * (1 + len(OUTCOMES))
    for name, mutants in results.items():
        counts = Counter(mutant.outcome for mutant in mutants)
        yield f"| {name} | {len(mutants)} | {' | '.join(str(counts[each]) for each in OUTCOMES)} |"
    for name, mutants in results.items():
        for mutant in mutants:
            if mutant.outcome in ("survived", "untested"):
                yield f"\n{name}: {mutant.module} {mutant.function} ({mutant.outcome})\n{mutant.diff}"


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}; all by default")
    parser.add_argument("--share", type=float, default=1.0, help="of the mutants of each group, drawn with --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="mutants tested at a time")
    parser.add_argument("--only", default="", help="mutants whose module:function contains this text")
    parser.add_argument("--write", type=Path, help="write the outcomes of one group as JSON, without a report")
    options = parser.parse_args()
    if unknown := set(options.groups) - set(GROUPS):
        parser.error(f"no group {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    if not 0 < options.share <= 1 or options.jobs < 1:
        parser.error("--share must be above 0 and at most 1, --jobs at least 1")
    if importlib.util.find_spec("mutmut") is None:
        raise SystemExit("error: mutmut is not installed\nhint: pip install mutmut")
    return options


def main() -> int:
    options = read_options()
    if options.write:
        options.write.write_text(json.dumps([asdict(each) for each in run_group(options.groups[0], options)]))
        return 0
    results = {}
    for name in options.groups or GROUPS:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "outcomes.json"
            rest = [f"--{key}={getattr(options, key)}" for key in ("share", "seed", "jobs", "only")]
            command = [sys.executable, str(Path(__file__)), name, *rest, f"--write={path}"]
            if subprocess.run(command, check=False, stdout=sys.stderr).returncode:
                return 1
            results[name] = [Mutant(**each) for each in json.loads(path.read_text())]
    for mutants in results.values():
        argue(mutants)
    print("\n".join(show(results)))
    return int(any(mutant.outcome in ("survived", "untested") for mutants in results.values() for mutant in mutants))


if __name__ == "__main__":
    sys.exit(main())
