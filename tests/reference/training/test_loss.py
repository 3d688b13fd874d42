"""The chunked head gives the loss and the gradients of cross entropy."""

import pytest
import torch
from torch.nn import functional

from curate.reference.training import loss
from curate.reference.training.loss import HeadLoss


def test_the_head_gives_the_loss_and_gradients_of_cross_entropy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "HEAD_CHUNK", 7)
    torch.manual_seed(0)
    hidden, weight = torch.randn(20, 8, requires_grad=True), torch.randn(30, 8, requires_grad=True)
    targets = torch.randint(0, 30, (20,))
    targets[[3, 19]] = -1
    (3 * HeadLoss.apply(hidden, weight, targets, 18)).backward()
    found = hidden.grad, weight.grad
    hidden.grad = weight.grad = None
    expected = functional.cross_entropy(hidden @ weight.T, targets, ignore_index=-1)
    (3 * expected).backward()
    torch.testing.assert_close(HeadLoss.apply(hidden, weight, targets, 18), expected)
    torch.testing.assert_close(found, (hidden.grad, weight.grad))
