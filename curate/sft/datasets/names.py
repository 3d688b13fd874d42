"""Names of datasets: the stem of the path, with folders in front where stems are the same, or the user's name."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from urllib.parse import urlsplit

from curate.corpus.files.decompression import COMPRESSIONS
from curate.corpus.files.hub import parse_hub_name
from curate.corpus.files.sources import MAGIC_CHARACTERS, SUFFIX_TO_FORMAT
from curate.corpus.files.streams import is_url
from curate.errors import UsageError
from curate.runtime.calls import repeat_command

SUFFIXES = re.compile(f"({'|'.join(map(re.escape, [*SUFFIX_TO_FORMAT, *COMPRESSIONS]))})+$", re.IGNORECASE)
NAME = re.compile(r"[\w.-]+")
NAMED = re.compile(rf"(?P<name>{NAME.pattern})=(?P<path>.+)")


def name_sets(data: Sequence[str]) -> dict[str, str]:
    """Return a dictionary of name to path, in the order given; ``NAME=PATH`` sets the name.

    Raises UsageError where no dataset is given, one is given twice, or two would have the same name.
    """
    if isinstance(data, str) or not data:
        raise UsageError("no dataset is given", "curate rank-sft DATA… --model BASE")
    split = [split_name(str(argument)) for argument in data]
    refuse_repeated_paths([path for _, path in split], data)
    given = [name for name, _ in split if name is not None]
    if twice := [name for name, count in Counter(given).items() if count > 1]:
        raise UsageError(f"two datasets are named {twice[0]}", repeat_renamed(data, twice[0]))
    try:
        names = iter(find_unique_names([path for name, path in split if name is None], given))
    except NameClashError as clash:
        raise UsageError(str(clash), repeat_renamed(data, clash.name)) from clash
    return {next(names) if name is None else name: path for name, path in split}


def split_name(argument: str) -> tuple[str | None, str]:
    """Return the name in ``NAME=PATH`` (None without one) and the path. A path that exists is never split."""
    found = NAMED.fullmatch(argument)
    if found is None or os.path.lexists(argument) or (MAGIC_CHARACTERS.search(argument) and glob.glob(argument)):
        return None, argument
    return found["name"], found["path"]


def is_name(text: str) -> bool:
    """Return whether ``NAME=PATH`` can give a dataset this name."""
    return NAME.fullmatch(text) is not None


def refuse_repeated_paths(paths: Sequence[str], data: Sequence[str]) -> None:
    """Raise UsageError where two paths lead to one file, through links too; ``data`` are the arguments."""
    seen: dict[str, str] = {}
    for path in paths:
        real = find_real(path)
        if real in seen:
            also = "" if seen[real] == path else f" (as {seen[real]} too)"
            raise UsageError(f"{path} is given twice{also}", repeat_command("rank_sft", data=_drop_repeated(data)))
        seen[real] = path


def find_real(path: str) -> str:
    """Return the file that a path leads to; the path itself where there is none."""
    expanded = os.path.expanduser(path)
    return os.path.realpath(expanded) if os.path.lexists(expanded) else path


def _drop_repeated(data: Sequence[str]) -> list[str]:
    """Return the arguments without those whose file an earlier one has."""
    first: dict[str, str] = {}
    for argument in data:
        first.setdefault(find_real(split_name(argument)[1]), argument)
    return list(first.values())


class NameClashError(ValueError):
    """Two datasets have no names that differ; ``name`` is one of both."""

    def __init__(self, name: str):
        super().__init__(f"two datasets are named {name}")
        self.name = name


def repeat_renamed(data: Sequence[str], name: str) -> str:
    """Return the command under way with numbers behind a name that several datasets have."""
    numbers = count(1)
    stem = re.sub(r"[^\w.-]+", "-", name)
    split = [split_name(str(argument)) for argument in data]
    return repeat_command(
        "rank_sft",
        data=[
            f"{stem}-{next(numbers)}={path}" if name in (own, *list_candidates(path)) else str(argument)
            for argument, (own, path) in zip(data, split, strict=True)
        ],
    )


def find_unique_names(paths: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Return a name for each path: its first candidate; names that clash move on to the next, until all differ.

    Raises NameClashError where the candidates are used up.
    """
    candidates = [list(dict.fromkeys(list_candidates(path))) for path in paths]
    levels = [0] * len(paths)
    while True:
        names = [found[level] for found, level in zip(candidates, levels, strict=True)]
        counts = Counter([*names, *taken])
        clashing = [index for index, name in enumerate(names) if counts[name] > 1]
        if not clashing:
            return names
        free = [index for index in clashing if levels[index] + 1 < len(candidates[index])]
        if not free:
            raise NameClashError(names[clashing[0]])
        for index in free:
            levels[index] += 1


def list_candidates(path: str) -> Iterator[str]:
    """Yield the names that a dataset may have, the shortest first."""
    hub = None if os.path.lexists(os.path.expanduser(path)) else parse_hub_name(path)
    detail = ""
    if hub is not None:
        path, detail = hub.name, f"{f'@{hub.config}' if hub.config else ''}:{hub.split}"
    parts = split_path(path, keep_all=hub is not None)
    stem = parts[-1] if hub is not None else strip_suffixes(parts[-1])
    yield stem
    if detail:
        yield stem + detail
    for depth in range(2, len(parts) + 1):
        folders = parts[-depth:-1]
        yield "/".join([*folders, stem])
        yield "/".join([*folders, parts[-1] + detail])
    yield parts[-1]


def split_path(path: str, keep_all: bool) -> list[str]:
    """Return the folders and the name of a path; wildcards of a pattern are left out."""
    if is_url(path):
        address = urlsplit(path)
        found = [address.netloc, *address.path.split("/")]
    else:
        found = (path if keep_all else os.path.abspath(os.path.expanduser(path))).split("/")
    fixed = [re.sub(r"\[[^]]*\]|[*?]", "", part) for part in found]
    return [part for part in fixed if strip_suffixes(part)] or ["data"]


def strip_suffixes(name: str) -> str:
    """Return the stem: part-0 of part-0.jsonl.gz; the empty string of what remains of the pattern *.json."""
    return SUFFIXES.sub("", name).rstrip("-_.")
