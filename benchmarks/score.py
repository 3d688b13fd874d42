"""How fast, how exact and how large: ours beside Hugging Face evaluate, lm-eval and a loop, in one run.

    python benchmarks/score.py            # the whole comparison, about eight minutes on two cores
    python benchmarks/score.py --small    # the same on a toy, in a minute: does it work?

The same documents, weights and dtype for every side; the sides take turns in one process, so that what else goes on in
the machine meets them all alike; medians of the repeats. See benchmarks/README.md for what the columns mean.
"""

import argparse
import gc
import importlib.util
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import llama_side
import numpy as np
import peers
import torch
import torch.nn.functional as F
import transformers
from report import put_into
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from curate.reference.checkpoints.checkpoint import builtin_folder
from curate.reference.loading import choose_dtype
from curate.reference.protocol import ScoringConfig

HERE = Path(__file__).parent
SAMPLE = HERE.parent / "recipes" / "sample" / "documents.jsonl"
SHAPES: dict[str, dict[str, Any]] = {
    "smollm2-135m": {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49152,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
    },
    "tiny": {
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 8192,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
    },
}
MARKER = "<|endoftext|>"
LEARNED = 16_384  # entries of the tokenizer trained here; the head has the shape's whole vocabulary
MEDIAN, SPREAD = 200, 1.0  # tokens of a document: log-normal, as web pages are
SHORTEST, LONGEST = 50, 2000
GEMM_ROWS = 2048
TRUTH = "one by one, fp32"
OURS = "curate"


@dataclass(frozen=True, slots=True)
class Documents:
    texts: list[str]
    tokens: list[int]

    def counts(self) -> np.ndarray:
        return np.array(self.tokens, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Turn:
    """One pass of one side over the documents."""

    seconds: float
    cpu_seconds: float
    places: int
    means: list[float]


# ---- what is scored -----------------------------------------------------------------------------------------------


def read_texts(path: Path) -> list[str]:
    """The texts of a JSON Lines file; those that spell a control token are left out, since the peers obey it."""
    with path.open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    return [text for text in texts if "<|" not in text and text.strip()]


def choose_documents(texts: Sequence[str], tokenizer: Any, count: int, longest: int) -> Documents:
    """Pieces of the texts whose lengths are the quantiles of a log-normal distribution, in a shuffled order."""
    normal = statistics.NormalDist(np.log(MEDIAN), SPREAD)
    wanted = [round(np.exp(normal.inv_cdf((at + 0.5) / count))) for at in range(count)]
    wanted = sorted((min(max(length, SHORTEST), longest) for length in wanted), reverse=True)
    ends = [tokenizer(text, add_special_tokens=False, return_offsets_mapping=True) for text in texts]
    longest_first = sorted(zip(texts, ends, strict=True), key=lambda pair: -len(pair[1]["input_ids"]))
    if len(longest_first) < count:
        raise SystemExit(f"error: {count} documents wanted, the corpus has {len(longest_first)}\nhint: --documents")
    pieces = []
    for (text, found), length in zip(longest_first, wanted, strict=False):
        at = min(length, len(found["input_ids"])) - 1
        pieces.append(text[: found["offset_mapping"][at][1]])
    order = np.random.default_rng(0).permutation(count)
    chosen = [pieces[at] for at in order]
    return Documents(chosen, [len(tokenizer.encode(text, add_special_tokens=False)) for text in chosen])


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE of up to 16 k entries; id 0 begins, ends and pads."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    size = min(vocabulary, LEARNED)
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[MARKER], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=MARKER, eos_token=MARKER, pad_token=MARKER)


def make_folder(shape: str, dtype: str, texts: Sequence[str], folder: Path) -> Path:
    """Weights and tokenizer, saved in the dtype of the run, so that every side loads the same numbers.

    ``shape`` is one of ``SHAPES`` with random weights, ``builtin``, or the folder of a model.
    """
    if shape == "builtin":
        tokenizer = AutoTokenizer.from_pretrained(builtin_folder())
        tokenizer.bos_token = tokenizer.bos_token or tokenizer.eos_token
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        model = AutoModelForCausalLM.from_pretrained(builtin_folder(), dtype=peers.TORCH[dtype])
    elif shape not in SHAPES:
        tokenizer = AutoTokenizer.from_pretrained(shape)
        tokenizer.bos_token = tokenizer.bos_token or tokenizer.eos_token
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        model = AutoModelForCausalLM.from_pretrained(shape, dtype=peers.TORCH[dtype])
    else:
        tokenizer = train_tokenizer(texts, SHAPES[shape]["vocab_size"])
        torch.manual_seed(0)
        config = LlamaConfig(**SHAPES[shape], bos_token_id=0, eos_token_id=0, pad_token_id=0)
        model = LlamaForCausalLM(config).to(peers.TORCH[dtype])
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


# ---- what it costs ------------------------------------------------------------------------------------------------


def matmul_shapes(model: Any) -> dict[tuple[int, int], int]:
    """(out, in) of every linear layer, the head included, and how many there are."""
    found: dict[tuple[int, int], int] = {}
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            key = (module.weight.shape[0], module.weight.shape[1])
            found[key] = found.get(key, 0) + 1
    return found


def flops_per_token(model: Any, tokens: np.ndarray) -> float:
    """2 · matmul parameters + 4 · layers · heads · head width · average causal context (shared/design/scoring.md)."""
    config = model.config
    parameters = sum(out * into * count for (out, into), count in matmul_shapes(model).items())
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    context = float((tokens * (tokens + 1) / 2).sum() / tokens.sum())
    return 2.0 * parameters + 4.0 * config.num_hidden_layers * config.num_attention_heads * width * context


def mixed_rate(shapes: dict[tuple[int, int], int], gemm: dict[str, float]) -> float:
    """FLOP/s of nothing but the model's own products, each at its measured rate: what no forward pass can exceed."""
    work = {f"{out}x{into}": out * into * count for (out, into), count in shapes.items()}
    return sum(work.values()) / sum(amount / gemm[name] for name, amount in work.items())


def measure_gemm(shapes: Sequence[tuple[int, int]], dtype: torch.dtype) -> dict[str, float]:
    """FLOP/s of a product of each shape with 2048 rows, the best of some tries in a fifth of a second."""
    found = {}
    for out, into in shapes:
        rows, weight = torch.randn(GEMM_ROWS, into).to(dtype), torch.randn(out, into).to(dtype)
        best, begun, tries = float("inf"), time.perf_counter(), 0
        while time.perf_counter() - begun < 0.2 or tries < 3:
            start = time.perf_counter()
            F.linear(rows, weight)
            best, tries = min(best, time.perf_counter() - start), tries + 1
        found[f"{out}x{into}"] = 2.0 * GEMM_ROWS * out * into / best
    return found


def take_turn(side: peers.Side, documents: Documents) -> Turn:
    """Let one side score the documents, and time it."""
    gc.collect()
    places, cpu, start = side.places(), time.process_time(), time.perf_counter()
    means = side.score(documents.texts, documents.counts())
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    return Turn(seconds, cpu_seconds, side.places() - places, means.tolist())


def open_side(name: str, folder: Path, dtype: str, options: argparse.Namespace) -> peers.Side:
    """Open a side by its name: a GGUF file's, or one of ``peers.NAMES``."""
    if path := {llama_side.name_side(path): path for path in options.gguf}.get(name):
        return llama_side.open_llama(path)
    return peers.open_side(name, folder, dtype, options.evaluate_script)


def peak_memory(name: str, folder: Path, dtype: str, block: Documents, options: argparse.Namespace) -> int:
    """The most resident memory of a process of its own that loads one side and scores the block.  → bytes"""
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(asdict(block), file)
        file.flush()
        command = [sys.executable, str(Path(__file__).resolve()), "--child", name, str(folder), file.name]
        command += ["--dtype", dtype, "--threads", str(torch.get_num_threads())]
        command += ["--evaluate-script", str(options.evaluate_script)] if options.evaluate_script else []
        command += ["--gguf", *map(str, options.gguf)] if options.gguf else []
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(f"error: the process that measures the memory of {name} failed\n{found.stderr[-2000:]}")
    return int(found.stdout.split()[-1])


def run_child(name: str, folder: Path, file: Path, options: argparse.Namespace) -> None:
    """Score once and print the high-water mark of this process."""
    block = Documents(**json.loads(file.read_text(encoding="utf-8")))
    open_side(name, folder, options.dtype, options).score(block.texts, block.counts())
    print(high_water_mark())


def high_water_mark() -> int:
    """The most memory that was resident since this program began, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage's number is inherited from the process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def choose_block(documents: Documents) -> Documents:
    """The batch of 16 that holds the longest document: no side's peak depends on more."""
    at = documents.tokens.index(max(documents.tokens)) // peers.EVALUATE_BATCH * peers.EVALUATE_BATCH
    cut = slice(at, at + peers.EVALUATE_BATCH)
    return Documents(documents.texts[cut], documents.tokens[cut])


# ---- the comparison -----------------------------------------------------------------------------------------------


def name_shape(shape: str) -> str:
    """What a table is called: a shape's own name, or the folder's."""
    return shape if shape in (*SHAPES, "builtin") else Path(shape).name


def compare(shape: str, texts: Sequence[str], dtype: str, options: argparse.Namespace, root: Path) -> dict[str, Any]:
    """All sides on one shape.  → what the table of that shape is made of"""
    folder = make_folder(shape, dtype, texts, root / name_shape(shape))
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    longest = min(LONGEST, model.config.max_position_embeddings - 1)
    documents = choose_documents(texts, tokenizer, options.documents, longest)
    tokens, shapes = documents.counts(), matmul_shapes(model)
    cost = flops_per_token(model, tokens)
    parameters = sum(value.numel() for value in model.parameters())
    say(f"{name_shape(shape)}: {len(tokens)} documents, {tokens.sum():,} tokens, the longest {tokens.max():,}; {dtype}")
    names = [name for name in options.sides if is_installed(name)]
    names += [llama_side.name_side(path) for path in options.gguf if is_of_shape(path, folder)]
    memory = {}
    if not options.no_memory:
        for name in names:
            say(f"  memory of {name}")
            memory[name] = peak_memory(name, folder, dtype, choose_block(documents), options)
    sides = []
    for name in names:
        start = time.perf_counter()
        own = options.dtype if name == OURS else dtype
        sides.append((open_side(name, folder, own, options), time.perf_counter() - start))
    gemm, turns = take_turns([side for side, _ in sides], documents, sorted(shapes), dtype, options.repeats)
    say(f"  {TRUTH}")
    truth = take_turn(peers.open_side("one by one", folder, "fp32", None), documents)
    peak = max(gemm.values())
    rows = [describe(side.name, side.how, turns[side.name], truth, tokens, cost / peak) for side, _ in sides]
    rows.append(describe(TRUTH, "the truth that the others are held against; one pass", [truth], truth, tokens, None))
    rows[-1]["dtype"] = "fp32"
    for row, (side, loading) in zip(rows, sides, strict=False):
        row["peak_bytes"], row["load_seconds"], row["dtype"] = memory.get(side.name), loading, side.dtype
    return {
        "parameters": parameters,
        "documents": len(tokens),
        "tokens": int(tokens.sum()),
        "median_tokens": float(np.median(tokens)),
        "longest_tokens": int(tokens.max()),
        "flops_per_token": cost,
        "gemm_flops_per_second": gemm,
        "gemm_peak": peak,
        "gemm_mixed": mixed_rate(shapes, gemm),
        "sides": rows,
    }


def take_turns(
    sides: Sequence[peers.Side],
    documents: Documents,
    shapes: Sequence[tuple[int, int]],
    dtype: str,
    repeats: int,
) -> tuple[dict[str, float], dict[str, list[Turn]]]:
    """Warm up, then let the sides and the matrix products take turns, another first each time."""
    warm = Documents(documents.texts[:2], documents.tokens[:2])
    for side in sides:
        take_turn(side, warm)
    products: list[dict[str, float]] = []
    turns: dict[str, list[Turn]] = {side.name: [] for side in sides}
    for repeat in range(repeats):
        products.append(measure_gemm(shapes, peers.TORCH[dtype]))
        first = repeat % len(sides)
        for side in [*sides[first:], *sides[:first]]:
            turn = take_turn(side, documents)
            turns[side.name].append(turn)
            speed = sum(documents.tokens) / turn.seconds
            say(f"  {repeat + 1}/{repeats} {side.name:18} {speed:8,.0f} tokens/s  {turn.seconds:6.1f} s")
    return {name: statistics.median(product[name] for product in products) for name in products[0]}, turns


def describe(
    name: str, how: str, turns: Sequence[Turn], truth: Turn, tokens: np.ndarray, cost: float | None
) -> dict[str, Any]:
    """One row. ``cost`` is the seconds that a token takes at the GEMM peak."""
    total = int(tokens.sum())
    speeds = [total / turn.seconds for turn in turns]
    speed = statistics.median(speeds)
    differences = np.abs(np.array([turn.means for turn in turns]) - np.array(truth.means))
    return {
        "name": name,
        "how": how,
        "tokens_per_second": speed,
        "slowest": min(speeds),
        "fastest": max(speeds),
        "tokens_per_cpu_second": statistics.median(total / turn.cpu_seconds for turn in turns),
        "gemm_share": None if cost is None else speed * cost,
        "padding_share": 1 - total / turns[0].places,
        "largest_difference": float(differences.max()),
        "peak_bytes": None,
    }


def is_installed(side: str) -> bool:
    """Whether a peer's package is there; ours and the loop always are."""
    if not side.startswith("lm-eval") or importlib.util.find_spec("lm_eval"):
        return True
    say(f"  {side} is left out: pip install -e '.[peers]'")
    return False


def is_of_shape(path: Path, folder: Path) -> bool:
    """Whether a GGUF file can be read here, and is of the model in the folder."""
    if not importlib.util.find_spec("llama_cpp"):
        say(f"  {path.name} is left out: llama-cpp-python is not installed")
    elif llama_side.is_of_model(path, folder):
        return True
    else:
        say(f"  {path.name} is left out: it is of another model")
    return False


# ---- what is said -------------------------------------------------------------------------------------------------


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """Where this ran."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    packages = ("torch", "transformers", "lm_eval", "evaluate", "llama_cpp_python")
    return {
        "cpu": (names or [platform.processor() or platform.machine()])[0],
        "cores": os.cpu_count(),
        "bf16": [flag for flag in ("avx512_bf16", "amx_bf16") if flag in flags],
        "threads": torch.get_num_threads(),
        "load_at_start": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: package_version(name) for name in packages},
        "date": time.strftime("%Y-%m-%d"),
    }


def package_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def render(results: dict[str, Any]) -> str:
    """The whole of the results in Markdown."""
    where = results["machine"]
    extra = f" with {', '.join(where['bf16'])}" if where["bf16"] else ""
    versions = ", ".join(f"{name} {found}" for name, found in where["versions"].items() if found)
    head = f"{where['cpu']}, {where['cores']} cores{extra}, {where['threads']} threads; {versions}; {where['date']}; "
    head += f"{results['dtype']}, medians of {results['repeats']} turns"
    load = f"; load {where['load_at_start']:.1f} before it began" if where["load_at_start"] > 0.5 else ""
    return "\n\n".join([head + load + ".", *(render_shape(*pair) for pair in results["shapes"].items())]) + "\n"


def render_shape(name: str, found: dict[str, Any]) -> str:
    """One shape's table and what stands under it."""
    ours = next((row["tokens_per_second"] for row in found["sides"] if row["name"] == OURS), None)
    lines = [
        f"### {name}",
        "",
        f"{found['documents']} documents, {found['tokens']:,} tokens, median {found['median_tokens']:.0f}, longest "
        f"{found['longest_tokens']:,}; {found['parameters'] / 1e6:.1f} M parameters, "
        f"{found['flops_per_token'] / 1e6:.0f} MFLOP a token; GEMM peak {found['gemm_peak'] / 1e9:.0f} GFLOP/s, "
        f"{found['gemm_mixed'] / 1e9:.0f} over the model's own mixture of products.",
        "",
        "| side | dtype | tokens/s | curate is | tokens per CPU-second | of GEMM peak | padding | peak memory | "
        "largest Δ | loaded in |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in found["sides"]:
        share = "" if row["gemm_share"] is None else f"{row['gemm_share']:.0%}"
        memory = "" if not row["peak_bytes"] else f"{row['peak_bytes'] / 1e9:.1f} GB"
        ratio = "" if ours is None or row["name"] == OURS else f"{ours / row['tokens_per_second']:.2f} ×"
        loading = f"{row['load_seconds']:.1f} s" if "load_seconds" in row else ""
        truth = "" if row["name"] == TRUTH else f"{row['largest_difference']:.1e}"
        lines.append(
            f"| {row['name']} | {row['dtype']} | {row['tokens_per_second']:,.0f} | {ratio} | "
            f"{row['tokens_per_cpu_second']:,.0f} | {share} | {row['padding_share']:.1%} | {memory} | {truth} | "
            f"{loading} |"
        )
    return "\n".join([*lines, "", *(f"- {row['name']}: {row['how']}" for row in found["sides"])])


def write(results: dict[str, Any], out: Path) -> None:
    """``score.json`` and ``score.md`` in a folder."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "score.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (out / "score.md").write_text(render(results), encoding="utf-8")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--documents", type=int, help="how many (20; 12 with --small)")
    add("--repeats", type=int, help="turns of each side (3; 2 with --small)")
    add(
        "--shapes",
        help=f"with commas: {', '.join(SHAPES)}, builtin, folders of models (smollm2-135m,builtin; tiny with --small)",
    )
    add("--sides", help=f"semicolon-separated, of {'; '.join(peers.NAMES)} (all)")
    add("--dtype", choices=("auto", "bf16", "fp32"), default="auto", help="auto: what curate takes on this CPU")
    add("--small", action="store_true", help="a toy, in a minute: shows that everything works, proves nothing")
    add("--corpus", type=Path, default=SAMPLE, help="JSON Lines with a text field (the repository's sample)")
    add(
        "--gguf", type=Path, nargs="+", default=[], metavar="FILE", help="files of the model for llama.cpp, a side each"
    )
    add("--evaluate-script", type=Path, help="evaluate's metrics/perplexity/perplexity.py (an equivalent of it)")
    add("--threads", type=int, help="of torch, for every side (torch's own choice)")
    add("--no-memory", action="store_true", help="do not measure memory, which takes a process for each side")
    add("--out", type=Path, help="folder for score.json and score.md (benchmarks/results; none with --small)")
    add("--readme", action="store_true", help="put the tables into benchmarks/README.md too")
    add("--child", nargs=3, metavar=("SIDE", "FOLDER", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.documents = options.documents or (12 if options.small else 20)
    options.repeats = options.repeats or (2 if options.small else 3)
    options.shapes = (options.shapes or ("tiny,builtin" if options.small else "smollm2-135m,builtin")).split(",")
    options.sides = [name.strip() for name in options.sides.split(";")] if options.sides else list(peers.NAMES)
    folders = {shape for shape in options.shapes if (Path(shape) / "config.json").exists()}
    unknown = [*{*options.shapes} - {*SHAPES, "builtin"} - folders, *{*options.sides} - {*peers.NAMES}]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    if missing := [str(path) for path in options.gguf if not path.is_file()]:
        parser.error(f"--gguf: no file {', '.join(missing)}")
    if options.out is None and not options.small:
        options.out = HERE / "results"
    return options


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Every shape.  → the results"""
    where = machine()
    if where["load_at_start"] > 0.5:
        say(f"warning: the machine is busy (load {where['load_at_start']:.1f}); trust no wall-clock number of this run")
    dtype = options.dtype
    if dtype == "auto":
        dtype = "bf16" if choose_dtype(ScoringConfig(), torch.device("cpu")) == torch.bfloat16 else "fp32"
    texts, shapes = read_texts(options.corpus), {}
    with tempfile.TemporaryDirectory() as root:
        for shape in options.shapes:
            if shape == "builtin" and not (builtin_folder() / "config.json").exists():
                say("builtin: there is none yet; left out")
                continue
            shapes[name_shape(shape)] = compare(shape, texts, dtype, options, Path(root))
    return {"machine": where, "dtype": dtype, "repeats": options.repeats, "shapes": shapes}


def main() -> None:
    options = read_options()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.child:
        name, folder, file = options.child
        run_child(name, Path(folder), Path(file), options)
        return
    results = run(options)
    print(render(results))
    if options.out:
        write(results, options.out)
        say(f"written to {options.out}")
    if options.readme:
        put_into(HERE / "README.md", "<!-- score.py writes from here -->", "<!-- to here -->", render(results))


if __name__ == "__main__":
    main()
