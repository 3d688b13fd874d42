"""The sides of the comparison: ours, and what people use today, each as one function from texts to nats.

A side is opened from a folder (weights and tokenizer in the wanted dtype), outside the timing. What is timed is
``score``: from texts and their numbers of tokens to the mean nats per token of each, tokenising included, all on CPU.

Shapes: B rows of a batch, L places, V vocabulary.
"""

import importlib.util
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer

EVALUATE_BATCH = 16  # the default of its ``batch_size``
TORCH = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(slots=True)
class Side:
    """One way of scoring; ``places`` counts what went through the model since it was opened, padding included."""

    name: str
    how: str
    score: Callable[[list[str], NDArray[np.int64]], NDArray[np.float64]]
    places: Callable[[], int]
    dtype: str
    """What it really runs in."""


def open_side(name: str, folder: Path, dtype: str, evaluate_script: Path | None) -> Side:
    """Open a side by its name, as in ``NAMES``."""
    if name == "curate":
        return open_ours(folder, dtype)
    if name == "one by one":
        return open_loop(folder, dtype)
    if name == "evaluate":
        return open_evaluate(folder, dtype, evaluate_script)
    if name.startswith("lm-eval"):
        return open_lm_eval(folder, dtype, 1 if name.endswith(" 1") else 8)
    raise ValueError(f"no side is called {name!r}; there are {', '.join(NAMES)}")


NAMES = ("curate", "one by one", "lm-eval, batch 8", "lm-eval, batch 1", "evaluate")


def open_ours(folder: Path, dtype: str) -> Side:
    """``curate.reference``, as ``curate score`` runs it."""
    from curate.reference import load
    from curate.reference.likelihood import Passage
    from curate.reference.protocol import ScoringConfig

    reference = load(str(folder), ScoringConfig(dtype=dtype, device="cpu"))  # "auto": its own choice

    def score(texts: list[str], tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        (found,) = reference.score([[Passage(text) for text in texts]])
        return found.nats / tokens

    how = f"{reference.identity['forward']}, packs of {reference.identity['pack_tokens']:,} tokens, "
    how += f"{reference.identity['head']} head; at load it found: {'; '.join([reference.check_line, *reference.notes])}"
    return Side("curate", how, score, lambda: reference.num_computed_tokens, reference.identity["dtype"])


def open_loop(folder: Path, dtype: str) -> Side:
    """What one writes oneself: a document at a time, its whole table of logits, the loss in fp32."""
    model, tokenizer = _load(folder, dtype)
    places = _count_places(model)

    def score(texts: list[str], _tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.array([_score_alone(model, tokenizer, text) for text in texts])

    return Side("one by one", "a document at a time, full logits, no padding", score, lambda: places[0], dtype)


def _score_alone(model: Any, tokenizer: Any, text: str) -> float:
    ids = [tokenizer.bos_token_id, *tokenizer.encode(text, add_special_tokens=False)]
    with torch.inference_mode():
        logits_1LV = model(torch.tensor([ids[:-1]]), use_cache=False).logits
        return float(F.cross_entropy(logits_1LV[0].float(), torch.tensor(ids[1:])))


def open_lm_eval(folder: Path, dtype: str, batch: int) -> Side:
    """lm-evaluation-harness' own model class and its ``loglikelihood_rolling``."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    with redirect_stderr(StringIO()):
        harness = HFLM(pretrained=str(folder), device="cpu", dtype=TORCH[dtype], batch_size=batch)
    places = _count_places(harness.model)

    def score(texts: list[str], tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        requests = [Instance("loglikelihood_rolling", {}, (text,), at) for at, text in enumerate(texts)]
        with redirect_stderr(StringIO()):  # its bars
            found = harness.loglikelihood_rolling(requests, disable_tqdm=True)
        return -np.array(found) / tokens

    how = f"HFLM.loglikelihood_rolling, batch_size={batch}" + (", its default" if batch == 1 else "")
    return Side(f"lm-eval, batch {batch}", how, score, lambda: places[0], dtype)


def open_evaluate(folder: Path, dtype: str, script: Path | None) -> Side:
    """evaluate's perplexity: its own script where there is one, else the same work told again."""
    model, tokenizer = _load(folder, dtype)
    places = _count_places(model)
    if script is None:
        how = f"an equivalent of its script, batch_size={EVALUATE_BATCH} (its default)"
        padded = lambda texts, _tokens: _score_padded(model, tokenizer, texts)  # noqa: E731
        return Side("evaluate", how, padded, lambda: places[0], dtype)
    metric = _open_script(script, model)

    def score(texts: list[str], _tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        with redirect_stderr(StringIO()):  # its bars
            found = metric._compute(texts, model_id=str(folder), batch_size=EVALUATE_BATCH, device="cpu")
        return np.log(np.array(found["perplexities"]))

    how = f"its own script, batch_size={EVALUATE_BATCH} (its default), given the model ready loaded"
    return Side("evaluate", how, score, lambda: places[0], dtype)


def _open_script(script: Path, model: Any) -> Any:
    """The metric of evaluate's script, handed a loaded model, since it loads one on each call."""

    class Loaded:
        @staticmethod
        def from_pretrained(_name: str) -> Any:
            return model

    specification = importlib.util.spec_from_file_location("evaluate_perplexity", script)
    if specification is None or specification.loader is None:
        raise FileNotFoundError(f"{script} is no Python file")
    module: Any = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    module.AutoModelForCausalLM = Loaded
    return module.Perplexity()


def _score_padded(model: Any, tokenizer: Any, texts: list[str]) -> NDArray[np.float64]:
    """As evaluate does it: the corpus padded to its longest text, full logits, a masked loss in the model's dtype."""
    encoded = [[tokenizer.bos_token_id, *tokenizer.encode(text, add_special_tokens=False)] for text in texts]
    longest = max(map(len, encoded))
    ids_NL = torch.tensor([ids + [tokenizer.pad_token_id] * (longest - len(ids)) for ids in encoded])
    mask_NL = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in encoded])
    perplexities: list[float] = []
    for ids_BL, mask_BL in zip(ids_NL.split(EVALUATE_BATCH), mask_NL.split(EVALUATE_BATCH), strict=True):
        with torch.no_grad():
            logits_BLV = model(ids_BL, attention_mask=mask_BL).logits
        kept_BLV, targets_BL = logits_BLV[:, :-1].contiguous(), ids_BL[:, 1:].contiguous()
        counted_BL = mask_BL[:, 1:].contiguous()
        losses_BL = F.cross_entropy(kept_BLV.transpose(1, 2), targets_BL, reduction="none")
        perplexities += torch.exp((losses_BL * counted_BL).sum(1) / counted_BL.sum(1)).tolist()
    return np.log(np.array(perplexities))


def _load(folder: Path, dtype: str) -> tuple[Any, Any]:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=TORCH[dtype]).eval()
    return model, AutoTokenizer.from_pretrained(folder)


def _count_places(model: Any) -> list[int]:
    """A number that grows by the size of every batch of ids that the model reads."""
    total = [0]

    def count(_module: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        ids = named["input_ids"] if "input_ids" in named else positional[0]
        total[0] += ids.numel()

    model.register_forward_pre_hook(count, with_kwargs=True)
    return total
