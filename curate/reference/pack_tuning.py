"""Run a checked model fast on its device: tokens of a pack, sizes of packs, compiled layers.

The choices change a score in its last bits at most, and are part of the identity of a table. A choice that depends on
the state of the machine, such as fewer tokens where memory is short, is printed.
"""

import inspect
import time
from dataclasses import replace

import numpy as np
import torch

from curate.errors import ModelError
from curate.reference.checkpoints.checkpoint import DTYPES, Checkpoint, load_with_dtype
from curate.reference.checks import self_check
from curate.reference.forward_pass import compilation, fused_head, packed_attention
from curate.reference.forward_pass.batches import ScoringPack
from curate.reference.forward_pass.forward import CausalModel, is_out_of_memory
from curate.reference.forward_pass.lm_head import find_head, spelled_losses
from curate.reference.protocol import ScoringConfig
from curate.runtime import console

CPU_PACK = 2048  # tokens of a pack on CPU: at 4096 the temporaries are mapped again in each pass, a tenth slower
CUDA_PACKS = (65536, 32768, 16384, 8192)
"""Tokens of a pack on CUDA: the largest that ``CUDA_BYTES`` allows. On an H200, the 135M shape in bf16: as written 383,
493, 510 and 537 k tokens/s from 8,192 to 65,536; compiled 1.210 M at 65,536 as at 131,072."""
CUDA_BYTES = 1_250_000_000  # what the activations of a layer may take
SLOTS = 3  # packs being copied to a CUDA device, computed there, or being copied back
COMPILE_SECONDS = 30
"""Estimated seconds of forward passes over a corpus from which on ``--compile auto`` compiles. On an H200 with 16 cores
the 135M shape compiles in 9 s and then runs 2.2 times as fast, which repays it after 17 s of work as written; the rest
is for hosts with fewer cores and models with more kinds of layers."""
FULL = 7 / 8  # share of a pack from which on it is filled up and runs compiled on a CPU
CUDA_FLOPS, BYTES_PER_TOKEN = 1.5e14, 4  # for that estimate; an H200 does 1.4e14 of the 135M shape as it is written


def move_to_device(checkpoint: Checkpoint, device: torch.device) -> CausalModel:
    """Move a model to a device and return it, set to run window by window until the self-check allows more.

    Raises ModelError where it does not fit into the memory of the device.
    """
    model = checkpoint.model
    if device.type == "cuda":
        # Compiled kernels and events belong to the current device. A plain "cuda" is that one; set_device refuses it.
        torch.cuda.set_device(torch.cuda.current_device() if device.index is None else device)
    try:
        model = model.to(device)
    except RuntimeError as error:
        if is_out_of_memory(error):
            hint = "use a smaller model, another --device, or --dtype bf16"
            raise ModelError(f"{checkpoint.name} does not fit into the memory of {device}", hint) from error
        raise
    return make_runner(replace(checkpoint, model=model), device)


def make_runner(checkpoint: Checkpoint, device: torch.device) -> CausalModel:
    """Return a model that is on a device, set to run window by window until the self-check allows more."""
    model = checkpoint.model
    parameters = inspect.signature(model.base_model.forward).parameters
    attention = getattr(model.config, "_attn_implementation", None)
    takes_positions = "position_ids" in parameters and not checkpoint.position_offset
    return CausalModel(model, device, None, "alone", attention, takes_positions)


def choose_pack(checkpoint: Checkpoint, device: torch.device) -> int:
    """Return the tokens of a pack: a constant on the CPU, on CUDA as many as keep the activations of a layer small.

    It depends on the model alone, so that a table does not depend on what else is in the device's memory.
    """
    if device.type != "cuda":
        return CPU_PACK
    config = checkpoint.model.config.get_text_config()
    hidden = int(getattr(config, "hidden_size", 0) or 1024)
    inner = int(getattr(config, "intermediate_size", 0) or 4 * hidden)
    num_bytes = (8 * hidden + 3 * inner) * (4 if checkpoint.dtype == "fp32" else 2)
    return next((tokens for tokens in CUDA_PACKS if tokens * num_bytes <= CUDA_BYTES), CUDA_PACKS[-1])


def list_pack_sizes(pack_tokens: int) -> tuple[int, ...]:
    """Return the fixed sizes of packs, falling: ``pack_tokens``, and smaller ones for the rest of a batch."""
    return tuple(sorted({max(1, pack_tokens // part) for part in (1, 4, 16)}, reverse=True))


def fit_packs(runner: CausalModel, pack_tokens: int) -> int:
    """Set packs of fixed sizes for which a trial run has memory; return the tokens of the largest.

    Only packed runs have fixed sizes: for others ``pack_tokens`` is returned unchanged.
    """
    if runner.layout != "packed":
        return pack_tokens
    while True:
        runner.sizes = list_pack_sizes(pack_tokens)
        try:
            runner.nats(trial_pack(pack_tokens))
            return pack_tokens
        except RuntimeError as error:
            if not is_out_of_memory(error) or pack_tokens <= 256:
                raise
        torch.cuda.empty_cache()
        pack_tokens //= 2
        console.warn(f"the model leaves little memory: packs of {pack_tokens:,} tokens")


def trial_pack(num_positions: int) -> ScoringPack:
    """Return a pack that repeats one token, in documents of 1,024 positions; all of it is scored."""
    edges = np.unique(np.append(np.arange(0, num_positions, 1024), num_positions))
    positions = (np.arange(num_positions) % 1024)[None]
    rows = np.arange(num_positions)
    return ScoringPack(
        np.zeros((1, num_positions), np.int64), positions, edges, rows, rows * 0, edges[:-1], edges[:-1] * 0, rows
    )


def wants_compiling(checkpoint: Checkpoint, config: ScoringConfig, device: torch.device) -> bool:
    """Return whether to compile: as ``compiled`` is set; for ``auto``, on CUDA where there is enough text to repay it.

    On a CPU compiling gains a few hundredths (benchmarks/README.md), so ``auto`` does not compile there. Exact runs are
    never compiled.
    """
    if config.compiled != "auto":
        return config.compiled == "on"
    if config.exact or device.type != "cuda":
        return False
    return 2 * checkpoint.parameters * config.text_bytes / BYTES_PER_TOKEN / CUDA_FLOPS >= COMPILE_SECONDS


def compile_model(
    checkpoint: Checkpoint,
    runner: CausalModel,
    prefix: int | None,
    check: self_check.SelfCheck,
    pack_tokens: int,
    notes: list[str],
) -> CausalModel:
    """Return the model with its products merged and its layers compiled, if its numbers stay the same.

    Appends to ``notes`` how long compiling took. Where it fails, or changes the numbers, the model is loaded again as
    it was, and the note gives the reason.
    """
    why = (
        compilation.find_obstacle(runner.device)
        if runner.layout == "packed"
        else "its texts do not share packs of one size"
    )
    if why is not None:
        notes.append(f"not compiled: {why}")
        return runner
    console.say(
        "compiling", f"packs of {pack_tokens:,} tokens; only the first time takes long, the code is kept on disk"
    )
    began, before = time.monotonic(), replace(runner)
    try:
        compilation.merge_projections(runner.model)
        layers = compilation.compile_layers(runner.model)
        if runner.head is not None and runner.device.type == "cuda":
            runner.head.losses = compilation.compile_function(spelled_losses)
            runner.head.fused = fused_head.find_kernel(runner.head)
        runner.fused_attention = runner.varlen and packed_attention.prefers_own_kernel(runner.device)
        runner.compiled = True
        if runner.device.type == "cpu":  # a pack of any size runs here: do not fill up the last of a batch
            runner.sizes, runner.fill_from = (pack_tokens,), int(FULL * pack_tokens)
        runner.nats(trial_pack(pack_tokens))
        why = self_check.confirm_numbers(checkpoint, runner, prefix, check)
    except Exception as error:
        why = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
    if why is None:
        notes.append(f"{layers} layers compiled in {time.monotonic() - began:.0f} s")
        return runner
    notes.append(f"not compiled: {why}")
    return reload_model(checkpoint, before)


def reload_model(checkpoint: Checkpoint, before: CausalModel) -> CausalModel:
    """Load the model again and return it, to be run as ``before``; the changed model is dropped."""
    has_head, before.head = before.head is not None, None
    before.model.to("meta")  # its memory is needed for its replacement
    if before.device.type == "cuda":
        torch.cuda.empty_cache()
    fresh = move_to_device(
        replace(checkpoint, model=load_with_dtype(checkpoint, DTYPES[checkpoint.dtype])), before.device
    )
    fresh.model.set_attn_implementation(packed_attention.NAME)
    return replace(before, model=fresh.model, head=find_head(fresh.model) if has_head else None)
