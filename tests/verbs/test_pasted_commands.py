"""The commands that verbs print as the next ones, or as hints, can be pasted where a run has an odd name."""

import re
import shlex

import pytest
from helpers.runs import write_lines
from typer.testing import CliRunner

from curate import cli

NAMES = ["run dir", "it's", "$HOME", "-x", "ünï", "run[1]", "%2F", "trail ", 'a"b', "a;b", "#a", "a\\b", "*"]
WORDS = "the harbour master counted boats while rain fell on quiet stone walls and nobody spoke of winter".split()  # noqa: SIM905


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    texts = [" ".join(WORDS[(n * k) % len(WORDS)] for k in range(30)) for n in range(8)]
    write_lines(tmp_path / "c.jsonl", [{"id": str(n), "text": text, "lang": "en"} for n, text in enumerate(texts)])
    write_lines(tmp_path / "ev.jsonl", [{"question": "who counted the boats of winter?", "answer": "nobody"}])
    return tmp_path


def commands_of(shown):
    """The commands that are printed to be pasted: behind next:, below it, and in hints."""
    lines = [re.sub(r"^(next:|hint:|     ) ", "", line) for line in shown.splitlines()]
    found = [line.strip() for line in lines if line.strip().startswith("curate ")]
    return [re.split(r" {3,}|; | — ", line)[0] for line in found]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_verb_prints_to_be_pasted_names_the_run_as_one_word(folder, name):
    lines = [
        ["status"], ["filter", "--where", "true"], ["export", "out"], ["explain", "1"], ["report"], ["bucket"],
        ["score", "c.jsonl", "--model", "none"], ["score", "c.jsonl", "--model", "builtin"], ["status"],
        ["bucket"], ["filter"], ["export", "out", "--by-bucket"], ["explain", "nobody"],
        ["decontaminate", "ev.jsonl"], ["dedup"], ["filter", "--where", "true"], ["status"], ["order", "--by", "nope"],
        ["order", "--schedule", "warmup", "--by", "row"], ["filter", "--where", "id < 3 and id = \'3\'"],
        ["select-sft"], ["report"], ["dedup"], ["decontaminate", "ev.jsonl"], ["export", "out2"], ["dedup"],
    ]  # fmt: skip
    pasted = []
    for line in lines:
        found = CliRunner().invoke(cli.app, [*line, "--run", name])
        assert not found.exception or isinstance(found.exception, SystemExit), (line, found.exception)
        for command in commands_of(found.stdout + found.stderr):
            words = shlex.split(command)
            assert "--run" not in words or words[words.index("--run") + 1] in (name, f"{name}-2"), command
            pasted += [words[1]] if "--run" in words else []
    assert {"score", "filter", "dedup", "export", "decontaminate", "status"} <= set(pasted)


CORPORA = {
    "c.jsonl": (["c.jsonl"], "", ()),
    "named column": (["na me.jsonl"], '{"Body": "%s", "key": "%d"}', ("--text-field", "Body", "--id-field", "key")),
    "table": (["t.tsv"], "%s|%d", ("--text-field", "a", "--delimiter", "|")),
    "conversations": (["talk.jsonl"], '{"messages": [{"role": "user", "content": "%s %d"}]}', ()),
}


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("verb", [["decontaminate", "ev.jsonl"], ["dedup"]], ids=lambda verb: verb[0])
def test_what_is_printed_before_there_are_scores_works_from_there(folder, verb, corpus):
    paths, row, options = CORPORA[corpus]
    if row:
        lines = [row % (" ".join(WORDS[n:] + WORDS[:n]), n) for n in range(8)]
        (folder / paths[0]).write_text("\n".join(["a|b"] * (corpus == "table") + lines) + "\n")
    named = [word for path in paths for word in ("--corpus", path)]
    done = CliRunner().invoke(cli.app, [*verb, *named, *options, "--run", "r s"])
    assert done.exit_code == 0, done.stderr
    following = commands_of(done.stdout)
    hints = [commands_of(CliRunner().invoke(cli.app, [*words, "--run", "r s"]).stderr) for words in UNSCORED]
    assert len(following) == 1 and hints == [following] * len(UNSCORED)
    pasted = [*shlex.split(following[0])[1:], "--model", "none"]
    scored = CliRunner().invoke(cli.app, pasted)
    assert scored.exit_code == 0, scored.stderr
    for words in UNSCORED:
        later = CliRunner().invoke(cli.app, [*words, "--run", "r s"])
        assert later.exit_code == 0, later.stderr
    assert len(commands_of(CliRunner().invoke(cli.app, [*verb, "--run", "r s"]).stdout)) >= 2


UNSCORED = [["filter", "--where", "true", "--dry-run"], ["status"], ["export", "out"], ["report"]]


def test_a_run_below_home_is_there_and_nowhere_else_though_no_shell_expanded_it(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder / "home"))
    typed = [
        ["score", "c.jsonl", "--model", "none", "--run=~/r"],
        ["filter", "--where", "true", "--run=~/r"],
        ["export", "~/out", "--run=~/r"],
        ["report", "--run=~/r", "--out=~/page.html"],
        ["verify", "~/out"],
    ]
    shown = [CliRunner().invoke(cli.app, words) for words in typed]
    assert [found.exit_code for found in shown] == [0] * len(typed)
    assert sorted(path.name for path in (folder / "home").iterdir()) == ["out", "page.html", "page.json", "r"]
    assert sorted(path.name for path in folder.iterdir()) == ["c.jsonl", "ev.jsonl", "home"]
    assert str(folder / "home" / "out") in shown[2].stdout


def test_a_column_that_a_hint_names_is_one_word(folder):
    write_lines(folder / "two.jsonl", [{"My Text": "a b c " * 40, "It's": "d e f"}] * 3)
    found = CliRunner().invoke(cli.app, ["score", "two.jsonl", "--model", "none", "--run", "r"])
    (hint,) = [line.removeprefix("hint:  ") for line in found.stderr.splitlines() if line.startswith("hint:")]
    assert shlex.split(hint) == ["--text-field", "My Text"]
