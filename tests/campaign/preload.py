"""The preload library: built on the spot, loaded by starting Python again, and armed in a child before it works.

    process of the campaign (LD_PRELOAD, nothing armed) → fork → arm(Fault(...)) → the verb

Linux with a C compiler is needed; ``why_not`` says what is missing.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

SOURCE = Path(__file__).parent / "faults.c"
LOADED = "CURATE_CAMPAIGN_LIBRARY"
"""Environment variable with the path of the library, in a process that has it loaded."""
CALLS = ("openr", "openw", "read", "write", "sync", "rename", "unlink", "mkdir", "rmdir", "truncate", "close")
"""Kinds of calls, in the order of the enumeration in ``faults.c``; ``openr`` opens for reading alone."""
CHANGING = ("openw", "write", "sync", "rename", "unlink", "mkdir", "rmdir", "truncate", "close")
"""The calls at which something on the disk may change, or a change may come to an end."""
ACTIONS = ("nothing", "kill", "fail", "short", "raise")


@dataclass(frozen=True)
class Fault:
    """What happens at the ``number``-th call (from 1) of certain kinds."""

    action: str
    number: int
    calls: tuple[str, ...] = CHANGING
    value: int = 0
    """The errno of ``fail``, the signal of ``raise``."""
    lasting: bool = False
    """Whether it also happens at every later call."""


def why_not() -> str | None:
    """Return why the library cannot be used here; None where it can."""
    if sys.platform != "linux":
        return f"faults are injected by LD_PRELOAD, which {sys.platform} does not have"
    if find_compiler() is None:
        return "no C compiler (cc, gcc or clang) to build the preload library with"
    return None


def find_compiler() -> str | None:
    """Return the path of a C compiler, or None."""
    return next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)


def build_library(folder: Path) -> Path:
    """Compile ``faults.c`` into ``folder``. → the library. Raises CalledProcessError."""
    library = folder / "faults.so"
    words = [str(find_compiler()), "-shared", "-fPIC", "-O1", "-w", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(words, check=True)
    return library


def restart_with_library(words: list[str]) -> NoReturn:
    """Start ``words`` in place of this process with the library loaded, and mounts of its own where that is allowed."""
    library = build_library(Path(tempfile.mkdtemp(prefix="curate-campaign-library-")))
    environment = {**os.environ, "LD_PRELOAD": str(library), LOADED: str(library)}
    words = [*find_mount_wrapper(), *words]
    os.execvpe(words[0], words, environment)


@cache
def find_mount_wrapper() -> list[str]:
    """Return the words that give a process mounts of its own, which end with it; none where the system refuses."""
    for words in (["unshare", "-m"], ["unshare", "-Urm"]):
        trial = [*words, "sh", "-c", "mount -t tmpfs -o size=100k tmpfs /mnt"]
        if shutil.which("unshare") and subprocess.run(trial, capture_output=True, check=False).returncode == 0:
            return words
    return []


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(os.environ[LOADED])


def is_loaded() -> bool:
    """Return whether this process has the library."""
    return LOADED in os.environ


def arm(folder: Path, fault: Fault | None, log: int = -1) -> None:
    """Let ``fault`` happen in this process, at calls on paths below ``folder`` and on relative ones.

    With a descriptor ``log`` each counted call is written there, a line ``KIND PATH``.
    """
    one = fault or Fault("nothing", 0)
    mask = sum(1 << CALLS.index(name) for name in one.calls)
    action = ACTIONS.index(one.action)
    _library().fault_arm(mask, ctypes.c_long(one.number), action, one.value, one.lasting, os.fsencode(folder), log)
