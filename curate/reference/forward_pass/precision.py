"""The precision of float32 products on the CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def matmul_precision(bfloat16: bool) -> Iterator[None]:
    """Inside the block, let float32 products on the CPU round their operands to bfloat16, or forbid it.

    Sums stay float32 either way.
    """
    mkldnn: Any = torch.backends.mkldnn
    backend = mkldnn.matmul
    before = backend.fp32_precision
    backend.fp32_precision = "bf16" if bfloat16 else "ieee"
    try:
        yield
    finally:
        backend.fp32_precision = before
