"""Runs of a verb, each in a fork of a process that has imported everything already: one costs tenths of a second.

A child works in the folder of its trial, with its temporary files there too. What it prints goes into pipes that are
read after its end, so that neither a full disk nor a limit of files reaches them.
"""

import atexit
import fcntl
import gc
import importlib
import os
import pkgutil
import resource
import signal
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from campaign import preload
from campaign.preload import Fault

SECONDS = 90
"""Seconds after which a verb counts as hanging; they take less than three in peace."""
PIPE_BYTES = 1 << 20
"""Room for what a verb prints before anybody reads it."""
SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "PYTHONWARNINGS": "ignore",
    "COLUMNS": "120",
}
ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a process to end. What comes before or after the verb itself is Python's, and not on trial."""
LATE = (
    "torch._dynamo", "transformers.models.llama.modeling_llama", "accelerate", "datasets", "datasets.distributed",
    "datasketch", "duckdb", "numba", "pyarrow.dataset", "pyarrow.parquet", "rich.progress", "safetensors.torch",
    "curate.cli",
)  # fmt: skip
"""What takes long to import, and what imports the rest."""


@dataclass(frozen=True)
class Outcome:
    """How a run of a verb ended."""

    code: int
    """The exit code; minus the number of the signal that ended it."""
    out: str
    err: str
    hung: bool = False


@dataclass
class Child:
    """A run that has begun."""

    pid: int
    pipes: tuple[int, int]
    """Descriptors from which stdout and stderr are read."""


def import_everything(modules: list[str] = []) -> None:  # noqa: B006 - read only
    """Import what verbs import late, so that forks need not; ``modules`` are more names, of which some may fail."""
    os.environ.update(SETTINGS)
    curate = importlib.import_module("curate")
    own = [one.name for one in pkgutil.walk_packages(curate.__path__, "curate.") if not one.name.endswith("__main__")]
    for name in (*LATE, *own, *modules):
        with suppress(Exception):
            importlib.import_module(name)
    import torch

    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()  # or each fork would copy what its collector touches


def start(folder: Path, words: tuple[str, ...], fault: Fault | None = None, *, log: Path | None = None,
          largest: int | None = None, traces: Path | None = None) -> Child:  # fmt: skip
    """Begin ``curate WORDS`` in ``folder``, with what shall happen to it.

    ``log`` gets a line for each call that counts. ``largest`` is the size in bytes past which no file may grow. With
    ``traces`` the names of all imported modules are written there at the end.
    """
    pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(2)]
    for _, write in pipes:
        with suppress(OSError):
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)  # until the verb begins
    pid = os.fork()
    if pid == 0:
        _become_verb(folder, words, (pipes[0][1], pipes[1][1]), fault, log, largest, traces)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKING)
    for read, write in pipes:
        os.close(write)
        os.set_blocking(read, False)
    return Child(pid, (pipes[0][0], pipes[1][0]))


def _become_verb(folder: Path, words: tuple[str, ...], outputs: tuple[int, int], fault: Fault | None, log: Path | None,
                 largest: int | None, traces: Path | None) -> None:  # fmt: skip
    """Never returns: the rest of a forked process."""
    code = 1
    try:
        os.setsid()
        for number in ASKING:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        for stream, pipe in zip((1, 2), outputs, strict=True):
            os.dup2(pipe, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout, sys.stderr = (open(stream, "w", closefd=False) for stream in (1, 2))  # noqa: SIM115
        os.chdir(folder)
        temporary = folder / "tmp"
        os.environ["TMPDIR"] = str(temporary)
        _reset_temporary_folder()
        if largest is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
        sys.argv = ["curate", *words]
        lines = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if log else -1
        preload.arm(folder, fault, lines)
        code = _call(words)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(BaseException):
                stream.flush()
        if traces:
            preload.arm(folder, Fault("nothing", 0, ()))
            traces.write_text("\n".join(sorted(sys.modules)))
        os._exit(code)


def _reset_temporary_folder() -> None:
    import tempfile

    tempfile.tempdir = None


def _call(words: tuple[str, ...]) -> int:
    """Run the command line as ``python -m curate`` does. → its exit code"""
    from curate.cli import app

    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKING)
        app(list(words))
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)
    return 0


def wait(child: Child, seconds: float = SECONDS) -> Outcome:
    """Wait for the end of a run; after ``seconds`` it is killed and counts as hanging."""
    hung, deadline = False, time.monotonic() + seconds
    pause = 0.002
    while True:
        pid, status = os.waitpid(child.pid, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > deadline:
            hung = True
            os.killpg(child.pid, signal.SIGKILL)
            _, status = os.waitpid(child.pid, 0)
            break
        time.sleep(pause)
        pause = min(pause * 1.3, 0.02)
    with suppress(OSError):  # workers that an end by a signal left
        os.killpg(child.pid, signal.SIGKILL)
    out, err = (_drain(pipe) for pipe in child.pipes)
    return Outcome(os.waitstatus_to_exitcode(status), out, err, hung)


def _drain(pipe: int) -> str:
    """Return what is in a pipe, and close it."""
    pieces = []
    with suppress(BlockingIOError):
        while piece := os.read(pipe, PIPE_BYTES):
            pieces.append(piece)
    os.close(pipe)
    return b"".join(pieces).decode(errors="replace")


def wait_until_stopped(child: Child, seconds: float = SECONDS) -> bool:
    """Wait until a run pauses itself by SIGSTOP. → whether it did; False: it ended before, and is not waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done = os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if done is not None:
            return done.si_code == os.CLD_STOPPED
        time.sleep(0.005)
    return False


def run(folder: Path, words: tuple[str, ...], fault: Fault | None = None, **options: object) -> Outcome:
    """Run ``curate WORDS`` in ``folder`` to its end; options as those of ``start``."""
    return wait(start(folder, words, fault, **options))  # type: ignore[arg-type]
