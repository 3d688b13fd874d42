"""`curate score --exact` on real documents beside a naive fp32 loop, for tiny random models of many architectures.

    python benchmarks/exactness.py CORPUS [--sample 0.05]

Prints, per architecture, the documents compared and the largest difference of a document's nats per token; exits with 1
when one exceeds 1e-5. The loop reads one window at a time with the model's own eager attention and full logits.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from helpers import models
from transformers import AutoModelForCausalLM, AutoTokenizer

import curate
from curate.corpus import open_corpus

KINDS = ("gpt2", "llama", "qwen2", "gemma2", "opt", "mamba")
LONGER = {kind: {"max_position_embeddings": 512} for kind in KINDS} | {"gpt2": {"n_positions": 512}, "mamba": {}}
LIMIT = 1e-5


def naive(model: torch.nn.Module, ids: list[int], window: int) -> float:
    """Nats of one document: windows that do not overlap, each after the last token before it; id 0 comes first."""
    total = 0.0
    sequence = [0, *ids]
    for start in range(0, len(ids), window):
        read = torch.tensor([sequence[start : start + window][: len(ids) - start]])
        targets = torch.tensor(sequence[start + 1 : start + 1 + read.shape[1]])
        with torch.inference_mode():
            logs = model(input_ids=read, use_cache=False).logits[0].float().log_softmax(-1)
        total -= float(logs[torch.arange(len(targets)), targets].double().sum())
    return total


def compare(kind: str, corpus: str, sample: float, folder: Path) -> tuple[int, int, float, float]:
    """→ documents, tokens, the largest difference in nats per token, seconds of ours"""
    place = models.save(folder / kind, kind, **LONGER[kind])
    began = time.perf_counter()
    curate.score([corpus], model=str(place), run=str(folder / f"run-{kind}"), sample=sample, exact=True)
    seconds = time.perf_counter() - began
    parts = sorted((folder / f"run-{kind}" / "scores").glob("*.parquet"))
    rows = {(row["file"], row["row"]): row for part in parts for row in pq.read_table(part).to_pylist()}
    model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(place)
    window = 2048 if kind == "mamba" else 512
    gaps, tokens = [], 0
    for documents in open_corpus([corpus], sample=sample).slices():
        for number, text, status in zip(documents.rows, documents.texts, documents.statuses, strict=True):
            row = rows[documents.mark.file, int(number)]
            if status != "ok":
                assert row["status"] == status
                continue
            ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
            assert row["tokens"] == len(ids), (row["file"], row["row"])
            gaps.append(abs(row["nats"] - naive(model, ids, window)) / len(ids))
            tokens += len(ids)
    return len(gaps), tokens, float(np.max(gaps)), seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--sample", type=float, default=0.05)
    options = parser.parse_args()
    worst = 0.0
    print("| architecture | documents | tokens | largest difference, nats per token |\n|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            documents, tokens, gap, _ = compare(kind, options.corpus, options.sample, Path(folder))
            worst = max(worst, gap)
            print(f"| {kind} | {documents:,} | {tokens:,} | {gap:.1e} |", flush=True)
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
