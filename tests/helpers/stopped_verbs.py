"""Commands of curate in processes of their own, which are killed, or wait, where they put a certain file in its place.

with waiting_verb(["filter", "--where", "bytes > 5", "--run", run], at="filter.parquet") as holder: ...
"""

import os
import subprocess
import sys
import time
from contextlib import contextmanager

from curate.corpus.files.run_marks import MARK

SCRIPT = """
import os, signal, sys, time
what, mark, at, *words = sys.argv[1:]
real = os.replace

def replace(source, target, **options):
    if os.path.basename(str(target)) == at:
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        open(mark, "w").close()
        while os.path.exists(mark):
            time.sleep(0.02)
    return real(source, target, **options)

os.replace = replace
from curate.cli import app
app(words)
"""


def start_verb(what, mark, at, words):
    command = [sys.executable, "-c", SCRIPT, what, str(mark), at, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_verb(words, at):
    """Run a command that is killed with SIGKILL where it would rename a file to the name ``at``."""
    process = start_verb("kill", "-", at, words)
    output = process.communicate(timeout=120)
    assert process.returncode == -9, output


def run_verb(words):
    """Run a command to its end.  → its exit code and what it wrote to stderr"""
    command = [sys.executable, "-m", "curate", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr


@contextmanager
def waiting_verb(words, at, mark):
    """A process of a command that waits where it would rename a file to the name ``at``, until the block ends.

    ``mark`` is a path that does not exist. The process then goes on; ``returncode`` and ``messages`` say how it ended.
    """
    process = start_verb("wait", mark, at, words)
    try:
        until = time.monotonic() + 60
        while not mark.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.02)
        yield process
        mark.unlink()
        process.messages = process.communicate(timeout=60)[1]
    finally:
        process.kill()
        with process:
            pass


def list_hidden(folder):
    """The names in a folder and below that begin with a dot, but for the mark of a run directory."""
    names = (name for _, folders, files in os.walk(folder) for name in (*folders, *files))
    return sorted(name for name in names if name[0] == "." and name != MARK)
