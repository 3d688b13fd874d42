"""The hint of an error about columns is the command as it was typed, with the options that read the dataset."""

import shlex

import pytest
from helpers import sft_datasets as sft
from typer.testing import CliRunner

from curate.cli import app

NUMBERS = range(6)
ASKED, ANSWERED = "Why is number {} odd, and not even?", "It leaves a rest of one, said number {}."
KEEP = ["--show-mask", "1", "--turns", "last", "--seed", "3"]


def talk(number, role="who", content="said", roles=("kunde", "agent")):
    return [{role: roles[0], content: ASKED.format(number)}, {role: roles[1], content: ANSWERED.format(number)}]


def texts(number, asked, answered):
    return {asked: ASKED.format(number), answered: ANSWERED.format(number)}


KINDS = {
    "pair": (lambda n: {"uid": f"x{n}", "topic": "maths"} | texts(n, "body_q", "body_r"), []),
    "keys": (lambda n: {"id": n, "turns": talk(n)}, []),
    "keys_of_a_named_column": (lambda n: {"turns": talk(n)}, ["--messages-field", "b=turns"]),
    "keys_of_a_known_column": (lambda n: {"messages": talk(n)}, []),
    "role_of_named_keys": (
        lambda n: {"t": talk(n)},
        ["--messages-field", "b=t", "--role-field", "b=who", "--content-field", "b=said", "--role", "b=kunde=user"],
    ),
    "exchange": (lambda n: {"chat": [{"q": ASKED.format(n), "a": ANSWERED.format(n)}]}, []),
    "no_answer": (lambda n: {"id": n, "hint": "easy"} | texts(n, "task", "loesung"), ["--prompt-field", "b=task"]),
    "no_question": (lambda n: {"id": f"r{n}"} | texts(n, "thema", "reply"), ["--response-field", "b=reply"]),
    "slip": (lambda n: texts(n, "frage", "antwort"), ["--prompt-field", "b=farge", "--response-field", "b=antwort"]),
    "for_all": (lambda n: {"turns": talk(n, "role", "content", ("user", "assistant"))}, ["--messages-field", "turns"]),
    "nothing": (lambda n: {"text": ASKED.format(n)}, []),
}


def run(words):
    found = CliRunner().invoke(app, words)
    lines = found.output.splitlines()
    return found, next((line.removeprefix("hint:").strip() for line in lines if line.startswith("hint:")), None)


@pytest.mark.parametrize("kind", KINDS)
def test_the_hint_keeps_the_other_datasets_and_options_and_mends_the_command(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    make, options = KINDS[kind]
    sft.write(tmp_path / "a.jsonl", sft.MATHS[:4])
    sft.write(tmp_path / "b.jsonl", [make(number) for number in NUMBERS])
    sft.write(tmp_path / "c d.jsonl", sft.as_messages(sft.MATHS[4:8]))
    words = ["rank-sft", "a.jsonl", "b.jsonl", "x=c d.jsonl", *options, *KEEP, "--json"]
    hints = []
    for _ in range(4):
        done, hint = run(words)
        if not done.exit_code:
            break
        assert hint is not None and hint.startswith("curate rank-sft ") and hint not in hints, done.output
        hints.append(hint)
        words = shlex.split(hint)[1:]
        kept = [name for name in ("a.jsonl", "b.jsonl", "x=c d.jsonl") if name != "b.jsonl" or kind != "nothing"]
        assert words[1 : 1 + len(kept)] == kept and {*KEEP, "--json"} <= {*words}
    assert not done.exit_code and len(hints) == (2 if kind == "for_all" else 1), done.output
    if kind != "nothing":
        assert "⟦It leaves a rest of one" in done.output and "Why is number" in done.output
