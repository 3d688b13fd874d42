"""Weights laid out for oneDNN: the same products, the same memory, and PyTorch's own where it cannot be."""

import copy

import pytest
import torch
from helpers import models

from curate.reference.forward_pass import packed_weights
from curate.reference.forward_pass.packed_weights import PackedLinear, pack_weights


def build(kind="llama", dtype=torch.bfloat16):
    return models.build(kind).to(dtype).eval().requires_grad_(False)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma2"])
def test_a_model_has_the_numbers_and_the_parameters_that_it_had(kind):
    plain = build(kind)
    model = copy.deepcopy(plain)
    linear = [m for m in plain.modules() if type(m) is torch.nn.Linear and m is not plain.get_output_embeddings()]
    assert pack_weights(model) == len(linear)
    assert len([m for m in model.modules() if isinstance(m, PackedLinear)]) == len(linear)
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in plain.parameters())
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    ids = torch.arange(60).reshape(2, 30) % 50
    with torch.inference_mode():
        truth = plain.float()(input_ids=ids).logits
        ours, theirs = model(input_ids=ids).logits.float(), plain.to(torch.bfloat16)(input_ids=ids).logits.float()
    noise = (theirs - truth).square().mean().sqrt()
    assert (ours - truth).square().mean().sqrt() <= 1.3 * noise + 1e-4


def test_a_packed_layer_shows_the_weights_that_it_had():
    layer = torch.nn.Linear(48, 96).to(torch.bfloat16).requires_grad_(False)
    assert torch.equal(PackedLinear(layer).weight, layer.weight)


def test_what_is_not_plain_bf16_on_a_cpu_stays():
    assert pack_weights(build(dtype=torch.float32)) == 0
    assert pack_weights(models.build("llama").to(torch.bfloat16)) == 0, "weights that can be trained"
    shared = torch.nn.Module()
    shared.one = shared.two = torch.nn.Linear(8, 8).to(torch.bfloat16).requires_grad_(False)
    shared.get_output_embeddings = lambda: None
    assert pack_weights(shared) == 0


@pytest.mark.parametrize("fault", [RuntimeError("no such operation"), AttributeError("_linear_pointwise"), None])
def test_operations_that_are_missing_or_give_other_numbers_leave_the_model_as_it_was(fault, monkeypatch):
    def forward(self, x):
        if fault is not None:
            raise fault
        return torch.nn.functional.linear(x, self.weight, self.bias) * 1.1

    monkeypatch.setattr(packed_weights.PackedLinear, "forward", forward)
    model = build()
    assert pack_weights(model) == 0 and not any(isinstance(m, PackedLinear) for m in model.modules())
