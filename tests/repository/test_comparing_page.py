"""The commands of docs/comparing.md, as they stand there, on small runs of the names that they use."""

import math
import re
import shlex

import pytest
from helpers.compared_runs import make_numbers, make_side, write_corpus
from helpers.models import save
from helpers.paths import ROOT
from helpers.runs import make_run
from typer.testing import CliRunner

import curate
from curate.cli import app

PAGE = (ROOT / "docs" / "comparing.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.startswith("curate compare")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    corpus = write_corpus(folder / "corpus.jsonl", count=40, day=lambda number: f"2026-01-0{1 + number % 3}")
    for name, seed in (("before", 0), ("after", 1)):
        model = save(folder / f"model-{name}", "llama", seed)
        curate.score(corpus, model=str(model), run=folder / name, signals="kinds,calibration", exact=True)
    for step in range(1, 5):
        make_side(folder, f"week-{step}", corpus, lambda number, step=step: 0.001 * math.sin(number * step))
    make_side(folder, "training", corpus)
    make_side(folder, "heldout", write_corpus(folder / "other.jsonl", count=40, first=500), lambda _: 0.5)
    make_side(folder, "builtin", corpus)
    fine = make_numbers(lambda _: -1.0, tokens=lambda text: 2 * len(text.split()))
    make_run(folder / "smollm2", [corpus], fine, identity={"tokenizer": "another"})
    (folder / "prices.yaml").write_text(re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)[0])
    return folder


def test_every_command_of_the_page_runs_as_it_stands_there(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert len(COMMANDS) >= 12
    codes = {}
    for line in COMMANDS:
        done = CliRunner().invoke(app, shlex.split(line)[1:])
        codes[line] = done.exit_code
        assert done.exit_code in (0, 4, 5), f"{line}\n{done.output}"
        assert done.exit_code == 0 or "--tolerance" in line, line
    assert {0, 4} <= set(codes.values())
    assert (folder / "baseline.json").stat().st_size < 40_000 and (folder / "compare.html").exists()


def test_every_option_of_the_verb_is_on_the_page():
    shown = set(re.findall(r"--[a-z-]+", CliRunner().invoke(app, ["compare", "--help"]).output))
    unsaid = {"--help", "--json", "--draws", "--seed", "--memory-limit", "--by", "--pairs"}
    assert shown - unsaid <= set(re.findall(r"--[a-z-]+", PAGE))
