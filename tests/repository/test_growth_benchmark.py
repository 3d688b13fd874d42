"""The benchmark of growth: its fits find what they should, whole trees of processes are measured, it goes in parts."""

import json
import os
import random
import subprocess
import sys

import pytest
from helpers.paths import ROOT

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.3, 2.0])
def test_the_exponent_that_costs_were_made_with_is_found_whatever_the_start_up(exponent):
    import growth

    for start in (0.0, 1.0, 7.0):
        costs = {size: start + 3e-3 * size**exponent for size in (10_000, 100_000, 1_000_000)}
        found = growth.fit_growth({1: start, **costs}, 0.2)
        assert found.exponent == pytest.approx(exponent, abs=0.01) and found.last == pytest.approx(exponent, abs=0.01)
        assert found.each == pytest.approx((costs[1_000_000] - costs[100_000]) / 900_000)


def test_what_is_lost_in_the_start_up_has_no_exponent_and_a_late_rise_shows_in_the_last_step():
    import growth

    flat = growth.fit_growth({100: 1.0, 10_000: 1.01, 100_000: 1.15, 1_000_000: 1.9}, 0.2)
    assert flat.exponent is None and flat.last is None and flat.each == pytest.approx(0.75 / 900_000)
    bent = growth.fit_growth({100: 0.0, 10_000: 1.0, 100_000: 10.0, 1_000_000: 400.0}, 0.2)
    assert bent.last == pytest.approx(1.602, abs=1e-3) and 1 < bent.exponent < bent.last


def test_processor_and_memory_of_a_whole_tree_of_processes_are_counted():
    from process_tree import measure_command

    child = "import time; held = b'x' * 60_000_000; end = time.process_time() + .3\nwhile time.process_time() < end: 0"
    many = "import subprocess, sys; all([p.wait() == 0 for p in "
    many += f"[subprocess.Popen([sys.executable, '-c', {child!r}]) for _ in '12']]) or sys.exit(9)"
    cost = measure_command([sys.executable, "-c", many])
    assert 0.6 <= cost.cpu_seconds < 5 and cost.seconds >= 0.3
    assert 120e6 < cost.peak_bytes < 400e6 and cost.anonymous_bytes <= cost.peak_bytes
    with pytest.raises(SystemExit, match="ended with 3\nlost"):
        measure_command([sys.executable, "-c", "print('lost'); raise SystemExit(3)"])
    assert measure_command([sys.executable, "-c", "raise SystemExit(3)"], allowed=(0, 3)).seconds > 0


def test_a_step_brings_what_it_needs_and_puts_out_of_date_what_reads_it(tmp_path):
    import growth

    place = growth.Place(tmp_path, "text", 10)
    (place.folder / "done").mkdir(parents=True)
    names = [step.name for step in growth.TEXT]
    assert [step.name for step in growth.choose_steps("text", place, ["select-sft"])] == [
        "rank-sft --sample-size 0",
        "select-sft",
    ]
    for name in names:
        place.mark(name).touch()
    assert [step.name for step in growth.choose_steps("text", place, ["status"])] == ["status"]
    chosen = [step.name for step in growth.choose_steps("text", place, ["dedup", "export --format hf"])]
    assert chosen == ["dedup", "filter --keep --within", "bucket", "order", "export --format hf"]
    chosen = [step.name for step in growth.choose_steps("text", place, [])]
    assert chosen == [name for name in names if name not in growth.HIDDEN]
    for steps in growth.KINDS.values():
        for number, step in enumerate(steps):
            assert {*step.needs} <= {earlier.name for earlier in steps[:number]}, step.name


def test_twice_the_documents_have_the_first_ones_and_as_many_copies_and_leaks_each():
    import growth_inputs

    few, many = list(growth_inputs.make_texts(3000)), list(growth_inputs.make_texts(6000))
    assert many[:3000] == few and len(many) == 6000
    repeated = [len(texts) - len(set(texts)) for texts in (few, many)]
    assert repeated == [30, 60]
    shingles = [
        {
            tuple(words[at : at + 5])
            for words in map(str.split, random.Random(0).sample(texts, 500))
            for at in range(len(words) - 4)
        }
        for texts in (few, many)
    ]
    assert len(shingles[0] & shingles[1]) < 0.5 * len(shingles[0])


def test_it_runs_in_parts_and_what_was_measured_before_stays(tmp_path):
    words = [
        "--made",
        str(tmp_path / "made"),
        "--out",
        str(tmp_path / "out"),
        "--row-sizes",
        "400",
        "--sizes",
        "",
        "--turns",
        "1",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for verbs in ("bucket", "filter --max-ppl;status"):
        command = [sys.executable, str(BENCHMARKS / "growth.py"), *words, "--verbs", verbs]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
    steps = json.loads((tmp_path / "out" / "growth.json").read_text())["steps"]["rows"]
    assert set(steps) == {"bucket", "filter --max-ppl", "order", "status"}
    assert all(set(sizes) == {"100", "400"} for sizes in steps.values())
    assert all(
        row["cpu_seconds"] > 0.1 and row["peak_bytes"] > 5e7 for sizes in steps.values() for row in sizes.values()
    )
    assert steps["bucket"]["400"]["written_bytes"] > 400
    page = (tmp_path / "out" / "growth.md").read_text()
    assert "| bucket |" in page and "Memory that grows with the documents: none." in page
