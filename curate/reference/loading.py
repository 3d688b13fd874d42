"""From a name and a config to a reference that passed its self-check: device, dtype, windows, check, pack size."""

import math
from dataclasses import replace
from typing import Any

import torch

from curate.errors import ModelError, UsageError
from curate.reference.causal import CausalReference
from curate.reference.checkpoints.checkpoint import (
    DTYPES,
    Checkpoint,
    hash_code,
    hash_weights_in_full,
    load_with_dtype,
    open_checkpoint,
    open_without_weights,
)
from curate.reference.checkpoints.model_files import find_model_folder, fingerprint_folder
from curate.reference.checks import self_check
from curate.reference.checks.half_precision import DOCUMENT, MOST, MOST_BIAS
from curate.reference.checks.remembered import name_check, recall_check, remember_check
from curate.reference.checks.self_check import SelfCheck
from curate.reference.chip import describe_chip, list_instruction_sets
from curate.reference.conventions.readings import TextReading, choose_reading
from curate.reference.forward_pass import packed_attention
from curate.reference.forward_pass.device_transfer import DeviceTransfer
from curate.reference.forward_pass.forward import CausalModel
from curate.reference.forward_pass.packed_weights import pack_weights
from curate.reference.pack_tuning import (
    SLOTS,
    choose_pack,
    compile_model,
    fit_packs,
    move_to_device,
    wants_compiling,
)
from curate.reference.packing import WindowPolicy
from curate.reference.protocol import ScoringConfig
from curate.runtime.version import __version__
from curate.runtime.work import profiler


def load_causal(name: str, config: ScoringConfig) -> CausalReference:
    """Load a causal language model, check it against itself, and return it ready to score.

    Raises UsageError for a device that is not available and for windows that do not fit the model, ModelError where the
    model cannot be loaded or fails the self-check.
    """
    dtype = choose_dtype(config, choose_device(config.device))
    return prepare_reference(open_checkpoint(name, config.revision, config.trust_remote_code, dtype), config)


def prepare_reference(checkpoint: Checkpoint, config: ScoringConfig) -> CausalReference:
    """Check a model that is loaded in the dtype of the run, choose how to run it, and return the reference.

    Raises ModelError where it fails the self-check or does not fit into memory.
    """
    packed_attention.register_attention()
    device = choose_device(config.device)
    third = device.type == "cuda" and packed_attention.activate_hopper_kernel(device)
    reading = choose_reading(checkpoint, config)
    prefix = reading.prefix
    checkpoint, runner, check, coarse = _check_ladder(checkpoint, device, prefix, config, third)
    notes = [*checkpoint.notes, *reading.notes, *coarse, *check.notes]
    pack_tokens = config.pack_tokens or choose_pack(checkpoint, device)
    if device.type == "cuda":
        pack_tokens = fit_packs(runner, pack_tokens)
        runner.transfer = DeviceTransfer(device, SLOTS)
    if reading.frame.pads_left and reading.frame.padded_to is not None:
        self_check.run_rows(runner)
    elif wants_compiling(checkpoint, config, device):
        runner = compile_model(checkpoint, runner, prefix, check, pack_tokens, notes)
    identity = build_identity(checkpoint, runner, config, reading, pack_tokens)
    if third and runner.varlen:
        identity["attention"] = "varlen, FlashAttention 3"
    elif runner.fused_attention:
        identity["attention"] = "varlen, Triton"
    line, encoder = check.line(checkpoint.dtype), checkpoint.encoder
    if reading.frame.control_tokens:
        encoder = encoder.obeying_control_tokens()
    return CausalReference(
        runner,
        encoder,
        reading.policy,
        prefix,
        pack_tokens,
        identity,
        checkpoint.parameters,
        line,
        notes,
        reading.frame,
    )


def _check_ladder(
    checkpoint: Checkpoint, device: torch.device, prefix: int | None, config: ScoringConfig, third: bool
) -> tuple[Checkpoint, CausalModel, SelfCheck, list[str]]:
    """Check a model in its dtype, and in the next finer ones while the error is too large and the user left the choice.

    Returns it as it is to run, and why dtypes were given up, a line each. Raises ModelError where a dtype that the user
    named gives no numbers.
    """
    notes: list[str] = []
    while True:
        runner = move_to_device(checkpoint, device)
        if device.type == "cpu" and not wants_compiling(checkpoint, config, device):
            pack_weights(runner.model)
        check = check_or_recall(checkpoint, runner, prefix, third)
        if check.error is None or check.error.is_small:
            return checkpoint, runner, check, notes
        far = describe_error(checkpoint.dtype, check)
        if config.dtype != "auto":
            if not math.isfinite(check.error.bias):
                raise ModelError(f"{checkpoint.name}: {far}", "--dtype fp32")
            return checkpoint, runner, check, [f"{far}; --dtype {checkpoint.dtype} keeps it"]
        finer = next_dtype(checkpoint.dtype, device)
        reloaded = replace(checkpoint, model=load_with_dtype(checkpoint, DTYPES[finer]))
        if reloaded.dtype == checkpoint.dtype:  # as quantised weights are whatever is asked for
            return checkpoint, runner, check, [*notes, f"{far}; its weights cannot be loaded in {finer}"]
        notes.append(f"{far}: running in {finer} instead; --dtype {checkpoint.dtype} keeps it")
        checkpoint = reloaded


def check_or_recall(checkpoint: Checkpoint, runner: CausalModel, prefix: int | None, third: bool) -> SelfCheck:
    """Set a runner as its self-check allows, which is remembered from an earlier start or made now.

    Raises ModelError where the model fails it.
    """
    with profiler.span("self-check"):
        name = name_check(checkpoint, runner.device, prefix, third)
        check = recall_check(name)
        if check is None:
            check = self_check.check_model(checkpoint, runner, prefix)
            remember_check(name, check)
        else:
            self_check.restore_check(runner, check)
    return check


def next_dtype(dtype: str, device: torch.device) -> str:
    """Return the dtype to try after one whose error is too large: fp16 after bf16 on a GPU, which rounds 8 times finer.

    A CPU has no fast products in fp16.
    """
    return "fp16" if dtype == "bf16" and device.type == "cuda" else "fp32"


def describe_error(dtype: str, check: SelfCheck) -> str:
    """Return how far half precision is from float32, in words; ``check.error`` is not None."""
    if check.error is None or not math.isfinite(check.error.bias):
        why = next((note for note in reversed(check.notes) if "in this dtype" in note), "NaN or infinity")
        return f"{dtype} gives no numbers on plain text ({why})"
    off, bias = check.error.relative(), math.expm1(check.error.bias)
    return (
        f"{dtype} moves the perplexity of {DOCUMENT} tokens by {off:.1%} (bias {bias:+.1%}), more than {MOST:.0%} "
        f"(bias {MOST_BIAS:.1%})"
    )


def choose_device(name: str) -> torch.device:
    """Return the device of ``--device``: ``auto`` is CUDA, then Apple's MPS, then the CPU.

    Raises UsageError for a name that torch does not know, and for a device that is not available.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"--device must be auto, cpu, cuda, cuda:1 or mps, not {name}", "--device auto") from None
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"--device {name} is not available: {str(error).splitlines()[0]}", "--device cpu") from None
    return device


def choose_dtype(config: ScoringConfig, device: torch.device) -> torch.dtype:
    """Return bf16 where the hardware multiplies it faster than fp32, else fp32; ``--exact`` is always fp32.

    A GPU without bf16 gets fp16. ``--dtype`` other than ``auto`` is kept.
    """
    if config.exact:
        return torch.float32
    if config.dtype != "auto":
        return DTYPES[config.dtype]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if device.type == "cpu" and cpu_multiplies_bfloat16() else torch.float32


def cpu_multiplies_bfloat16() -> bool:
    """Return whether this CPU has AVX512_BF16 or AMX: bf16 products are then two to five times as fast as fp32."""
    return len(list_instruction_sets()) > 1


def resolve_windows(name: str, config: ScoringConfig) -> tuple[int | None, WindowPolicy]:
    """Return the prefix token and the windows that a config comes to, from the tokenizer and the configuration alone.

    Raises what ``choose_reading`` raises, and ModelError where the two cannot be loaded.
    """
    reading = choose_reading(open_without_weights(name, config.revision, config.trust_remote_code), config)
    return reading.prefix, reading.policy


def build_identity(
    checkpoint: Checkpoint,
    runner: CausalModel,
    config: ScoringConfig,
    reading: TextReading,
    pack_tokens: int,
) -> dict[str, Any]:
    """Return the identity of a table of scores: everything that its numbers depend on, JSON-able."""
    import tokenizers
    import transformers

    policy = reading.policy
    model_config = checkpoint.model.config
    folder = find_model_folder(checkpoint.name, checkpoint.revision)
    return {
        "model": checkpoint.name,
        "revision": checkpoint.revision,
        "architecture": (getattr(model_config, "architectures", None) or [type(checkpoint.model).__name__])[0],
        "parameters": checkpoint.parameters,
        "weights": checkpoint.weights,
        "weights_in_full": None if folder is None else hash_weights_in_full(folder),
        "files": None if folder is None else fingerprint_folder(folder),
        "code": hash_code(checkpoint),
        "tokenizer": checkpoint.encoder.name,
        "prefix": reading.prefix,
        "window": policy.window,
        "overlap": policy.overlap,
        "window_prefix": policy.prefix_each,
        "fill_last": policy.fill_last,
        "max_tokens": policy.max_tokens,
        "stride": policy.stride,
        "convention": config.convention,
        "convention_args": config.convention_args,
        "frame": reading.frame.as_dict(),
        "dtype": checkpoint.dtype,
        "exact": config.exact,
        "device": runner.device.type,
        "chip": describe_chip(runner.device, checkpoint.dtype),
        "forward": runner.layout,
        "attention": ("varlen" if runner.varlen else "documents") if runner.layout == "packed" else "own",
        "compiled": runner.compiled,
        "head": "own" if runner.head is None else "chunked" if runner.head.fused is None else "fused",
        "pack_tokens": pack_tokens,
        "versions": {
            "curate": __version__,
            "torch": torch.__version__.split("+")[0],
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
        },
    }
