"""Before a model scores anything: do our shortcuts give its own numbers?

On six short texts, in a second or two: windows packed together against each text alone through the model's own
attention; our head against the model's own logits; the run's dtype against float32; and that no token's prediction
depends on what follows it. Where packing fails, the ladder of ``batches.RUNGS`` is stepped down; where the head fails,
the model's own logits are taken. A model whose numbers cannot be trusted at all is refused.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from curate.errors import ModelError
from curate.reference.causal import LONGEST
from curate.reference.checkpoint import Checkpoint, with_dtype
from curate.reference.forward_pass import batches, packed_attention
from curate.reference.forward_pass.batches import RUNGS, PreparedBatch, ScoringPack
from curate.reference.forward_pass.forward import CausalModel, is_out_of_memory
from curate.reference.forward_pass.lm_head import find_head
from curate.reference.likelihood import Passage, token_nats
from curate.reference.packing import WindowPolicy

TEXTS = (
    "A",
    "The cat sat on the mat, and the dog looked on.",
    "def add(left: int, right: int) -> int:\n    return left + right\n\n\nprint(add(2, 40))\n",
    "In 1969 two people walked on the Moon for 2 hours and 31 minutes; a third one waited in orbit above them. "
    "What they brought back, 21.55 kilograms of rock and dust, is studied to this day.",
    "Größe, naïve, 東京, Привет, 🙂 — and then plain words again, so that rare bytes meet common ones.",
    "It is a truth that whoever keeps a ledger finds out sooner or later: the sums must agree. " * 6,
)
MOST_TOKENS = 256  # read of each text; a sliding window beyond it is for the tests, not for every start
EXACT = 5e-5  # nats a token between two float32 ways of computing the same thing
NOISE = 0.05  # rms nats a token that a half-precision run may lie from float32
FP32_CHECK = 1_500_000_000  # parameters up to which a float32 copy is loaded to compare with


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """What was found: largest differences in nats a token, and the manner of running that they allow."""

    rung: str
    own_head: bool  # True: our chunked head; False: the model's own table of logits
    together: float
    head: float
    noise: float | None  # rms of the run's dtype against float32; None where it is float32, or was not compared
    structure_in_fp32: bool
    notes: tuple[str, ...]
    truth: tuple[NDArray[np.float64], ...] = field(default=(), repr=False)  # nats of each text, alone

    def line(self, dtype: str) -> str:
        """``packed = alone to 3e-07, head = model to 1e-07, bf16 within 0.002 of fp32``."""
        said = [f"{self.rung} = alone to {self.together:.0e}" if self.rung != "alone" else "one by one"]
        said.append(f"head = model to {self.head:.0e}" if self.own_head else "logits of the model itself")
        if self.noise is not None:
            said.append(f"{dtype} within {self.noise:.2g} nats a token (rms) of fp32")
        elif dtype != "fp32":
            said.append(f"{dtype} not compared with fp32 (model too large to load twice)")
        return ", ".join(said)


def prepare_texts(checkpoint: Checkpoint, prefix: int | None) -> PreparedBatch:
    """The six texts as the scorer sees them, one window each, whatever the windows of the run."""
    length = min(MOST_TOKENS, checkpoint.readable() or MOST_TOKENS)
    policy = WindowPolicy(window=length, max_tokens=length)
    passages = [Passage(text) for text in TEXTS]
    return batches.prepare(passages, checkpoint.encoder, policy, prefix, LONGEST)


def check(checkpoint: Checkpoint, runner: CausalModel, prefix: int | None) -> SelfCheck:
    """Compare, and choose the highest rung and the head that agree; they are set on ``runner``.

    Structure (does packing leak? is our head the model's?) is judged in float32 where a float32 copy of the model
    may be loaded, since a half-precision run's noise would hide a small leak.
    """
    prepared = prepare_texts(checkpoint, prefix)
    if not len(prepared.lengths):
        raise ModelError(f"the tokenizer of {checkpoint.name} makes no token of plain English text")
    half = next(runner.model.parameters()).dtype != torch.float32
    exact = _float32_twin(checkpoint, runner) if half and checkpoint.parameters <= FP32_CHECK else runner
    notes: list[str] = []
    truth = alone(exact, prepared, prefix)
    if not all(np.isfinite(nats).all() for nats in truth):
        raise ModelError(f"{checkpoint.name} gives NaN or infinity on plain text", "its weights may be damaged")
    _require_causal(checkpoint, exact, prepared, prefix)
    in_fp32 = exact is not runner or not half
    tolerance = EXACT if in_fp32 else 10 * NOISE
    head_gap = _choose_head(exact, prepared, prefix, truth, tolerance, notes)
    gap = _choose_rung(exact, prepared, prefix, truth, tolerance, notes)
    noise = None
    if exact is not runner:
        runner.head = find_head(runner.model) if exact.head is not None else None
        noise = _settle(runner, exact.rung, prepared, prefix, truth, notes)
    own_head = runner.head is not None
    return SelfCheck(runner.rung, own_head, gap, head_gap, noise, in_fp32, tuple(notes), tuple(truth))


def confirm(checkpoint: Checkpoint, runner: CausalModel, prefix: int | None, found: SelfCheck) -> str | None:
    """Whether the texts still have their numbers when the runner was changed since it was checked.  → what is wrong

    They are run as packs of the largest size, filled up as the packs of a run are.
    """
    sizes, runner.sizes = runner.sizes, runner.sizes[:1]
    try:
        again = run(runner, prepare_texts(checkpoint, prefix), prefix)
    finally:
        runner.sizes = sizes
    half = next(runner.model.parameters()).dtype != torch.float32
    off = _noise(again, list(found.truth)) if half else _gap(again, list(found.truth))
    return None if off <= (max(NOISE, found.noise or 0.0) if half else EXACT) else f"a token is off by {off:.1g} nats"


def alone(runner: CausalModel, prepared: PreparedBatch, prefix: int | None) -> list[NDArray[np.float64]]:
    """The plain truth: each window in its own forward pass, the model's own attention and logits, in float64 after."""
    _set_attention(runner, "own")
    found = []
    for window in range(len(prepared.lengths)):
        pack = batches.build(prepared, np.array([window]), "alone", prefix)
        found.append(_own_nats(runner, pack))
    return found


def _own_nats(runner: CausalModel, pack: ScoringPack) -> NDArray[np.float64]:
    with torch.inference_mode(), packed_attention.within(None):
        ids = torch.from_numpy(pack.ids_BL).to(runner.device)
        logits = runner.model(input_ids=ids, use_cache=False).logits[0].float().cpu().numpy()
    return token_nats(logits[pack.rows_N], pack.targets_N)


def run(runner: CausalModel, prepared: PreparedBatch, prefix: int | None) -> list[NDArray[np.float64]]:
    """The same windows through the runner as it is set, all in as few passes as its rung allows."""
    found: list[NDArray[np.float64]] = [np.zeros(0)] * len(prepared.lengths)
    for windows in batches.split(prepared.lengths, runner.rung, 10**6, runner.sizes):
        pack = batches.build(prepared, windows, runner.rung, prefix, runner.sizes)
        nats = runner.nats(pack).astype(np.float64)
        for window, part in zip(windows, np.split(nats, pack.offsets[1:]), strict=True):
            found[window] = part
    return found


def _choose_head(
    runner: CausalModel,
    prepared: PreparedBatch,
    prefix: int | None,
    truth: list[NDArray[np.float64]],
    tolerance: float,
    notes: list[str],
) -> float:
    """Keep our head if, text by text, it gives the model's own logits; else drop it.  → the largest difference"""
    runner.rung, runner.head = "alone", find_head(runner.model)
    gap = float("inf")
    if runner.head is not None:
        try:
            gap = _gap(run(runner, prepared, prefix), truth)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            notes.append(f"our head does not fit this model ({_first_line(error)})")
    if gap > tolerance:
        runner.head = None
        gap = _gap(run(runner, prepared, prefix), truth)
        notes.append("its logits are more than a linear layer: the model's own are used, which takes more memory")
    return gap


def _choose_rung(
    runner: CausalModel,
    prepared: PreparedBatch,
    prefix: int | None,
    truth: list[NDArray[np.float64]],
    tolerance: float,
    notes: list[str],
) -> float:
    """Set the highest rung on which texts together give what they give alone.  → the largest difference"""
    for rung in RUNGS:
        why = "it keeps a state along the sequence" if rung == "packed" and _is_stateful(runner) else None
        if why is None and rung == "packed" and not runner.takes_positions:
            why = "it takes no positions"
        if why is None and not _set_attention(runner, rung):
            why = "it does not take our attention"
        for varlen in () if why else kernels(runner, rung):
            runner.rung, runner.varlen = rung, varlen
            try:
                gap, found = _gap(run(runner, prepared, prefix), truth), None
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                gap, found = float("inf"), _first_line(error)
            if gap <= tolerance:
                return gap
            why = found or f"a token is off by {gap:.1g} nats"
            if varlen:
                notes.append(f"not in one kernel for all documents: {why}")
        notes.append(f"not {rung}: {why}")
    raise ModelError(
        "the model does not repeat its own numbers on a single text, one by one",
        "it may use randomness or keep state between calls; its scores could not be trusted",
    )


def _settle(
    runner: CausalModel,
    highest: str,
    prepared: PreparedBatch,
    prefix: int | None,
    truth: list[NDArray[np.float64]],
    notes: list[str],
) -> float:
    """Set the rung in the run's own dtype, whose kernels may be others than float32's.  → rms distance from float32

    From the highest rung that float32 allows, the first within ``NOISE``; if none is, the one that lies nearest.
    """
    found: dict[tuple[str, bool], float] = {}
    manners = [(rung, one) for rung in RUNGS[RUNGS.index(highest) :] for one in kernels(runner, rung)]
    for rung, varlen in manners:
        runner.rung, runner.varlen = rung, varlen
        _set_attention(runner, rung)
        try:
            found[rung, varlen] = _noise(run(runner, prepared, prefix), truth)
        except Exception as error:
            if is_out_of_memory(error) or rung == RUNGS[-1]:
                raise
            what = "in one kernel for all documents" if varlen else rung
            notes.append(f"not {what} in this dtype: {_first_line(error)}")
            continue
        if found[rung, varlen] <= NOISE:
            break
    good = next((manner for manner in found if found[manner] <= NOISE), None)
    runner.rung, runner.varlen = good or min(found, key=lambda one: found[one])
    _set_attention(runner, runner.rung)
    return found[runner.rung, runner.varlen]


def kernels(runner: CausalModel, rung: str) -> tuple[bool, ...]:
    """Whether the documents of a pack may go through one kernel (``varlen``): on CUDA in half precision; or apart.

    That kernel is FlashAttention, which wants an Ampere or newer; a chip or build without it fails, and goes on apart.
    """
    half = next(runner.model.parameters()).dtype != torch.float32
    return (True, False) if rung == "packed" and half and runner.device.type == "cuda" else (False,)


def _set_attention(runner: CausalModel, rung: str) -> bool:
    """Our attention for packs, the checkpoint's own for everything else; False where the model takes no other."""
    wanted = packed_attention.NAME if rung == "packed" else _faithful(runner)
    try:
        runner.model.set_attn_implementation(wanted)
    except (ValueError, KeyError, AttributeError, NotImplementedError):
        return False
    return bool(runner.model.config._attn_implementation == wanted) or rung != "packed"


def _faithful(runner: CausalModel) -> str:
    """The implementation to believe: transformers' SDPA path drops a soft cap and sinks, its eager one never does."""
    config = runner.model.config.get_text_config()
    special = getattr(config, "attn_logit_softcapping", None) is not None
    return "eager" if special else (runner.own_attention or "eager")


def _is_stateful(runner: CausalModel) -> bool:
    kinds = getattr(runner.model.config.get_text_config(), "layer_types", None) or ()
    linear = any("linear" in str(kind) or "mamba" in str(kind) or "recurrent" in str(kind) for kind in kinds)
    return bool(getattr(runner.model, "_is_stateful", False)) or linear


def _require_causal(checkpoint: Checkpoint, runner: CausalModel, prepared: PreparedBatch, prefix: int | None) -> None:
    """Another last input must leave every earlier prediction as it was."""
    window = int(np.argmax(prepared.lengths))
    pack = batches.build(prepared, np.array([window]), "alone", prefix)
    if pack.ids_BL.size < 2:
        return  # a model that reads one token leaves nothing to look ahead to
    changed = pack.ids_BL.copy()
    changed[0, -1] = changed[0, 0] if changed[0, -1] != changed[0, 0] else changed[0, 1]
    other = replace(pack, ids_BL=changed)
    before, after = _own_nats(runner, pack)[:-1], _own_nats(runner, other)[:-1]
    if len(before) and np.abs(before - after).max() > 10 * NOISE:
        message = f"{checkpoint.name} is not causal: a token's prediction depends on what follows it"
        raise ModelError(message, "perplexity needs a decoder that predicts the next token, such as a GPT or Llama")


def _float32_twin(checkpoint: Checkpoint, runner: CausalModel) -> CausalModel:
    model = with_dtype(checkpoint, torch.float32).to(runner.device)
    return CausalModel(model, runner.device, None, "alone", runner.own_attention, runner.takes_positions)


def _gap(found: list[NDArray[np.float64]], truth: list[NDArray[np.float64]]) -> float:
    differences = np.abs(np.concatenate(found) - np.concatenate(truth))
    return float(differences.max()) if np.isfinite(differences).all() else float("inf")


def _noise(found: list[NDArray[np.float64]], truth: list[NDArray[np.float64]]) -> float:
    return float(np.sqrt(np.mean((np.concatenate(found) - np.concatenate(truth)) ** 2)))


def _first_line(error: BaseException) -> str:
    text: Any = str(error).strip().splitlines()
    return text[0][:120] if text else type(error).__name__
