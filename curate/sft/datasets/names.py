"""What datasets are called: by their stem, with folders in front where stems are the same, or as the user says."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from curate.corpus.hub import parse_hub_name
from curate.corpus.sources import COMPRESSIONS, FORMATS, MAGIC_CHARACTERS
from curate.corpus.streams import is_url
from curate.errors import UsageError

SUFFIXES = re.compile(f"({'|'.join(map(re.escape, [*FORMATS, *COMPRESSIONS]))})+$", re.IGNORECASE)
NAMED = re.compile(r"(?P<name>[\w.-]+)=(?P<path>.+)")


def name_sets(data: Sequence[str]) -> dict[str, str]:
    """The path of each dataset by its name, in the order given; ``NAME=PATH`` says the name.

    UsageError where no dataset is given, one is given twice, or two would have one name.
    """
    if isinstance(data, str) or not data:
        raise UsageError("no dataset is named", "curate rank-sft DATA… --model BASE")
    split = [split_name(str(one)) for one in data]
    refuse_twins([path for _, path in split])
    said = [name for name, _ in split if name is not None]
    if twice := [name for name, count in Counter(said).items() if count > 1]:
        raise UsageError(f"two datasets are called {twice[0]}", "give each a name of its own: NAME=PATH")
    names = iter(tell_apart([path for name, path in split if name is None], said))
    return {next(names) if name is None else name: path for name, path in split}


def split_name(spelled: str) -> tuple[str | None, str]:
    """The name that the user gives, None where there is none, and the path. A path that exists is a path."""
    found = NAMED.fullmatch(spelled)
    if found is None or os.path.lexists(spelled) or (MAGIC_CHARACTERS.search(spelled) and glob.glob(spelled)):
        return None, spelled
    return found["name"], found["path"]


def refuse_twins(paths: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for path in paths:
        expanded = os.path.expanduser(path)
        real = os.path.realpath(expanded) if os.path.lexists(expanded) else path
        if real in seen:
            also = "" if seen[real] == path else f" (as {seen[real]} too)"
            raise UsageError(f"{path} is given twice{also}", "name each dataset once")
        seen[real] = path


def tell_apart(paths: Sequence[str], taken: Sequence[str]) -> list[str]:
    """A name for each path: the first of its candidates, those that clash the next, until all are different."""
    candidates = [list(dict.fromkeys(list_candidates(path))) for path in paths]
    levels = [0] * len(paths)
    while True:
        names = [found[level] for found, level in zip(candidates, levels, strict=True)]
        counts = Counter([*names, *taken])
        clashing = [place for place, name in enumerate(names) if counts[name] > 1]
        if not clashing:
            return names
        free = [place for place in clashing if levels[place] + 1 < len(candidates[place])]
        if not free:
            raise UsageError(f"two datasets are called {names[clashing[0]]}", "give one a name: NAME=PATH")
        for place in free:
            levels[place] += 1


def list_candidates(path: str) -> Iterator[str]:
    """The names that a dataset may have, the shortest first."""
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
    """The folders and the name of what a path leads to; of a pattern, without what it leaves open."""
    if is_url(path):
        address = urlsplit(path)
        found = [address.netloc, *address.path.split("/")]
    else:
        found = (path if keep_all else os.path.abspath(os.path.expanduser(path))).split("/")
    fixed = [re.sub(r"\[[^]]*\]|[*?]", "", part) for part in found]
    return [part for part in fixed if strip_suffixes(part)] or ["data"]


def strip_suffixes(name: str) -> str:
    """The stem: part-0.jsonl.gz is part-0; what a pattern leaves of *.json is nothing."""
    return SUFFIXES.sub("", name).rstrip("-_.")
