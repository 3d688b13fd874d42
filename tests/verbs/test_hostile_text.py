"""Whatever others wrote, every verb prints it escaped: no control character but line ends reaches the terminal."""

import json

import pytest
from helpers.hostile import EVIL, find_raw, run_curate, run_process, write_corpus, write_evals, write_instructions

from curate.cli import command_name
from curate.verbs import VERBS

OUT = "out " + EVIL.replace("[", "")  # datasets would take a bracket for a pattern
RUN = ["--run", f"run {EVIL}"]
QUOTED = '"' + EVIL.replace('"', '""') + '"'
WALKS = {
    "score": [
        (0, ["score", "CORPUS", "--model", "none", *RUN, "--carry", f"domain,{EVIL}", "--restart"]),
        (0, ["score", "CORPUS", "--model", "none", "--run", f"other {EVIL}", "--restart"]),
        (None, ["score", "--text", f"words {EVIL}", "--model", "builtin"]),
        (1, ["score", f"missing {EVIL}", "--model", "none"]),
        (1, ["score", "CORPUS", "--model", f"./no {EVIL}", "--run", "x"]),
        (1, ["score", "CORPUS", "--model", f"org/{EVIL}", "--run", "x"]),
        (None, ["score", "CORPUS", "--model", "none", "--text-field", EVIL, "--run", "x"]),
        (2, ["score", "CORPUS", "--dtype", EVIL]),
    ],
    "merge": [
        (None, ["merge", RUN[1], f"other {EVIL}", "--into", f"merged {EVIL}"]),
        (2, ["merge", EVIL]),
        (1, ["merge", EVIL, RUN[1], "--into", "m"]),
    ],
    "decontaminate": [
        (0, ["decontaminate", "EVALS", *RUN]),
        (1, ["decontaminate", f"missing {EVIL}", *RUN]),
        (None, ["decontaminate", "EVALS", *RUN, "--eval-fields", f"question={EVIL}"]),
    ],
    "dedup": [
        (0, ["dedup", *RUN, "--against", f"more {EVIL}"]),
        (0, ["dedup", *RUN]),
        (2, ["dedup", *RUN, "--against", EVIL]),
        (1, ["dedup", *RUN, "--against", f"no {EVIL}"]),
    ],
    "filter": [
        (0, ["filter", *RUN, "--where", "bytes > 0", "--ledger", f"late {EVIL}", "--show"]),
        (0, ["filter", *RUN, "--where", f"{QUOTED} >= 0"]),
        (0, ["filter", *RUN, "--where", "bytes > 0", "--dry-run", "--ledger", "domain"]),
        (2, ["filter", *RUN, "--where", EVIL]),
        (2, ["filter", *RUN, "--where", '"no' + QUOTED[1:] + " > 2"]),
        (2, ["filter", *RUN, "--keep", "low", "--rate", "0.5", "--by", f"no {EVIL}"]),
        (2, ["filter", *RUN, "--max-ppl", EVIL]),
        (None, ["filter", *RUN, "--where", f"domain::int > '{EVIL}'"]),
    ],
    "bucket": [
        (None, ["bucket", *RUN, "--by", "bytes", "--quantiles", "2", "--within", f"late {EVIL}"]),
        (2, ["bucket", *RUN, "--by", f"no {EVIL}"]),
        (2, ["bucket", *RUN, "--cutoffs", EVIL]),
    ],
    "order": [
        (None, ["order", *RUN, "--by", EVIL, "--stratify", f"late {EVIL}"]),
        (2, ["order", *RUN, "--by", f"no {EVIL}"]),
    ],
    "status": [(0, ["status", *RUN]), (1, ["status", "--run", f"no {EVIL}"])],
    "explain": [(0, ["explain", f"1 {EVIL}", *RUN]), (2, ["explain", EVIL, *RUN])],
    "report": [(0, ["report", *RUN]), (None, ["report", *RUN, "--out", f"no/{EVIL}/x.html"])],
    "compare": [
        (1, ["compare", RUN[1], RUN[1]]),
        (2, ["compare", f"no {EVIL}", RUN[1]]),
        (2, ["compare", RUN[1], RUN[1], "--tolerance", EVIL]),
        (None, ["compare", RUN[1], RUN[1], "--cost", f"no {EVIL}"]),
        (None, ["compare", OUT, OUT, "--within", EVIL]),
    ],
    "publish": [
        (None, ["publish", RUN[1], "--within", "domain", "--dry-run"]),
        (2, ["publish", RUN[1], "--to", EVIL]),
        (None, ["publish", f"no {EVIL}", "--dry-run"]),
    ],
    "export": [
        (0, ["export", OUT, *RUN, "--overwrite"]),
        (None, ["export", OUT, *RUN]),
        (2, ["export", f"x{EVIL}", *RUN, "--format", EVIL]),
    ],
    "verify": [(None, ["verify", OUT, *RUN]), (None, ["verify", f"no {EVIL}"])],
    "run": [
        (0, ["run", f"recipe {EVIL}.yaml"]),
        (0, ["run", f"recipe {EVIL}.yaml", "--dry-run"]),
        (2, ["run", f"bad {EVIL}.yaml"]),
        (None, ["run", f"missing {EVIL}.yaml"]),
        (2, ["run", f"recipe {EVIL}.yaml", "--set", EVIL]),
    ],
    "train-reference": [
        (None, ["train-reference", f"no {EVIL}", "--out", f"model {EVIL}"]),
        (None, ["train-reference", "CORPUS", "--out", f"model {EVIL}", "--text-field", EVIL]),
    ],
    "rank-sft": [
        (0, ["rank-sft", "SFT", "--show-mask", "2", "--template", "plain"]),
        (None, ["rank-sft", f"name{EVIL}=SFT", "--show-mask", "2", "--template", f"raising {EVIL}.jinja"]),
        (0, ["rank-sft", "SFT", "--template", "plain", "--out", f"ranking {EVIL}", "--draws", "100"]),
        (None, ["rank-sft", f"missing {EVIL}"]),
        (None, ["rank-sft", "SFT", "--template", f"missing {EVIL}.jinja"]),
        (None, ["rank-sft", "SFT", "--schema", EVIL]),
    ],
    "select-sft": [(None, ["select-sft", *RUN]), (None, ["select-sft", "--run", f"no {EVIL}"])],
}
"""By verb, exit codes (None for any) and commands; CORPUS, EVALS and SFT stand for files."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with everything that the walks read: two runs and an export too."""
    path = tmp_path_factory.mktemp("hostile")
    write_corpus(path)
    write_corpus(path, f"more {EVIL}")
    write_evals(path)
    write_instructions(path)
    spelled = json.dumps(EVIL)[1:-1]
    steps = f'[{{score: {{corpus: ["{spelled}"], model: none}}}}, dedup]'
    (path / f"recipe {EVIL}.yaml").write_text(f'{{run: "recipe {spelled}", steps: {steps}}}', encoding="utf-8")
    bad = f'{{"{spelled}": 1, steps: [{{"{spelled}": 1}}, {{score: {{"{spelled}": 1, model: "{spelled}"}}}}]}}'
    (path / f"bad {EVIL}.yaml").write_text(bad, encoding="utf-8")
    jinja = "{{ raise_exception(" + json.dumps(EVIL) + " ~ messages[0]['content']) }}"
    (path / f"raising {EVIL}.jinja").write_text(jinja, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        for words in (WALKS["score"][0][1], WALKS["score"][1][1], ["export", OUT, *RUN]):
            run_curate(fill(words), False)
    return path


def fill(words):
    known = {"CORPUS": EVIL, "EVALS": f"evals {EVIL}.jsonl", "SFT": f"sft {EVIL}.jsonl"}
    return [word.replace("=SFT", f"={known['SFT']}") if "=SFT" in word else known.get(word, word) for word in words]


def test_every_verb_has_a_walk():
    assert list(WALKS) == [command_name(verb) for verb in VERBS]


@pytest.mark.parametrize("verb", WALKS)
def test_nothing_of_others_reaches_the_terminal_raw(folder, verb, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TERM", "xterm-256color")
    unknown = [(2, [verb, f"--no{EVIL}"]), (2, [verb, *[EVIL] * 9, f"--no{EVIL}"])]
    for number, (expected, words) in enumerate([*WALKS[verb], *unknown]):
        for on_terminal in (False, True):
            if (number + on_terminal) % 2:
                monkeypatch.delenv("NO_COLOR", raising=False)
            else:
                monkeypatch.setenv("NO_COLOR", "1")
            code, octets = run_curate(fill(words), on_terminal)
            shown = octets.decode("utf-8", "backslashreplace")
            assert b"Traceback" not in octets, shown
            assert not find_raw(octets, on_terminal), (words, shown)
            assert expected is None or code in (expected, 3 * (not expected)), (code, words, shown)


def list_strings(value):
    if isinstance(value, dict):
        return [text for pair in value.items() for one in pair for text in list_strings(one)]
    return [text for one in value for text in list_strings(one)] if isinstance(value, list) else [value]


@pytest.mark.parametrize("words", [["rank-sft", "SFT", "--show-mask", "1", "--template", "plain"], ["status", *RUN]])
def test_json_has_escapes_of_its_own_and_reads_as_the_data_were(folder, words, monkeypatch):
    monkeypatch.chdir(folder)
    _, octets = run_curate([*fill(words), "--json"], False)
    line = next(line for line in octets.decode().splitlines() if line.startswith("{"))
    assert not find_raw(line.encode(), False)
    assert any(EVIL in text for text in list_strings(json.loads(line)) if isinstance(text, str))


BURST = """
import logging, warnings
from curate import cli

@cli.app.command()
def burst():
    warnings.warn(chr(27))
    logging.warning(chr(155))
    print(chr(0x202E))
    raise KeyError(chr(8232) * 2)

cli.app(["burst"])
"""


def test_tracebacks_and_warnings_of_libraries_pass_the_same_door(folder):
    words = ["-m", "curate", "score", EVIL, "--model", "none", "--run", f"fresh {EVIL}"]
    octets = run_process(folder, words)
    assert not find_raw(octets, False) and b"documents" in octets
    octets = run_process(folder, ["-c", BURST])
    assert b"Traceback" in octets and not find_raw(octets, False)
    assert [escape for escape in (rb"\x1b", rb"\x9b", rb"\u202e", rb"\u2028") if escape not in octets] == []
