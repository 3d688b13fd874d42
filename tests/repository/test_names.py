"""Names: a class has one meaning in the package, a parameter says what it is, and a hint is built in one place."""

import ast
import importlib.metadata
import sys
from collections import Counter, defaultdict

from helpers.paths import ROOT

PACKAGE = ROOT / "curate"
TREES = {path.relative_to(PACKAGE): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
VAGUE = {"found", "place", "said", "asked", "own", "held", "wanted"}
"""Words that a scope of three lines may use, and no signature: they name things of forty types."""


def functions():
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield path, node


def test_class_names_are_unique_in_the_package():
    found = defaultdict(list)
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(str(path))
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_no_parameter_has_a_name_that_fits_everything():
    vague = [
        f"{path}: {function.name}({argument.arg})"
        for path, function in functions()
        for argument in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
        if argument.arg in VAGUE
    ]
    assert vague == []


def test_a_run_is_called_run():
    """Where a function takes a ``Run`` and the word is free."""
    others = Counter()
    for path, function in functions():
        arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
        for argument in arguments:
            kind = ast.unparse(argument.annotation).strip("'\"") if argument.annotation else ""
            if kind == "Run" and argument.arg != "run":
                others[f"{path}: {function.name}({argument.arg})"] += 1
    assert others == {}


def test_a_hint_names_a_run_directory_by_way_of_one_function():
    """``curate.runtime.text.command`` quotes it. A formatted ``--run`` elsewhere would not."""
    found = []
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "\0" for part in node.values]
                if "--run \0" in "".join(parts) and str(path) != "runtime/text.py":
                    found.append(f"{path}:{node.lineno}")
    assert found == []


def test_no_script_has_the_name_of_a_package_that_others_import():
    """A test that puts ``benchmarks`` on the path would otherwise give it to libraries in place of the package."""
    packages = set(importlib.metadata.packages_distributions()) | set(sys.stdlib_module_names) | {"coverage"}
    scripts = {path.stem for folder in ("benchmarks", "recipes") for path in (ROOT / folder).glob("*.py")}
    assert scripts and not scripts & packages
