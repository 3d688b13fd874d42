"""The self-check at loading: a kernel or head that gives other numbers is caught and given up."""

import numpy as np
import pytest
import torch
from helpers import models
from helpers.scoring import TEXTS, naive, score

from curate.errors import ModelError
from curate.reference import load, loading
from curate.reference.checks import half_precision, self_check
from curate.reference.forward_pass import packed_attention
from curate.reference.protocol import ScoringConfig

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


@pytest.mark.filterwarnings("ignore")
def test_an_attention_that_leaks_between_documents_is_caught_and_packing_given_up(folder, monkeypatch):
    monkeypatch.setattr(packed_attention, "find_runs", lambda edges: [(0, edges[-1], 1)])
    reference = load(str(folder("llama")), ScoringConfig(exact=True))
    assert reference.runner.layout == "padded" and any("not packed: a token is off" in note for note in reference.notes)
    np.testing.assert_allclose(score(reference, TEXTS).nats, naive(folder("llama"), TEXTS, 64), rtol=2e-6)


def test_a_kernel_that_fails_in_half_precision_alone_is_caught_and_packing_given_up(folder, monkeypatch):
    real = packed_attention._documents

    def fails(whole, *rest):
        if whole.dtype == torch.bfloat16:
            raise RuntimeError("no kernel for this chip")
        return real(whole, *rest)

    monkeypatch.setattr(packed_attention, "_documents", fails)
    reference = load(str(folder("llama")), ScoringConfig(dtype="bf16"))
    assert reference.runner.layout == "padded" and reference.identity["forward"] == "padded"
    assert "not packed in this dtype: no kernel for this chip" in reference.notes
    noise = (score(reference, TEXTS).nats - naive(folder("llama"), TEXTS, 64)) / np.sqrt(score(reference, TEXTS).tokens)
    assert np.sqrt(np.mean(noise**2)) <= 0.05


def test_a_kernel_that_leaks_in_half_precision_alone_is_caught_too(folder, monkeypatch):
    real = packed_attention.attend

    def leaks(module, query, *rest, **options):
        if query.dtype == torch.bfloat16:
            with packed_attention.attend_within(None):
                return real(module, query, *rest, **options)
        return real(module, query, *rest, **options)

    from transformers import AttentionInterface

    monkeypatch.setattr(
        packed_attention, "register_attention", lambda: AttentionInterface.register(packed_attention.NAME, leaks)
    )
    reference = load(str(folder("llama")), ScoringConfig(dtype="bf16"))
    monkeypatch.undo()
    packed_attention.register_attention()
    assert reference.runner.layout == "padded"


def test_a_head_that_is_not_the_models_is_caught_and_given_up(folder, monkeypatch):
    def scaled(model):
        head = real(model)
        head.scale = 0.9
        return head

    real = self_check.find_head
    monkeypatch.setattr(self_check, "find_head", scaled)
    reference = load(str(folder("llama")), ScoringConfig(exact=True))
    assert reference.runner.head is None and reference.identity["head"] == "own"
    np.testing.assert_allclose(score(reference, TEXTS).nats, naive(folder("llama"), TEXTS, 64), rtol=2e-6)


def test_every_rung_gives_the_same_numbers(folder):
    reference = load(str(folder("llama")), ScoringConfig(exact=True))
    truth = naive(folder("llama"), TEXTS, 64)
    for layout in ("packed", "padded", "equal", "alone"):
        reference.runner.layout = layout
        self_check._set_attention(reference.runner, layout)
        np.testing.assert_allclose(score(reference, TEXTS).nats, truth, rtol=2e-6, err_msg=layout)


def test_half_precision_that_is_too_coarse_gives_way_to_fp32(folder, monkeypatch):
    monkeypatch.setattr(half_precision, "MOST", 1e-9)
    monkeypatch.setattr(loading, "cpu_multiplies_bfloat16", lambda: True)
    reference = load(str(folder("llama")))
    assert reference.identity["dtype"] == "fp32" and any("running in fp32 instead" in note for note in reference.notes)


def test_a_model_that_looks_ahead_is_refused(tmp_path):
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        "bert", **models.COMMON, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32
    )
    torch.manual_seed(0)
    config.initializer_range, config.is_decoder = 0.5, False
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    models.tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="not causal"):
        load(str(tmp_path), ScoringConfig(exact=True))
