"""Eval sets by what a user calls them: files, folders, patterns, the Hub, well-known names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from curate.corpus.files.decompression import COMPRESSIONS
from curate.corpus.files.hub import parse_hub_name
from curate.corpus.files.sources import MAGIC_CHARACTERS, find_sources, natural_key
from curate.corpus.files.streams import is_url
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
    """Possible names, the shortest first."""
    source: str
    """Its path, or its name on the Hub."""
    files: tuple[Source, ...] = ()
    """Several files only where they are numbered as the shards of one."""
    parts: tuple[str, ...] = ()
    """Splits of the Hub."""
    fields: Roles = field(default_factory=dict)
    revision: str | None = None
    """The commit to load; None for the newest."""


def open_evals(names: Sequence[str], fields: Fields = NO_FIELDS, lock: Path | None = None) -> list[EvalSet]:
    """Read eval sets: files, folders, globs, ``OWNER/NAME:SPLIT`` of the Hub, URLs, or well-known names (gsm8k, mmlu).

    A local path wins over a well-known name. Each file is a set of the name of its stem, or of its path where two stems
    are the same; shards of one file are one set. The sets come in natural order of their names. ``fields`` names
    columns (``parse_fields``), and a ``lock`` that exists says at which commit sets of the Hub are loaded.

    Raises UsageError where a name is unknown or the fields are for a set that was not opened, CorpusError where a set
    cannot be read or has no items, StorageError where a server or the Hub fails.
    """
    pins = read_lock(lock) if lock is not None and lock.exists() else NO_LOCK
    known, paths = sort_names(names)
    sources = [*find_files(paths, pins), *(find_known_set(known_set, pins) for known_set in known)]
    named = name_sources(sources)
    check_names(fields, list(named))
    return [read_set(name, named[name], fields) for name in sorted(named, key=natural_key)]


def sort_names(names: Sequence[str]) -> tuple[list[KnownSet], list[str]]:
    """Return the well-known sets among the names, each once, and the paths. Raises UsageError for an unknown name."""
    if isinstance(names, str) or not names:
        raise UsageError("no eval set is named", "name some, as in: curate decontaminate evals/ gsm8k")
    known: dict[str, KnownSet] = {}
    paths = []
    for name in map(str, names):
        if is_path(name):
            paths.append(name)
        elif known_set := find_known(name):
            known[known_set.name] = known_set
        else:
            raise refuse_unknown(name)
    return list(known.values()), paths


def is_path(name: str) -> bool:
    """Return whether a name is a path that exists, a pattern, a URL or a split on the Hub, not a well-known set."""
    exists = os.path.lexists(os.path.expanduser(name))
    return exists or is_url(name) or parse_hub_name(name) is not None or bool(MAGIC_CHARACTERS.search(name))


def find_known_set(known: KnownSet, pins: Lock) -> EvalSource:
    """Return a well-known set at the commit that the lock or the packaged list pins."""
    revision = find_pin(pins, known.source) or known.revision
    return EvalSource((known.name,), known.source, (), known.parts, known.fields, revision)


def find_files(paths: Sequence[str], pins: Lock) -> list[EvalSource]:
    """Return the sets that paths lead to. Files without columns are passed over with a warning.

    Raises CorpusError where no set is left.
    """
    if not paths:
        return []
    pinned = [pin_url(path, find_url_pin(pins, path)) for path in paths]
    commits = {commit for _, commit in pinned if commit}
    sources, passed_over = find_sources([path for path, _ in pinned])
    texts = [source for source in sources if source.format == "text"]
    if passed_over or texts:
        names = [*passed_over, *(source.name for source in texts)]
        warn(f"{len(names)} other file{'s' if len(names) != 1 else ''} passed over: {', '.join(names[:5])}")
    sets = [_make_source(group, commits, pins) for group in group_shards(sources)]
    if not sets:
        raise CorpusError(
            f"{', '.join(paths)}: plain text has no columns and cannot be an eval set",
            "name .jsonl, .json, .parquet or .csv",
        )
    return sets


def find_url_pin(pins: Lock, url: str) -> str | None:
    """Return the commit at which a lock has a file on the Hub that a URL leads to, None where it has none."""
    root = unpin_url(url).split("*")[0]
    on_hub = (locked for locked in pins.values() if locked.source.startswith("hf://"))
    return next((locked.revision for locked in on_hub if locked.source.startswith(root) and locked.revision), None)


def group_shards(sources: Iterable[Source]) -> list[list[Source]]:
    """Return groups of files: the numbered shards of one, or a single file. Plain text is left out."""
    groups: dict[str, list[Source]] = {}
    for source in sources:
        if source.format != "text":
            groups.setdefault(SHARD.sub("", source.path), []).append(source)
    return list(groups.values())


def _make_source(files: list[Source], commits: set[str], pins: Lock) -> EvalSource:
    first = files[0]
    if first.format == "hub":
        return EvalSource((first.name,), first.path, (), (first.path,), NO_ROLES, find_pin(pins, first.path))
    revision = next((commit for commit in commits if f"@{commit}/" in first.path), None)
    return EvalSource(list_names(first), make_relative(unpin_url(name_path(files))), tuple(files), revision=revision)


def name_path(files: Sequence[Source]) -> str:
    """Return the path of a set: its file, the folder that ``save_to_disk`` wrote, or a pattern for its shards."""
    if is_saved(files[0]):
        return os.path.dirname(files[0].path)
    return files[0].path if len(files) == 1 else SHARD.sub("-*", files[0].path)


def list_names(source: Source) -> tuple[str, ...]:
    """Return the possible names of a file's set: its stem, its path without suffixes, its path, its absolute path."""
    if is_saved(source):  # all its files are called data; the folder has the name
        folder = PurePosixPath(source.path).parent
        return folder.name, "/".join(folder.parts[-2:]), source.path
    path = SHARD.sub("", source.name)
    bare, suffix = os.path.splitext(path)
    if suffix.lower() in COMPRESSIONS:
        bare = os.path.splitext(bare)[0]
    return PurePosixPath(bare).name, bare, path, source.path


def is_saved(source: Source) -> bool:
    """Return whether a file is of a folder that ``save_to_disk`` wrote."""
    return source.format == "arrow" and os.path.exists(os.path.join(os.path.dirname(source.path), "state.json"))


def make_relative(path: str) -> str:
    """Return a local path below the working directory relative to it; other paths and URLs unchanged."""
    if is_url(path):
        return path
    below = os.path.relpath(path)
    return path if below.startswith("..") else below


def name_sources(sources: Sequence[EvalSource]) -> dict[str, EvalSource]:
    """Return the sets by names that no other has: the shortest of each that is unique."""
    longest = max(len(source.names) for source in sources)
    chosen = [0] * len(sources)
    for _ in range(longest):
        names = [source.names[min(level, len(source.names) - 1)] for source, level in zip(sources, chosen, strict=True)]
        if len(set(names)) == len(names):
            break
        chosen = [level + (names.count(name) > 1) for level, name in zip(chosen, names, strict=True)]
    return dict(zip(names, sources, strict=True))


def read_set(name: str, source: EvalSource, fields: Fields) -> EvalSet:
    """Return one eval set. Columns that the user names come before those of the packaged list."""
    roles = join_roles(source.fields, fields.get("", NO_ROLES), fields.get(name, NO_ROLES))
    if not source.parts:
        parts = number_parts([read_rows(file) for file in source.files])
        return assemble(name, source.source, source.revision, parts, roles)
    splits, revision = load_parts(source)
    if len(splits) == 1:
        return assemble(name, source.source, revision, [EvalPart(splits[0])], roles)
    prefixes = name_parts(source.parts)
    prefixed = [EvalPart(rows, prefix=f"{prefix}/") for prefix, rows in zip(prefixes, splits, strict=True)]
    return assemble(name, source.source, revision, prefixed, roles)


def number_parts(shards: Sequence[list[EvalRow]]) -> list[EvalPart]:
    """Return the rows of shards as parts of one set, whose numbers continue from one shard to the next."""
    parts, first = [], 0
    for rows in shards:
        parts.append(EvalPart(rows, first))
        first += rows[-1].row + 1 if rows else 0
    return parts


def load_parts(source: EvalSource) -> tuple[list[list[EvalRow]], str | None]:
    """Return the rows of every split, and their commit; of several datasets the commits, separated by spaces."""
    commits = find_commits(source)
    splits = []
    for part in source.parts:
        rows, commits[dataset_of(part)] = load_split(part, commits[dataset_of(part)])
        splits.append(rows)
    return splits, " ".join(commit for commit in commits.values() if commit) or None


def find_commits(source: EvalSource) -> dict[str, str | None]:
    """Return the commit of each dataset to load: the pinned one, else the newest on the Hub."""
    names = list(dict.fromkeys(map(dataset_of, source.parts)))
    pinned = (source.revision or "").split()
    if len(pinned) == len(names):
        return dict(zip(names, pinned, strict=True))
    return {name: None if os.path.isdir(name) else resolve_revision(name) for name in names}


def dataset_of(part: str) -> str:
    """Return the dataset of a split."""
    hub = parse_hub_name(part)
    return part if hub is None else hub.name


def name_parts(parts: Sequence[str]) -> list[str]:
    """Return names for the splits of one set: the configurations, else the splits, else the datasets."""
    hubs = [hub for part in parts if (hub := parse_hub_name(part))]
    candidates = (
        [hub.config or "" for hub in hubs],
        [hub.split for hub in hubs],
        [hub.name.rpartition("/")[2] for hub in hubs],
    )
    return next((names for names in candidates if all(names) and len(set(names)) == len(parts)), list(parts))
