"""Causal attention inside each document of a pack, as one Triton kernel.

A block of queries runs over the keys of its own document, up to itself, with a running maximum and a running sum
(FlashAttention, Dao et al. 2022, arXiv:2205.14135). Blocks are counted from the beginning of a document, so that the
bits of a document do not depend on where in a pack it lies. It supports neither windows, soft caps nor sinks.

On an H200, with the documents of ``benchmarks/score_gpu.py`` (9 query heads of 64 in packs of 65,536 positions, bf16),
a layer takes 0.36 ms against 0.68 ms of the FlashAttention 2 of torch 2.11, and a whole run of the 135M shape has 12
to 17 % more tokens a second. Most documents are short: blocks of 64 queries waste less above the diagonal than blocks
of 128.

Shapes: T positions of a pack, H query heads, G key/value heads, K head width, N documents.
"""

from typing import Any

import torch

try:
    import triton  # type: ignore[import-not-found]
    import triton.language as tl  # type: ignore[import-not-found]
except ImportError:
    triton = None

BLOCK = (64, 64, 4, 3)
"""Queries and keys of a block, warps, stages; the queries are a multiple of the keys. On an H200 0.36 ms a layer, as
above; (128, 64, 8, 3) 0.39, (128, 64, 4, 3) 0.43, (128, 32, 4, 4) 0.50, (128, 128, 8, 2) 0.59."""
WIDTHS = (64,)  # of heads: others have not been measured
LOG2_E = 1.4426950408889634


if triton is not None:

    @triton.jit  # type: ignore[untyped-decorator]
    def _step(q, k, v, top, total, out, seen, scale, masked: tl.constexpr):  # type: ignore[no-untyped-def]
        scores = tl.dot(q, k) * scale
        if masked:
            scores = tl.where(seen, scores, float("-inf"))
        higher = tl.maximum(top, tl.max(scores, 1))
        weights = tl.math.exp2(scores - higher[:, None])
        fade = tl.math.exp2(top - higher)
        out = tl.dot(weights.to(v.dtype), v, out * fade[:, None])
        return higher, total * fade + tl.sum(weights, 1), out

    @triton.jit  # type: ignore[untyped-decorator]
    def _attend(  # type: ignore[no-untyped-def]
        query,
        key,
        value,
        output,
        edges,
        query_t,
        query_h,
        key_t,
        key_g,
        value_t,
        value_g,
        output_t,
        output_h,
        scale,
        group: tl.constexpr,
        width: tl.constexpr,
        rows_of: tl.constexpr,
        columns_of: tl.constexpr,
    ):
        block = tl.num_programs(0) - 1 - tl.program_id(0)  # those with the most keys first
        head, document = tl.program_id(1), tl.program_id(2)
        start = tl.load(edges + document).to(tl.int64)
        length = tl.load(edges + document + 1) - tl.load(edges + document)
        if block * rows_of < length:
            rows = block * rows_of + tl.arange(0, rows_of)
            columns, depth = tl.arange(0, columns_of), tl.arange(0, width)
            there = rows < length
            query += start * query_t + head * query_h
            key += start * key_t + head // group * key_g
            value += start * value_t + head // group * value_g
            q = tl.load(query + rows[:, None] * query_t + depth[None, :], mask=there[:, None], other=0.0)
            top = tl.full((rows_of,), float("-inf"), tl.float32)
            total = tl.zeros((rows_of,), tl.float32)
            out = tl.zeros((rows_of, width), tl.float32)
            for first in range(0, block * rows_of, columns_of):  # every query sees all of these keys
                at = first + columns
                k = tl.load(key + at[None, :] * key_t + depth[:, None])
                v = tl.load(value + at[:, None] * value_t + depth[None, :])
                top, total, out = _step(q, k, v, top, total, out, there, scale, False)
            for first in range(block * rows_of, tl.minimum((block + 1) * rows_of, length), columns_of):
                at = first + columns
                known = at < length
                k = tl.load(key + at[None, :] * key_t + depth[:, None], mask=known[None, :], other=0.0)
                v = tl.load(value + at[:, None] * value_t + depth[None, :], mask=known[:, None], other=0.0)
                seen = at[None, :] <= rows[:, None]
                top, total, out = _step(q, k, v, top, total, out, seen, scale, True)
            output += start * output_t + head * output_h
            result = (out / total[:, None]).to(output.dtype.element_ty)
            tl.store(output + rows[:, None] * output_t + depth[None, :], result, mask=there[:, None])


def is_installed() -> bool:
    """Return whether Triton is installed."""
    return triton is not None


def fits(query_THK: torch.Tensor, key_TGK: torch.Tensor, value_TGK: torch.Tensor) -> bool:
    """Return whether the kernel runs these: half precision on CUDA, heads of a width that it has, rows contiguous."""
    half = query_THK.dtype in (torch.float16, torch.bfloat16) and query_THK.device.type == "cuda"
    same = query_THK.shape[2] == value_TGK.shape[2] and query_THK.shape[2] in WIDTHS
    return is_installed() and half and same and all(x.stride(2) == 1 for x in (query_THK, key_TGK, value_TGK))


def attend_documents(
    query_THK: torch.Tensor,
    key_TGK: torch.Tensor,
    value_TGK: torch.Tensor,
    edges: torch.Tensor,
    longest: int,
    scale: float,
    block: tuple[int, ...] = BLOCK,
) -> torch.Tensor:
    """Return the output of attention, T×H×K, for what ``fits``.

    ``edges`` are the bounds of the documents, N + 1 in int32 on the device; ``longest`` is the length of the longest.
    """
    rows, columns, warps, stages = block
    positions, heads, width = query_THK.shape
    out_THK = torch.empty((positions, heads, width), dtype=query_THK.dtype, device=query_THK.device)
    kernel: Any = _attend
    kernel[(triton.cdiv(longest, rows), heads, len(edges) - 1)](
        query_THK,
        key_TGK,
        value_TGK,
        out_THK,
        edges,
        *query_THK.stride()[:2],
        *key_TGK.stride()[:2],
        *value_TGK.stride()[:2],
        *out_THK.stride()[:2],
        scale * LOG2_E,
        heads // key_TGK.shape[1],
        width,
        rows,
        columns,
        num_warps=warps,
        num_stages=stages,
    )
    return out_THK
