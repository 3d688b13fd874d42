"""Eval sets by what a user calls them: files, folders, patterns, the Hub, well-known names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from curate.corpus.hub import parse_hub_name
from curate.corpus.sources import COMPRESSIONS, MAGIC_CHARACTERS, find_sources, natural_key
from curate.corpus.streams import is_url
from curate.corpus.types import Source
from curate.errors import CorpusError, UsageError
from curate.runtime.console import warn
from curate.stages.decontaminate.evalsets.hub import load_split, pin_url, resolve_revision, unpin_url
from curate.stages.decontaminate.evalsets.items import EvalSet
from curate.stages.decontaminate.evalsets.items_from_rows import EvalPart, assemble
from curate.stages.decontaminate.evalsets.known import KnownSet, find_known, refuse_unknown
from curate.stages.decontaminate.evalsets.layout import NO_FIELDS, NO_ROLES, Fields, Roles, check_names, join_roles
from curate.stages.decontaminate.evalsets.lockfile import NO_LOCK, Lock, find_pin, read_lock
from curate.stages.decontaminate.evalsets.rows import EvalRow, read_rows

SHARD = re.compile(r"-[0-9]{5}-of-[0-9]{5}(?=\.[^/]*$)")


@dataclass(frozen=True, slots=True)
class EvalSource:
    """An eval set before it is read."""

    names: tuple[str, ...]
    """What it may be called, the shortest first."""
    source: str
    files: tuple[Source, ...] = ()
    """Of one set more than one file only where they are numbered as the shards of one."""
    parts: tuple[str, ...] = ()
    """Splits of the Hub."""
    fields: Roles = field(default_factory=dict)
    revision: str | None = None
    """The commit to load; None where the Hub is to say which it is."""


def open_evals(names: Sequence[str], fields: Fields = NO_FIELDS, lock: Path | None = None) -> list[EvalSet]:
    """Read eval sets: files, folders, globs, ``OWNER/NAME:SPLIT`` of the Hub, URLs, or well-known names (gsm8k, mmlu).

    A local path wins over a well-known name. Each file is a set of the name of its stem, or of its path where two stems
    are the same; shards of one file are one set. The sets come in natural order of their names. ``fields`` names
    columns (``parse_fields``), and a ``lock`` that exists says at which commit sets of the Hub are loaded.

    UsageError where a name is unknown or the fields are for a set that is not there, CorpusError where a set cannot be
    read or has no items, StorageError where a server or the Hub fails.
    """
    pins = read_lock(lock) if lock is not None and lock.exists() else NO_LOCK
    known, paths = sort_names(names)
    found = [*find_files(paths, pins), *(find_known_set(one, pins) for one in known)]
    named = name_apart(found)
    check_names(fields, list(named))
    return [read_set(name, named[name], fields) for name in sorted(named, key=natural_key)]


def sort_names(names: Sequence[str]) -> tuple[list[KnownSet], list[str]]:
    """The well-known sets among the names, each once, and the paths."""
    if isinstance(names, str) or not names:
        raise UsageError("no eval set is named", "curate decontaminate EVALS…, for example: evals/ gsm8k")
    known: dict[str, KnownSet] = {}
    paths = []
    for name in map(str, names):
        if is_path(name):
            paths.append(name)
        elif found := find_known(name):
            known[found.name] = found
        else:
            raise refuse_unknown(name)
    return list(known.values()), paths


def is_path(name: str) -> bool:
    """Whether a name is a path, a pattern, a URL or a split of the Hub, and not the name of a well-known set."""
    exists = os.path.lexists(os.path.expanduser(name))
    return exists or is_url(name) or parse_hub_name(name) is not None or bool(MAGIC_CHARACTERS.search(name))


def find_known_set(known: KnownSet, pins: Lock) -> EvalSource:
    revision = find_pin(pins, known.source) or known.revision
    return EvalSource((known.name,), known.source, (), known.parts, known.fields, revision)


# --------------------------------------------------------------------------------------------------------------- files


def find_files(paths: Sequence[str], pins: Lock) -> list[EvalSource]:
    """The sets that paths lead to. What is no data is passed over with a warning."""
    if not paths:
        return []
    pinned = [pin_url(path, find_url_pin(pins, path)) for path in paths]
    commits = {commit for _, commit in pinned if commit}
    sources, passed_over = find_sources([path for path, _ in pinned])
    texts = [source for source in sources if source.format == "text"]
    if passed_over or texts:
        names = [*passed_over, *(source.name for source in texts)]
        warn(f"{len(names)} other file{'s' if len(names) != 1 else ''} passed over: {', '.join(names[:5])}")
    sets = [_as_found(group, commits, pins) for group in group_shards(sources)]
    if not sets:
        raise CorpusError(
            f"{', '.join(paths)}: plain text has no columns, and is no eval set", "name .jsonl, .json, .parquet or .csv"
        )
    return sets


def find_url_pin(pins: Lock, url: str) -> str | None:
    """The commit at which a lock has a file of the Hub that a URL leads to."""
    root = unpin_url(url).split("*")[0]
    held = (one for one in pins.values() if one.source.startswith("hf://") and one.source.startswith(root))
    return next((one.revision for one in held if one.revision), None)


def group_shards(sources: Iterable[Source]) -> list[list[Source]]:
    """Files that are the numbered shards of one, together; plain text is left out."""
    groups: dict[str, list[Source]] = {}
    for source in sources:
        if source.format != "text":
            groups.setdefault(SHARD.sub("", source.path), []).append(source)
    return list(groups.values())


def _as_found(files: list[Source], commits: set[str], pins: Lock) -> EvalSource:
    first = files[0]
    if first.format == "hub":
        return EvalSource((first.name,), first.path, (), (first.path,), NO_ROLES, find_pin(pins, first.path))
    revision = next((commit for commit in commits if f"@{commit}/" in first.path), None)
    return EvalSource(list_names(first), shorten(unpin_url(place_of(files))), tuple(files), revision=revision)


def place_of(files: Sequence[Source]) -> str:
    """The path of a set: its file, the folder that ``save_to_disk`` wrote, or a pattern for its shards."""
    if is_saved(files[0]):
        return os.path.dirname(files[0].path)
    return files[0].path if len(files) == 1 else SHARD.sub("-*", files[0].path)


def list_names(source: Source) -> tuple[str, ...]:
    """What the set of a file may be called: its stem, its path without suffixes, its path, where it lies."""
    if is_saved(source):  # Its files are all called data; the folder has the name.
        folder = PurePosixPath(source.path).parent
        return folder.name, "/".join(folder.parts[-2:]), source.path
    path = SHARD.sub("", source.name)
    bare, suffix = os.path.splitext(path)
    if suffix.lower() in COMPRESSIONS:
        bare = os.path.splitext(bare)[0]
    return PurePosixPath(bare).name, bare, path, source.path


def is_saved(source: Source) -> bool:
    """Whether a file is of a folder that ``save_to_disk`` wrote."""
    return source.format == "arrow" and os.path.exists(os.path.join(os.path.dirname(source.path), "state.json"))


def shorten(path: str) -> str:
    """A local path as seen from here, where it lies below."""
    if is_url(path):
        return path
    below = os.path.relpath(path)
    return path if below.startswith("..") else below


def name_apart(found: Sequence[EvalSource]) -> dict[str, EvalSource]:
    """The sets by names that no other has: the shortest of each that tells it apart."""
    longest = max(len(one.names) for one in found)
    chosen = [0] * len(found)
    for _ in range(longest):
        names = [one.names[min(level, len(one.names) - 1)] for one, level in zip(found, chosen, strict=True)]
        if len(set(names)) == len(names):
            break
        chosen = [level + (names.count(name) > 1) for level, name in zip(chosen, names, strict=True)]
    return dict(zip(names, found, strict=True))


# ------------------------------------------------------------------------------------------------------------- reading


def read_set(name: str, found: EvalSource, fields: Fields) -> EvalSet:
    """One eval set. What the user says of its columns goes before what the packaged list says."""
    roles = join_roles(found.fields, fields.get("", NO_ROLES), fields.get(name, NO_ROLES))
    if not found.parts:
        parts = number_parts([read_rows(file) for file in found.files])
        return assemble(name, found.source, found.revision, parts, roles)
    splits, revision = load_parts(found)
    if len(splits) == 1:
        return assemble(name, found.source, revision, [EvalPart(splits[0])], roles)
    prefixes = name_parts(found.parts)
    prefixed = [EvalPart(rows, prefix=f"{prefix}/") for prefix, rows in zip(prefixes, splits, strict=True)]
    return assemble(name, found.source, revision, prefixed, roles)


def number_parts(shards: Sequence[list[EvalRow]]) -> list[EvalPart]:
    """The rows of shards, numbered on from one to the next."""
    parts, first = [], 0
    for rows in shards:
        parts.append(EvalPart(rows, first))
        first += rows[-1].row + 1 if rows else 0
    return parts


def load_parts(found: EvalSource) -> tuple[list[list[EvalRow]], str | None]:
    """The rows of every split, and the commit that they are of; where splits are of several datasets, of each one."""
    commits = find_commits(found)
    splits = []
    for part in found.parts:
        rows, commits[dataset_of(part)] = load_split(part, commits[dataset_of(part)])
        splits.append(rows)
    return splits, " ".join(commit for commit in commits.values() if commit) or None


def find_commits(found: EvalSource) -> dict[str, str | None]:
    """The commit of each dataset to load: the pinned one, else the one that the Hub has now."""
    names = list(dict.fromkeys(map(dataset_of, found.parts)))
    pinned = (found.revision or "").split()
    if len(pinned) == len(names):
        return dict(zip(names, pinned, strict=True))
    return {name: None if os.path.isdir(name) else resolve_revision(name) for name in names}


def dataset_of(part: str) -> str:
    hub = parse_hub_name(part)
    return part if hub is None else hub.name


def name_parts(parts: Sequence[str]) -> list[str]:
    """What tells the splits of one set apart: the configurations, else the splits, else the datasets."""
    hubs = [hub for part in parts if (hub := parse_hub_name(part))]
    told = (
        [hub.config or "" for hub in hubs],
        [hub.split for hub in hubs],
        [hub.name.rpartition("/")[2] for hub in hubs],
    )
    return next((names for names in told if all(names) and len(set(names)) == len(parts)), list(parts))
