"""Attention inside each document of a pack, never across documents.

Registered with transformers as ``curate``: every model that goes through its ``AttentionInterface`` then calls
``attend`` with the projections of a pack, and no mask is ever built. The bounds of the documents come from
``attend_within``, around the forward pass, since not every model passes keyword arguments down to its attention.

To ``torch.compile`` all of it is one operation, ``curate::attend``, which looks up the bounds when it runs: compiled
code depends on the size of a pack, not on the documents in it, and is compiled once.

Shapes: B batch, H query heads, G key/value heads, T positions of a pack, L positions of a document, N documents,
K head width.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, cast

import torch
import torch.nn.functional as F

from curate.reference.forward_pass import document_attention
from curate.runtime import console

NAME = "curate"
LONG = 96  # positions from which on blocks of bf16 products are faster than the CPU kernel
BLOCK = 128  # queries of such a block
QUERY_CHUNK = 512  # rows of scores at a time where a window or a soft cap rules the fused kernels out


@dataclass(slots=True)
class DocumentBounds:
    """The bounds of the documents of a pack."""

    edges: list[int]
    """0 = b_0 < b_1 < … < b_n = T."""
    edges_device: torch.Tensor | None = None
    """The same as int32 on CUDA, where one kernel handles all documents; None: a call for each run of equals."""
    fused: bool = False
    """Whether that kernel is ours (``document_attention``), where it fits, and not torch's."""
    spread: torch.Tensor | None = None
    """Where documents share beginnings, the position of each token of each document; ``edges`` are of these tokens."""
    kept: torch.Tensor | None = None
    """With ``spread``, the token by which each position of the pack is computed."""
    _runs: list[tuple[int, int, int]] | None = None
    _longest: int = 0

    @property
    def runs(self) -> list[tuple[int, int, int]]:
        """The documents as ``find_runs`` groups them; computed at first use."""
        if self._runs is None:
            self._runs = find_runs(self.edges)
        return self._runs

    @property
    def longest(self) -> int:
        """The length of the longest document; computed at first use."""
        self._longest = self._longest or max(stop - start for start, stop in pairwise(self.edges))
        return self._longest


def find_runs(edges: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return runs of neighbouring documents of equal length as (first position, length, number of documents).

    One call of the kernel handles a run.
    """
    runs: list[tuple[int, int, int]] = []
    for start, stop in pairwise(edges):
        if runs and runs[-1][1] == stop - start:
            first, length, count = runs[-1]
            runs[-1] = (first, length, count + 1)
        else:
            runs.append((start, stop - start, 1))
    return runs


_bounds: DocumentBounds | None = None
_third = False  # whether the variable-length kernel runs FlashAttention 3


@contextmanager
def attend_within(bounds: DocumentBounds | None) -> Iterator[None]:
    """Inside the block, attend within these bounds; None: every row of the batch is one document."""
    global _bounds
    before, _bounds = _bounds, bounds
    try:
        yield
    finally:
        _bounds = before


def register_attention() -> None:
    """Make ``attn_implementation="curate"`` known to transformers."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attend)


def attend(
    module: torch.nn.Module,
    query_BHTK: torch.Tensor,
    key_BGTK: torch.Tensor,
    value_BGTK: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    position_bias: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Return the output of causal attention inside each document of the pack, B×T×H×K, and None for the weights.

    Applies the scale, sliding window, soft cap (Gemma 2) and sinks (GPT-OSS) that the model passes. Raises
    NotImplementedError for a position bias; the self-check then runs the model without packs.
    """
    if position_bias is not None:
        raise NotImplementedError("attention with a position bias")
    scale = query_BHTK.shape[-1] ** -0.5 if scaling is None else float(scaling)
    run = attend_as_one_operation if torch.compiler.is_compiling() else _attend
    return run(query_BHTK, key_BGTK, value_BGTK, scale, sliding_window, softcap, s_aux), None


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: float,
    window: int | None,
    softcap: float | None,
    sinks: torch.Tensor | None,
) -> torch.Tensor:
    """Attend in the documents of the current bounds.  → B×T×H×K"""
    bounds = _bounds
    if bounds is None:
        out = _document(query, key, value, scale, window, softcap, sinks)
        return out.transpose(1, 2).contiguous()
    if bounds.spread is None or bounds.kept is None:
        return _attend_documents(bounds, query, key, value, scale, window, softcap, sinks)
    query, key, value = (each.index_select(2, bounds.spread) for each in (query, key, value))
    out_1EHK = _attend_documents(bounds, query, key, value, scale, window, softcap, sinks)
    return out_1EHK.index_select(1, bounds.kept)


def _attend_documents(
    bounds: DocumentBounds,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: float,
    window: int | None,
    softcap: float | None,
    sinks: torch.Tensor | None,
) -> torch.Tensor:
    """Attend in documents end to end.  → B×T×H×K"""
    edges = bounds.edges_device
    if edges is not None and softcap is None and sinks is None and query.dtype != torch.float32:
        query_THK, key_TGK, value_TGK = (each[0].transpose(0, 1) for each in (query, key, value))
        if bounds.fused and window is None and document_attention.fits(query_THK, key_TGK, value_TGK):
            out_THK = document_attention.attend_documents(query_THK, key_TGK, value_TGK, edges, bounds.longest, scale)
            return out_THK.unsqueeze(0)
        return _varlen(query, key, value, scale, window, edges, bounds.longest)
    _one, heads, positions, _width = query.shape
    out_THK = query.new_empty((positions, heads, value.shape[-1]))
    for start, length, count in bounds.runs:
        queries, keys, values = (_documents(each, start, length, count) for each in (query, key, value))
        out_NHLK = _document(queries, keys, values, scale, window, softcap, sinks)
        out_THK[start : start + count * length].unflatten(0, (count, length)).copy_(out_NHLK.transpose(1, 2))
    return out_THK.unsqueeze(0)


attend_as_one_operation = torch.library.custom_op("curate::attend", _attend, mutates_args=())
"""``_attend`` as one operation, opaque to the compiler."""


@attend_as_one_operation.register_fake
def _(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any) -> torch.Tensor:
    batch, heads, positions, _width = query.shape
    return query.new_empty((batch, positions, heads, value.shape[-1]))


def _documents(pack_1HTK: torch.Tensor, start: int, length: int, count: int) -> torch.Tensor:
    """Return neighbouring documents of one length as a batch, N×H×L×K, without copying."""
    part_HTK = pack_1HTK[0, :, start : start + count * length]
    return part_HTK.reshape(part_HTK.shape[0], count, length, -1).transpose(0, 1)


def _varlen(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: float,
    window: int | None,
    edges: torch.Tensor,
    longest: int,
) -> torch.Tensor:
    """Attend in all documents by one call of torch's variable-length kernel (CUDA, half precision).  → 1×T×H×K"""
    from torch.nn.attention.varlen import varlen_attn

    left = -1 if window is None else window - 1
    options: dict[str, Any] = {}
    if "enable_gqa" in _kernel_options():  # PyTorch 2.12 and newer require it where query heads share a key head
        options["enable_gqa"] = key.shape[1] != query.shape[1]
    if (
        _third and "num_splits" in _kernel_options()
    ):  # else the last bits of a document depend on the others of its pack
        options["num_splits"] = 1
    out_THK = varlen_attn(
        query[0].transpose(0, 1),
        key[0].transpose(0, 1),
        value[0].transpose(0, 1),
        edges,
        edges,
        longest,
        longest,
        scale=scale,
        window_size=(left, 0),
        **options,
    )
    return cast("torch.Tensor", out_THK).unsqueeze(0)


@cache
def _kernel_options() -> frozenset[str]:
    """Return the parameters of this PyTorch's variable-length attention."""
    from torch.nn.attention.varlen import varlen_attn

    return frozenset(inspect.signature(varlen_attn).parameters)


def prefers_own_kernel(device: torch.device) -> bool:
    """Return whether our kernel for all documents is the fastest: on Hopper with Triton, without FlashAttention 3."""
    there = document_attention.is_installed() and device.type == "cuda" and not _third
    return there and torch.cuda.get_device_capability(device)[0] == 9


def activate_hopper_kernel(device: torch.device) -> bool:
    """Let torch's variable-length attention run FlashAttention 3 on a Hopper GPU; return whether it does.

    It needs the package ``flash_attn_interface``. Without it, or where a trial run fails (with a warning), torch's
    FlashAttention 2 stays.
    """
    if torch.cuda.get_device_capability(device)[0] != 9 or find_spec("flash_attn_interface") is None:
        return False
    from torch.nn import attention as kernels

    global _third
    try:
        kernels.activate_flash_attention_impl("FA3")
        _third = True
        trial = torch.zeros(1, 2, 8, 64, dtype=torch.bfloat16, device=device)
        _varlen(trial, trial, trial, 1.0, None, torch.tensor([0, 8], dtype=torch.int32, device=device), 8)
    except Exception as error:
        _third = False
        kernels.restore_flash_attention_impl()
        why = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        console.warn(f"FlashAttention 3 is installed but fails ({why}); PyTorch's FlashAttention 2 is used")
    return _third


def _document(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: float,
    window: int | None,
    softcap: float | None,
    sinks: torch.Tensor | None,
) -> torch.Tensor:
    """Attend in documents of one length, causally.  → B×H×L×K"""
    length, groups = query.shape[2], query.shape[1] // key.shape[1]
    slides = window is not None and length > window
    plain = softcap is None and sinks is None and not slides
    if plain and length >= LONG and query.dtype == torch.bfloat16 and query.device.type == "cpu":
        return _causal_blocks(query, key, value, scale)
    if groups > 1:  # the fused CPU kernel needs as many key heads as query heads
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    if plain:
        return F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)
    chunks = [
        _rows(query, key, value, scale, window if slides else None, softcap, sinks, at, min(at + QUERY_CHUNK, length))
        for at in range(0, length, QUERY_CHUNK)
    ]
    return torch.cat(chunks, dim=2)


def _causal_blocks(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
    """Attend causally, a block of queries at a time, by products of bf16, which a CPU makes fast.  → B×H×L×K

    The query heads that share a key head are rows of one product.
    """
    batch, heads, length, _width = query.shape
    groups = key.shape[1]
    scaled = query * scale
    keys, values = (each.reshape(batch * groups, length, each.shape[-1]) for each in (key, value))
    out_BLHK = query.new_empty((batch, length, heads, value.shape[-1]))
    future = query.new_full((BLOCK, BLOCK), float("-inf")).triu_(1)
    for start in range(0, length, BLOCK):
        stop = min(start + BLOCK, length)
        size = stop - start
        rows = scaled[:, :, start:stop].reshape(batch * groups, -1, scaled.shape[-1])
        scores = torch.bmm(rows, keys[:, :stop].transpose(1, 2))
        scores.unflatten(1, (-1, size))[..., start:].add_(future[:size, :size])
        out = torch.bmm(scores.softmax(-1), values[:, :stop])
        out_BLHK[:, start:stop] = out.view(batch, heads, size, -1).transpose(1, 2)
    return out_BLHK.transpose(1, 2)


def _rows(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: float,
    window: int | None,
    softcap: float | None,
    sinks: torch.Tensor | None,
    start: int,
    stop: int,
) -> torch.Tensor:
    """Attend from queries start … stop-1 by explicit scores, for what the fused kernels do not support.

    A sliding window of w lets a token see itself and the w - 1 before it.
    """
    low = 0 if window is None else max(0, start - window + 1)
    positions = torch.arange(start, stop, device=query.device)[:, None]
    seen = torch.arange(low, stop, device=query.device)[None, :]
    allowed = seen <= positions
    if window is not None:
        allowed = allowed & (seen > positions - window)
    scores = (query[:, :, start:stop] @ key[:, :, low:stop].transpose(-1, -2)) * scale
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    scores = scores.float().masked_fill(~allowed, float("-inf"))
    if sinks is not None:
        column = sinks.float().reshape(1, -1, 1, 1).expand(*scores.shape[:3], 1)
        weights = torch.softmax(torch.cat([scores, column], dim=-1), dim=-1)[..., :-1]
    else:
        weights = torch.softmax(scores, dim=-1)
    return weights.to(value.dtype) @ value[:, :, low:stop]
