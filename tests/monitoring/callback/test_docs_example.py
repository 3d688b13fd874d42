"""The example of docs/watching-a-training.md runs as it is printed."""

import json
import re

import pytest
from helpers.live_trainings import TEXTS, write_held_out
from helpers.models import save
from helpers.paths import ROOT


@pytest.mark.filterwarnings("ignore:.*pin_memory:UserWarning")
def test_the_example_of_the_page_runs_on_a_tiny_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "model", "llama")
    write_held_out(tmp_path)
    (tmp_path / "train.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    page = (ROOT / "docs/watching-a-training.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(compile(code, "watching-a-training.md", "exec"), {})
    lines = [line for line in capsys.readouterr().out.splitlines() if "['numbers', 'prose']" in line]
    assert [line.split()[0] for line in lines] == ["0", "5", "10"]
    for path in ("runs/x/series.json", "runs/x/step-00000000/run.json", "runs/x/step-00000005/run.json"):
        assert (tmp_path / path).is_file() and path.rsplit("/", 1)[0] in page.replace("step-00000010", "")
