"""A second module around the weights of a model in training, in which scoring may set what it likes.

The modules are copied, the weights are not: what an optimiser changes in place shows in both. Hooks, forward functions
that a training has replaced (autocast, compiled layers) and gradient checkpointing are left behind: the twin computes
what a saved checkpoint would.
"""

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

REPLACED = ("forward", "_original_forward", "_old_forward", "_hf_hook")
"""Attributes of a module, beside those of its class, by which libraries replace what it computes."""
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def share_weights(model: Any, dtype: torch.dtype | None = None) -> Any:
    """Return a copy of a model, in evaluation mode, whose weights are those of the model itself.

    With ``dtype`` they are copies instead where they are in another one; buffers, such as rotary tables, stay as they
    are. The model is not changed.
    """
    memo: dict[int, Any] = {id(weight): _cast(weight, dtype) for weight in model.parameters()}
    twin = copy.deepcopy(model, memo)
    for module in twin.modules():
        for name in REPLACED:
            module.__dict__.pop(name, None)
        for name in HOOKS:
            getattr(module, name).clear()
        module._compiled_call_impl = None
        if "gradient_checkpointing" in module.__dict__:
            module.gradient_checkpointing = False
        for name, child in module._modules.items():
            if type(child).__name__ == "OptimizedModule":
                module._modules[name] = child._orig_mod
    return twin.eval()


def _cast(weight: torch.nn.Parameter, dtype: torch.dtype | None) -> torch.nn.Parameter:
    if dtype is None or weight.dtype == dtype or not weight.is_floating_point():
        return weight
    return torch.nn.Parameter(weight.detach().to(dtype), requires_grad=False)


@contextmanager
def keep_random_states() -> Iterator[None]:
    """Restore the random generators of Python, NumPy and torch, on all devices, at the end of the block."""
    python, numpy = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    apple = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if apple is not None:
            torch.mps.set_rng_state(apple)
