"""A corpus, eval sets, instruction data, a recipe and templates of which every name and text holds terminal escapes."""

import json
import os
import pty
import re
import subprocess
import sys
import threading
import traceback
from contextlib import redirect_stderr, redirect_stdout, suppress

from helpers.paths import ROOT

from curate.cli import app

EVIL = "\x1b]0;pwn\x07\x1b[31m\x9b31m\r\u202e\u2066\u2028\u200b\x7f\x08[bold red]x"
"""What a terminal would act on, of every kind, and markup of rich. No / and no NUL, so that files can have it."""
NUL = EVIL + "\x00"
OWN_SGR = r"\x1b\[(?:[01]?|2|39|49|38;5;\d+|38;2;\d+;\d+;\d+)(?:;\d+)*m"
OWN_MOVES = r"\x1b\[\?25[lh]|\r?\x1b\[[12]?[KA]|\r\n"
"""What the bar writes to a terminal, and the line ends of a pseudo terminal."""


def find_raw(octets, on_terminal):
    """Return the characters of an output that a terminal would act on, but for those of our own bars."""
    text = octets.decode("utf-8")
    if on_terminal:
        text = re.sub(f"{OWN_SGR}|{OWN_MOVES}", "", text)
    return [char for char in text if char != "\n" and not (char.isprintable() or char in "\u00a0\u3000\u2009\u202f")]


def words(number):
    """Return sixty words that no other number has."""
    return " ".join(f"word{number}of{place}" for place in range(60))


def write_corpus(folder, name=EVIL):
    """Write a file of documents into a folder of this name; return the folder."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    rows = [
        {"id": f"{n} {EVIL}", "text": f"{NUL} {words(n)} {NUL}",
         "domain": NUL, EVIL: n, f"late {EVIL}": f"{n % 2} {NUL}", "source": f"{n % 3}{NUL}", "language": NUL, "url": f"http://{NUL}"}
        for n in range(12)
    ]  # fmt: skip
    rows.append(rows[0])
    lines = [json.dumps(row) for row in rows] + [f'{{"text": 3, "id": "{n}"}}' for n in range(2)] + [f"no JSON {EVIL}"]
    (place / f"{name}.jsonl").write_text("\n".join(lines).replace("\u2028", "\\u2028") + "\n", encoding="utf-8")
    return place


def write_evals(folder):
    """Write an eval set; return its file."""
    path = folder / f"evals {EVIL}.jsonl"
    rows = [{"id": f"{n}{NUL}", "question": f"{NUL} {words(n)}", "answer": NUL}
            for n in (5, 50, 51)]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_instructions(folder):
    """Write instruction data; return its file."""
    path = folder / f"sft {EVIL}.jsonl"
    turns = [(f"why {n} {NUL}", f"so {n} {NUL}") for n in range(4)]
    rows = [{"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}
            for asked, said in turns]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def run_curate(words, on_terminal):
    """Run a command in this process; return its exit code and all that it printed to its streams."""
    ours, theirs = pty.openpty() if on_terminal else os.pipe()
    read = []

    def drain():
        with suppress(OSError):  # of a pseudo terminal whose other end is closed
            while piece := os.read(ours, 65536):
                read.append(piece)

    reader = threading.Thread(target=drain)
    reader.start()
    code, stream = None, os.fdopen(theirs, "w", encoding="utf-8", errors="strict")
    with stream, redirect_stdout(stream), redirect_stderr(stream):
        try:
            app(args=words, prog_name="curate")
        except SystemExit as stopped:
            code = stopped.code
        except Exception:
            stream.write(f"Traceback {traceback.format_exc()!r}")
    reader.join()
    os.close(ours)
    return code, b"".join(read)


def run_process(folder, words):
    """Run Python with these words in a process of its own; return what it printed."""
    known = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1"}
    done = subprocess.run([sys.executable, *words], cwd=folder, env=known, capture_output=True, timeout=120)
    return done.stdout + done.stderr
