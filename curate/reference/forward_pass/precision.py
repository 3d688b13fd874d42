"""How float32 products are computed on the CPU, for the length of a block."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def matmul_precision(bfloat16: bool) -> Iterator[None]:
    """Let float32 products on the CPU round their operands to bfloat16 (sums stay float32), or forbid it."""
    mkldnn: Any = torch.backends.mkldnn
    backend = mkldnn.matmul
    before = backend.fp32_precision
    backend.fp32_precision = "bf16" if bfloat16 else "ieee"
    try:
        yield
    finally:
        backend.fp32_precision = before
