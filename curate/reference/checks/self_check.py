"""Check, before a model scores anything, that our shortcuts give the model's own numbers.

On six short texts it compares windows packed together with each text alone through the model's own attention, and our
head with the model's own logits; it checks that no token's prediction depends on what follows it; and on eight texts of
prose it measures how far the run's dtype lies from float32. Where packing fails, the next of ``batches.LAYOUTS`` is
tried; where the head fails, the model's own logits are used. A model whose numbers cannot be trusted at all is refused.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from curate.errors import ModelError
from curate.reference.causal import LONGEST
from curate.reference.checkpoints.checkpoint import Checkpoint, load_with_dtype
from curate.reference.checks.half_precision import HalfPrecisionError, compare_precision
from curate.reference.checks.prose import PROSE, SHORT
from curate.reference.forward_pass import batches, packed_attention
from curate.reference.forward_pass.batches import LAYOUTS, Layout, PreparedBatch, ScoringPack
from curate.reference.forward_pass.forward import CausalModel, is_out_of_memory
from curate.reference.forward_pass.lm_head import find_head
from curate.reference.likelihood import Passage, token_nats
from curate.reference.packing import WindowPolicy
from curate.runtime.arrays import Float64Array, Int64Array

MOST_TOKENS = 256  # of each text that are read; tests, not every start, cover longer sliding windows
EXACT = 5e-5  # nats a token by which two float32 computations of the same thing may differ
HALF_EXACT = 0.5  # the same for two computations in half precision, where there is no float32 copy
MORE_NOISE, SLACK = 2.0, 0.01  # how often the noise of texts alone, plus nats (rms), a pack may have in half precision
SAME = 1e-6  # nats by which a prediction may move where only later tokens change; nearly all models give the same bits
INFINITE = np.array([math.inf])
FP32_CHECK = 1_500_000_000  # parameters up to which a float32 copy is loaded to compare with


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """The measured differences in nats a token, and how the model may run because of them."""

    layout: Layout
    """The first of ``batches.LAYOUTS`` that gives the model's own numbers."""
    own_head: bool
    """True: our chunked head is used; False: the logits of the model."""
    layout_gap: float
    """Largest difference between texts that share a pass and each text alone."""
    head_gap: float
    """Largest difference between our head and the model's own logits."""
    noise: float | None
    """Difference (rms) of a token of the short texts from float32; None where it is float32, or was not compared."""
    notes: tuple[str, ...]
    """Why a layout, a kernel or our head was given up, a line each."""
    error: HalfPrecisionError | None = None
    """Difference of prose in the run's dtype from float32; None as ``noise``."""
    varlen: bool = False
    """Whether one kernel attends in all documents of a pack."""
    truth: tuple[Float64Array, ...] = field(default=(), repr=False)
    """Nats of each scored token of each text alone."""

    def line(self, dtype: str) -> str:
        """Return the result for the terminal: ``packed = alone to 3e-07, head = model to 1e-07, bf16: …``."""
        parts = [f"{self.layout} = alone to {self.layout_gap:.0e}" if self.layout != "alone" else "one by one"]
        parts.append(f"head = model to {self.head_gap:.0e}" if self.own_head else "logits of the model itself")
        if self.error is not None:
            parts.append(self.error.describe(dtype))
        elif dtype != "fp32":
            parts.append(f"{dtype} not compared with fp32 (model too large to load twice)")
        return ", ".join(parts)


def prepare_texts(checkpoint: Checkpoint, prefix: int | None, texts: Sequence[str] = SHORT) -> PreparedBatch:
    """Return texts as the scorer prepares them, one window each, whatever the windows of the run."""
    length = min(MOST_TOKENS, checkpoint.readable() or MOST_TOKENS)
    policy = WindowPolicy(window=length, max_tokens=length)
    passages = [Passage(text) for text in texts]
    return batches.prepare_batch(passages, checkpoint.encoder, policy, prefix, LONGEST)


def check_model(checkpoint: Checkpoint, runner: CausalModel, prefix: int | None) -> SelfCheck:
    """Set on ``runner`` the fastest layout and the head that give the model's own numbers; return what was measured.

    Structure (does packing leak? is our head the model's?) is judged in float32 where a float32 copy of the model is
    small enough to load, since the noise of half precision would hide a small leak. Raises ModelError for a tokenizer
    that gives no token, a model that fails, numbers that are not finite or do not repeat, and a model that is not
    causal.
    """
    prepared = prepare_texts(checkpoint, prefix)
    if not len(prepared.lengths):
        raise ModelError(f"the tokenizer of {checkpoint.name} gives no token for plain English text")
    try:
        return _check_numbers(checkpoint, runner, prepared, prefix)
    except Exception as error:  # whatever the code of a model raises
        if isinstance(error, ModelError) or is_out_of_memory(error):
            raise
        length = int(prepared.lengths.max())
        message = f"{checkpoint.name} fails on texts of up to {length:,} tokens: {_first_line(error)}"
        hint = "try --dtype fp32; if that does not help, its configuration may not fit its weights"
        raise ModelError(message, hint) from error


def _check_numbers(
    checkpoint: Checkpoint, runner: CausalModel, prepared: PreparedBatch, prefix: int | None
) -> SelfCheck:
    half = is_half(runner)
    loads_twice = checkpoint.parameters <= FP32_CHECK and not checkpoint.live
    exact = _float32_twin(checkpoint, runner) if half and loads_twice else runner
    notes: list[str] = []
    truth = measure_alone(exact, prepared, prefix)
    if not all(np.isfinite(nats).all() for nats in truth):
        raise ModelError(
            f"{checkpoint.name} gives NaN or infinity on plain text", "its weights may be damaged: download them again"
        )
    _require_causal(checkpoint, exact, prepared, prefix)
    in_fp32 = exact is not runner or not half
    tolerance = EXACT if in_fp32 else HALF_EXACT
    head_gap = _choose_head(exact, prepared, prefix, truth, tolerance, notes)
    gap = _choose_layout(exact, prepared, prefix, truth, tolerance, notes)
    noise, error = None, None
    if exact is not runner:
        runner.head = find_head(runner.model) if exact.head is not None else None
        noise = _choose_in_dtype(runner, exact.layout, prepared, prefix, truth, notes)
        prose = prepare_texts(checkpoint, prefix, PROSE)
        full = measure_together(exact, prose, prefix) if math.isfinite(noise) else []
        error = compare_precision(measure_together(runner, prose, prefix) if full else [INFINITE], full or [INFINITE])
    own_head = runner.head is not None
    return SelfCheck(runner.layout, own_head, gap, head_gap, noise, tuple(notes), error, runner.varlen, tuple(truth))


def confirm_numbers(checkpoint: Checkpoint, runner: CausalModel, prefix: int | None, check: SelfCheck) -> str | None:
    """Return what is wrong with the numbers of a runner that was changed since its check; None where nothing is.

    The texts are run as packs of the largest size, filled up as the packs of a run are.
    """
    sizes, runner.sizes = runner.sizes, runner.sizes[:1]
    try:
        again = measure_together(runner, prepare_texts(checkpoint, prefix), prefix)
    finally:
        runner.sizes = sizes
    half = is_half(runner)
    off = _noise(again, check.truth) if half else _gap(again, check.truth)
    allowed = EXACT
    if half:
        allowed = HALF_EXACT if check.noise is None else MORE_NOISE * check.noise + SLACK
    return None if off <= allowed else f"a token is off by {off:.1g} nats"


def measure_alone(runner: CausalModel, prepared: PreparedBatch, prefix: int | None) -> list[Float64Array]:
    """Return the true nats of each window: a forward pass for each, the model's attention and logits, then float64."""
    _set_attention(runner, "alone")
    packs = [
        batches.build_pack(prepared, np.array([window]), "alone", prefix) for window in range(len(prepared.lengths))
    ]
    return [_own_nats(runner, pack) for pack in packs]


def _own_nats(runner: CausalModel, pack: ScoringPack) -> Float64Array:
    with torch.inference_mode(), packed_attention.attend_within(None):
        ids = torch.from_numpy(pack.ids_BL).to(runner.device)
        logits = runner.model(input_ids=ids, use_cache=False).logits[0].float().cpu().numpy()
    return token_nats(logits[pack.rows_N], pack.targets_N)


def measure_together(runner: CausalModel, prepared: PreparedBatch, prefix: int | None) -> list[Float64Array]:
    """Return the nats of each window from the runner as it is set, in as few passes as its layout allows."""
    measured: list[Float64Array] = [np.zeros(0)] * len(prepared.lengths)
    for windows in batches.split_windows(prepared.lengths, runner.layout, 10**6, runner.sizes):
        pack = batches.build_pack(prepared, windows, runner.layout, prefix, runner.sizes)
        nats = runner.nats(pack).astype(np.float64)
        for window, part in zip(windows, np.split(nats, pack.offsets[1:]), strict=True):
            measured[window] = part
    return measured


def _choose_head(
    runner: CausalModel,
    prepared: PreparedBatch,
    prefix: int | None,
    truth: list[Float64Array],
    tolerance: float,
    notes: list[str],
) -> float:
    """Keep our head if, text by text, it gives the model's own logits; else drop it. Return the largest difference."""
    runner.layout, runner.head = "alone", find_head(runner.model)
    gap = float("inf")
    if runner.head is not None:
        try:
            gap = _gap(measure_together(runner, prepared, prefix), truth)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            notes.append(f"our head does not fit this model ({_first_line(error)})")
    if gap > tolerance:
        runner.head = None
        gap = _gap(measure_together(runner, prepared, prefix), truth)
        notes.append("our head does not give its logits: the model computes them, which takes more memory")
    return gap


def _choose_layout(
    runner: CausalModel,
    prepared: PreparedBatch,
    prefix: int | None,
    truth: list[Float64Array],
    tolerance: float,
    notes: list[str],
) -> float:
    """Set the fastest layout in which texts have the nats that they have alone; return the largest difference.

    Raises ModelError where none has.
    """
    for layout in LAYOUTS:
        why = "it keeps a state along the sequence" if layout == "packed" and _is_stateful(runner) else None
        if why is None and layout == "packed" and not runner.takes_positions:
            why = "it takes no positions"
        if why is None and not _set_attention(runner, layout):
            why = "it does not accept our attention"
        for varlen in () if why else list_kernels(runner, layout):
            runner.layout, runner.varlen = layout, varlen
            try:
                gap, failure = _gap(measure_together(runner, prepared, prefix), truth), None
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                gap, failure = float("inf"), _first_line(error)
            if gap <= tolerance:
                return gap
            why = failure or f"a token is off by {gap:.1g} nats"
            if varlen:
                notes.append(f"not in one kernel for all documents: {why}")
        notes.append(f"not {layout}: {why}")
    raise ModelError(
        "the model does not repeat its own numbers on a single text, one by one",
        "it may use randomness or keep state between calls; use another model",
    )


def _choose_in_dtype(
    runner: CausalModel,
    fastest: Layout,
    prepared: PreparedBatch,
    prefix: int | None,
    truth: list[Float64Array],
    notes: list[str],
) -> float:
    """Set the layout for the run's dtype, whose kernels may differ from float32's; return the rms gap to float32.

    From ``fastest``, the one that float32 allows, on: the first whose gap is about that of texts alone; if none is, the
    smallest. Infinity where the model fails in this dtype.
    """
    alone = _try_noise(runner, "alone", False, prepared, prefix, truth, notes)
    choice_to_noise: dict[tuple[Layout, bool], float] = {("alone", False): alone}
    for layout in LAYOUTS[LAYOUTS.index(fastest) : LAYOUTS.index("alone")]:
        for varlen in list_kernels(runner, layout):
            noise = _try_noise(runner, layout, varlen, prepared, prefix, truth, notes)
            choice_to_noise[layout, varlen] = noise
            if noise <= MORE_NOISE * alone + SLACK:
                return noise
            if math.isfinite(noise):
                notes.append(f"not {layout} in this dtype: a token is off by {noise:.1g} nats (rms)")
    choice = min(choice_to_noise, key=lambda choice: choice_to_noise[choice])
    runner.layout, runner.varlen = choice
    _set_attention(runner, runner.layout)
    return choice_to_noise[choice]


def _try_noise(
    runner: CausalModel,
    layout: Layout,
    varlen: bool,
    prepared: PreparedBatch,
    prefix: int | None,
    truth: list[Float64Array],
    notes: list[str],
) -> float:
    """Set a layout and return its rms gap to float32; infinity, and a note, where the model fails in it."""
    runner.layout, runner.varlen = layout, varlen
    _set_attention(runner, layout)
    try:
        return _noise(measure_together(runner, prepared, prefix), truth)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        what = "in one kernel for all documents" if varlen else layout
        notes.append(f"not {what} in this dtype: {_first_line(error)}")
        return math.inf


def restore_check(runner: CausalModel, check: SelfCheck) -> None:
    """Set a runner as a check of the same model, dtype, machine and code left it, without reading a text."""
    runner.layout, runner.varlen = check.layout, check.varlen
    runner.head = find_head(runner.model) if check.own_head else None
    _set_attention(runner, runner.layout)


def run_rows(runner: CausalModel) -> None:
    """Set a checked runner to read rows of one length, with the model's own attention, which heeds a mask."""
    runner.layout, runner.varlen, runner.fused_attention = "equal", False, False
    _set_attention(runner, runner.layout)


def is_half(runner: CausalModel) -> bool:
    """Return whether a model, or a part of it, has weights in half precision."""
    return any(parameter.dtype != torch.float32 for parameter in runner.model.parameters())


def list_kernels(runner: CausalModel, layout: Layout) -> tuple[bool, ...]:
    """Return the values of ``varlen`` to try: True (one kernel for all documents of a pack) on CUDA in half precision.

    That kernel is FlashAttention, which needs an Ampere GPU or newer. A chip or build without it fails the trial, and
    False (a call for each run of documents) is tried next.
    """
    half = is_half(runner)
    return (True, False) if layout == "packed" and half and runner.device.type == "cuda" else (False,)


def _set_attention(runner: CausalModel, layout: Layout) -> bool:
    """Set our attention for packs, the checkpoint's for everything else; return False where the model refuses ours."""
    name = packed_attention.NAME if layout == "packed" else _faithful(runner)
    try:
        runner.model.set_attn_implementation(name)
    except (ValueError, KeyError, AttributeError, NotImplementedError):
        return False
    return bool(runner.model.config._attn_implementation == name) or layout != "packed"


def _faithful(runner: CausalModel) -> str:
    """Return the attention to compare with: transformers' SDPA drops a soft cap and sinks, its eager one never does."""
    config = runner.model.config.get_text_config()
    special = getattr(config, "attn_logit_softcapping", None) is not None
    return "eager" if special else (runner.own_attention or "eager")


def _is_stateful(runner: CausalModel) -> bool:
    kinds = getattr(runner.model.config.get_text_config(), "layer_types", None) or ()
    linear = any("linear" in str(kind) or "mamba" in str(kind) or "recurrent" in str(kind) for kind in kinds)
    return bool(getattr(runner.model, "_is_stateful", False)) or linear


def _require_causal(checkpoint: Checkpoint, runner: CausalModel, prepared: PreparedBatch, prefix: int | None) -> None:
    """Raise ModelError where a change of later inputs changes an earlier prediction.

    A text is compared with itself before other futures, in passes of one shape and one dtype. A causal model computes
    what comes before a change from the same numbers in the same way, and gives the same bits. Only where rows of a pass
    share a rounding, as those that a router (MoE) sends to one expert do, it gives other last bits: as many as with
    other neighbours in the batch, which are measured.
    """
    window = int(np.argmax(prepared.lengths))
    pack = batches.build_pack(prepared, np.array([window]), "alone", prefix)
    length = pack.ids_BL.size
    known_ids = np.unique(prepared.ids.astype(np.int64))
    truth, gap = _own_nats(runner, pack), 0.0
    for first in sorted({1, 2 * length // 5, length - 1} - {0}):
        changed = pack.ids_BL.copy()
        changed[:, first:] = _other_ids(changed[:, first:], known_ids, 1)
        nats = _own_nats(runner, replace(pack, ids_BL=changed))
        gap = max(gap, _largest(np.abs(nats - truth)[pack.rows_N < first]))
    if gap > SAME and gap > 8 * _measure_neighbours(runner, pack, known_ids):
        leak = f"{gap:.1g} nats, and two texts that begin alike must have one first_nats"
        raise ModelError(
            f"{checkpoint.name} is not causal: a token's prediction depends on what follows it ({leak})",
            "perplexity needs a decoder that predicts the next token, such as a GPT or Llama",
        )


def _measure_neighbours(runner: CausalModel, pack: ScoringPack, known_ids: Int64Array) -> float:
    """Return by how many nats a prediction moves at most where the pass holds other texts besides: by rounding alone.

    The passes have one shape: the text and a neighbour of its length.
    """
    pairs = [
        replace(pack, ids_BL=np.concatenate([pack.ids_BL, _other_ids(pack.ids_BL, known_ids, step)]))
        for step in (1, 2, 5, 11)
    ]
    first, *others = (_own_nats(runner, pair) for pair in pairs)
    return max(_largest(np.abs(nats - first)) for nats in others)


def _other_ids(ids_BL: Int64Array, known_ids: Int64Array, step: int) -> Int64Array:
    """Return for each id another one of ``known_ids`` (sorted, distinct), ``step`` places further; B×L."""
    return np.asarray(known_ids[(np.searchsorted(known_ids, ids_BL) + step) % len(known_ids)])


def _largest(differences: Float64Array) -> float:
    """Return the largest difference: 0 for none, infinity where one is not finite."""
    return float(differences.max(initial=0.0)) if np.isfinite(differences).all() else float("inf")


def _float32_twin(checkpoint: Checkpoint, runner: CausalModel) -> CausalModel:
    model = load_with_dtype(checkpoint, torch.float32).to(runner.device)
    return CausalModel(model, runner.device, None, "alone", runner.own_attention, runner.takes_positions)


def _gap(nats: Sequence[Float64Array], truth: Sequence[Float64Array]) -> float:
    """Return the largest difference of a token; infinity where one is not finite."""
    return _largest(np.abs(np.concatenate(nats) - np.concatenate(truth)))


def _noise(nats: Sequence[Float64Array], truth: Sequence[Float64Array]) -> float:
    """Return the root of the mean squared difference of a token; infinity where one is not finite."""
    mean = float(np.mean((np.concatenate(nats) - np.concatenate(truth)) ** 2))
    return math.sqrt(mean) if math.isfinite(mean) else math.inf


def _first_line(error: BaseException) -> str:
    text: Any = str(error).strip().splitlines()
    return text[0][:120] if text else type(error).__name__
