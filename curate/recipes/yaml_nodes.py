"""A YAML file as nodes that know their lines, and nothing else that YAML could make of it."""

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import UsageError
from curate.recipes.stage_graph import Problem
from curate.runtime.text import fold, shorten

if TYPE_CHECKING:
    from yaml import Node

MOST_BYTES = 100_000
FOUND_CHARS = 40  # of a mistaken value in an error
EXAMPLE = "- filter: {max-ppl: 50}"
NULL = "tag:yaml.org,2002:null"


def suggest(word: str, known: Iterable[str]) -> str:
    """``; did you mean "filter"?``, or nothing where no known word is near."""
    near = difflib.get_close_matches(word.lower().replace("_", "-"), list(known), 1, 0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


def read_text(path: str) -> str:
    """UsageError where there is no file, or one that cannot be a recipe."""
    place = Path(path)
    try:
        size = place.stat().st_size
        if place.is_dir():
            raise UsageError(
                f"{path} is a folder; a recipe is a YAML file", _neighbours(place) or f"for example: {EXAMPLE}"
            )
        if size > MOST_BYTES:
            raise UsageError(f"{path} has {size:,} bytes: no recipe is as long as that", "up to 100,000 are read")
        return place.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        near = difflib.get_close_matches(place.name, [one.name for one in _recipes(place.parent)], 1)
        hint = f"did you mean {place.with_name(near[0])}?" if near else _neighbours(place.parent)
        raise UsageError(f"{path} does not exist", hint) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: byte {error.start:,}", "save it as UTF-8") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _recipes(folder: Path) -> list[Path]:
    return sorted(one for ending in ("yaml", "yml") for one in folder.glob(f"*.{ending}"))


def _neighbours(folder: Path) -> str | None:
    names = ", ".join(one.name for one in _recipes(folder)[:8])
    return f"{folder} has {names}" if names else None


def compose(path: str, text: str) -> "Node":
    """The nodes of a YAML document, with their lines. UsageError, with the line, where it is none."""
    import yaml

    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(path, text, error) from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {fold(str(error))}", "write it as plain text") from error
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
        return UsageError(f"{path}, line {number}: a tab; YAML is indented with spaces", "put spaces in its place")
    if "single document" in str(error):
        return UsageError(f"{path}, line {number}: a second document begins; a recipe is one", "take --- out")
    what = f"{path}, line {number}: not YAML: {fold(error.problem or str(error))}"
    shown = shorten(fold(line.strip()), 60)
    return UsageError(what, f"the line reads: {shown}" if shown else f"for example: {EXAMPLE}")


def find_foreign(root: "Node") -> Iterator[Problem]:
    """Tags of other programs, and keys that would copy another mapping in: neither means anything here."""
    seen, rest = set(), [root]
    while rest:
        node = rest.pop()
        if id(node) in seen:  # an alias: of what is named a thousand times, each node is looked at once
            continue
        seen.add(id(node))
        if not node.tag.startswith("tag:yaml.org,2002:") or "python" in node.tag:
            yield place_of(node), f"the tag {shorten(fold(node.tag), FOUND_CHARS)} means nothing here; take it out"
        children = node.value if isinstance(node.value, list) else []
        rest += [part for child in children for part in (child if isinstance(child, tuple) else (child,))]


def place_of(node: "Node") -> str:
    return f"line {node.start_mark.line + 1}"


def line_of(node: "Node") -> int:
    return int(node.start_mark.line) + 1


def is_null(node: "Node") -> bool:
    return bool(node.tag == NULL)


def describe(node: "Node") -> str:
    """What stands there, for an error."""
    from yaml import MappingNode, SequenceNode

    if isinstance(node, MappingNode):
        return "found options of its own"
    if isinstance(node, SequenceNode):
        return "found a list"
    return f'found "{shorten(fold(str(node.value)), FOUND_CHARS)}"' if node.value else "found nothing"
