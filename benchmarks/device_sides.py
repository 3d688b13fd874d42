"""The sides of ``score_gpu.py``: ours, and what people use on a GPU, each from texts to the mean nats of each.

A side is opened from a folder outside the timing; what is timed goes from texts to numbers on the host, tokenising
included, so that it ends with the device done. Shapes: B rows of a batch, L positions, V vocabulary.
"""

import gc
import importlib.util
import logging
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer

from curate.reference import load
from curate.reference.causal import CausalReference
from curate.reference.forward_pass.device_transfer import HostResult
from curate.reference.likelihood import Passage
from curate.reference.loading import load_causal
from curate.reference.protocol import ScoringConfig
from curate.runtime.work import profiler, threads

TORCH = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
BATCHES = {True: 16, False: 4}  # documents of a padded batch, on CUDA or not: four full tables fit a laptop
COMPILED, PLAIN, EVERY = "curate", "curate, not compiled", "curate, every device"
HOST = "curate's host alone"
PADDED, SORTED, HARNESS, VLLM = "padded loop", "padded loop, sorted", "lm-eval", "vLLM"
NAMES = (COMPILED, PLAIN, EVERY, HOST, PADDED, SORTED, HARNESS, VLLM)
OURS = (COMPILED, PLAIN, EVERY, HOST)


@dataclass(slots=True)
class Side:
    """One way of scoring: ``score`` takes batches of texts and gives the mean nats a token of each text."""

    name: str
    how: str
    score: Callable[[Sequence[list[str]]], NDArray[np.float64]]
    places: Callable[[], int]
    close: Callable[[], None]
    profile: dict[str, Any] = field(default_factory=dict)  # of ours: the profile of the last turn


def batch_for(device: str) -> int:
    return BATCHES[device.startswith("cuda")]


def open_side(name: str, folder: Path, dtype: str, device: str) -> Side:
    """Open a side by its name."""
    if name == EVERY:
        return open_every(folder, dtype, device)
    if name in OURS:
        return open_ours(name, folder, dtype, device)
    if name in (PADDED, SORTED):
        return open_padded(name, folder, dtype, device)
    return open_harness(folder, dtype, device) if name == HARNESS else open_vllm(folder, dtype)


def why_not(name: str, device: str) -> str | None:
    """Why a side cannot run here; None where it can."""
    if name == EVERY and devices_of(device).count(",") == 0:
        return "there is one device"
    if name == HARNESS and not importlib.util.find_spec("lm_eval"):
        return "lm_eval is not installed (pip install -e '.[peers]')"
    if name == VLLM and not importlib.util.find_spec("vllm"):
        return "vllm is not installed"
    if name == VLLM and not device.startswith("cuda"):
        return "it is run on CUDA alone"
    return None


def open_ours(name: str, folder: Path, dtype: str, device: str) -> Side:
    """``curate.reference``, as ``curate score`` runs it; the host alone has a device that answers at once."""
    wanted = "on" if name == COMPILED else "off"
    reference = load_causal(str(folder), ScoringConfig(dtype=dtype, device=device, compiled=wanted))
    if name == HOST:
        reference.runner = _Nothing(reference.runner)  # type: ignore[assignment]
    side = Side(
        name, describe(name, reference), lambda batches: _score_ours(side, reference, batches), lambda: 0, _free
    )
    side.places = lambda: reference.num_computed_tokens
    return side


def devices_of(device: str) -> str:
    """All CUDA devices, or a process for each core up to four."""
    if device.startswith("cuda"):
        return ",".join(map(str, range(torch.cuda.device_count())))
    return ",".join(["cpu"] * min(4, threads.count_cores()))


def open_every(folder: Path, dtype: str, device: str) -> Side:
    """``curate score --devices``: a process for each device; on a CPU for each core, which has one thread."""
    devices = devices_of(device)
    compiled = "on" if device.startswith("cuda") else "off"
    fleet: Any = load(str(folder), ScoringConfig(dtype=dtype, compiled=compiled), devices)
    how = f"--devices {devices}" + (", compiled" if fleet.identity["compiled"] else ", not compiled")
    side = Side(
        EVERY, how, lambda batches: _score_ours(side, fleet, batches), lambda: fleet.num_computed_tokens, fleet.close
    )
    return side


class _Nothing:
    """A device that is done before it begins; everything else is that of a runner."""

    def __init__(self, runner: Any):
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def start(self, pack: Any) -> HostResult:
        return HostResult(np.ones(pack.tokens, np.float32))


def describe(name: str, reference: CausalReference) -> str:
    """How it runs, and what it found at load."""
    identity = reference.identity
    said = f"{identity['forward']}, attention {identity['attention']}, packs of {identity['pack_tokens']:,} tokens"
    if name == HOST:
        return f"tokenising, packing, sums; no forward pass ({said})"
    said += ", compiled" if identity["compiled"] else ""
    return "; ".join([f"{said}, {identity['head']} head", reference.check_line, *reference.notes])


def _score_ours(side: Side, reference: Any, batches: Sequence[list[str]]) -> NDArray[np.float64]:
    with profiler.measure_spans() as watch:
        found = list(reference.score([Passage(text) for text in batch] for batch in batches))
    side.profile = profiler.describe_profile(watch)
    idle = [one["idle"] for one in side.profile["apart"].values() if one["idle"] is not None]
    if idle:
        side.profile["idle"] = sum(idle) / len(idle)
    return np.concatenate([one.nats / np.maximum(one.tokens, 1) for one in found])


def open_padded(name: str, folder: Path, dtype: str, device: str) -> Side:
    """What one writes with transformers: batches padded on the right, a mask, full logits, the loss in fp32.

    A batch that the memory is too small for is halved, for good.
    """
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=TORCH[dtype]).eval().to(device)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    state = {"places": 0, "batch": batch_for(device)}

    def score(batches: Sequence[list[str]]) -> NDArray[np.float64]:
        texts = [text for batch in batches for text in batch]
        ids = [[tokenizer.bos_token_id, *found] for found in tokenizer(texts, add_special_tokens=False)["input_ids"]]
        order = sorted(range(len(ids)), key=lambda at: -len(ids[at])) if name == SORTED else range(len(ids))
        means, left = np.zeros(len(ids)), list(order)
        while left:
            now = left[: state["batch"]]
            try:
                means[now] = _score_batch(model, [ids[at] for at in now], state, device)
            except torch.OutOfMemoryError:
                if state["batch"] == 1:
                    raise
                state["batch"] //= 2
                torch.cuda.empty_cache()
                continue
            left = left[len(now) :]
        return means

    order = "sorted by length" if name == SORTED else "in the order of the documents"
    return Side(name, f"batches of {batch_for(device)} {order}, full logits", score, lambda: state["places"], _free)


def _score_batch(model: Any, rows: list[list[int]], state: dict[str, int], device: str) -> list[float]:
    longest = max(map(len, rows))
    ids_BL = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
    mask_BL = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=device)
    with torch.inference_mode():
        logits_BLV = model(input_ids=ids_BL, attention_mask=mask_BL, use_cache=False).logits[:, :-1]
        losses_BL = F.cross_entropy(logits_BLV.transpose(1, 2).float(), ids_BL[:, 1:], reduction="none")
        means_B = (losses_BL * mask_BL[:, 1:]).sum(1) / mask_BL[:, 1:].sum(1)
    state["places"] += ids_BL.numel()
    found: list[float] = means_B.tolist()
    return found


def open_harness(folder: Path, dtype: str, device: str) -> Side:
    """lm-evaluation-harness' own model class and its ``loglikelihood_rolling``."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    with redirect_stderr(StringIO()):
        harness = HFLM(pretrained=str(folder), device=device, dtype=TORCH[dtype], batch_size=batch_for(device))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    places = [0]
    hook = lambda _module, words, named: places.__setitem__(0, places[0] + (named.get("input_ids", *words)).numel())  # noqa: E731
    harness.model.register_forward_pre_hook(hook, with_kwargs=True)

    def score(batches: Sequence[list[str]]) -> NDArray[np.float64]:
        texts = [text for batch in batches for text in batch]
        requests = [Instance("loglikelihood_rolling", {}, (text,), at) for at, text in enumerate(texts)]
        with redirect_stderr(StringIO()):
            found = harness.loglikelihood_rolling(requests, disable_tqdm=True)
        counts = [len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]
        return -np.array(found) / np.array(counts)

    return Side(HARNESS, f"HFLM.loglikelihood_rolling, batch_size={batch_for(device)}", score, lambda: places[0], _free)


def open_vllm(folder: Path, dtype: str) -> Side:
    """vLLM's ``prompt_logprobs``, a dict a token; one token is generated, since it generates at least one."""
    from vllm import LLM, SamplingParams

    names = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
    engine = LLM(model=str(folder), dtype=names[dtype], gpu_memory_utilization=0.6, disable_log_stats=True)
    wanted = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def score(batches: Sequence[list[str]]) -> NDArray[np.float64]:
        texts = [text for batch in batches for text in batch]
        ids = [[tokenizer.bos_token_id, *found] for found in tokenizer(texts, add_special_tokens=False)["input_ids"]]
        answers = engine.generate([{"prompt_token_ids": one} for one in ids], wanted, use_tqdm=False)
        means = []
        for own, answer in zip(ids, answers, strict=True):
            pairs = zip(own[1:], answer.prompt_logprobs[1:], strict=True)
            means.append(-float(np.mean([found[token].logprob for token, found in pairs])))
        return np.array(means)

    return Side(VLLM, "LLM.generate with prompt_logprobs=0", score, lambda: 0, _free)


def _free() -> None:
    gc.collect()
    torch.cuda.empty_cache()  # nothing where there is no CUDA
