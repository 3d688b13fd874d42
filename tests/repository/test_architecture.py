"""The house stands: a module imports only from floors below its own, and the surfaces agree with one another.

Floors, lowest first. Within a floor there are no imports between lines; a package imports freely within itself.
"""

import ast
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import curate

ROOT = Path(curate.__file__).parent
FLOORS = [
    set(floor.split())
    for floor in (
        "errors kernels",
        "likelihood packing statistics cuts signals words minhash conversation verdicts curriculum departures measures",
        "console stopwatch dependence quantities widening background crew duplicates clusters spans schedules tenths "
        "spill scaffolds tokenfiles trainingnotes uncertainty instruction strata",
        "workers signatures rendering likeness axes",
        "corpus tables shards alignment probes templates masking standings",
        "runs dataset reference evalsets candidates bucketing shinglebook sketching ranking plainlines sequence "
        "instructionsets rankingscreen",
        "scorebook scorerows rejections windows sketchbook evidence carried exportbook tokenshards responses "
        "examplescreen rankingplot",
        "decisions contamination duplicatebook duplicatereport nodes stepbook integrity loaders rankbook",
        "narrow criteria ledger detection hitbook dossier passages canaries placebook drafts contest rankingpage",
        "pairing sieve cutoffs recipe threeway maskscreen rankingfiles",
        "weighing card routing foresight",
        "neighbours moving spelling",
        "choice tokenorder",
        "exporting",
        "subsets",
        "scoring decontamination deduplication selection ordering grading funnel explanation pretraining verification",
        "overview running examplebook exampleselection",
        "reporting suitability",
        "cli",
    )
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
OUTSIDE = {"__init__", "__main__"}


def module_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports_of(path):
    """The modules of curate that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "curate":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("curate."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("curate."))


FILES = sorted(path for path in ROOT.rglob("*.py") if module_of(path) not in OUTSIDE)


def test_every_module_has_a_floor_and_every_floor_has_its_modules():
    assert {module_of(path) for path in FILES} == set(FLOOR)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_from_floors_below_its_own(path):
    own = module_of(path)
    for name in imports_of(path):
        if name in FLOOR and name != own:
            assert FLOOR[name] < FLOOR[own], f"{own} imports {name}, which is not below it"


def test_the_pure_floors_touch_no_disk_no_gpu_and_no_clock():
    allowed = {"numpy", "curate", "collections", "dataclasses", "bisect", "zlib", "typing", "math", "json", "sys"}
    allowed |= {"unicodedata", "functools", "numba", "datasketch"}  # Unicode's tables; compiled loops; permutations
    for name in FLOORS[0] | FLOORS[1]:
        for node in ast.walk(ast.parse((ROOT / f"{name}.py").read_text())):
            found = []
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                found = [node.module or ""]
            assert all(one.split(".")[0] in allowed for one in found), (name, found)


def test_commands_functions_and_the_readme_name_one_set_of_verbs():
    from curate.cli import app

    commands = {command.name for command in app.registered_commands}
    readme = (ROOT.parent / "README.md").read_text()
    table = set(re.findall(r"^\| `curate ([a-z-]+)[^`]*` \|", readme, flags=re.MULTILINE))
    functions = {name.replace("_", "-") for name in curate.__all__}
    assert commands == functions == table
    assert set(curate.__all__) == set(curate.VERBS)
    assert all(callable(getattr(curate, name)) for name in curate.__all__)


def test_every_command_and_every_option_is_described():
    from typer.testing import CliRunner

    from curate.cli import app

    for name in curate.__all__:
        found = CliRunner().invoke(app, [name.replace("_", "-"), "--help"])
        assert found.exit_code == 0
        first = (getattr(curate, name).__doc__ or "").strip().splitlines()[0]
        assert first.endswith(".") and first.split()[0] in found.stdout
        for line in re.findall(r"^  (-.*)$", found.stdout, flags=re.MULTILINE):
            words = re.sub(r"^(\s*-{1,2}[\w-]+,?)+(\s+<?[A-Z_]+>?| \[[^\]]*\]| <[^>]*>)?", "", line).strip()
            assert words or len(line) > 25, f"{name}: {line.strip()} has no description"


def test_help_is_instant_and_imports_nothing_heavy():
    code = "import sys; from curate.cli import app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "transformers", "duckdb", "datasets", "numpy", "pyarrow", "tokenizers", "scipy"}
    assert heavy & set(loaded) == set()
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "curate", "--help"], capture_output=True, check=True)
        times.append(time.perf_counter() - began)
    print(f"curate --help: {min(times):.2f} s")  # informative; the law is the line above
