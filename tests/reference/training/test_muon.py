"""Muon: every direction of a matrix moves by the rate."""

import pytest
import torch

from curate.reference.training.muon import Muon, orthogonalise
from curate.reference.training.train_step import make_workers


def test_muon_moves_a_matrix_by_the_rate_in_every_direction() -> None:
    torch.manual_seed(0)
    matrix = torch.nn.Parameter(torch.randn(8, 8))
    before, matrix.grad = matrix.detach().clone(), torch.randn(8, 8)
    muon = Muon([matrix])
    muon.step(0.5, torch.float32, make_workers(1))
    values = torch.linalg.svdvals(before - matrix.detach())
    assert values.min() > 0.5 * 0.3 and values.max() < 0.5 * 1.3


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 40, 16), (2, 16, 40)])
def test_orthogonalising_keeps_the_singular_vectors_and_evens_the_values(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    core = left.mT @ orthogonalise(matrices, 5) @ right.mT
    values = core.diagonal(dim1=-2, dim2=-1)
    assert values.min() > 0.3 and values.max() < 1.3
    torch.testing.assert_close(core, torch.diag_embed(values), atol=1e-3, rtol=0)
