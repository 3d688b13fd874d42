"""The head gives -ln softmax of the model's logits, whatever the model does to them, in float32 and in bf16."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from curate.reference.forward_pass import lm_head
from curate.reference.forward_pass.lm_head import Head, rank_targets

ROWS, WIDTH, VOCABULARY = 300, 96, 2000


def make_head(kind: str, dtype: torch.dtype) -> tuple[Head, torch.Tensor, torch.Tensor]:
    """A head whose logits reach ±40, hidden states and targets; half of the targets are the likeliest token."""
    made = torch.Generator().manual_seed(0)
    weight = torch.randn(VOCABULARY, WIDTH, generator=made).to(dtype)
    hidden = torch.randn(ROWS, WIDTH, generator=made).to(dtype)
    bias = 5 * torch.randn(VOCABULARY, generator=made) if "bias" in kind else None
    head = Head(weight, bias, 0.5 if "scale" in kind else 1.0, 30.0 if "cap" in kind else None, rows=128)
    targets = torch.randint(0, VOCABULARY, (ROWS,), generator=made)
    targets[::2] = true_logits(head, hidden)[::2].argmax(1)
    return head, hidden, targets


def true_logits(head: Head, hidden: torch.Tensor) -> torch.Tensor:
    logits = hidden.double() @ head.weight_VD.double().t()
    if head.bias_V is not None:
        logits += head.bias_V.double()
    logits *= head.scale
    return logits if head.cap is None else head.cap * torch.tanh(logits / head.cap)


@pytest.mark.parametrize("kind", ["plain", "bias", "scale", "cap", "bias scale cap"])
def test_in_bf16_a_token_is_right_to_a_thousandth_of_its_nats_although_logits_are_rounded_to_a_tenth(kind):
    head, hidden, targets = make_head(kind, torch.bfloat16)
    logits = true_logits(head, hidden)
    truth = F.cross_entropy(logits, targets, reduction="none")
    error = head.nats(hidden, targets) - truth
    assert (error.abs() <= 2e-3 + 4e-3 * truth).all()
    assert abs(float(error.mean())) < 5e-4 * float(truth.mean())
    rounded = F.cross_entropy(logits.to(torch.bfloat16).double(), targets, reduction="none") - truth
    likely, lost = error[::2].square().mean(), rounded[::2].square().mean()
    assert float(lost) > 20 * float(likely), "a plain bf16 product would do"


@pytest.mark.parametrize("kind", ["plain", "bias scale cap"])
def test_in_float32_the_head_gives_the_nats_of_the_logits(kind):
    head, hidden, targets = make_head(kind, torch.float32)
    truth = F.cross_entropy(true_logits(head, hidden), targets, reduction="none")
    torch.testing.assert_close(head.nats(hidden, targets), truth.float(), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_ranks_are_those_of_the_logits_but_for_near_ties(dtype):
    head, hidden, targets = make_head("bias", dtype)
    ranks = torch.zeros(ROWS, dtype=torch.int64)
    head.nats(hidden, targets, ranks)
    truth = rank_targets(true_logits(head, hidden), targets)
    assert (ranks[::2] == 1).all() and (truth[::2] == 1).all()
    assert ((ranks - truth).abs() <= 1 + truth // 100).all()


def test_hidden_states_of_another_dtype_than_the_weights_are_multiplied_in_float32():
    head, hidden, targets = make_head("plain", torch.bfloat16)
    truth = F.cross_entropy(true_logits(head, hidden), targets, reduction="none").float()
    torch.testing.assert_close(replace(head).nats(hidden.float(), targets), truth, rtol=2e-5, atol=2e-5)


def test_fewer_rows_at_a_time_give_the_same_nats():
    head, hidden, targets = make_head("bias", torch.bfloat16)
    torch.testing.assert_close(replace(head, rows=16).nats(hidden, targets), head.nats(hidden, targets))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_losses_and_ranks_are_the_same_however_many_rows_the_cache_of_a_cpu_holds(dtype, monkeypatch):
    head, hidden, targets = make_head("bias scale cap", dtype)
    found = []
    for held in (7, ROWS):  # 7 divides neither the rows of a chunk nor all rows
        monkeypatch.setattr(lm_head, "CPU_LOSS_BYTES", held * 4 * VOCABULARY)
        ranks = torch.zeros(ROWS, dtype=torch.int64)
        found.append((replace(head).nats(hidden, targets, ranks), ranks))
    torch.testing.assert_close(*found, rtol=0, atol=0)
