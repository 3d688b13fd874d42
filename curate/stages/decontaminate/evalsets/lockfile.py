"""``evals.lock``: which eval sets were read, at which commit, from which columns, and a hash of every item.

The JSON is the same for the same sets, with one line for each item, so that a diff of two locks reads well. The hashes
are of the texts of the items, whatever their files and columns are called.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.errors import CorpusError
from curate.runtime.disk.files import write_json
from curate.runtime.published import hide_folder
from curate.stages.decontaminate.evalsets.items import EvalSet, hash_item
from curate.stages.decontaminate.evalsets.layout import Roles

VERSION = 1
MOST_IDS = 5
"""Items that a difference names."""


@dataclass(frozen=True, slots=True)
class LockedSet:
    """One eval set as it was when it was locked."""

    name: str
    source: str
    revision: str | None
    fields: Roles
    hashes: Mapping[str, str]
    """id → hash of the item, in the order of the items"""


Lock = Mapping[str, LockedSet]
NO_LOCK: Lock = {}


def write_lock(path: Path, sets: Sequence[EvalSet]) -> None:
    """Write what ``read_lock`` reads, completely or not at all. Raises StorageError where the disk refuses."""
    locked = {
        eval_set.name: {
            "source": eval_set.source if eval_set.revision else hide_folder(eval_set.source),
            "revision": eval_set.revision,
            "fields": {role: list(names) for role, names in eval_set.fields.items()},
            "items": len(eval_set.items),
            "hashes": {item.id: hash_item(item) for item in eval_set.items},
        }
        for eval_set in sorted(sets, key=lambda eval_set: eval_set.name)
    }
    write_json(path, {"version": VERSION, "sets": locked})


def read_lock(path: Path) -> Lock:
    """Return the sets of a lock by name. Raises CorpusError where the file is missing or no lock of this version."""
    try:
        content = json.loads(path.read_bytes())
        if content["version"] != VERSION:
            raise CorpusError(f"{path} is a lock of version {content['version']}; this is version {VERSION}", RENEW)
        return {name: _read_set(name, entry) for name, entry in content["sets"].items()}
    except FileNotFoundError as error:
        raise CorpusError(f"{path} does not exist", "write it with --lock") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"{path} is not a lock of eval sets ({type(error).__name__}: {error})", RENEW) from error


RENEW = "move the file away, and run again to write a new one"


def _read_set(name: str, entry: Mapping[str, Any]) -> LockedSet:
    fields = {str(role): tuple(map(str, names)) for role, names in entry["fields"].items()}
    hashes = {str(key): str(value) for key, value in entry["hashes"].items()}
    if len(hashes) != entry["items"]:
        raise ValueError(f"{name} has {len(hashes)} hashes for {entry['items']} items")
    return LockedSet(name, entry["source"], entry["revision"], fields, hashes)


def find_pin(lock: Lock, source: str) -> str | None:
    """Return the commit at which a lock has a source on the Hub, None where it has none."""
    return next((locked.revision for locked in lock.values() if locked.source == source and locked.revision), None)


def check_lock(lock: Lock, sets: Sequence[EvalSet]) -> list[str]:
    """Return the differences between a lock and eval sets in words; none where they are the same."""
    opened = {eval_set.name: eval_set for eval_set in sets}
    differences = [f"{name}: not in the lock" for name in opened if name not in lock]
    differences += [f"{name}: in the lock, and not among these eval sets" for name in lock if name not in opened]
    for name, locked in lock.items():
        if name in opened:
            differences += [f"{name}: {what}" for what in compare_set(locked, opened[name])]
    return differences


def compare_set(locked: LockedSet, eval_set: EvalSet) -> list[str]:
    """Return the differences between one set and its lock in words."""
    hashes = {item.id: hash_item(item) for item in eval_set.items}
    differences = []
    if locked.revision != eval_set.revision:
        differences.append(f"revision {locked.revision or 'unknown'} became {eval_set.revision or 'unknown'}")
    for role in dict.fromkeys([*locked.fields, *eval_set.fields]):
        before, after = locked.fields.get(role, ()), eval_set.fields.get(role, ())
        if before != after:
            differences.append(f"{role} is taken from {_join_columns(after)} instead of {_join_columns(before)}")
    both = [key for key in hashes if key in locked.hashes]
    changes = (
        ("added", [key for key in hashes if key not in locked.hashes]),
        ("removed", [key for key in locked.hashes if key not in hashes]),
        ("changed", [key for key in both if hashes[key] != locked.hashes[key]]),
    )
    differences += [_describe_items(what, ids) for what, ids in changes if ids]
    if not any(ids for _, ids in changes) and list(hashes) != list(locked.hashes):
        differences.append("the same items in another order")
    return differences


def _join_columns(names: Sequence[str]) -> str:
    return " + ".join(f'"{name}"' for name in names) or "nothing"


def _describe_items(what: str, ids: Sequence[str]) -> str:
    named = ", ".join(ids[:MOST_IDS]) + (", …" if len(ids) > MOST_IDS else "")
    return f"{len(ids):,} item{'s' if len(ids) != 1 else ''} {what} ({named})"
