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
    words = ["--small", "--tokens", "1500", "--peer-tokens", "700", "--numeric-tokens", "300", "--sides", sides]
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


def test_the_model_in_the_box_is_measured_on_other_languages_on_code_and_beside_another_model(tmp_path):
    import builtin as measure
    from helpers.models import save

    words = ["a", "committee", "met", "twice", "and", "the", "second", "meeting", "was", "longer"]
    english = [" ".join(words[at:] + words[:at]) for at in range(9)]
    greek = [f"{number} Η επιτροπή συνεδρίασε δύο φορές την άνοιξη" for number in range(7)]
    files = {"held": {"blog": english}, "dirty": {"clean_control": english, "logs": greek}, "code": {"c": english}}
    for folder, kinds in files.items():
        for kind, texts in kinds.items():
            measure.write_texts(tmp_path / folder / f"{kind}.jsonl", texts)
    rows = [{"text": text, "source": "a/b:c.md [el-GR]"} for text in greek] + [{"text": "ça", "source": "x [fr]"}]
    (tmp_path / "dirty" / "non_english.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    folders = [
        "--dirty",
        str(tmp_path / "dirty"),
        "--code",
        str(tmp_path / "code"),
        "--held-out",
        str(tmp_path / "held"),
    ]
    card = tmp_path / "card.md"
    card.write_text("".join(f"{begin}\n{end}\n" for begin, end in measure.MARKS.values()))
    other = ["--other", str(save(tmp_path / "other", "llama")), "--name", "tiny", "--sample", "4", "--dtype", "fp32"]
    for part, more in (("languages", []), ("beside", other)):
        command = [sys.executable, str(BENCHMARKS / "builtin.py"), part, *folders, *more, "--card", str(card)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    text = card.read_text()
    assert "| el | 7 |" in text and "| fr |" not in text and "| c | 9 |" in text and "| *clean_control* | 9 |" in text
    assert "| domain | documents | builtin | tiny |" in text and "| blog | 2 |" in text
    assert "| logs | 4 |" in text and "| language el | 2 |" in text and "| code c | 2 |" in text
