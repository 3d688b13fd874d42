"""The sides of ``rank_sft.py``: ours, and the loops that people write, each from examples to sums.

What the loops do is what the programs of the literature do, told anew: Cherry LLM (arXiv 2308.12032) and Superfiltering
(arXiv 2402.00530) read one example at a time with the labels of its prompt at −100, and its answer once more alone; RSR
(arXiv 2601.14249) reads batches of 8, padded, all answers of a conversation at once, and takes ranks among the 100
likeliest tokens. A side is opened from a folder outside the timing; rendering and tokenising are inside it.

Shapes: B rows of a batch, L places, N predicted tokens, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import peers
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer

from curate.reference.protocol import ScoringConfig
from curate.sft.chat_template.choose import choose_template
from curate.sft.chat_template.render import ChatTemplate
from curate.sft.datasets import DrawnExample
from curate.sft.examples import scored_turns
from curate.sft.measuring import responses
from curate.sft.measuring.reader import ModelVariant, RankingOptions, open_reader
from curate.sft.measuring.responses import RANK_CLIP

SUMS = ("nats", "tokens", "unconditional_nats", "ranks", "full_nats", "full_tokens")
NAMES = ("curate", "one by one", "batches of 8")
BATCH = 8
UNSCORED = -100


@dataclass(slots=True)
class Side:
    """One way of measuring: ``measure`` gives a row of ``SUMS`` for each example, and ``places`` counts what went
    through the model since it was opened, padding included."""

    name: str
    how: str
    measure: Callable[[Sequence[DrawnExample]], NDArray[np.float64]]
    places: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Strand:
    """What a loop reads at a time: ids with the prefix first, and which of them an example's sums are of."""

    example: int
    ids: list[int]
    scored: NDArray[np.bool_]
    alone: bool
    whole: bool
    """Whether its tokens, all of them, are the full text."""


def open_side(name: str, folder: Path, dtype: str, exact: bool = False) -> Side:
    """Open a side by its name, as in ``NAMES``."""
    if name == "curate":
        return open_ours(folder, dtype, exact)
    if name not in NAMES:
        raise ValueError(f"no side is called {name!r}; there are {', '.join(NAMES)}")
    return open_loop(name, folder, dtype)


def open_ours(folder: Path, dtype: str, exact: bool) -> Side:
    """``curate.sft.measuring.responses``, as ``curate rank-sft`` runs it."""
    options = RankingOptions("all", True, None, 0, 1000, "perplexity", None)
    reading = ScoringConfig(exact=True, device="cpu") if exact else ScoringConfig(dtype=dtype, device="cpu")
    reader = open_reader(ModelVariant(str(folder), "auto"), reading, options)
    reference = reader.reference

    def measure(examples: Sequence[DrawnExample]) -> NDArray[np.float64]:
        rows = [row for table in responses.measure_examples(reader, examples) for row in table.to_pylist()]
        if bad := [row["reason"] for row in rows if row["status"] != "ok"]:
            raise SystemExit(f"error: {len(bad)} examples cannot be scored, the first since {bad[0]}")
        return np.array([[row[name] for name in SUMS] for row in rows], dtype=np.float64)

    how = (
        f"{reference.identity['forward']}, packs of {reference.identity['pack_tokens']:,} tokens, a conversation read "
    )
    how += f"once for all its answers, each answer once more alone; at load it found: {reference.check_line}"
    return Side("curate", how, measure, lambda: reference.num_computed_tokens)


def open_loop(name: str, folder: Path, dtype: str) -> Side:
    """One of the loops: the model of transformers with its own attention, and its full table of logits."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=peers.TORCH[dtype]).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    template, places = choose_template(tokenizer), peers._count_places(model)
    careful = name == "batches of 8"

    def measure(examples: Sequence[DrawnExample]) -> NDArray[np.float64]:
        sums = np.zeros((len(examples), len(SUMS)))
        found = (lay_out(template, tokenizer, one, at, careful) for at, one in enumerate(examples))
        if not careful:
            for sequences in found:
                for sequence in sequences:
                    read_together(model, tokenizer, [sequence], sums)
            return sums
        ordered = sorted((one for sequences in found for one in sequences), key=lambda one: -len(one.ids))
        for at in range(0, len(ordered), BATCH):
            read_together(model, tokenizer, ordered[at : at + BATCH], sums)
        return sums

    how = "a pass for each answer over all before it, labels of the prompt -100, and one over the answer alone"
    if careful:
        how = f"a conversation read once for all its answers, padded to the longest of {BATCH} neighbours in length"
    return Side(name, f"{how}; full logits", measure, lambda: places[0])


def lay_out(template: ChatTemplate, tokenizer: Any, one: DrawnExample, example: int, careful: bool) -> list[Strand]:
    """What a loop reads for an example: up to each answer (careful: once for all), and each answer alone."""
    rendered = template.render(one.example.turns, scored_turns(one.example, "all"), one.example.tools)
    encoded = tokenizer(rendered.text, add_special_tokens=False, return_offsets_mapping=True)
    ids, starts = encoded["input_ids"], np.array([begin for begin, _ in encoded["offset_mapping"]])
    lead = [] if ids[0] == tokenizer.bos_token_id else [tokenizer.bos_token_id]
    masks = [(starts >= begin) & (starts < end) for begin, end in rendered.spans]
    stops = [int(np.flatnonzero(mask)[-1]) + 1 for mask in masks]
    given = [(np.logical_or.reduce(masks), stops[-1])] if careful else list(zip(masks, stops, strict=True))
    blank = np.zeros(len(lead), np.bool_)
    found = [
        Strand(example, [*lead, *ids[:stop]], np.concatenate([blank, mask[:stop]]), False, stop == stops[-1])
        for mask, stop in given
    ]
    for mask in masks:
        own = [ids[at] for at in np.flatnonzero(mask)]
        scored = np.concatenate([[False], np.ones(len(own), np.bool_)])
        found.append(Strand(example, [tokenizer.bos_token_id, *own], scored, True, False))
    return found


def read_together(model: Any, tokenizer: Any, batch: Sequence[Strand], sums: NDArray[np.float64]) -> None:
    """One forward pass over some sequences, padded on the right, and what it adds to the sums of their examples.

    The last token of a sequence predicts nothing that is asked for, but it is read, as programs of this kind do.
    """
    width = max(len(one.ids) for one in batch)
    ids_BL = torch.tensor([one.ids + [tokenizer.pad_token_id] * (width - len(one.ids)) for one in batch])
    mask_BL = torch.tensor([[1] * len(one.ids) + [0] * (width - len(one.ids)) for one in batch])
    with torch.inference_mode():
        options = {} if len(batch) == 1 else {"attention_mask": mask_BL}
        logits_BLV = model(ids_BL, use_cache=False, **options).logits
        for one, logits_LV in zip(batch, logits_BLV, strict=True):
            add_up(one, logits_LV[: len(one.ids) - 1], torch.tensor(one.ids[1:]), sums[one.example])


def add_up(one: Strand, logits_LV: torch.Tensor, targets_L: torch.Tensor, sums: NDArray[np.float64]) -> None:
    """Add a sequence's nats and ranks to the sums of its example; the full text takes its nats from the same losses."""
    scored_L = torch.from_numpy(one.scored[1:])
    labels_L = targets_L if one.whole else torch.where(scored_L, targets_L, UNSCORED)
    logits_LV = logits_LV.float()
    nats_L = F.cross_entropy(logits_LV, labels_L, ignore_index=UNSCORED, reduction="none")
    nats = float(nats_L[scored_L].double().sum())
    if one.alone:
        sums[SUMS.index("unconditional_nats")] += nats
        return
    sums[SUMS.index("nats")] += nats
    sums[SUMS.index("tokens")] += int(scored_L.sum())
    sums[SUMS.index("ranks")] += int(clipped_ranks(logits_LV[scored_L], targets_L[scored_L]).sum())
    if one.whole:
        sums[SUMS.index("full_nats")] += float(nats_L.double().sum())
        sums[SUMS.index("full_tokens")] += len(targets_L)


def clipped_ranks(logits_NV: torch.Tensor, targets_N: torch.Tensor) -> torch.Tensor:
    """How many of the likeliest tokens are likelier than each target, plus one, at most ``RANK_CLIP``."""
    own_N1 = logits_NV.gather(1, targets_N[:, None])
    likeliest = logits_NV.topk(min(RANK_CLIP, logits_NV.shape[1]), dim=1).values
    return ((likeliest > own_N1).sum(dim=1) + 1).clamp(max=RANK_CLIP)
