"""The streams that a shell leaves closed, full, unread or with few characters: no traceback, and an exit code."""

import json
import os
import subprocess
import sys

import pytest
from helpers.paths import ROOT
from helpers.runs import make_run, write_lines

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
