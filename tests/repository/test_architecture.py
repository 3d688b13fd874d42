"""The house stands: folders import only from folders below their own, and no file imports itself by a detour.

The order is that of folders, written once. Within a folder files import one another freely, without a cycle.
"""

import ast
from pathlib import Path

import pytest

import curate

PACKAGE = Path(curate.__file__).parent
ORDER = (
    {"errors"},
    {"runtime"},
    {"matching", "corpus", "reference"},
    {"rundir"},
    {"stages"},
    {"exports"},
    {"reports", "sft"},
    {"monitoring"},
    {"recipes"},
    {"verbs"},
    {"__init__", "cli"},
    {"__main__"},
)
"""From the lowest to the highest. An entry imports only from those in lines above its own."""
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def is_for_types(node):
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def list_imports(path, at_load=False):
    """The modules of curate that a file imports; with ``at_load`` only those that importing the file imports too."""
    found, ahead = set(), [ast.parse(path.read_text())]
    while ahead:
        node = ahead.pop()
        if at_load and (is_for_types(node) or isinstance(node, (ast.FunctionDef, ast.Lambda))):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "curate"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "curate":
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in FILES else node.module for name in names}
        ahead += ast.iter_child_nodes(node)
    return found


def top_of(module):
    return module.split(".")[1] if "." in module else "__init__"


def test_every_entry_of_the_package_has_a_level_and_there_are_at_most_a_dozen():
    entries = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert entries == set(LEVEL)
    assert len(entries - {"__init__", "__main__", "cli", "errors"}) <= 12


def test_no_folder_at_the_top_bears_the_name_of_a_verb():
    """Importing it would hide the function ``curate.NAME``."""
    assert {path.stem for path in PACKAGE.iterdir()} & set(curate.VERBS) == set()


@pytest.mark.parametrize("module", FILES)
def test_a_file_imports_only_from_folders_below_its_own(module):
    for name in list_imports(FILES[module]):
        if top_of(name) != top_of(module):
            assert LEVEL[top_of(name)] < LEVEL[top_of(module)], f"{module} imports {name}"


@pytest.mark.parametrize("folder", ["verbs", "stages"])
def test_no_verb_imports_a_verb_and_no_stage_another_stage(folder):
    for module, path in FILES.items():
        if module.startswith(f"curate.{folder}."):
            own = module.split(".")[2]
            others = {name for name in list_imports(path) if name.startswith(f"curate.{folder}.")}
            shared = {name for name in others if (FILES[name].parent == PACKAGE / folder) and folder == "stages"}
            assert {name.split(".")[2] for name in others - shared} <= {own}, module


def test_no_file_imports_itself_by_a_detour():
    """Loading a file also loads the packages above it, but those may still be on their way."""
    imports = {module: list_imports(path, at_load=True) for module, path in FILES.items()}
    done, path = set(), []

    def visit(module):
        assert module not in path, " → ".join([*path[path.index(module) :], module])
        if module not in done:
            path.append(module)
            for name in sorted(imports[module]):
                visit(name)
            done.add(path.pop())

    for module in FILES:
        visit(module)


def test_every_verb_has_a_file_of_its_name():
    verbs = {path.stem for path in (PACKAGE / "verbs").glob("*.py")} - {"__init__"}
    assert verbs == set(curate.VERBS)
