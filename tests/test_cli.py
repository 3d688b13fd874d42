"""The command line: every mistake is one line ``error:`` and one line ``hint:``, and help is for a terminal."""

import re

import pytest
from typer.testing import CliRunner

import curate
from curate import cli
from curate.errors import GateError, Interrupted
from curate.rundir.guards import claims


def typed(*words):
    return CliRunner().invoke(cli.app, list(words), env={"COLUMNS": "300"})


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        ("dedup --keeper foo", "--keeper must be one of longest, first, lowest-ppl, not foo", "dedup --help"),
        ("dedup --keep foo", "--keep must be one of longest, first, lowest-ppl, not foo", "dedup --help"),
        ("dedup --keper first", "curate dedup has no option --keper; did you mean --keeper?", "dedup --help"),
        ("dedup --xyzzy", "curate dedup has no option --xyzzy", "dedup --help"),
        ("dedup -z", "curate dedup has no option -z", "dedup --help"),
        ("score c --limit abc", "--limit must be a whole number, not abc", "score --help"),
        ("score c --sample abc", "--sample must be a number, not abc", "score --help"),
        ("filter --max-ppl 20,x", "--max-ppl must be a number, not 20,x", "filter --help"),
        ("score c --limit", "option '--limit' requires an argument", "score --help"),
        ("dedup --restart=3", "option '--restart' does not take a value", "dedup --help"),
        ("export", "curate export needs OUT", "export --help"),
        ("rank-sft", "curate rank-sft needs DATA", "rank-sft --help"),
        ("train-reference c", "curate train-reference needs --out", "train-reference --help"),
        ("export a b", "got unexpected extra argument(s) (b)", "export --help"),
        ("filtr", "no such command 'filtr'. Did you mean 'filter'?", "--help"),
        ("--nope", "curate has no option --nope", "--help"),
    ],
)
def test_a_mistake_of_the_command_line_is_an_error_and_a_hint(words, error, hint):
    found = typed(*words.split())
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr == f"error: {error}\nhint:  curate {hint}\n"


def test_without_a_command_the_help_is_printed_on_stderr():
    found = typed()
    assert (found.exit_code, found.stdout) == (2, "") and "rank-sft" in found.stderr


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (GateError("3 documents leak", "curate status"), 4, "error: 3 documents leak\nhint:  curate status\n"),
        (Interrupted("stopped at slice 3"), 130, "error: stopped at slice 3\n"),
        (KeyboardInterrupt(), 130, "stopped.\n"),
    ],
)
def test_what_a_verb_raises_is_printed_and_exits_with_its_code(monkeypatch, error, code, lines):
    def refuse(run):
        raise error

    monkeypatch.setattr(claims, "open_unclaimed", refuse)
    found = typed("status", "--run", "nowhere")
    assert (found.exit_code, found.stdout, found.stderr) == (code, "", lines)


def test_a_bug_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(claims, "open_unclaimed", lambda run: 1 // 0)
    assert isinstance(typed("status", "--run", "nowhere").exception, ZeroDivisionError)


@pytest.mark.parametrize("verb", curate.VERBS)
def test_help_names_options_not_parameters_and_no_python_type(verb):
    shown = typed(verb.replace("_", "-"), "--help").stdout
    assert not re.search(r"``|list\[|<(str|int|float)>|\bRaises\b|\bdry_run\b", shown)


def test_help_of_a_verb_spells_a_parameter_as_it_is_typed():
    shown = typed("filter", "--help").stdout
    assert "With --dry-run nothing is decided;" in shown and "(--max-ppl 20,30,50)" in shown
    assert re.search(r"^  --max-ppl NUMBER +Keep", shown, re.MULTILINE)
    assert re.search(r"^  OUT +Folder or URL", typed("export", "--help").stdout, re.MULTILINE)
