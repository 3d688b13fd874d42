"""A model made faster for many packs of one size: products that read the same input merged, layers compiled.

Nothing here is trusted: whoever calls ``speed_up`` compares the numbers before and after (``selfcheck.confirm``).
Layers of one kind have the same code, so that a model of thirty is compiled once, not thirty times; what torch compiles
is kept on disk, and found there by the next run.
"""

import os
import shutil
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

TOGETHER = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
SHAPES = 64  # compiled forms of a layer that are kept: kinds of layers times sizes, after halvings for want of memory


class _Merged(nn.Module):
    """Several linear layers as one product, for an input that each is asked about in turn."""

    def __init__(self, layers: Sequence[nn.Linear]):
        super().__init__()
        self.sizes = [layer.out_features for layer in layers]
        with torch.no_grad():
            self.weight = nn.Parameter(torch.cat(tuple(layer.weight for layer in layers)), requires_grad=False)
            biases: list[torch.Tensor] = [layer.bias for layer in layers if layer.bias is not None]
            self.bias = nn.Parameter(torch.cat(biases), requires_grad=False) if biases else None
        self.seen: torch.Tensor | None = None
        self.parts: list[torch.Tensor | None] = [None] * len(layers)

    def give(self, number: int, x: torch.Tensor) -> torch.Tensor:
        """The output of layer ``number``; the others' are kept until they are asked about the same input."""
        part = self.parts[number]
        if self.seen is not x or part is None:
            self.seen = x
            self.parts = list(torch.split(F.linear(x, self.weight, self.bias), self.sizes, dim=-1))
            part = self.parts[number]
        self.parts[number] = None
        if all(one is None for one in self.parts):
            self.seen = None
        assert part is not None
        return part


class _Part(nn.Module):
    """One of the layers of a merged product, in the place where the model looks for it."""

    def __init__(self, merged: _Merged, number: int, layer: nn.Linear):
        super().__init__()
        self.merged, self.number = merged, number
        self.in_features, self.out_features = layer.in_features, layer.out_features

    @property
    def weight(self) -> torch.Tensor:
        return torch.split(self.merged.weight, self.merged.sizes)[self.number]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.merged.give(self.number, x)


def merge_projections(model: nn.Module) -> int:
    """Let linear layers that a layer asks about one input share a product: query, key and value; gate and up.

    Layers that are asked about different inputs still give their own outputs, only slower. → how many products are
    made in place of more
    """
    found = 0
    for parent in list(model.modules()):
        for names in TOGETHER:
            layers = [getattr(parent, name, None) for name in names]
            if _fit_together(layers):
                merged = _Merged([layer for layer in layers if isinstance(layer, nn.Linear)])
                for number, (name, layer) in enumerate(zip(names, layers, strict=True)):
                    setattr(parent, name, _Part(merged, number, layer))  # type: ignore[arg-type]
                found += 1
    return found


def _fit_together(layers: Sequence[Any]) -> bool:
    """Plain linear layers of one width, kind and place, all with a bias or all without."""
    if any(type(layer) is not nn.Linear for layer in layers):
        return False
    kinds = {(one.in_features, one.weight.dtype, one.weight.device, one.bias is None) for one in layers}
    return len(kinds) == 1


def find_layers(model: nn.Module) -> list[nn.Module]:
    """The layers of a model, bottom to top: its list of modules with the most parameters in it."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList) and len(module)]
    most = max(lists, key=lambda one: sum(value.numel() for value in one.parameters()), default=None)
    return [] if most is None else list(most)


def compile_layers(model: nn.Module, backend: Any = "inductor") -> int:
    """Compile each layer by itself, for the size of pack that it is run with first.  → how many

    They are compiled when they first run. A C++ compiler (CPU) or Triton (CUDA) that is missing shows then.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder()))
    dynamo: Any = torch._dynamo.config
    dynamo.recompile_limit = max(dynamo.recompile_limit, SHAPES)
    layers = find_layers(model)
    for layer in layers:
        layer.compile(backend=backend, dynamic=False)
    return len(layers)


def compile_function(function: Any, backend: Any = "inductor") -> Any:
    """A function compiled for the shapes that it is called with first."""
    return torch.compile(function, backend=backend, dynamic=False)


def cache_folder() -> Path:
    """Where compiled code is kept between runs: the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "curate" / "compiled"


def why_not(device: torch.device) -> str | None:
    """What is missing to compile for a device, in a few words; None where nothing is known to be."""
    if device.type == "cuda":
        try:
            import triton  # type: ignore[import-not-found]  # noqa: F401
        except ImportError:
            return "Triton is not installed"
        return None
    if device.type == "cpu":
        named = os.environ.get("CXX")
        if not any(map(shutil.which, [named] if named else ["g++", "clang++", "c++"])):
            return "no C++ compiler"
        headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
        return None if headers.exists() else f"no {headers} (the package python3-dev, often)"
    return f"torch does not compile for {device.type}"
