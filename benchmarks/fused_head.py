"""An experiment: the head of a model as one Triton kernel, whose logits never leave the chip.

    ours today   matrix product → logits in float32 to memory → one reading of them for the losses
    here         each block of rows runs through the vocabulary, with a running maximum and a running sum

The float32 logits of the 135M shape are 197 kB a token, written once and read at least once: at 4.3 TB/s some 0.09 µs,
where the goal leaves 0.77 µs for all of a token. Whether this kernel gives that back depends on how near its product
comes to cuBLAS', which only a GPU can say: ``score_gpu.py --sweep`` times both. It takes neither bias, scale nor soft
cap, and is not part of the package until it has been seen to pay. The method is that of online softmax (Milakov and
Gimelshein 2018, arXiv:1805.02867), as in Cut Cross-Entropy (Wijmans et al. 2024, arXiv:2411.09009).

    TRITON_INTERPRET=1 python benchmarks/fused_head.py     # its numbers beside PyTorch's, on a CPU

Shapes: M rows, D hidden width, V vocabulary.
"""

import torch
import torch.nn.functional as F

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

SHAPES = ((128, 128, 64, 8, 3), (128, 256, 64, 8, 3), (64, 256, 64, 8, 4))  # rows, columns, depth, warps, stages


if triton is not None:

    @triton.jit
    def _losses(
        hidden,
        weight,
        targets,
        out,
        count,
        vocabulary,
        width: tl.constexpr,
        rows_of: tl.constexpr,
        columns_of: tl.constexpr,
        depth_of: tl.constexpr,
    ):
        rows = tl.program_id(0) * rows_of + tl.arange(0, rows_of)
        there = rows < count
        wanted = tl.load(targets + rows, mask=there, other=0)
        top = tl.full((rows_of,), float("-inf"), tl.float32)
        total = tl.zeros((rows_of,), tl.float32)
        chosen = tl.zeros((rows_of,), tl.float32)
        depth = tl.arange(0, depth_of)
        for first in range(0, vocabulary, columns_of):
            columns = first + tl.arange(0, columns_of)
            known = columns < vocabulary
            logits = tl.zeros((rows_of, columns_of), tl.float32)
            for begin in range(0, width, depth_of):
                at = begin + depth
                inside = at < width
                left = tl.load(
                    hidden + rows[:, None].to(tl.int64) * width + at[None, :],
                    mask=there[:, None] & inside[None, :],
                    other=0.0,
                )
                right = tl.load(
                    weight + columns[None, :].to(tl.int64) * width + at[:, None],
                    mask=known[None, :] & inside[:, None],
                    other=0.0,
                )
                logits = tl.dot(left, right, logits)
            logits = tl.where(known[None, :], logits, float("-inf"))
            higher = tl.maximum(top, tl.max(logits, 1))
            total = total * tl.exp(top - higher) + tl.sum(tl.exp(logits - higher[:, None]), 1)
            chosen += tl.sum(tl.where(columns[None, :] == wanted[:, None], logits, 0.0), 1)
            top = higher
        tl.store(out + rows, tl.log(total) + top - chosen, mask=there)


def fused_losses(
    hidden_MD: torch.Tensor, weight_VD: torch.Tensor, targets_M: torch.Tensor, shape: tuple[int, ...] = SHAPES[0]
) -> torch.Tensor:
    """-ln softmax(hidden · weightᵀ)[target] of each row, float32; both operands contiguous, in one dtype.  → M"""
    rows, columns, depth, warps, stages = shape
    out_M = torch.empty(len(targets_M), dtype=torch.float32, device=hidden_MD.device)
    grid = (triton.cdiv(len(targets_M), rows),)
    count, (vocabulary, width) = len(targets_M), weight_VD.shape
    _losses[grid](
        hidden_MD,
        weight_VD,
        targets_M,
        out_M,
        count,
        vocabulary,
        width,
        rows,
        columns,
        depth,
        num_warps=warps,
        num_stages=stages,
    )
    return out_M


def main() -> None:
    """Its losses beside PyTorch's on random numbers of odd sizes."""
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    half = torch.bfloat16 if device == "cuda" else torch.float16  # Triton's interpreter multiplies bfloat16 wrongly
    for dtype, tolerance in ((torch.float32, 2e-5), (half, 2e-5)):
        for count, vocabulary, width in ((1, 7, 5), (130, 1000, 96), (77, 300, 64)):
            hidden, weight = (torch.randn(size, width, device=device).to(dtype) for size in (count, vocabulary))
            targets = torch.randint(0, vocabulary, (count,), device=device)
            wanted = F.cross_entropy(hidden.double() @ weight.double().t(), targets, reduction="none")
            for shape in SHAPES:
                gap = float((fused_losses(hidden, weight, targets, shape).double() - wanted).abs().max())
                assert gap < tolerance * max(1.0, float(wanted.max())), (dtype, count, shape, gap)
        print(f"{dtype}: the same as PyTorch's to {tolerance:.0e}")


if __name__ == "__main__":
    main()
