"""The session of docs/served-requests.md is run, and what the page shows is what is printed."""

import re
import shlex
import shutil

from helpers.paths import ROOT
from typer.testing import CliRunner

from curate.cli import app
from curate.reference.served.formats import parse_logprobs

PAGE = (ROOT / "docs/served-requests.md").read_text()
EXIT_CODES = {"compare week1": 4}


def list_session():
    """Each command of the page with the lines that it shows of what is printed."""
    session = []
    for line in "".join(re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)).splitlines():
        if line.startswith("$ curate "):
            session.append((line.removeprefix("$ curate "), []))
        elif line.strip() not in ("…", ""):
            session[-1][1].append(" ".join(line.split()))
    return session


def test_the_session_prints_what_the_page_shows(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "recipes/sample-requests", tmp_path / "recipes/sample-requests")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    session = list_session()
    assert len(session) == 6 and sum(len(shown) for _, shown in session) > 8
    for command, shown in session:
        done = CliRunner().invoke(app, shlex.split(command))
        code = next((code for start, code in EXIT_CODES.items() if command.startswith(start)), 0)
        assert done.exit_code == code, done.output
        printed = [" ".join(line.split()) for line in done.output.splitlines()]
        assert [line for line in shown if line not in printed] == [], done.output


def test_the_formats_that_the_page_shows_are_read():
    table = PAGE.partition("## Formats")[2].partition("\n\nEach")[0]
    examples = [line.split(" | ")[1].partition("`, or")[0].strip("`") for line in table.splitlines() if "| `" in line]
    assert len(examples) == 5
    for example in examples:
        assert parse_logprobs(example)[-1 if "null" in example else 0].logprob == -0.7
