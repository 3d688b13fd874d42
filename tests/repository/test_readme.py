"""What the README shows is what happens: its commands are run, and its output compared."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.paths import ROOT

README = (ROOT / "README.md").read_text()
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?:e-?\d+)?")
VOLATILE = (
    "speed",
    "self-check",
    "scoring",
    "sketching",
    "scanning",
    "looked through",
    " ▁",
)  # what depends on the machine


def shown(first="score"):
    """The session of the README's block that begins with a command of curate: (command, the lines printed after it)."""
    block = next(one for one in re.findall(r"```console\n(.*?)```", README, re.DOTALL) if f"$ curate {first}" in one)
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.strip():
            found[-1][1].append(line.rstrip())
    return found


def comparable(lines):
    """Lines that any machine prints alike, their numbers taken out.  → texts, numbers"""
    kept, skipping = [], False
    for line in lines:
        skipping = line.startswith(VOLATILE) or (skipping and line.startswith(" " * 12))
        if not skipping and not set(line) & set("▁▂▃▄▅▆▇█"):
            kept.append(line)
    numbers = [float(number.replace(",", "")) for line in kept for number in NUMBER.findall(line)]
    return [re.sub(r"\s+", " ", NUMBER.sub("#", line)).strip() for line in kept], numbers


def shortened(printed, expected):
    """What was printed, with … where the README has a line of …: all before the line that it goes on with."""
    lines, rest = [], list(printed)
    for place, line in enumerate(expected):
        if line.strip() != "…":
            lines += rest[:1]
            rest = rest[1:]
            continue
        lines.append(line)
        following = [] if place + 1 == len(expected) else comparable(expected[place + 1 :])[0][:1]
        while rest and (not following or comparable(rest[:1])[0] != following):
            rest = rest[1:]
    return [*lines, *rest]


@pytest.fixture(scope="module")
def place(scored_sample, tmp_path_factory):
    """Where the session is run: the sample, scored by its first command."""
    return shutil.copytree(scored_sample.folder, tmp_path_factory.mktemp("readme") / "clone")


def run(command, folder):
    """Run a command as a shell would, its patterns spelled out."""
    spelled = [sorted(map(str, Path().glob(word))) if "*" in word else [word] for word in shlex.split(command)]
    words = [sys.executable, "-W", "ignore", "-m", *(word for some in spelled for word in some)]
    if words[4] == "python":
        words = [sys.executable, "-W", "ignore", *words[5:]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, env=environment)


def compare(command, done, expected):
    assert done.returncode == 0, f"{command}: {done.stderr}"
    printed = [line.rstrip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    texts, numbers = comparable(shortened(printed, expected))
    wanted_texts, wanted_numbers = comparable(expected)
    assert texts == wanted_texts, f"{command}\n{done.stderr}{done.stdout}"
    assert numbers == pytest.approx(wanted_numbers, rel=0.05, abs=0.02), f"{command}\n{done.stdout}"


def test_the_session_in_the_readme_is_what_a_fresh_run_prints(place, scored_sample):
    session = shown()
    assert len(session) >= 5 and session[0][0] == scored_sample.command
    for command, expected in session:
        compare(command, scored_sample.done if command == scored_sample.command else run(command, place), expected)


def test_the_ranking_in_the_readme_is_what_a_fresh_run_prints(tmp_path, monkeypatch):
    """Its first command measures; the others know what it measured."""
    shutil.copytree(ROOT / "recipes" / "sample-sft", tmp_path / "recipes" / "sample-sft")
    monkeypatch.chdir(tmp_path)
    session = shown("rank-sft")
    assert len(session) >= 3
    for command, expected in session:
        compare(command, run(command, tmp_path), expected)


def test_the_quickstart_runs_the_commands_that_the_readme_shows():
    script = (ROOT / "recipes" / "quickstart.sh").read_text()
    commands = [line.strip() for line in script.splitlines() if line.startswith("curate ")]
    plain = [re.sub(r'"\$OUT"', "out", command).replace(" --overwrite", "") for command in commands]
    assert set(plain) <= {command for command, _ in shown()} and len(plain) >= 4


def test_the_quickstart_runs_to_a_dataset_that_it_loads(scored_sample, tmp_path):
    """The script itself, with an environment and scores that are there already, as its second start finds them."""
    copy = shutil.copytree(scored_sample.folder, tmp_path / "clone")
    (copy / ".venv" / "bin").mkdir(parents=True)
    for name, module in {"curate": ' -m curate "$@"', "python": ' "$@"'}.items():
        script = copy / ".venv" / "bin" / name
        script.write_text(f"#!/bin/sh\nexec {sys.executable} -W ignore{module}\n")
        script.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = ["bash", "recipes/quickstart.sh", str(tmp_path / "out")]
    done = subprocess.run(words, cwd=copy, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "curate_perplexity" in done.stdout and (tmp_path / "out" / "README.md").exists()


def test_the_two_commands_of_the_readme_are_there():
    assert "bash recipes/quickstart.sh" in README and "bash .ci/run" in README
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_every_file_that_the_readme_links_to_exists():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links and all((ROOT / link).exists() for link in links)


def test_what_the_readme_says_of_the_junk_is_what_the_scores_say(place):
    """Runs after the session above, on the scores that it left."""
    import duckdb

    kinds = {
        "good documents": "good",
        "shuffled words": "shuffled_words",
        "base64": "base64",
        "keyword spam": "keyword_spam",
        "one line repeated": "repeated_lines",
        "a wrong decoder": "mojibake",
        "a table of random digits": "number_table",
    }
    kind = "CASE WHEN id LIKE 'junk-%' THEN regexp_extract(id, 'junk-([a-z0-9_]+)-', 1) ELSE 'good' END"
    parts = f"'{place}/curated/scores/*.parquet'"
    medians = dict(duckdb.sql(f"SELECT {kind}, median(perplexity) FROM {parts} GROUP BY 1").fetchall())
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    flat = re.sub(r"\s+", " ", prose)
    for name, one in kinds.items():
        said = re.search(rf"{name}:? (\d+)", flat)
        assert said and float(said[1]) == pytest.approx(medians[one], rel=0.05), (name, medians[one])
