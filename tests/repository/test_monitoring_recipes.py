"""recipes/monitoring: the dashboard and the rules read what publish writes, and the workflow gates."""

import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml
from helpers.compared_runs import make_side, write_corpus
from helpers.paths import ROOT
from typer.main import get_command
from typer.testing import CliRunner

import curate
from curate.cli import app
from curate.monitoring.publish.metrics import METRICS

FOLDER = ROOT / "recipes" / "monitoring"
DASHBOARD = json.loads((FOLDER / "grafana.json").read_text())
RULES = yaml.safe_load((FOLDER / "alerts.yml").read_text())
WORKFLOW = yaml.safe_load((FOLDER / "gate-model.yml").read_text())
PROMTOOL = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")
SELECTOR = re.compile(r"(curate_\w+)(?:\{([^}]*)\})?")


def list_expressions():
    """Every query with where it stands."""
    found = [(panel["title"], one["expr"]) for panel in DASHBOARD["panels"] for one in panel.get("targets", [])]
    found += [(one["name"], one["query"]["query"]) for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    return found + [(rule["alert"], rule["expr"]) for group in RULES["groups"] for rule in group["rules"]]


@pytest.mark.parametrize(("where", "expression"), list_expressions())
def test_every_query_reads_names_and_labels_that_publish_writes(where, expression):
    selectors = SELECTOR.findall(expression)
    assert selectors
    for name, matchers in selectors:
        assert name in METRICS, where
        assert set(re.findall(r"(\w+)=", matchers)) <= set(METRICS[name].labels), where
    for labels in re.findall(r"by \(([^)]*)\)", expression):
        assert set(labels.split(", ")) <= {label for name, _ in selectors for label in METRICS[name].labels}


def test_every_legend_and_every_annotation_names_a_label_of_its_query():
    legends = [(one["expr"], one["legendFormat"]) for panel in DASHBOARD["panels"] for one in panel.get("targets", [])]
    rules = [rule for group in RULES["groups"] for rule in group["rules"]]
    legends += [(rule["expr"], " ".join(rule["annotations"].values())) for rule in rules]
    for expression, text in legends:
        names = re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", text)
        known = {label for name, _ in SELECTOR.findall(expression) for label in METRICS[name].labels}
        assert set(names) <= known, text


def list_lost(written, read, path=""):
    """Where a value is that was written and not read."""
    if isinstance(written, dict) and isinstance(read, dict):
        for key, value in written.items():
            if key in read:
                yield from list_lost(value, read[key], f"{path}.{key}")
            elif value not in (None, [], {}):
                yield f"{path}.{key}"
    elif isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        for index, pair in enumerate(zip(written, read, strict=True)):
            yield from list_lost(*pair, f"{path}[{index}]")
    elif written != read:
        yield path


def test_grafana_reads_every_key_of_the_dashboard():
    """By its own schema: what its classes do not know is lost when they read and write it."""
    pytest.importorskip("grafana_foundation_sdk")
    from grafana_foundation_sdk.cog import plugins
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import Dashboard

    plugins.register_default_plugins()

    def reread(value):
        return json.loads(JSONEncoder().encode(Dashboard.from_json(value)))

    assert list(list_lost(DASHBOARD, reread(DASHBOARD))) == []
    misspelled = {**DASHBOARD, "panels": [{**DASHBOARD["panels"][1], "gridPosition": {"h": 1}}]}
    assert list(list_lost(misspelled, reread(misspelled))) == [".panels[0].gridPosition"]


def test_the_dashboard_has_three_rows_whose_panels_do_not_overlap():
    panels = DASHBOARD["panels"]
    rows = [panel["title"].split(":")[0] for panel in panels if panel["type"] == "row"]
    assert rows == ["Executive", "On call", "Debug"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) == 23
    assert all(panel["description"] for panel in panels if panel["type"] != "row")


def test_pages_are_for_what_is_sure_and_every_alert_is_in_the_runbook():
    rules = [rule for group in RULES["groups"] for rule in group["rules"]]
    severities = {rule["alert"]: rule["labels"]["severity"] for rule in rules}
    assert {name for name, severity in severities.items() if severity == "page"} == {
        "CurateBeyondTolerance",
        "CurateDomainBeyondTolerance",
        "CurateLeak",
    }
    assert set(severities.values()) == {"page", "ticket"}
    runbook = (FOLDER / "RUNBOOK.md").read_text()
    for rule in rules:
        assert rule["alert"] in runbook
        assert f"## {rule['annotations']['runbook'].removeprefix('RUNBOOK.md, ')}\n" in runbook


@PROMTOOL
def test_promtool_checks_the_rules_and_plays_them():
    for words in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@PROMTOOL
def test_promtool_reads_every_query_of_the_dashboard(tmp_path):
    queries = [one["expr"] for panel in DASHBOARD["panels"] for one in panel.get("targets", [])]
    rules = [{"record": f"job:query{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True)
    assert done.returncode == 0 and f"{len(queries)} rules found" in done.stdout, done.stderr


def list_commands():
    """The commands of curate in the pages and the workflow."""
    texts = {name: (FOLDER / name).read_text() for name in ("README.md", "RUNBOOK.md")}
    blocks = [block for text in texts.values() for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL)]
    blocks += [line for text in texts.values() for line in re.findall(r"^    (curate .*)$", text, re.MULTILINE)]
    blocks += [step["run"] for step in WORKFLOW["jobs"]["gate"]["steps"] if "run" in step]
    lines = [line for block in blocks for line in block.splitlines()]
    return [match[0] for line in lines for match in re.finditer(r"\bcurate (?:\w+) [^|>;]*", line)]


@pytest.mark.parametrize("command", list_commands())
def test_every_command_can_be_typed(command):
    words = shlex.split(command)[1:]
    context = get_command(app).make_context("curate", [words[0], "--help"], resilient_parsing=True)
    found = get_command(app).commands[words[0]]
    assert found.make_parser(context).parse_args(words[1:]) is not None


def test_the_workflow_lets_in_what_is_within_and_no_more(tmp_path, monkeypatch):
    """Its step is run as GitHub runs it, over made-up scores."""
    monkeypatch.chdir(tmp_path)
    corpus = write_corpus(tmp_path / "corpus.jsonl")
    curate.compare(make_side(tmp_path, "new", corpus), within="domain", save=tmp_path / "baseline.json")
    steps = {step["name"]: step["run"] for step in WORKFLOW["jobs"]["gate"]["steps"] if "run" in step}
    gate = shlex.split(steps["gate"].partition("|")[0])[1:]
    assert CliRunner().invoke(app, gate).exit_code == 0
    shutil.rmtree(tmp_path / "new")
    make_side(tmp_path, "new", corpus, lambda number: 0.0001 * math.sin(7 * number) + 0.05 * (number % 3 == 0))
    (tmp_path / "gate.json").write_text(CliRunner().invoke(app, [*gate, "--json"]).stdout)
    assert f"{shlex.join(['curate', *gate])} --json > gate.json" in steps["write the numbers"]
    found = curate.publish("gate.json", dry_run=True).render().splitlines()
    assert 'curate_domain_gate{comparison="gate",before="baseline.json",after="new",domain="code"} 1' in found
    binary = tmp_path / "curate"
    binary.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -W ignore -m curate "$@"\n')
    binary.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    assert WORKFLOW["jobs"]["gate"]["defaults"]["run"]["shell"] == "bash"  # which GitHub calls with these options:
    words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", steps["gate"]]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert done.returncode == 4 and "beyond 0.5%: all, code" in done.stdout, done.stderr
