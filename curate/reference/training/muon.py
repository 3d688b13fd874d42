"""Muon: the optimiser of the layers' matrices.

Shapes: N matrices of one shape, R rows, K columns.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn


def orthogonalise(matrices_NRK: Tensor, steps: int = 5) -> Tensor:
    """Return matrices with the same singular vectors and all singular values near 1 (0.7 to 1.2).

    Newton-Schulz iteration with the quintic coefficients of Keller Jordan, "Muon: an optimizer for hidden layers in
    neural networks" (2024), https://kellerjordan.github.io/posts/muon/.
    """
    tall = matrices_NRK.shape[-2] > matrices_NRK.shape[-1]
    x: Tensor = matrices_NRK.mT if tall else matrices_NRK
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if tall else x


class Muon:
    """Momentum whose step is orthogonalised, for the matrices of the layers (Jordan 2024); one batch for each shape."""

    def __init__(self, matrices: Iterable[nn.Parameter], momentum: float = 0.95):
        self.momentum = momentum
        self.groups: dict[str, list[nn.Parameter]] = {}
        for matrix in matrices:
            self.groups.setdefault("x".join(map(str, matrix.shape)), []).append(matrix)
        self.averages = {key: torch.zeros_like(torch.stack(list(group))) for key, group in self.groups.items()}

    def step(self, rate: float, dtype: torch.dtype, workers: ThreadPoolExecutor) -> None:
        """Move every matrix by ``rate`` along its orthogonalised Nesterov momentum."""
        list(workers.map(lambda key: self.move_group(key, rate, dtype), self.groups))

    @torch.no_grad()
    def move_group(self, key: str, rate: float, dtype: torch.dtype) -> None:
        """Take the step of all matrices of one shape."""
        grads_NRK = torch.stack([matrix.grad for matrix in self.groups[key] if matrix.grad is not None])
        average_NRK = self.averages[key].lerp_(grads_NRK, 1 - self.momentum)
        ahead_NRK = grads_NRK.lerp(average_NRK, self.momentum)
        rows, columns = ahead_NRK.shape[-2:]
        moves_NRK = orthogonalise(ahead_NRK.to(dtype)).float() * (rate * max(1.0, rows / columns) ** 0.5)
        for matrix, move in zip(self.groups[key], moves_NRK, strict=True):
            matrix.sub_(move)
