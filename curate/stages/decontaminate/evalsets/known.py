"""Well-known eval sets by name: where they are on the Hub, which split is the test, and which columns matter.

Every entry of ``known.json`` names in ``seen_in`` the source of its repository and columns; it has a revision only
where that source pins one. ``parts`` are names as the corpus spells them; a set of several has the rows of all.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from curate.corpus.files.sources import format_of
from curate.errors import UsageError
from curate.stages.decontaminate.evalsets.column_names import alike
from curate.stages.decontaminate.evalsets.layout import NO_ROLES, Roles, parse_fields


@dataclass(frozen=True, slots=True)
class KnownSet:
    """Where a well-known eval set is."""

    name: str
    parts: tuple[str, ...]
    """``OWNER/NAME@CONFIG:SPLIT``"""
    fields: Roles
    revision: str | None
    seen_in: str

    @property
    def source(self) -> str:
        """One name for all parts."""
        return self.parts[0] if len(self.parts) == 1 else f"{self.parts[0]} and {len(self.parts) - 1} more"


@cache
def read_known() -> Mapping[str, KnownSet]:
    """Return the well-known sets in the package, by name."""
    listed = json.loads((Path(__file__).parent / "known.json").read_bytes())
    return {
        name: KnownSet(
            name,
            tuple(entry["parts"]),
            parse_fields(entry.get("fields")).get("", NO_ROLES),
            entry.get("revision"),
            entry["seen_in"],
        )
        for name, entry in listed.items()
    }


def known_names() -> tuple[str, ...]:
    """Return the names of all well-known eval sets."""
    return tuple(read_known())


def find_known(name: str) -> KnownSet | None:
    """Return the set of that name, in any case and with - or _; None where it is not known."""
    return next((known for known in read_known().values() if alike(known.name) == alike(name)), None)


def refuse_unknown(name: str) -> UsageError:
    """Return the error for a name that is neither a path nor known, with the nearest names of both."""
    folder, tail = os.path.split(name.rstrip("/"))
    try:
        files = difflib.get_close_matches(tail, os.listdir(folder or "."), n=2)
    except OSError:
        files = []
    near = difflib.get_close_matches(name.lower(), known_names(), n=3)
    mean = " or ".join([*near, *(os.path.join(folder, file) for file in files)])
    hint = f"did you mean {mean}? " if mean else ""
    if folder or format_of(name)[0]:  # Meant as a path.
        return UsageError(f"{name} does not exist", f"{hint}name a file (evals/my_set.jsonl) or a folder that exists")
    return UsageError(
        f"{name} is not a file, a folder or a well-known eval set",
        f"{hint}name a file (evals/my_set.jsonl), a folder, OWNER/NAME:SPLIT of the Hub, or one of: "
        + ", ".join(known_names()),
    )
