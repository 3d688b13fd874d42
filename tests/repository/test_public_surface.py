"""Commands, functions and the README's table are one set of verbs, and every option is described."""

import re

from helpers.paths import ROOT
from typer.testing import CliRunner

import curate
from curate.cli import app


def test_commands_functions_and_the_readme_name_one_set_of_verbs():
    commands = {command.name for command in app.registered_commands}
    readme = (ROOT / "README.md").read_text()
    table = set(re.findall(r"^\| `curate ([a-z-]+)[^`]*` \|", readme, flags=re.MULTILINE))
    functions = {name.replace("_", "-") for name in curate.VERBS}
    assert commands == functions == table
    assert set(curate.__all__) == {*curate.VERBS, *curate.CLASSES, "__version__"}
    assert all(callable(getattr(curate, name)) for name in curate.VERBS)


def test_every_verb_is_declared_for_type_checkers():
    source = (ROOT / "curate" / "verbs" / "__init__.py").read_text()
    declared = re.findall(r"^    from curate\.verbs\.(\w+) import (\w+) as (\w+)$", source, flags=re.MULTILINE)
    assert sorted(declared) == sorted((name, name, name) for name in curate.VERBS)


def test_every_command_and_every_option_is_described():
    for name in curate.VERBS:
        found = CliRunner().invoke(app, [name.replace("_", "-"), "--help"])
        assert found.exit_code == 0
        first = (getattr(curate, name).__doc__ or "").strip().splitlines()[0]
        assert first.endswith(".") and first.split()[0] in found.stdout
        for line in re.findall(r"^  (-.*)$", found.stdout, flags=re.MULTILINE):
            words = re.sub(r"^(\s*-{1,2}[\w-]+,?)+(\s+<?[A-Z_]+>?| \[[^\]]*\]| <[^>]*>)?", "", line).strip()
            assert words or len(line) > 25, f"{name}: {line.strip()} has no description"
