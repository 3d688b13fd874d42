"""A run that was stopped goes on with the model, the code, the versions and the chip that began it, and no other."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from helpers import models
from helpers.growing import lines
from typer.testing import CliRunner

from curate.cli import app
from curate.reference import causal, loading
from curate.rundir import parquet


@pytest.fixture
def model(tmp_path):
    return models.save(tmp_path / "m", "llama")


@pytest.fixture
def half(tmp_path, model, monkeypatch):
    """A run that was stopped before its corpus was scored to the end."""
    (tmp_path / "c.jsonl").write_text(lines(0, 60))
    real, passes = causal.CausalModel.start, []  # not nats, which the self-check calls as well

    def stop(self, pack):
        passes.append(1)
        if len(passes) > 4:
            raise KeyboardInterrupt
        return real(self, pack)

    with monkeypatch.context() as patch:
        patch.setattr(causal.CausalModel, "start", stop)
        found = score(tmp_path, model)
    assert found.exit_code == 130 and parquet.list_parts(tmp_path / "run" / "scores"), found.stderr
    return tmp_path


def score(folder, model, *options):
    words = ["score", folder / "c.jsonl", "--model", model, "--run", folder / "run", "--slice-bytes", 500, *options]
    return CliRunner().invoke(app, list(map(str, words)))


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_identity(run, **changes):
    """Write other values into the identity of the model that began a run, as if that were another machine's."""
    path = run / "run.json"
    record = json.loads(path.read_text())
    record["score"]["made_from"]["model"] |= changes
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rms_norm_eps": 0.5}, "rms_norm_eps is 0.5, was 1e-06"),
        ({"hidden_act": "gelu"}, 'hidden_act is "gelu", was "silu"'),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 7.0}}, "rope_parameters.rope_theta is 7.0, was"),
        ({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}}, "factor is 2.0, was not"),
        ({"sliding_window": 4}, "sliding_window is 4, was not there"),
        ({"layer_types": ["full_attention"]}, 'layer_types is ["full_attention"], was not there'),
        ({"attn_logit_softcapping": 30.0}, "attn_logit_softcapping is 30.0, was not there"),
        ({"embedding_multiplier": 2.0}, "embedding_multiplier is 2.0, was not there"),
        ({"attention_bias": True}, "attention_bias is true, was false"),
        ({"text_config": {"rms_norm_eps": 0.5}}, "text_config.rms_norm_eps is 0.5, was not there"),
        ({"quantization_config": {"bits": 4}}, "quantization_config.bits is 4, was not there"),
    ],
)
def test_a_key_of_the_configuration_that_was_edited_is_named_with_both_values(half, model, changes, said):
    edit(model / "config.json", **changes)
    found = score(half, model)
    assert found.exit_code == 1 and said in found.stderr and "config.json" in found.stderr
    assert "run-2 scores with the model as it is now" in found.stderr


@pytest.mark.parametrize(
    "name",
    ["tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.json", "vocab.txt",
     "merges.txt", "special_tokens_map.json", "added_tokens.json", "tekken.json", "qwen.tiktoken",
     "model.safetensors.index.json", "quantize_config.json"],
)  # fmt: skip
def test_every_file_that_gives_other_numbers_is_looked_at(half, model, name):
    path = model / name
    content = path.read_text() if path.exists() else '{"added": 1}'
    path.write_text(content.replace("{", '{"edited": 1, ', 1))
    found = score(half, model)
    assert found.exit_code == 1 and f"{name} differs" in found.stderr


def test_what_saving_again_writes_is_the_same_model_under_every_name(half, model, monkeypatch):
    edit(model / "config.json", transformers_version="0", dtype="bfloat16", use_cache=False, _name_or_path="x")
    (model / "generation_config.json").write_text('{"temperature": 3}')
    edit(model / "tokenizer_config.json", chat_template="{{ messages }}")
    (half / "link").symlink_to(model)
    monkeypatch.setenv("HOME", str(half))
    monkeypatch.chdir(half)
    for number, name in enumerate(("m", "./m/", "link", "~/m", "m/../m/")):
        copy = half / f"run{number}"
        shutil.copytree(half / "run", copy)
        words = ["score", "c.jsonl", "--model", name, "--run", str(copy)]
        found = CliRunner().invoke(app, words)
        assert found.exit_code == 0 and "resuming" in found.stderr, (name, found.stderr)


def test_python_code_that_a_model_names_is_looked_at(half, model):
    from curate.reference.checkpoints.model_files import describe_model, list_differing_files

    edit(model / "config.json", auto_map={"AutoConfig": "own.Own"})
    (model / "own.py").write_text("one")
    before = describe_model(str(model))
    (model / "own.py").write_text("two")
    assert list_differing_files(before, describe_model(str(model))) == ["own.py"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"chip": "NVIDIA A100"}, "chip: NVIDIA A100, now"),
        (
            {"versions": {"torch": "1.0", "transformers": "4.0", "tokenizers": "0.1", "curate": "0"}},
            "versions.torch: 1.0",
        ),
    ],
)
def test_another_machine_goes_on_only_where_that_is_allowed_and_is_recorded(half, model, changes, said):
    change_identity(half / "run", **changes)
    refused = score(half, model)
    assert refused.exit_code == 1 and said in refused.stderr and "--allow-mixed goes on" in refused.stderr
    assert ("pip install tokenizers==0.1 torch==1.0 transformers==4.0" in refused.stderr) == ("versions" in changes)
    allowed = score(half, model, "--allow-mixed")
    assert allowed.exit_code == 0 and "several machines in one table" in allowed.stderr
    (mixed,) = json.loads((half / "run" / "run.json").read_text())["score"]["mixed"]
    assert set(mixed) == set(changes)


def test_another_version_of_curate_alone_goes_on(half, model):
    record = json.loads((half / "run" / "run.json").read_text())["score"]["made_from"]["model"]
    change_identity(half / "run", versions={**record["versions"], "curate": "0.0.1"})
    assert score(half, model).exit_code == 0


def test_a_run_of_an_earlier_version_that_says_less_still_goes_on(half, model):
    path = half / "run" / "run.json"
    record = json.loads(path.read_text())
    for key in ("chip", "files", "code", "weights_in_full"):
        del record["score"]["made_from"]["model"][key]
    for key in ("settings", "further"):
        del record["score"]["request"]["model"][key]
    path.write_text(json.dumps(record))
    found = score(half, model)
    assert found.exit_code == 0 and "resuming" in found.stderr


def test_an_edit_in_the_middle_of_large_weights_is_seen(model, monkeypatch):
    from curate.reference.checkpoints import checkpoint

    monkeypatch.setattr(checkpoint, "FULL_HASH_BYTES", 0)
    path = model / "model.safetensors"
    before = checkpoint.hash_weights_in_full(model)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert before is not None and checkpoint.hash_weights_in_full(model) != before
    identity = loading.load_causal(str(model), loading.ScoringConfig(dtype="fp32")).identity
    assert identity["weights_in_full"] and identity["files"] and identity["chip"] is None


def test_a_run_that_was_killed_refuses_another_rope_theta(tmp_path, model):
    (tmp_path / "c.jsonl").write_text(lines(0, 3000))
    words = [sys.executable, "-m", "curate", "score", str(tmp_path / "c.jsonl"), "--model", str(model)]
    words += ["--run", str(tmp_path / "run"), "--slice-bytes", "500"]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    for _ in range(1200):
        if len(parquet.list_parts(tmp_path / "run" / "scores")) >= 3:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    edit(model / "config.json", rope_parameters={"rope_type": "default", "rope_theta": 3.0})
    found = score(tmp_path, model)
    assert found.exit_code == 1 and "rope_theta is 3.0" in found.stderr
