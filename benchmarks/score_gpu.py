"""The scorer beside the hardware and beside what people use, on a GPU; on a CPU the same, in small.

    python benchmarks/score_gpu.py                    # on CUDA: four shapes, some minutes each
    python benchmarks/score_gpu.py --shapes smollm2-135m --turns 5
    python benchmarks/score_gpu.py --device cpu       # a small shape and the model in the box, some minutes
    python benchmarks/score_gpu.py --small            # a toy, under a minute: does it work?

One process: a matrix product is timed for the peak, then every side takes its turns over the same documents, ours over
all of them and the others over as many as a turn is given. What the columns mean: benchmarks/README.md.
"""

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import device_sides
import numpy as np
import score
import torch
import torch.nn.functional as F
import transformers
from device_sides import COMPILED, HOST, OURS, TORCH, Side
from report import put_into
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from curate.reference import loading, pack_tuning
from curate.reference.checkpoints.checkpoint import builtin_folder
from curate.reference.forward_pass import compilation, fused_head
from curate.reference.forward_pass.device_transfer import HostResult
from curate.reference.forward_pass.forward import CausalModel
from curate.reference.forward_pass.lm_head import spelled_losses
from curate.reference.likelihood import Passage
from curate.reference.loading import choose_dtype, load_causal
from curate.reference.protocol import ScoringConfig

HERE = Path(__file__).parent
LLAMA_32, LLAMA_31, QWEN = 128256, 128256, 151936  # vocabularies
SHAPES: dict[str, dict[str, Any]] = {
    **score.SHAPES,
    "qwen2.5-0.5b": {
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "vocab_size": QWEN,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
    },
    "llama-3.2-1b": {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": LLAMA_32,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
    },
    "llama-3.1-8b": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": LLAMA_31,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": False,
    },
}
GOALS = {  # tokens a second on one H200: floor, goal
    "smollm2-135m": (730_000, 1_300_000),
    "qwen2.5-0.5b": (300_000, 450_000),
    "llama-3.2-1b": (186_000, 245_000),
    "llama-3.1-8b": (38_000, 44_000),
}
MEDIAN, SPREAD, SHORTEST, LONGEST = 400, 1.0, 20, 8000  # tokens of a document: log-normal, as web pages are
TURN_SECONDS = 6  # of work at the goal that a turn of ours is given
CUDA_GEMM, CPU_GEMM = 8192, 2048
FUSED = ((128, 128, 64, 8, 3), (128, 256, 64, 8, 3), (128, 256, 32, 8, 4))  # rows, columns, depth, warps, stages
BATCHES = 4 * max(1, torch.cuda.device_count())  # slices, so that what happens between them is in the time
NUMERIC_DOCUMENTS = 200
OPERATIONS, PACED_PACK = 600, 65536  # of a paced device: thirty layers of twenty; the pack of the 135M shape


# ---- what is scored -----------------------------------------------------------------------------------------------


def draw_documents(texts: Sequence[str], tokenizer: Any, tokens: int, longest: int, seed: int = 0) -> list[str]:
    """Stretches of the texts with log-normal lengths, from random places, until they have so many tokens together."""
    whole = "\n\n".join(texts)
    ends = np.array(tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"])[:, 1]
    random, found, total = np.random.default_rng(seed), [], 0
    while total < tokens:
        length = int(np.clip(np.exp(random.normal(np.log(MEDIAN), SPREAD)), SHORTEST, min(longest, len(ends) // 2)))
        at = int(random.integers(0, len(ends) - length))
        found.append(whole[ends[at] : ends[at + length]])
        total += length
    return found


def in_batches(texts: Sequence[str], count: int) -> list[list[str]]:
    share = -(-len(texts) // count)
    return [list(texts[at : at + share]) for at in range(0, len(texts), share)]


def count_tokens(tokenizer: Any, texts: Sequence[str]) -> np.ndarray:
    return np.array([len(ids) for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]])


def make_folder(shape: str, dtype: str, texts: Sequence[str], folder: Path, device: str) -> Path:
    """Weights and tokenizer of a shape, made on the device and saved, so that every side loads the same numbers."""
    if shape == "builtin":
        return score.make_folder(shape, dtype, texts, folder)
    tokenizer = score.train_tokenizer(texts, SHAPES[shape]["vocab_size"])
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(TORCH[dtype])
    try:
        with torch.device(device):
            model = LlamaForCausalLM(LlamaConfig(**SHAPES[shape], bos_token_id=0, eos_token_id=0, pad_token_id=0))
    finally:
        torch.set_default_dtype(before)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


# ---- what it costs ------------------------------------------------------------------------------------------------


def time_product(rows: int, out: int, into: int, dtype: torch.dtype, device: str) -> float:
    """FLOP/s of one matrix product on random numbers: the median of some after a warm-up."""
    left, right = (torch.randn(shape, device=device).to(dtype) for shape in ((rows, into), (out, into)))
    seconds = []
    for number in range(13):
        if device.startswith("cuda"):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            F.linear(left, right)
            end.record()
            end.synchronize()
            took = begin.elapsed_time(end) / 1000
        else:
            start = time.perf_counter()
            F.linear(left, right)
            took = time.perf_counter() - start
        seconds += [took] if number >= 3 else []
    return 2.0 * rows * out * into / statistics.median(seconds)


def measure_peak(dtype: str, device: str) -> float:
    """FLOP/s of a large square product in the dtype of the run: what MFU is a share of."""
    size = CUDA_GEMM if device.startswith("cuda") else CPU_GEMM
    return max(time_product(size, size, size, TORCH[dtype], device) for _ in range(2))


def measure_mixture(shapes: dict[tuple[int, int], int], rows: int, dtype: str, device: str) -> float:
    """FLOP/s of nothing but the model's own products at the rows of a pack: what no forward pass can exceed."""
    rates = {f"{out}x{into}": time_product(rows, out, into, TORCH[dtype], device) for out, into in shapes}
    return score.mixed_rate(shapes, rates)


def take_turn(side: Side, batches: Sequence[list[str]], tokens: np.ndarray, device: str) -> dict[str, Any]:
    """One pass of a side over the documents."""
    gc.collect()
    base = 0
    if device.startswith("cuda"):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        base = torch.cuda.memory_allocated()
    places, start = side.places(), time.perf_counter()
    means = side.score(batches)
    seconds = time.perf_counter() - start
    computed = side.places() - places
    return {
        "seconds": seconds,
        "tokens_per_second": int(tokens.sum()) / seconds,
        "padding": 1 - int(tokens.sum()) / computed if computed else None,
        "idle": side.profile.get("idle"),
        "above_weights": torch.cuda.max_memory_allocated() - base if device.startswith("cuda") else None,
        "means": means,
    }


def count_synchronisations(side: Side, batches: Sequence[list[str]]) -> int | None:
    """How often the host made itself wait for CUDA in a turn, by torch's own watch; None without CUDA."""
    if not torch.cuda.is_available():
        return None
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            side.score(batches)
        return sum("synchroniz" in str(one.message) for one in caught)
    finally:
        torch.cuda.set_sync_debug_mode("default")


# ---- one shape ----------------------------------------------------------------------------------------------------


def compare(shape: str, texts: Sequence[str], options: argparse.Namespace, peak: float, root: Path) -> dict[str, Any]:
    """All sides on one shape.  → what its table is made of"""
    device, dtype = options.device, options.dtype
    folder = make_folder(shape, dtype, texts, root / shape, device)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=TORCH[dtype])
    longest = min(LONGEST if device.startswith("cuda") else LONGEST // 4, plain.config.max_position_embeddings - 1)
    documents = draw_documents(texts, tokenizer, options.tokens or tokens_for(shape, device), longest)
    counts = count_tokens(tokenizer, documents)
    cost, products = score.flops_per_token(plain, counts), score.matmul_shapes(plain)
    parameters = sum(value.numel() for value in plain.parameters())
    del plain
    fewer = int(np.searchsorted(np.cumsum(counts), options.peer_tokens or counts.sum() // 8)) + 1
    say(f"{shape}: {len(documents):,} documents, {counts.sum():,} tokens, the longest {counts.max():,}; {dtype}")
    rows, truth = [], None
    for group in groups_of(options.sides, device):
        ours = group[0] in OURS
        given, own = (documents, counts) if ours else (documents[:fewer], counts[:fewer])
        try:
            found = run_sides(group, folder, options, in_batches(given, BATCHES), own)
        except Exception as error:  # one side that fails is said, and the others run
            traceback.print_exc()
            say(f"  {', '.join(group)} failed: {error}")
            continue
        for row in found:
            means = row.pop("means")
            host = row["name"] == HOST
            truth = means if truth is None and not host else truth
            row["mfu"] = None if host else row["tokens_per_second"] * cost / peak
            row["difference"] = None if host or truth is None else difference(means, truth)
            rows.append(row)
    pack_rows = next((row["pack_tokens"] for row in rows if row["name"] == COMPILED), 2048)
    return {
        "documents": len(documents),
        "tokens": int(counts.sum()),
        "peer_tokens": int(counts[:fewer].sum()),
        "median_tokens": float(np.median(counts)),
        "longest_tokens": int(counts.max()),
        "parameters": parameters,
        "flops_per_token": cost,
        "mixture": measure_mixture(products, min(pack_rows, 16384), dtype, device),
        "sides": rows,
    }


def tokens_for(shape: str, device: str) -> int:
    """Enough for a turn of some seconds at the goal; on a CPU a few thousand."""
    if not device.startswith("cuda"):
        return {"tiny": 20_000, "builtin": 60_000}.get(shape, 8_000)
    return GOALS.get(shape, (0, 500_000))[1] * TURN_SECONDS


def groups_of(names: Sequence[str], device: str) -> list[list[str]]:
    """Sides that take turns with each other: all of ours, and each of the others by itself, for want of memory."""
    there = []
    for name in names:
        why = device_sides.why_not(name, device)
        if why:
            say(f"  {name} is left out: {why}")
        else:
            there.append(name)
    ours = [name for name in there if name in OURS]
    return [group for group in [ours, *([name] for name in there if name not in OURS)] if group]


def run_sides(
    names: Sequence[str], folder: Path, options: argparse.Namespace, batches: list[list[str]], tokens: np.ndarray
) -> list[dict[str, Any]]:
    """Open some sides, warm them up, and let them take turns, another first each time."""
    sides, loading = [], []
    for name in names:
        start = time.perf_counter()
        sides.append(device_sides.open_side(name, folder, options.dtype, options.device))
        sides[-1].score([batches[0][:4]])
        loading.append(time.perf_counter() - start)
    cheap = names[0] in OURS or options.device.startswith("cuda")  # a turn of the others takes minutes on a CPU
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for repeat in range(options.turns if cheap else 1):
        for at in range(len(sides)):
            side = sides[(at + repeat) % len(sides)]
            turns[side.name].append(take_turn(side, batches, tokens, options.device))
    rows = []
    for side, seconds in zip(sides, loading, strict=True):
        waits = count_synchronisations(side, batches[:1]) if side.name == COMPILED else None
        rows.append({**describe(side, turns[side.name]), "load_seconds": seconds, "synchronisations": waits})
        say(f"  {side.name:22} {rows[-1]['tokens_per_second']:12,.0f} tokens/s   loaded in {seconds:.0f} s")
        side.close()
    return rows


def describe(side: Side, turns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One row: the middle turn, and the speeds of all."""
    speeds = [turn["tokens_per_second"] for turn in turns]
    middle = sorted(turns, key=lambda turn: turn["seconds"])[len(turns) // 2]
    return {
        "name": side.name,
        "how": side.how,
        "tokens_per_second": statistics.median(speeds),
        "slowest": min(speeds),
        "fastest": max(speeds),
        **{name: middle[name] for name in ("padding", "idle", "above_weights", "means")},
        "pack_tokens": pack_of(side),
    }


def pack_of(side: Side) -> int:
    digits = side.how.split("packs of ")[1].split(" tokens")[0] if "packs of " in side.how else "0"
    return int(digits.replace(",", ""))


def difference(means: np.ndarray, truth: np.ndarray) -> float:
    """The largest difference of a document's mean nats a token from those of our first side."""
    return float(np.abs(means - truth[: len(means)]).max())


# ---- the host ------------------------------------------------------------------------------------------------------


def measure_verb(texts: Sequence[str], options: argparse.Namespace) -> dict[str, Any] | None:
    """``curate score`` of the model in the box without a forward pass: what is left is the host's own.

    Reading JSON Lines, signals, tokenising, packing, sums, Parquet parts: first with a device that answers at once,
    then with one that is as fast as the goal for the 135M shape, and how long that one had nothing to do. None where
    the package is not all installed.
    """
    tokenizer = AutoTokenizer.from_pretrained(builtin_folder())
    documents = draw_documents(texts, tokenizer, options.host_tokens, 2000, seed=2)
    with tempfile.TemporaryDirectory() as root:
        corpus = Path(root) / "corpus.jsonl"
        corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents), encoding="utf-8")
        try:
            summary = run_verb(corpus, lambda pack: HostResult(np.ones(pack.tokens, np.float32)))
            device = PacedDevice(GOALS["smollm2-135m"][1])
            run_verb(corpus, device.start, PACED_PACK)
        except ImportError as error:
            say(f"  the verb is left out: {error}")
            return None
        octets = corpus.stat().st_size
    profile = summary.profile or {}
    spent = {name: seconds for kind in ("here", "beside") for name, seconds in profile.get(kind, {}).items()}
    return {
        "tokens_per_second": summary.tokens / summary.seconds,
        "octets_per_second": octets / summary.seconds,
        "spent": {name: spent[name] / summary.seconds for name in sorted(spent, key=lambda one: -spent[one])},
        "paced": {"rate": device.rate, "idle": device.idle / (device.idle + device.busy)},
    }


def run_verb(corpus: Path, start: Callable[[Any], Any], pack_tokens: int | None = None) -> Any:
    """``curate score`` with another way to start a pack; in packs of fixed size, several in flight, if one is said."""
    from curate.verbs.score import score as run_score

    real_start, real_settle = CausalModel.start, loading.prepare_reference

    def settle(checkpoint: Any, reading: ScoringConfig) -> Any:
        reference = real_settle(checkpoint, reading)
        if pack_tokens is not None:
            reference.pack_tokens, reference.runner.sizes = pack_tokens, pack_tuning.list_pack_sizes(pack_tokens)
            reference.runner.transfer = SimpleNamespace(
                slots=[None] * pack_tuning.SLOTS
            )  # its number is all that is asked
        return reference

    CausalModel.start = lambda self, pack: start(pack)  # type: ignore[method-assign]
    loading.prepare_reference = settle
    try:
        with tempfile.TemporaryDirectory() as run:
            return run_score([str(corpus)], run=f"{run}/run", profile=True, slice_bytes=16_000_000)
    finally:
        CausalModel.start, loading.prepare_reference = real_start, real_settle  # type: ignore[method-assign]


class PacedDevice:
    """Stands for a GPU: a pack is given out in many small operations, and is done when its time has passed.

    The operations are PyTorch's, so that the thread that gives them out meets the other threads as it would on CUDA.
    """

    def __init__(self, rate: int):
        self.rate, self.idle, self.busy = rate, 0.0, 0.0
        self._until: float | None = None
        self._number = torch.zeros(1)

    def start(self, pack: Any) -> "_Paced":
        for _ in range(OPERATIONS):
            self._number.add_(0)
        now = time.perf_counter()
        self.idle += 0.0 if self._until is None else max(0.0, now - self._until)
        seconds = pack.num_positions / self.rate
        self._until = (now if self._until is None else max(now, self._until)) + seconds
        self.busy += seconds
        return _Paced(pack.tokens, self._until)


@dataclass(frozen=True, slots=True)
class _Paced:
    tokens: int
    until: float

    def land(self) -> np.ndarray:
        time.sleep(max(0.0, self.until - time.perf_counter()))
        return np.ones(self.tokens, np.float32)


def render_verb(found: dict[str, Any]) -> str:
    spent = ", ".join(f"{name} {share:.0%}" for name, share in found["spent"].items() if share >= 0.005)
    paced = found["paced"]
    return (
        f"### The host alone, as `curate score` has it\n\n{found['tokens_per_second'] / 1e6:.2f} M tokens/s, "
        f"{found['octets_per_second'] / 1e6:.0f} MB/s of JSON Lines, with a device that answers at once. Shares of the "
        f"time, in the threads that spend it: {spent}. A device of {paced['rate'] / 1e6:.1f} M tokens/s that takes "
        f"{OPERATIONS} operations a pack had nothing to do for {paced['idle']:.1%} of the time from its first pack on."
    )


# ---- what the constants should be ---------------------------------------------------------------------------------


def sweep(shape: str, texts: Sequence[str], options: argparse.Namespace, root: Path) -> list[dict[str, Any]]:
    """The choices of ``tuning`` and ``head``, tried: tokens of a pack, products merged, rows of the head.

    The first are tokens a second of whole runs, the last of the head alone.
    """
    folder = make_folder(shape, options.dtype, texts, root / f"sweep-{shape}", options.device)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    budget = options.tokens or tokens_for(shape, options.device) // 3
    documents = draw_documents(texts, tokenizer, budget, 2000)
    tokens, rows = int(count_tokens(tokenizer, documents).sum()), []
    cuda = options.device.startswith("cuda")
    real = compilation.merge_projections
    sizes = (8192, 16384, 32768, 65536) if cuda else (512, 1024, 2048, 4096)
    manners = [("as written", "off", False, size) for size in sizes]
    manners += [("compiled", "on", False, None), ("compiled and merged", "on", True, None)]
    for name, wanted, merged, size in manners:
        compilation.merge_projections = real if merged else lambda _model: 0
        try:
            reading = ScoringConfig(dtype=options.dtype, device=options.device, compiled=wanted, pack_tokens=size)
            reference = load_causal(str(folder), reading)
            rate = tokens / min(time_once(reference, documents) for _ in range(2))
            said = f"{name}, packs of {reference.identity['pack_tokens']:,}"
        except Exception as error:
            say(f"  sweep: {name}, {size}: {error}")
            continue
        finally:
            compilation.merge_projections = real
        rows.append({"what": said, "tokens_per_second": rate})
        say(f"  sweep: {said:40} {rate:12,.0f} tokens/s")
        last = reference
        del reference
    return rows + sweep_head(last, options)


def time_once(reference: Any, documents: Sequence[str]) -> float:
    start = time.perf_counter()
    read(reference, documents, False)
    return time.perf_counter() - start


def sweep_head(reference: Any, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The head alone on random hidden states, by the rows of logits that it makes at a time."""
    head, rows, cuda = reference.runner.head, [], options.device.startswith("cuda")
    count = 32768 if cuda else 2048
    hidden = torch.randn(count, head.weight_VD.shape[1], device=options.device).to(TORCH[options.dtype])
    targets = torch.randint(0, head.weight_VD.shape[0], (count,), device=options.device)
    losses = {"PyTorch's loss": None, "compiled loss": compilation.compile_function(spelled_losses)}
    for size in (128, 256, 512, 1024, 2048, 4096, 8192) if cuda else (64, 128, 256, 512):
        for name, function in losses.items():
            head.rows, head.losses, head._buffer = size, function, None
            seconds = []
            for _ in range(4):
                start = time.perf_counter()
                with torch.inference_mode():
                    float(head.nats(hidden, targets).sum())
                seconds.append(time.perf_counter() - start)
            rate = count / min(seconds[1:])
            rows.append({"what": f"head alone, {size:,} rows at a time, {name}", "tokens_per_second": rate})
    return rows + (sweep_fused(hidden, head.weight_VD, targets) if cuda and fused_head.triton else [])


def sweep_fused(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> list[dict[str, Any]]:
    """The head as one kernel, and how far its losses lie from those of float32 logits."""
    wanted = spelled_losses(torch.mm(hidden[:1024], weight.t(), out_dtype=torch.float32), targets[:1024])
    rows = []
    for shape in FUSED:
        try:
            gap = float((fused_head.fused_losses(hidden[:1024], weight, targets[:1024], shape) - wanted).abs().max())
            seconds = []
            for _ in range(4):
                start = time.perf_counter()
                float(fused_head.fused_losses(hidden, weight, targets, shape).sum())
                seconds.append(time.perf_counter() - start)
        except Exception as error:  # too much shared memory for this chip, say
            say(f"  sweep: fused head {shape}: {error}")
            continue
        what = f"head alone, fused, blocks of {shape[0]} × {shape[1]} (off by {gap:.0e})"
        rows.append({"what": what, "tokens_per_second": len(targets) / min(seconds[1:])})
    return rows


def render_sweep(shape: str, rows: Sequence[dict[str, Any]]) -> str:
    lines = [f"### Choices, on {shape}", "", "| | tokens/s |", "|---|--:|"]
    return "\n".join([*lines, *(f"| {row['what']} | {row['tokens_per_second']:,.0f} |" for row in rows)])


# ---- the numbers themselves ---------------------------------------------------------------------------------------


def numerics(options: argparse.Namespace, texts: Sequence[str]) -> list[dict[str, Any]]:
    """The model in the box in each mode, beside float32, one document at a time, its own attention and logits.

    ``noise`` is the root mean square over documents of their error in mean nats a token times √n; ``corpus`` the
    relative error of the corpus' mean; ``worst`` the largest error of a document in nats a token.
    """
    tokenizer = AutoTokenizer.from_pretrained(builtin_folder())
    longest = 1000
    documents = draw_documents(texts, tokenizer, options.numeric_tokens, longest, seed=1)[:NUMERIC_DOCUMENTS]
    truth, tokens = naive(tokenizer, documents, options.device)
    modes: list[tuple[str, ScoringConfig, bool]] = [
        ("exact", ScoringConfig(exact=True, device=options.device), False),
        ("default, packed", ScoringConfig(device=options.device, compiled="off"), False),
        ("default, one document at a time", ScoringConfig(device=options.device, compiled="off"), True),
        ("default, compiled", ScoringConfig(device=options.device, compiled="on"), False),
    ]
    if options.device.startswith("cuda"):
        modes.append(("fp16, packed", ScoringConfig(device=options.device, dtype="fp16", compiled="off"), False))
    rows = []
    for name, reading, alone in modes:
        reference = load_causal(str(builtin_folder()), reading)
        nats = [read(reference, documents, alone) for _ in range(2)]
        error = nats[0] - truth
        rows.append(
            {
                "mode": name + (f" ({reference.identity['dtype']})" if "default" in name else ""),
                "compiled": reference.identity["compiled"],
                "noise": float(np.sqrt(np.mean(error**2 / tokens))),
                "corpus": abs(float(nats[0].sum() / truth.sum()) - 1),
                "worst": float(np.abs(error / tokens).max()),
                "repeats": nats[0].tobytes() == nats[1].tobytes(),
            }
        )
        say(f"  numerics: {name}")
    return rows


def read(reference: Any, documents: Sequence[str], alone: bool) -> np.ndarray:
    batches = [[text] for text in documents] if alone else in_batches(documents, 2)
    found = reference.score([Passage(text) for text in batch] for batch in batches)
    return np.concatenate([one.nats for one in found])


def naive(tokenizer: Any, documents: Sequence[str], device: str) -> tuple[np.ndarray, np.ndarray]:
    """Nats and tokens of each document: the loop that one writes oneself, in float32."""
    model = AutoModelForCausalLM.from_pretrained(builtin_folder(), dtype=torch.float32).eval().to(device)
    prefix = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    nats, tokens = [], []
    for text in documents:
        ids = torch.tensor([[prefix, *tokenizer.encode(text, add_special_tokens=False)]], device=device)
        with torch.inference_mode():
            logits = model(input_ids=ids[:, :-1], use_cache=False).logits[0].float()
        losses = F.cross_entropy(logits, ids[0, 1:], reduction="none")
        nats.append(float(losses.double().sum()))
        tokens.append(ids.shape[1] - 1)
    return np.array(nats), np.array(tokens)


# ---- what is said -------------------------------------------------------------------------------------------------


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def machine(device: str) -> dict[str, Any]:
    found = score.machine()
    name = torch.cuda.get_device_name() if device.startswith("cuda") else None
    packages = ("torch", "transformers", "fastokens", "lm_eval", "vllm", "triton")
    versions = {name: score.package_version(name) for name in packages}
    return {**found, "device": name, "versions": versions}


def command_of() -> str:
    """What to type to have this again, but for where it is written."""
    words = sys.argv[1:]
    if "--out" in words:
        at = words.index("--out")
        words = words[:at] + words[at + 2 :]
    return " ".join(["python benchmarks/score_gpu.py", *words])


def percent(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:.{digits}%}"


def render(results: dict[str, Any]) -> str:
    """The whole of the results in Markdown."""
    where = results["machine"]
    versions = ", ".join(f"{name} {found}" for name, found in where["versions"].items() if found)
    head = (
        f"{where['device'] or where['cpu']}, {where['cores']} cores; {versions}; {where['date']}; {results['dtype']}, "
    )
    head += (
        f"medians of {results['turns']} turns (of the others one on a CPU); " if results["turns"] > 1 else "one turn; "
    )
    head += f"matrix product {results['peak'] / 1e12:.3g} TFLOP/s"
    if where["load_at_start"] > 0.5:
        head += f"; load {where['load_at_start']:.1f} before it began"
    parts = [f"    {results['command']}", head + "."]
    parts += [render_shape(*pair) for pair in results["shapes"].items()]
    parts += [render_sweep(shape, rows) for shape, rows in results["sweeps"].items()]
    if results["verb"]:
        parts.append(render_verb(results["verb"]))
    if results["numerics"]:
        parts.append(render_numerics(results["numerics"]))
    return "\n\n".join(parts) + "\n"


def render_shape(name: str, found: dict[str, Any]) -> str:
    ours = next((row["tokens_per_second"] for row in found["sides"] if row["name"] == COMPILED), None)
    lines = [
        f"### {name}",
        "",
        f"{found['documents']:,} documents, {found['tokens']:,} tokens (the others {found['peer_tokens']:,}), median "
        f"{found['median_tokens']:.0f}, longest {found['longest_tokens']:,}; {found['parameters'] / 1e6:,.1f} M "
        f"parameters, {found['flops_per_token'] / 1e9:.3g} GFLOP a token; the model's own products alone "
        f"{found['mixture'] / 1e12:.3g} TFLOP/s.",
        "",
        "| side | tokens/s | curate is | MFU | device idle | padding | above the weights | largest Δ |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in found["sides"]:
        ratio = "" if ours is None or row["name"] in (COMPILED, HOST) else f"{ours / row['tokens_per_second']:.2f} ×"
        memory = "" if row["above_weights"] is None else f"{row['above_weights'] / 1e9:.2f} GB"
        idle = "" if row["name"] == HOST else percent(row["idle"])
        gap = "" if row["difference"] is None else f"{row['difference']:.0e}"
        padding = "" if row["name"] == HOST else percent(row["padding"])
        lines.append(
            f"| {row['name']} | {row['tokens_per_second']:,.0f} | {ratio} | {percent(row['mfu'], 0)} | {idle} | "
            f"{padding} | {memory} | {gap} |"
        )
    lines.append("")
    if ours is not None and name in GOALS and found.get("cuda"):
        floor, goal = GOALS[name]
        verdict = "reached" if ours >= goal else "floor reached, goal missed" if ours >= floor else "floor **missed**"
        lines += [f"On one H200 the floor is {floor:,} tokens/s and the goal {goal:,}: {verdict}.", ""]
    waits = next((row["synchronisations"] for row in found["sides"] if row["name"] == COMPILED), None)
    if waits is not None:
        lines += [f"In a slice of ours the host waited for the device {waits} times by torch's own watch.", ""]
    return "\n".join([*lines, *(f"- {row['name']}: {row['how']}" for row in found["sides"])])


def render_numerics(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        "### The numbers, on the model in the box",
        "",
        "| mode | rms·√n, nats | corpus mean, relative | worst document, nats a token | again, bit for bit |",
        "|---|--:|--:|--:|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['mode']} | {row['noise']:.1e} | {row['corpus']:.0e} | {row['worst']:.1e} | "
            f"{'the same' if row['repeats'] else '**differs**'} |"
        )
    return "\n".join(lines)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    add("--dtype", choices=("auto", *TORCH), default="auto", help="auto: what curate takes on this device")
    add("--shapes", help=f"comma-separated, of {', '.join(SHAPES)}, builtin")
    add("--sides", help=f"semicolon-separated, of {'; '.join(device_sides.NAMES)} (all)")
    add("--turns", type=int, help="of each side (3; 1 with --small)")
    add("--tokens", type=int, help="of ours in a turn (six seconds' worth at the goal; a few thousand on a CPU)")
    add("--peer-tokens", type=int, help="of the others in a turn (an eighth of ours)")
    add(
        "--sweep",
        action="store_true",
        help="try the constants too, on the first shape: packs, merging, the head's rows",
    )
    add("--numeric-tokens", type=int, default=60_000, help="that the table of numerics is made from; 0: no table")
    add("--host-tokens", type=int, default=8_000_000, help="that the host is measured with; 0: it is not")
    add("--corpus", type=Path, default=score.SAMPLE, help="JSON Lines with a text field (the repository's sample)")
    add("--small", action="store_true", help="a toy, under a minute: shows that everything works, proves nothing")
    add("--out", type=Path, help="folder for score_gpu.json and score_gpu.md")
    add("--readme", action="store_true", help="put the tables into benchmarks/README.md too")
    options = parser.parse_args()
    if options.device == "auto":
        options.device = "cuda" if torch.cuda.is_available() and not options.small else "cpu"
    cuda = options.device.startswith("cuda")
    options.turns = options.turns or (1 if options.small else 3)
    default = "tiny" if options.small else ",".join(GOALS) if cuda else "smollm2-135m,builtin"
    options.shapes = (options.shapes or default).split(",")
    options.sides = [one.strip() for one in options.sides.split(";")] if options.sides else list(device_sides.NAMES)
    unknown = [*{*options.shapes} - {*SHAPES, "builtin"}, *{*options.sides} - {*device_sides.NAMES}]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    if options.small:
        options.numeric_tokens = min(options.numeric_tokens, 3_000)
        options.host_tokens = min(options.host_tokens, 300_000)
    if not cuda:
        options.peer_tokens = options.peer_tokens or 8_000
    if options.dtype == "auto":
        wanted = choose_dtype(ScoringConfig(device=options.device), torch.device(options.device))
        options.dtype = next(name for name, kind in TORCH.items() if kind == wanted)
    return options


def write(results: dict[str, Any], out: Path | None) -> None:
    """Write what there is so far: the time of a GPU may end before the last part does."""
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "score_gpu.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (out / "score_gpu.md").write_text(render(results), encoding="utf-8")


def main() -> None:
    options = read_options()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    where = machine(options.device)
    texts = score.read_texts(options.corpus)
    peak, shapes = measure_peak(options.dtype, options.device), {}
    say(f"{where['device'] or where['cpu']}: {peak / 1e12:.3g} TFLOP/s in {options.dtype}")
    results: dict[str, Any] = {
        "machine": where,
        "command": command_of(),
        "dtype": options.dtype,
        "turns": options.turns,
        "peak": peak,
        "shapes": shapes,
        "sweeps": {},
        "verb": None,
        "numerics": [],
    }
    with tempfile.TemporaryDirectory() as root:
        if options.sweep:
            results["sweeps"][options.shapes[0]] = sweep(options.shapes[0], texts, options, Path(root))
        for shape in options.shapes:
            shapes[shape] = compare(shape, texts, options, peak, Path(root))
            shapes[shape]["cuda"] = options.device.startswith("cuda")
            write(results, options.out)
    if options.host_tokens:
        results["verb"] = measure_verb(texts, options)
        write(results, options.out)
    if options.numeric_tokens:
        results["numerics"] = numerics(options, texts)
    write(results, options.out)
    print(render(results))
    if options.readme:
        kind = "cuda" if options.device.startswith("cuda") else "cpu"
        marks = f"<!-- score_gpu.py {kind} -->", f"<!-- /score_gpu.py {kind} -->"
        put_into(HERE / "README.md", *marks, render(results))


if __name__ == "__main__":
    main()
