"""``curate publish`` as it is typed: targets, what is refused, a dry run, recipes."""

import json
import subprocess
import sys

import pytest
from helpers.compared_runs import make_side, write_corpus
from typer.testing import CliRunner

import curate
from curate.cli import app
from curate.errors import UsageError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("publish")
    return make_side(folder, "week=48", write_corpus(folder / "corpus.jsonl", 9))


def type_words(*words):
    done = CliRunner().invoke(app, ["publish", *words])
    return done.exit_code, done.stdout, done.stderr


def test_a_dry_run_prints_the_list_and_writes_nothing(run, tmp_path):
    code, screen, _ = type_words(run, "--dry-run", "--within", "domain", "--to", f"prometheus:{tmp_path / 'a.prom'}")
    assert code == 0 and list(tmp_path.iterdir()) == []
    lines = screen.splitlines()
    assert 'curate_scored_documents{run="week=48"} 9' in lines
    assert 'curate_domain_documents{run="week=48",domain="code"} 3' in lines
    code, screen, _ = type_words(run, "--dry-run", "--json")
    found = json.loads(screen)
    assert found["kind"] == "run" and found["sent"] == [] and found["dry_run"]
    assert {"name": "curate_scored_documents", "value": 9.0, "labels": {"run": "week=48"}} in found["metrics"]


def test_several_targets_at_once(run, tmp_path):
    targets = [f"prometheus:{tmp_path / 'a.prom'}", f"bigquery:{tmp_path / 'bq'}"]
    code, screen, _ = type_words(run, *(word for target in targets for word in ("--to", target)))
    assert code == 0 and screen.count("sent to") == 2 and "bq load --source_format=PARQUET" in screen
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"a.prom", "metrics.parquet", "schema.json"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--to is missing"),
        (["--to", "graphite:x"], "a target is prometheus:FILE.prom, otel"),
        (["--to", "prometheus"], "prometheus needs a file or a folder"),
        (["--to", "bigquery:"], "bigquery needs a file or a folder"),
        (["--to", "prometheus:a.prom", "--to", "prometheus:a.prom"], "given twice"),
        (["--dry-run", "--max-labels", "0"], "--max-labels must be at least 1, not 0"),
        (["--dry-run", "--name", " "], "--name is empty"),
    ],
)
def test_mistakes_are_one_line_and_a_hint(run, words, message):
    code, _, said = type_words(run, *words)
    lines = said.strip().splitlines()
    assert code == 2 and message in lines[0] and lines[0].startswith("error: ") and lines[1].startswith("hint:")


def test_what_is_not_there_is_named():
    assert type_words("no-such-run", "--dry-run")[0] == 1
    code, _, said = type_words("no-such.json", "--dry-run")
    assert code == 2 and "no-such.json cannot be read" in said


@pytest.mark.parametrize(
    ("target", "package"),
    [("prometheus:a.prom", "prometheus_client"), ("otel", "opentelemetry.exporter"), ("mlflow:file:x", "mlflow")],
)
def test_a_missing_package_is_one_line_with_the_command_that_installs_it(run, monkeypatch, target, package):
    for name in [name for name in sys.modules if name.startswith(package)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError) as caught:
        curate.publish(run, to=target)
    assert "\n" not in caught.value.message and caught.value.hint == "pip install 'curate[monitor]'"


def test_no_target_is_imported_that_nobody_asked_for(run, tmp_path):
    code = f"import sys, curate; curate.publish({run!r}, to={f'prometheus:{tmp_path}/a.prom'!r}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"mlflow", "opentelemetry", "torch"} & set(done.stdout.split()) == set()


def test_a_recipe_publishes_each_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path / "corpus.jsonl", 6)
    steps = "run: r\nsteps:\n  - score: {corpus: corpus.jsonl, model: none}\n"
    (tmp_path / "recipe.yaml").write_text(f"{steps}  - publish: {{to: 'prometheus:a.prom', within: domain}}\n")
    for _ in range(2):
        found = curate.run("recipe.yaml")
        assert [step.state for step in found.steps][1] == "done"
        assert 'curate_documents{outcome="kept",reason="",run="r"} 6.0' in (tmp_path / "a.prom").read_text()
        (tmp_path / "a.prom").unlink()
    twice = "  - publish: {to: 'prometheus:a.prom'}\n"
    (tmp_path / "recipe.yaml").write_text(steps + twice + twice)
    with pytest.raises(UsageError, match="to the same target"):
        curate.run("recipe.yaml")
    (tmp_path / "recipe.yaml").write_text(steps + "  - publish: {to: 'prometheus:a.txt'}\n")
    with pytest.raises(UsageError, match=r"end with \.prom"):
        curate.run("recipe.yaml")
