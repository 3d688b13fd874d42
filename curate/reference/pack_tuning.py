"""How a checked model is run fast on its device: tokens of a pack, sizes of packs, layers compiled.

Whatever is chosen here shows in the last bits of a score at most, and is part of the identity of a table. What is
chosen by the machine's state, such as fewer tokens where memory is short, is said.
"""

import inspect
import time
from dataclasses import replace

import numpy as np
import torch

from curate.errors import ModelError
from curate.reference import self_check
from curate.reference.checkpoint import DTYPES, Checkpoint, with_dtype
from curate.reference.forward_pass import compilation, packed_attention
from curate.reference.forward_pass.batches import ScoringPack
from curate.reference.forward_pass.forward import CausalModel, is_out_of_memory
from curate.reference.forward_pass.lm_head import find_head, spelled_losses
from curate.reference.protocol import ScoringConfig
from curate.runtime import console

CPU_PACK = 2048  # tokens of a pack on CPU: at 4096 the temporaries are mapped anew each pass, a tenth slower
CUDA_PACKS = (65536, 32768, 16384, 8192)  # the largest whose activations take no more than
CUDA_OCTETS = 1_250_000_000  # so many bytes
SLOTS = 3  # packs on their way to a CUDA device, in it, or on their way back
COMPILE_SECONDS = 300  # of forward passes that a corpus must be good for before its model is compiled unasked
FULL = 7 / 8  # of a pack, from which on it is filled up and runs compiled on a CPU
CUDA_FLOPS, OCTETS_PER_TOKEN = 3e14, 4  # roughly, for that guess alone


def put_on(checkpoint: Checkpoint, device: torch.device) -> CausalModel:
    """A model on a device, to be run window by window until more is known; ModelError where it has no room."""
    model = checkpoint.model
    if device.type == "cuda":
        torch.cuda.set_device(device)  # compiled kernels and events are made for the device that is current
    try:
        model = model.to(device)
    except RuntimeError as error:
        if is_out_of_memory(error):
            hint = "use a smaller model, another --device, or --dtype bf16"
            raise ModelError(f"{checkpoint.name} does not fit into the memory of {device}", hint) from error
        raise
    parameters = inspect.signature(model.base_model.forward).parameters
    own = getattr(model.config, "_attn_implementation", None)
    return CausalModel(model, device, None, "alone", own, "position_ids" in parameters)


def choose_pack(checkpoint: Checkpoint, device: torch.device) -> int:
    """Tokens of a forward pass: on the CPU a constant, on CUDA as many as keep the activations of a layer small.

    A function of the model alone, so that a table does not depend on what else is in the device's memory.
    """
    if device.type != "cuda":
        return CPU_PACK
    config = checkpoint.model.config.get_text_config()
    hidden = int(getattr(config, "hidden_size", 0) or 1024)
    inner = int(getattr(config, "intermediate_size", 0) or 4 * hidden)
    place = (8 * hidden + 3 * inner) * (4 if checkpoint.dtype == "fp32" else 2)
    return next((tokens for tokens in CUDA_PACKS if tokens * place <= CUDA_OCTETS), CUDA_PACKS[-1])


def sizes_of(pack_tokens: int) -> tuple[int, ...]:
    """The sizes of packs of fixed size: whole ones, and smaller ones for what is left of a batch."""
    return tuple(sorted({max(1, pack_tokens // part) for part in (1, 4, 16)}, reverse=True))


def fit_packs(runner: CausalModel, pack_tokens: int) -> int:
    """Settle on packs of fixed size that a trial run has room for.  → tokens of the largest"""
    if runner.rung != "packed":
        return pack_tokens
    while True:
        runner.sizes = sizes_of(pack_tokens)
        try:
            runner.nats(trial_pack(pack_tokens))
            return pack_tokens
        except RuntimeError as error:
            if not is_out_of_memory(error) or pack_tokens <= 256:
                raise
        torch.cuda.empty_cache()
        pack_tokens //= 2
        console.warn(f"little memory is left beside the model: packs of {pack_tokens:,} tokens")


def trial_pack(places: int) -> ScoringPack:
    """A pack of one token again and again, in documents of 1,024 places; all of it is scored."""
    edges = np.unique(np.append(np.arange(0, places, 1024), places))
    positions = (np.arange(places) % 1024)[None]
    rows = np.arange(places)
    return ScoringPack(
        np.zeros((1, places), np.int64), positions, edges, rows, rows * 0, edges[:-1], edges[:-1] * 0, rows
    )


def wants_compiling(checkpoint: Checkpoint, reading: ScoringConfig, device: torch.device) -> bool:
    """Whether to compile: as the user says, or on CUDA where there is so much to read that it pays.

    On a CPU it gains a few hundredths (benchmarks/README.md), and is not done unasked. Exact runs never are compiled.
    """
    if reading.compiled != "auto":
        return reading.compiled == "on"
    if reading.exact or device.type != "cuda":
        return False
    return 2 * checkpoint.parameters * reading.text_bytes / OCTETS_PER_TOKEN / CUDA_FLOPS >= COMPILE_SECONDS


def compile_model(
    checkpoint: Checkpoint,
    runner: CausalModel,
    prefix: int | None,
    found: self_check.SelfCheck,
    pack_tokens: int,
    notes: list[str],
) -> CausalModel:
    """The model with its products merged and its layers compiled, if it then still gives its own numbers.

    Says how long it took, since nothing else moves meanwhile. Where it fails the model is loaded again as it was.
    """
    why = compilation.why_not(runner.device) if runner.rung == "packed" else "its texts do not share packs of one size"
    if why is not None:
        notes.append(f"not compiled: {why}")
        return runner
    console.say("compiling", f"packs of {pack_tokens:,} tokens; the first time takes longest, it is kept on disk")
    began, before = time.monotonic(), replace(runner)
    try:
        compilation.merge_projections(runner.model)
        layers = compilation.compile_layers(runner.model)
        if runner.head is not None and runner.device.type == "cuda":
            runner.head.losses = compilation.compile_function(spelled_losses)
        runner.compiled = True
        if runner.device.type == "cpu":  # a pack of any size runs here; the last of a batch is not worth filling
            runner.sizes, runner.least = (pack_tokens,), int(FULL * pack_tokens)
        runner.nats(trial_pack(pack_tokens))
        why = self_check.confirm(checkpoint, runner, prefix, found)
    except Exception as error:
        why = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
    if why is None:
        notes.append(f"{layers} layers compiled in {time.monotonic() - began:.0f} s")
        return runner
    notes.append(f"not compiled: {why}")
    return load_again(checkpoint, before)


def load_again(checkpoint: Checkpoint, before: CausalModel) -> CausalModel:
    """The model as it was loaded, to be run as it was before, in place of one that was changed."""
    has_head, before.head = before.head is not None, None
    before.model.to("meta")  # its memory is needed for the one that takes its place
    if before.device.type == "cuda":
        torch.cuda.empty_cache()
    fresh = put_on(replace(checkpoint, model=with_dtype(checkpoint, DTYPES[checkpoint.dtype])), before.device)
    fresh.model.set_attn_implementation(packed_attention.NAME)
    return replace(before, model=fresh.model, head=find_head(fresh.model) if has_head else None)
