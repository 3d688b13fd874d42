"""From a name and a way of reading to a reference that may be trusted: device, dtype, windows, check, pack size."""

from dataclasses import replace
from typing import Any

import torch

from curate.errors import UsageError
from curate.reference import self_check
from curate.reference.causal import CausalReference
from curate.reference.checkpoint import DTYPES, Checkpoint, open_checkpoint, prefix_token, with_dtype
from curate.reference.forward_pass import packed_attention
from curate.reference.forward_pass.device_transfer import DeviceTransfer
from curate.reference.forward_pass.forward import CausalModel
from curate.reference.pack_tuning import (
    CPU_PACK,
    SLOTS,
    choose_pack,
    compile_model,
    fit_packs,
    put_on,
    wants_compiling,
)
from curate.reference.packing import WindowPolicy
from curate.reference.protocol import CONVENTIONS, HF_GUIDE_STRIDE, ScoringConfig
from curate.runtime.version import __version__

__all__ = ["CPU_PACK", "load_causal", "settle"]

UNKNOWN_LIMIT = 2048  # the window for a model that does not say how far it reads


def load_causal(name: str, reading: ScoringConfig) -> CausalReference:
    """Load, check, and settle how to run a causal language model."""
    require_sensible(reading)
    wanted = choose_dtype(reading, choose_device(reading.device))
    return settle(open_checkpoint(name, reading.revision, reading.trust_remote_code, wanted), reading)


def settle(checkpoint: Checkpoint, reading: ScoringConfig) -> CausalReference:
    """Check a model that is loaded in the dtype of the run, and settle how to run it."""
    packed_attention.register()
    device = choose_device(reading.device)
    third = device.type == "cuda" and packed_attention.activate_hopper_kernel(device)
    prefix, policy = choose_policy(checkpoint, reading)
    runner = put_on(checkpoint, device)
    found = self_check.check(checkpoint, runner, prefix)
    notes = list(found.notes)
    if found.noise is not None and not found.noise <= self_check.NOISE:
        far = f"{checkpoint.dtype} lies {found.noise:.2g} nats a token (rms) from fp32, more than {self_check.NOISE}"
        if reading.dtype == "auto":
            notes.append(f"{far}: running in fp32 instead")
            checkpoint = replace(checkpoint, model=with_dtype(checkpoint, torch.float32))
            runner = put_on(checkpoint, device)
            found = self_check.check(checkpoint, runner, prefix)
        else:
            notes.append(f"{far}; you asked for it by --dtype")
    pack_tokens = reading.pack_tokens or choose_pack(checkpoint, device)
    if device.type == "cuda":
        pack_tokens = fit_packs(runner, pack_tokens)
        runner.lane = DeviceTransfer(device, SLOTS)
    if wants_compiling(checkpoint, reading, device):
        runner = compile_model(checkpoint, runner, prefix, found, pack_tokens, notes)
    identity = describe(checkpoint, runner, reading, policy, prefix, pack_tokens)
    if third and runner.varlen:
        identity["attention"] = "varlen, FlashAttention 3"
    line = found.line(checkpoint.dtype)
    return CausalReference(
        runner, checkpoint.encoder, policy, prefix, pack_tokens, identity, checkpoint.parameters, line, notes
    )


def require_sensible(reading: ScoringConfig) -> None:
    if reading.convention not in CONVENTIONS:
        raise UsageError(f"--convention {reading.convention} is unknown", f"one of {', '.join(CONVENTIONS)}")
    if reading.dtype not in ("auto", *DTYPES):
        raise UsageError(f"--dtype {reading.dtype} is unknown", f"one of auto, {', '.join(DTYPES)}")
    if reading.compiled not in ("auto", "on", "off"):
        raise UsageError(f"--compile {reading.compiled} is unknown", "one of auto, on, off")
    if reading.exact and reading.compiled == "on":
        raise UsageError("--exact runs the model as it is written; it cannot go with --compile on", "leave one out")
    if reading.exact and reading.dtype not in ("auto", "fp32"):
        raise UsageError(f"--exact means fp32; it cannot go with --dtype {reading.dtype}", "leave one of them out")
    set_by_convention = reading.overlap or reading.window_prefix or reading.prefix != "auto"
    if reading.convention != "curate" and set_by_convention:
        message = f"--convention {reading.convention} sets prefix and overlap itself"
        raise UsageError(message, "leave out --prefix, --overlap and --window-prefix, or the convention")
    if reading.convention == "evaluate" and reading.max_tokens is not None:
        raise UsageError("--convention evaluate truncates to the window itself", "set --window instead of --truncate")
    if reading.window_prefix and reading.prefix == "none":
        raise UsageError("--window-prefix needs a prefix token, and --prefix none forbids it", "leave one of them out")


def choose_device(name: str) -> torch.device:
    """``auto`` is CUDA, then Apple's MPS, then the CPU."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"--device {name} is not to be had here: {str(error).splitlines()[0]}", "--device cpu"
        ) from None
    return device


def choose_dtype(reading: ScoringConfig, device: torch.device) -> torch.dtype:
    """bf16 where the hardware multiplies it faster than fp32, else fp32; ``--exact`` is fp32 and nothing else."""
    if reading.exact:
        return torch.float32
    if reading.dtype != "auto":
        return DTYPES[reading.dtype]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if device.type == "cpu" and cpu_multiplies_bfloat16() else torch.float32


def cpu_multiplies_bfloat16() -> bool:
    """Whether this CPU has AVX512_BF16 or AMX, which make bf16 products two to five times as fast as fp32."""
    cpu: Any = torch.cpu
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(cpu, probe, lambda: False)()) for probe in probes)


def choose_policy(checkpoint: Checkpoint, reading: ScoringConfig) -> tuple[int | None, WindowPolicy]:
    """The prefix token and the windows: the user's, or those of a convention.

    lm-eval      prefix, windows that do not overlap, the last one reaching back until it is full
    evaluate     prefix, one window, the rest of the text cut off (``truncated``)
    hf-guide     no prefix, the first token unscored, windows that move on by 512 tokens

    What is not reproduced: lm-eval and evaluate obey a control token that a text spells out, here it is text; where a
    tokenizer adds a BOS of its own, lm-eval reads two (we equal its ``add_bos_token=False``); and the guide's printed
    average takes one token too many off every window after the first (the sum of its losses is ours).
    """
    limit = checkpoint.readable()
    window = reading.window or limit or UNKNOWN_LIMIT
    if reading.window and limit and reading.window > limit:
        hint = f"--window {limit} or less"
        raise UsageError(f"--window {reading.window}: {checkpoint.name} reads at most {limit} tokens", hint)
    if window < 1 or not 0 <= reading.overlap < window:
        raise UsageError(f"--overlap {reading.overlap} must be from 0 to --window less one, {window - 1}")
    if reading.max_tokens is not None and reading.max_tokens < 1:
        raise UsageError(f"--truncate must be at least 1, not {reading.max_tokens}")
    kept = reading.max_tokens
    if reading.convention == "lm-eval":
        return prefix_token(checkpoint, "auto"), WindowPolicy(window, fill_last=True, max_tokens=kept)
    if reading.convention == "evaluate":
        if window < 2:
            raise UsageError("--convention evaluate needs a window of at least 2 tokens")
        return prefix_token(checkpoint, "bos"), WindowPolicy(window, max_tokens=window - 1)
    if reading.convention == "hf-guide":
        inputs = max(window - 1, 1)
        policy = WindowPolicy(inputs, overlap=max(inputs - HF_GUIDE_STRIDE, 0), max_tokens=kept)
        return prefix_token(checkpoint, "none"), policy
    policy = WindowPolicy(window, reading.overlap, reading.window_prefix, False, kept)
    return prefix_token(checkpoint, reading.prefix), policy


def describe(
    checkpoint: Checkpoint,
    runner: CausalModel,
    reading: ScoringConfig,
    policy: WindowPolicy,
    prefix: int | None,
    pack_tokens: int,
) -> dict[str, Any]:
    """The identity of a table of scores: everything that its numbers depend on, JSON-able."""
    import tokenizers
    import transformers

    config = checkpoint.model.config
    return {
        "model": checkpoint.name,
        "revision": checkpoint.revision,
        "architecture": (getattr(config, "architectures", None) or [type(checkpoint.model).__name__])[0],
        "parameters": checkpoint.parameters,
        "weights": checkpoint.weights,
        "tokenizer": checkpoint.encoder.name,
        "prefix": prefix,
        "window": policy.window,
        "overlap": policy.overlap,
        "window_prefix": policy.prefix_each,
        "fill_last": policy.fill_last,
        "max_tokens": policy.max_tokens,
        "convention": reading.convention,
        "dtype": checkpoint.dtype,
        "exact": reading.exact,
        "device": runner.device.type,
        "forward": runner.rung,
        "attention": ("varlen" if runner.varlen else "documents") if runner.rung == "packed" else "own",
        "compiled": runner.compiled,
        "head": "chunked" if runner.head is not None else "own",
        "pack_tokens": pack_tokens,
        "versions": {
            "curate": __version__,
            "torch": torch.__version__.split("+")[0],
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
        },
    }
