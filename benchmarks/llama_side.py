"""llama.cpp as a side of score.py, by the package llama-cpp-python; and its Q8_0 and Q4_K_M files.

    python benchmarks/llama_side.py MODEL-bf16.gguf q8_0 q4_k_m     # writes MODEL-q8_0.gguf, MODEL-q4_k_m.gguf

The README of this folder tells how to build the package and how to make the first file.
"""

import argparse
import atexit
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from peers import Side

FILE_TYPES = {0: "fp32", 1: "fp16", 2: "q4_0", 7: "q8_0", 15: "q4_k_m", 32: "bf16"}
"""Of ``general.file_type`` in a GGUF file, as ``llama.h`` numbers them: those that the benchmark is for."""

WINDOW = 2048
"""Positions that are allotted, a row of logits each; no document of the benchmark is longer."""


class Llama(Protocol):
    """What is used of ``llama_cpp.Llama``."""

    metadata: Mapping[str, str]
    scores: NDArray[np.float32]  # (positions, V), valid up to what was read

    def n_vocab(self) -> int: ...
    def token_bos(self) -> int: ...
    def tokenize(self, text: bytes, add_bos: bool = True, special: bool = False) -> list[int]: ...
    def reset(self) -> None: ...
    def eval(self, tokens: list[int]) -> None: ...
    def close(self) -> None: ...


def name_side(path: Path) -> str:
    """Return what the side of a file is called in the tables."""
    return f"llama.cpp, {path.stem}"


def load_llama(path: Path, **settings: Any) -> Llama:
    """Load a file as ``llama_cpp`` does, with as many threads as torch has."""
    from llama_cpp import Llama as Loaded

    threads = torch.get_num_threads()
    loaded: Llama = Loaded(str(path), n_threads=threads, n_threads_batch=threads, verbose=False, **settings)
    return loaded


def is_of_model(path: Path, folder: Path) -> bool:
    """Return whether a file has the vocabulary, the width and the layers of the model in a folder."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = load_llama(path, n_ctx=8)
    of_file, vocabulary = model.metadata, model.n_vocab()
    model.close()
    family = of_file["general.architecture"]
    found = [vocabulary, *(int(of_file[f"{family}.{name}"]) for name in ("embedding_length", "block_count"))]
    return found == [config["vocab_size"], config["hidden_size"], config["num_hidden_layers"]]


def open_llama(path: Path) -> Side:
    """Open a file: a document at a time, all its logits, the loss in fp32 by torch, as in the loop.

    The prefix is the file's BOS, which the conversion takes from the model; the tokens are by its own tokenizer. In how
    many documents their number is not that of the model's tokenizer is added to ``how`` by each turn.
    """
    model = load_llama(path, n_ctx=WINDOW, logits_all=True)
    atexit.register(model.close)  # it cannot free itself once its modules are gone
    places, prefix = [0], model.token_bos()
    how = "a document at a time, logits of all tokens, their sums by torch; its own tokenizer, "
    how += f"its BOS (token {prefix}) as prefix"

    def score(texts: list[str], tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        encoded = [model.tokenize(text.encode(), add_bos=False) for text in texts]
        other = sum(len(ids) != count for ids, count in zip(encoded, tokens.tolist(), strict=True))
        side.how = f"{how}; {other or 'none'} of {len(texts)} documents have another number of tokens"
        places[0] += sum(map(len, encoded))
        return np.array([score_alone(model, [prefix, *ids]) / len(ids) for ids in encoded])

    dtype = FILE_TYPES.get(int(model.metadata["general.file_type"]), model.metadata["general.file_type"])
    side = Side(name_side(path), how, score, lambda: places[0], dtype)
    return side


def score_alone(model: Llama, ids: list[int]) -> float:
    """Return the nats of all tokens but the first, given those before them."""
    model.reset()
    model.eval(ids[:-1])
    logits_LV = torch.from_numpy(model.scores[: len(ids) - 1])
    return float(F.cross_entropy(logits_LV, torch.tensor(ids[1:]), reduction="sum"))


def quantise(source: Path, kind: str) -> Path:
    """Write the file of another type beside a file, and return it.

    Raises:
        SystemExit: llama.cpp could not.
    """
    import llama_cpp

    out = source.with_name(f"{source.stem.removesuffix('-bf16')}-{kind}.gguf")
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = next(number for number, name in FILE_TYPES.items() if name == kind)
    settings.nthread = torch.get_num_threads()
    if llama_cpp.llama_model_quantize(str(source).encode(), str(out).encode(), settings):
        raise SystemExit(f"error: llama.cpp could not make {out}")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("kinds", nargs="+", choices=sorted(FILE_TYPES.values()))
    options = parser.parse_args()
    for kind in options.kinds:
        print(quantise(options.source, kind))


if __name__ == "__main__":
    main()
