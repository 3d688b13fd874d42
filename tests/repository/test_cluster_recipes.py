"""The page on clusters and its files: their commands can be typed, and those of Slurm and of Hugging Face are run."""

import json
import os
import re
import shlex
import stat
import subprocess
import sys

import pytest
import yaml
from helpers import small_files
from helpers.paths import ROOT
from typer.main import get_command

import curate
from curate.cli import app

CLUSTER = ROOT / "recipes" / "cluster"
SCRIPTS = sorted(CLUSTER.glob("*.sh"))
MANIFESTS = sorted(CLUSTER.glob("*.yaml"))


def list_texts(value):
    """All texts in what a YAML file holds."""
    if isinstance(value, dict):
        value = list(value.values())
    return [text for each in value for text in list_texts(each)] if isinstance(value, list) else [str(value)]


def list_commands():
    """The commands of curate in the page and the files, each with where it stands."""
    page = (ROOT / "docs/on-a-cluster.md").read_text()
    texts = [("on-a-cluster.md", block) for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL)]
    texts += [(path.name, path.read_text().replace("\\\n", " ")) for path in SCRIPTS]
    texts += [(path.name, text) for path in MANIFESTS for text in list_texts(yaml.safe_load(path.read_text()))]
    found = []
    for name, text in texts:
        lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
        found += [(name, match[0]) for line in lines for match in re.finditer(r"\bcurate [a-z]+ [^;|&\n]*", line)]
    return found


COMMANDS = list_commands()


def test_there_are_commands_in_every_file_that_has_work():
    names = {name for name, _ in COMMANDS}
    assert {path.name for path in (*SCRIPTS, *MANIFESTS)} - names == {"slurm-submit.sh", "skypilot-pool.yaml"}
    assert sum(name == "on-a-cluster.md" for name, _ in COMMANDS) >= 12
    assert any("--engine ray" in command for _, command in COMMANDS)


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_every_command_can_be_typed(name, command):
    command = re.sub(r"\"?\$\{?[A-Za-z_]+\}?\"?", "3", command).rstrip("\"' )")
    words = shlex.split(command)[1:]
    group = get_command(app)
    context = group.make_context("curate", [words[0], "--help"], resilient_parsing=True)
    verb = group.get_command(context, words[0])
    parsed = verb.make_context(words[0], words[1:], parent=context)
    assert not parsed.args, f"{name}: {command}"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_bash_and_can_be_run(path):
    subprocess.run(["bash", "-n", str(path)], check=True)
    assert path.stat().st_mode & stat.S_IXUSR


def test_the_readme_lists_every_file_and_the_parts_of_kubernetes_are_as_many_as_their_command_says():
    readme = (CLUSTER / "README.md").read_text()
    assert all(f"({path.name})" in readme for path in (*SCRIPTS, *MANIFESTS))
    spec = yaml.safe_load((CLUSTER / "kubernetes-parts.yaml").read_text())["spec"]
    (command,) = spec["template"]["spec"]["containers"][0]["args"]
    assert spec["completionMode"] == "Indexed" and command.endswith(f"--part auto/{spec['completions']}")


@pytest.fixture
def place(tmp_path):
    """A folder with a corpus, an eval set, and ``bin`` with the commands that the scripts call."""
    (tmp_path / "corpus").mkdir()
    small_files.write_mixed(tmp_path / "corpus")
    question = "How many herring gulls nested on the slate roofs of the harbour before the council sent its ladders?"
    (tmp_path / "corpus/q.txt").write_text(f"{small_files.make_text(1)} {question}")
    (tmp_path / "quiz.jsonl").write_text(json.dumps({"id": "q", "question": question}) + "\n")
    (tmp_path / "bin").mkdir()
    write_command(tmp_path / "bin/srun", 'exec "$@"')
    write_command(tmp_path / "bin/curate", f'exec {sys.executable} -W ignore -m curate "$@"')
    return tmp_path


def write_command(path, line):
    path.write_text(f"#!/bin/bash\n{line}\n")
    path.chmod(0o755)


def run_script(place, name, *words, **variables):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{place / 'bin'}:{os.environ['PATH']}", **variables}
    command = ["bash", str(CLUSTER / name), *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)
    assert done.returncode == 0, done.stderr
    return done


def read_tables(run):
    """All files of a run but the mark, whose lines are in the order of the work, and the page, which has its path."""
    paths = [path for path in run.rglob("*") if path.is_file() and path.name not in (".curate-run.jsonl",)]
    return {str(path.relative_to(run)): path.read_bytes() for path in paths if path.suffix != ".html"}


SBATCH = r"""
[[ $1 == --parsable ]] || exit 9
script=${@: -1}; words=()
[[ $script == *.sh ]] || { words=("$script"); script=${@: -2:1}; }
echo "$@" >> "$LOG"
if grep -q '^#SBATCH --array=0-' "$script"; then
    for index in 1 0; do
        SLURM_ARRAY_TASK_ID=$index SLURM_ARRAY_TASK_COUNT=2 bash "$script" >&2 || exit 1
    done
else
    bash "$script" "${words[@]}" >&2 || exit 1
fi
wc -l < "$LOG" | tr -d ' '
"""


def test_the_arrays_of_slurm_and_the_jobs_behind_them_come_to_the_bytes_of_the_plain_commands(place):
    write_command(place / "bin/sbatch", SBATCH)
    names = {"CORPUS": "corpus", "EVALS": "quiz.jsonl", "RUN": "run", "LOG": "log"}
    variables = {name: str(place / path) for name, path in names.items()}
    run_script(place, "slurm-submit.sh", MODEL="none", **variables)
    submitted = [line.split() for line in (place / "log").read_text().splitlines()]
    assert submitted == [
        ["--parsable", "slurm-array.sh"],
        ["--parsable", "--dependency=afterok:1", "slurm-close.sh", "score"],
        ["--parsable", "--dependency=afterok:2", "slurm-hits.sh"],
        ["--parsable", "--dependency=afterok:3", "slurm-close.sh", "hits"],
    ]
    plain = place / "plain"
    curate.score(str(place / "corpus"), run=str(plain), model="none")
    curate.decontaminate(str(place / "quiz.jsonl"), run=str(plain))
    assert read_tables(place / "run") == read_tables(plain)


CURATE = r"""
number=$(cat "$LOG" | wc -l)
echo "$@" >> "$LOG"
exit $(echo $CODES | cut -d" " -f$((number + 1)))
"""


@pytest.mark.parametrize(
    ("codes", "returned", "calls"), [("1 1 0", 0, 3), ("3", 0, 1), ("2", 2, 1), ("1 " * 12, 1, 12)]
)
def test_the_closing_job_tries_again_while_a_lost_task_may_be_alive(place, codes, returned, calls):
    write_command(place / "bin/curate", CURATE)
    (place / "log").write_text("")
    environment = {**os.environ, "PATH": f"{place / 'bin'}:{os.environ['PATH']}", "LOG": str(place / "log")}
    environment |= {"CODES": codes, "WAIT": "0"}
    done = subprocess.run(["bash", str(CLUSTER / "slurm-close.sh"), "hits"], env=environment, timeout=60)
    assert done.returncode == returned and len((place / "log").read_text().splitlines()) == calls


HF = r"""
[[ $1 == jobs && $2 == run ]] || exit 9
job=$(mktemp -d "$PLACE/job.XXXX")
command=$(echo "${@: -1}" | sed "s#/corpus#$PLACE/corpus#; s#/tmp/run#$job/run#g; s#/bucket#$PLACE/bucket#g")
bash -c "$command" >&2
"""


def test_jobs_without_a_common_disk_come_to_the_same_bytes_by_copying(place):
    write_command(place / "bin/hf", HF)
    variables = {"PLACE": str(place), "MODEL": "none", "PARTS": "3"}
    for what in ("parts", "parts", "close"):
        run_script(place, "hf-jobs.sh", what, **variables)
    curate.score(str(place / "corpus"), run=str(place / "plain"), model="none")
    assert read_tables(place / "bucket/run") == read_tables(place / "plain")


def test_runs_of_parts_that_were_made_apart_are_one_when_they_are_copied_together(place, tmp_path):
    options = {"model": "none", "slice_bytes": 700}
    for index in (2, 0, 1):
        curate.score(str(place / "corpus"), run=str(place / f"run{index}"), part=f"{index}/3", **options)
        subprocess.run(["cp", "-r", f"{place}/run{index}/.", f"{place}/run"], check=True)
    done = curate.score(str(place / "corpus"), run=str(place / "run"), **options)
    curate.score(str(place / "corpus"), run=str(place / "plain"), **options)
    assert done.documents and read_tables(place / "run") == read_tables(place / "plain")
