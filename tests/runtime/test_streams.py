"""The streams that a shell leaves closed, full, unread or with few characters: no traceback, and an exit code."""

import io
import json
import os
import subprocess
import sys

import pytest
from helpers.paths import ROOT
from helpers.runs import make_run, write_lines

from curate.runtime import console, streams
from curate.runtime.streams import GuardedStream, escape_controls, escape_json, escape_line


@pytest.fixture(autouse=True)
def _silence_after():
    yield
    console.enable(False)


CURATE = f"{sys.executable} -m curate"


@pytest.fixture
def shell(tmp_path):
    """Runs a line of a shell where there is a run, and gives its exit code, stdout and stderr."""
    write_lines(
        tmp_path / "c.jsonl", [{"id": "a", "text": "café 中文 \x07 😀 words"}, {"id": "b", "text": "plain words"}]
    )
    make_run(tmp_path / "curated", [tmp_path / "c.jsonl"], id_field="id")

    def run(line, **variables):
        known = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", **variables}
        done = subprocess.run(["bash", "-c", line.replace("curate", CURATE, 1)], cwd=tmp_path, env=known,
                              capture_output=True, timeout=120)  # fmt: skip
        assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr
        return done.returncode, done.stdout, done.stderr.decode()

    return run


@pytest.mark.parametrize("verb", ["status", "status --json", "explain a", "--version"])
def test_output_that_is_full_is_an_error_and_output_without_a_reader_is_quiet(shell, verb):
    code, _, said = shell(f"curate {verb} > /dev/full")
    assert (code, said) == (1, "error: standard output could not be written: No space left on device\n")
    code, _, said = shell(f"curate {verb} | true; exit ${{PIPESTATUS[0]}}")
    assert code in (0, 1) and said == ""


@pytest.mark.parametrize("closing", [">&-", "2>&-", "<&-", ">&- 2>&- <&-", "2>/dev/full"])
def test_streams_that_are_closed_or_full_change_nothing_but_what_is_seen(shell, tmp_path, closing):
    code, out, _ = shell(f"curate filter --where true {closing}; exit $?")
    assert code == 0 and (b"kept" in out) == (">&-" not in closing.replace("2>&-", ""))
    assert (tmp_path / "curated" / "filter.parquet").read_bytes()[:4] == b"PAR1"
    code, out, said = shell(f"curate status --run nowhere {closing}")
    assert code == 1 and out == b"" and ("there is no run" in said) == ("2>" not in closing)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_a_terminal_cannot_print_is_escaped_and_json_stays_json(shell, encoding):
    code, out, said = shell("curate explain a", PYTHONIOENCODING=encoding)
    assert (code, said) == (0, "") and ("café" if encoding != "ascii" else "caf\\xe9") in out.decode(encoding)
    code, out, _ = shell("curate explain a --json", PYTHONIOENCODING=encoding)
    assert code == 0 and "café 中文" in json.dumps(json.loads(out.decode(encoding)), ensure_ascii=False)


@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"COLUMNS": "20"},
        {"TERM": "dumb"},
        {"NO_COLOR": "1"},
    ],
)
def test_a_poor_terminal_is_no_reason_to_fail(shell, variables):
    for line in ("curate explain a", "curate filter --help", "curate status"):
        assert shell(line, **variables)[0] == 0


ACTING = [chr(code) for code in (*range(10), *range(11, 32), *range(127, 160))] + list(
    "\u200b\u200d\u200e\u200f\u202a\u202e\u2066\u2069\u2028\u2029\ufeff\u00ad\u061c\U000e0041\ud800\udcff\u115f\u3164"
)


@pytest.mark.parametrize("char", ACTING)
def test_every_door_escapes_what_a_terminal_acts_on(char, capsys):
    escape = char.encode("unicode_escape").decode()
    assert escape_controls(f"a{char}b\n") == f"a{escape}b\n"
    console.enable()
    for door in (streams.print_message, streams.print_result, console.show, console.warn):
        door(f"a{char}b")
    console.say(f"l{char}", f"a{char}b")
    printed = "".join(capsys.readouterr())
    assert char not in printed and printed.count(f"a{escape}b") == 5 and f"l{escape}" in printed


@pytest.mark.parametrize("text", ["naïve 東京 e\u0301 ❤\ufe0f 🙂", "a\u00a0b\u3000c", "[bold]x[/] :smile: \\x1b"])
def test_what_can_be_seen_is_printed_as_it_is(text):
    assert escape_controls(text) == escape_line(text) == escape_json(text) == text


def test_json_reads_as_it_did():
    value = {f"k{char}": [char, "é😀"] for char in ACTING if char not in "\ud800\udcff"}
    text = escape_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value and not any(char in text for char in ACTING)


def test_a_name_cannot_begin_a_line_of_ours(capsys):
    console.enable()
    console.warn("x\nerror: y")
    console.say("reading", "x\nerror: y")
    assert capsys.readouterr().err == "warning: x\\nerror: y\nreading     x\\nerror: y\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("pieces", "printed"),
    [
        (["\r 10%", "\r 20%", "\n"], "\r 10%\r 20%\n"),  # the bar of a download
        (["\r 1%", "\n", "\r 5%", "\x1b[A", "\r 2%"], "\r 1%\n\r 5%\x1b[A\r 2%"),  # one above another
        (["error: no\n", "\rdone\x1b[2K"], "error: no\n\rdone\\x1b[2K"),
        (["error: no", "\rdone"], "error: no\\rdone"),
        (["error: no\n", "\x1b[A", "\rdone"], "error: no\n\\x1b[A\\rdone"),
        (["\r 1%", "\x1b[A"], "\r 1%\\x1b[A"),
        (["\r 1%\n", "\x1b[A"], "\r 1%\n\\x1b[A"),
        (["a\rb"], "a\\rb"),
    ],
)
def test_a_library_can_move_its_own_bar_and_nothing_else(pieces, printed):
    terminal, log = Terminal(), io.StringIO()
    GuardedStream(terminal).writelines(pieces)
    GuardedStream(log).writelines(pieces)
    assert terminal.getvalue() == printed and "\r" not in log.getvalue()


def test_the_door_is_taken_away_again_and_stays_for_a_traceback():
    before = sys.stdout, sys.stderr
    with streams.guard_streams():
        assert isinstance(sys.stdout, GuardedStream) and streams.open_behind(sys.stderr) is before[1]
    assert (sys.stdout, sys.stderr) == before
    with pytest.raises(ValueError), streams.guard_streams():
        raise ValueError
    assert isinstance(sys.stderr, GuardedStream)
    sys.stdout, sys.stderr = before
