"""A self-check is made once for a model, dtype, machine and code; whatever changes, or is damaged, is checked anew."""

import json

import numpy as np
import pytest
import torch
from helpers.scoring import TEXTS, score

from curate.reference import load, loading
from curate.reference.checks import remembered, self_check
from curate.reference.checks.half_precision import HalfPrecisionError
from curate.reference.protocol import ScoringConfig

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def made(tmp_path, monkeypatch):
    """How often a model was really checked; what is remembered lies in a cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(remembered.ALWAYS)
    monkeypatch.setattr(loading, "cpu_multiplies_bfloat16", lambda: True)
    calls, real = [], self_check.check_model

    def check(checkpoint, runner, prefix):
        calls.append(checkpoint.dtype)
        return real(checkpoint, runner, prefix)

    monkeypatch.setattr(self_check, "check_model", check)
    return calls


@pytest.mark.parametrize("kind", ["llama", "mamba"])
@pytest.mark.parametrize("dtype", ["bf16", "fp32"])
def test_a_second_start_reads_no_text_and_gives_the_same_bytes(folder, made, kind, dtype):
    config = ScoringConfig(device="cpu", dtype=dtype)
    first, second = (load(str(folder(kind)), config) for _ in range(2))
    assert made == [dtype]
    assert (first.identity, first.check_line, first.notes) == (second.identity, second.check_line, second.notes)
    assert score(first, TEXTS).nats.tobytes() == score(second, TEXTS).nats.tobytes()


def test_a_head_that_was_given_up_stays_given_up(folder, made, monkeypatch):
    real = self_check.find_head

    def scaled(model):
        head = real(model)
        head.scale = 0.9
        return head

    monkeypatch.setattr(self_check, "find_head", scaled)
    assert [load(str(folder("llama")), ScoringConfig(exact=True)).runner.head for _ in range(2)] == [None, None]
    assert len(made) == 1


@pytest.mark.parametrize("change", ["weights", "code", "torch", "variable", "prefix", "dtype"])
def test_what_a_check_depends_on_is_checked_anew(folder, made, monkeypatch, change):
    load(str(folder("llama")), ScoringConfig(device="cpu"))
    kind, config = "llama", ScoringConfig(device="cpu")
    if change == "weights":
        kind = "mistral"
    elif change == "code":
        monkeypatch.setattr(remembered, "_hash_own_code", lambda: "another")
    elif change == "torch":
        monkeypatch.setattr(torch, "__version__", "9.9.9")
    elif change == "variable":
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    elif change == "prefix":
        config = ScoringConfig(device="cpu", prefix="none")
    else:
        config = ScoringConfig(device="cpu", dtype="fp32")
    load(str(folder(kind)), config)
    assert len(made) == 2


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"layout": "packed"}', b"\xff\xfe"])
def test_a_damaged_file_is_checked_anew_and_mended(folder, made, damage):
    load(str(folder("llama")), ScoringConfig(device="cpu"))
    (path,) = remembered.remembered_folder().iterdir()
    path.write_bytes(damage)
    load(str(folder("llama")), ScoringConfig(device="cpu"))
    assert len(made) == 2 and json.loads(path.read_text())["layout"] == "packed"


def test_a_layout_that_does_not_exist_is_checked_anew(folder, made):
    load(str(folder("llama")), ScoringConfig(device="cpu"))
    (path,) = remembered.remembered_folder().iterdir()
    path.write_text(path.read_text().replace('"packed"', '"sideways"'))
    assert load(str(folder("llama")), ScoringConfig(device="cpu")).runner.layout == "packed" and len(made) == 2


def test_a_cache_that_cannot_be_written_is_no_error(folder, made, tmp_path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    for _ in range(2):
        load(str(folder("llama")), ScoringConfig(device="cpu"))
    assert len(made) == 2


def test_a_model_that_fails_its_check_is_not_remembered(folder, made, monkeypatch):
    monkeypatch.setattr(self_check, "_own_nats", lambda runner, pack: np.full(len(pack.rows_N), np.nan))
    for _ in range(2):
        with pytest.raises(Exception, match="NaN or infinity"):
            load(str(folder("llama")), ScoringConfig(device="cpu"))
    assert len(made) == 2 and not remembered.remembered_folder().exists()


def test_checks_can_be_asked_for_each_time(folder, made, monkeypatch):
    monkeypatch.setenv(remembered.ALWAYS, "always")
    for _ in range(2):
        load(str(folder("llama")), ScoringConfig(device="cpu"))
    assert len(made) == 2


def test_a_dtype_that_was_too_coarse_is_remembered_as_such(folder, made, monkeypatch):
    counted = self_check.check_model

    def coarse(checkpoint, runner, prefix):
        result = counted(checkpoint, runner, prefix)
        if checkpoint.dtype == "bf16":
            object.__setattr__(result, "error", HalfPrecisionError(0.02, 0.0, 0.05, 1000))
        return result

    monkeypatch.setattr(self_check, "check_model", coarse)
    first, second = (load(str(folder("llama")), ScoringConfig(device="cpu")) for _ in range(2))
    assert made == ["bf16", "fp32"] and first.identity == second.identity and first.notes == second.notes
