"""``evals.lock``: which eval sets were read, at which commit, from which columns, and a hash of every item.

JSON that is the same for the same sets, with one line for each item, so that a diff of two locks reads well. The hashes
are of what the items say, whatever their files and columns are called.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.errors import CorpusError
from curate.runtime.files import write_json
from curate.stages.decontaminate.evalsets.items import EvalSet, hash_item
from curate.stages.decontaminate.evalsets.layout import Roles

VERSION = 1
MOST_IDS = 5


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
    """Write what ``read_lock`` reads, whole or not at all. StorageError where the disk refuses."""
    locked = {
        found.name: {
            "source": found.source,
            "revision": found.revision,
            "fields": {role: list(names) for role, names in found.fields.items()},
            "items": len(found.items),
            "hashes": {item.id: hash_item(item) for item in found.items},
        }
        for found in sorted(sets, key=lambda found: found.name)
    }
    write_json(path, {"version": VERSION, "sets": locked})


def read_lock(path: Path) -> Lock:
    """The sets of a lock by name. CorpusError where there is none, or it is not one of ours."""
    try:
        held = json.loads(path.read_bytes())
        if held["version"] != VERSION:
            raise CorpusError(f"{path} is a lock of version {held['version']}; this is version {VERSION}", RENEW)
        return {name: _read_set(name, entry) for name, entry in held["sets"].items()}
    except FileNotFoundError as error:
        raise CorpusError(f"{path} does not exist", "write it with --lock") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"{path} is no lock of eval sets ({type(error).__name__}: {error})", RENEW) from error


RENEW = "move it away, and lock again"


def _read_set(name: str, entry: Mapping[str, Any]) -> LockedSet:
    fields = {str(role): tuple(map(str, names)) for role, names in entry["fields"].items()}
    hashes = {str(key): str(value) for key, value in entry["hashes"].items()}
    if len(hashes) != entry["items"]:
        raise ValueError(f"{name} has {len(hashes)} hashes for {entry['items']} items")
    return LockedSet(name, entry["source"], entry["revision"], fields, hashes)


def find_pin(lock: Lock, source: str) -> str | None:
    """The commit at which a lock has a source of the Hub."""
    return next((held.revision for held in lock.values() if held.source == source and held.revision), None)


def check_lock(lock: Lock, sets: Sequence[EvalSet]) -> list[str]:
    """What differs between a lock and eval sets, in words; nothing where they are the same."""
    found = {one.name: one for one in sets}
    differences = [f"{name}: not in the lock" for name in found if name not in lock]
    differences += [f"{name}: in the lock, and not among these eval sets" for name in lock if name not in found]
    for name, locked in lock.items():
        if name in found:
            differences += [f"{name}: {what}" for what in compare_set(locked, found[name])]
    return differences


def compare_set(locked: LockedSet, found: EvalSet) -> list[str]:
    """What differs between one set and its lock."""
    hashes = {item.id: hash_item(item) for item in found.items}
    differences = []
    if locked.revision != found.revision:
        differences.append(f"revision {locked.revision or 'unknown'} became {found.revision or 'unknown'}")
    for role in dict.fromkeys([*locked.fields, *found.fields]):
        before, after = locked.fields.get(role, ()), found.fields.get(role, ())
        if before != after:
            differences.append(f"{role} is taken from {_tell_columns(after)} instead of {_tell_columns(before)}")
    both = [key for key in hashes if key in locked.hashes]
    changes = (
        ("added", [key for key in hashes if key not in locked.hashes]),
        ("removed", [key for key in locked.hashes if key not in hashes]),
        ("changed", [key for key in both if hashes[key] != locked.hashes[key]]),
    )
    differences += [_tell_items(what, ids) for what, ids in changes if ids]
    if not any(ids for _, ids in changes) and list(hashes) != list(locked.hashes):
        differences.append("the same items in another order")
    return differences


def _tell_columns(names: Sequence[str]) -> str:
    return " + ".join(f'"{name}"' for name in names) or "nothing"


def _tell_items(what: str, ids: Sequence[str]) -> str:
    told = ", ".join(ids[:MOST_IDS]) + (", …" if len(ids) > MOST_IDS else "")
    return f"{len(ids):,} item{'s' if len(ids) != 1 else ''} {what} ({told})"
