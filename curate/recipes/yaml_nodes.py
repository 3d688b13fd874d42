"""A YAML file as nodes that know their lines. No other object that YAML could make is built."""

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from yaml import MappingNode, Node, SequenceNode

from curate.errors import UsageError
from curate.recipes.stage_graph import Problem
from curate.runtime.text import fold_whitespace, shorten

MOST_BYTES = 100_000
FOUND_CHARS = 40
"""Characters of a mistaken value that an error shows."""
EXAMPLE = "- filter: {max-ppl: 50}"
NULL = "tag:yaml.org,2002:null"


def suggest(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean "filter"?``, "" where no known word is near."""
    near = difflib.get_close_matches(word.lower().replace("_", "-"), list(known), 1, 0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


def read_text(path: str) -> str:
    """Return the text of a recipe. Raises UsageError where there is no file, or one that cannot be a recipe."""
    file = Path(path)
    try:
        size = file.stat().st_size
        if file.is_dir():
            raise UsageError(
                f"{path} is a folder; a recipe is a YAML file", _list_recipes(file) or f"for example: {EXAMPLE}"
            )
        if size > MOST_BYTES:
            raise UsageError(
                f"{path} has {size:,} bytes; a recipe has at most {MOST_BYTES:,}", f"for example: {EXAMPLE}"
            )
        return file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        near = difflib.get_close_matches(file.name, [recipe.name for recipe in _find_recipes(file.parent)], 1)
        hint = f"did you mean {file.with_name(near[0])}?" if near else _list_recipes(file.parent)
        raise UsageError(f"{path} does not exist", hint) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: byte {error.start:,}", "save it as UTF-8") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _find_recipes(folder: Path) -> list[Path]:
    return sorted(path for suffix in ("yaml", "yml") for path in folder.glob(f"*.{suffix}"))


def _list_recipes(folder: Path) -> str | None:
    names = ", ".join(path.name for path in _find_recipes(folder)[:8])
    return f"{folder} has {names}" if names else None


def compose(path: str, text: str) -> Node:
    """Return the root node of a YAML document. Raises UsageError, with the line, where the text is no YAML."""
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(path, text, error) from error
    except yaml.YAMLError as error:
        raise UsageError(
            f"{path} is not YAML: {fold_whitespace(str(error))}", "write it as a plain text file"
        ) from error
    except RecursionError as error:
        raise UsageError(f"{path} is nested too deeply to be a recipe", f"for example: {EXAMPLE}") from error
    if root is None:
        raise UsageError(f"{path} is empty; a recipe is a list of steps", f"for example: {EXAMPLE}")
    return root


def _not_yaml(path: str, text: str, error: Any) -> UsageError:
    mark = error.problem_mark or error.context_mark
    number = mark.line + 1 if mark else 1
    lines = text.splitlines()
    line = lines[number - 1] if number <= len(lines) else ""
    if "\t" in line:
        return UsageError(f"{path}, line {number}: a tab; YAML is indented with spaces", "replace the tab by spaces")
    if "single document" in str(error):
        return UsageError(f"{path}, line {number}: a second document begins; a recipe is one", "remove the line ---")
    what = f"{path}, line {number}: not YAML: {fold_whitespace(error.problem or str(error))}"
    shown = shorten(fold_whitespace(line.strip()), 60)
    return UsageError(what, f"the line reads: {shown}" if shown else f"for example: {EXAMPLE}")


def find_foreign(root: Node) -> Iterator[Problem]:
    """Yield a problem for each tag of another program, which recipes do not have."""
    seen, rest = set(), [root]
    while rest:
        node = rest.pop()
        if id(node) in seen:  # an alias: a node that is named a thousand times is checked once
            continue
        seen.add(id(node))
        if not node.tag.startswith("tag:yaml.org,2002:") or "python" in node.tag:
            yield (
                name_line(node),
                f"the tag {shorten(fold_whitespace(node.tag), FOUND_CHARS)} has no effect here; remove it",
            )
        children = node.value if isinstance(node.value, list) else []
        rest += [part for child in children for part in (child if isinstance(child, tuple) else (child,))]


def name_line(node: Node) -> str:
    """Return ``line 7`` for a node of line 7."""
    return f"line {node.start_mark.line + 1}"


def line_of(node: Node) -> int:
    """Return the line of a node, counted from 1."""
    return int(node.start_mark.line) + 1


def is_null(node: Node) -> bool:
    """Return whether a node is null or empty."""
    return bool(node.tag == NULL)


def describe(node: Node) -> str:
    """Return what a node is, for an error: ``found a list``."""
    if isinstance(node, MappingNode):
        return "found options of its own"
    if isinstance(node, SequenceNode):
        return "found a list"
    return f'found "{shorten(fold_whitespace(str(node.value)), FOUND_CHARS)}"' if node.value else "found nothing"
