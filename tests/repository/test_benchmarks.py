"""The benchmark for GPUs runs on a CPU too, in small, so that it is not found broken where a GPU's time is short."""

import json
import os
import re
import subprocess
import sys

import pytest
from helpers.paths import ROOT

BENCHMARKS = ROOT / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))


def test_the_gpu_benchmark_runs_in_small_and_its_numbers_are_of_one_kind(tmp_path):
    sides = "curate, not compiled; curate, every device; curate's host alone; padded loop, sorted; vLLM"
    words = ["--small", "--tokens", "3000", "--peer-tokens", "1500", "--numeric-tokens", "600", "--sides", sides]
    command = [sys.executable, str(BENCHMARKS / "score_gpu.py"), *words, "--out", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore", "CXX": "none"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "vLLM is left out" in done.stderr
    found = json.loads((tmp_path / "score_gpu.json").read_text())
    assert (tmp_path / "score_gpu.md").read_text().strip() in done.stdout
    rows = {row["name"]: row for row in found["shapes"]["tiny"]["sides"]}
    assert list(rows) == [name.strip() for name in sides.split(";")][:4]
    assert rows["curate, every device"]["difference"] < 1e-3
    ours, padded = rows["curate, not compiled"], rows["padded loop, sorted"]
    assert ours["padding"] == 0 and padded["padding"] > 0.05 and 0 <= ours["idle"] < 1
    assert 0 < padded["difference"] < 0.02, "both sides score the same texts under the same weights"
    assert 0 < ours["mfu"] < 2 and rows["curate's host alone"]["tokens_per_second"] > ours["tokens_per_second"]
    assert found["verb"]["tokens_per_second"] > 10_000 and 0 <= found["verb"]["paced"]["idle"] < 1
    exact, packed = found["numerics"][0], found["numerics"][1]
    assert exact["noise"] < 1e-5 < packed["noise"] < 0.05 and exact["repeats"] and packed["repeats"]
    modes = [row["mode"] for row in found["numerics"]]
    assert re.match(r"default, packed \((bf16|fp32)\)", modes[1]) and "compiled" in modes[3]


def test_what_is_written_into_a_readme_replaces_what_stood_there(tmp_path):
    import report

    page = tmp_path / "README.md"
    page.write_text("before\n<!-- a -->\nold\n<!-- /a -->\nafter\n")
    for _ in range(2):
        report.put_into(page, "<!-- a -->", "<!-- /a -->", "new\n")
        assert page.read_text() == "before\n<!-- a -->\n\nnew\n\n<!-- /a -->\nafter\n"
    with pytest.raises(SystemExit, match="does not have"):
        report.put_into(page, "<!-- b -->", "<!-- /b -->", "new")


def test_documents_are_drawn_with_the_lengths_that_are_said():
    import numpy as np
    import score
    import score_gpu

    texts = score.read_texts(score.SAMPLE)
    tokenizer = score.train_tokenizer(texts[:40], 2000)
    found = score_gpu.draw_documents(texts, tokenizer, 200_000, 2000)
    lengths = score_gpu.count_tokens(tokenizer, found)
    assert 180_000 < lengths.sum() < 230_000 and lengths.max() <= 2100
    assert abs(np.median(lengths) / score_gpu.MEDIAN - 1) < 0.15
    assert 0.8 < np.std(np.log(lengths)) < 1.1
