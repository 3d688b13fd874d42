"""The course of a training, from texts to a finished folder."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from curate.errors import CorpusError
from curate.reference.training.budget import note_measurement, spend_budget
from curate.reference.training.config import TrainingConfig, TrainingRun
from curate.reference.training.held_out import (
    choose_measured,
    encode_texts,
    is_held_out,
    measure_bits_per_byte,
    split_held_out,
)
from curate.reference.training.output_folder import (
    WORK,
    claim_folder,
    load_checkpoint,
    load_training,
    write_folder,
    write_whole,
)
from curate.reference.training.packs import Windows, balance_windows, cut_windows
from curate.reference.training.token_cache import encode_corpus, load_groups, open_encoded, save_groups
from curate.reference.training.tokenizer import sample_texts, token_bytes, train_tokenizer
from curate.reference.training.train_step import Trainer, make_learner, recent_loss
from curate.runtime.console import say

Texts = Callable[[], Iterable[str]]
"""What reads the texts from the beginning each time that it is called."""


def train(
    texts: Texts,
    out: Path,
    recipe: TrainingConfig,
    *,
    provenance: Mapping[str, Any],
    held_out: Texts | None = None,
    groups: Texts | None = None,
    device: str = "cpu",
    restart: bool = False,
    checkpoint_seconds: float = 120.0,
) -> TrainingRun:
    """Train a reference model on ``texts`` and write it to ``out``, or go on with the training that is there.

    ``groups`` names the group of every text, in the order of ``texts``; by them passes are balanced
    (``balance_windows``). ``provenance`` says what the texts are (JSON-able); with another one, or another recipe,
    ``out`` is refused with a ``TableError`` unless ``restart``. A finished training is not repeated. A killed one loses
    at most ``checkpoint_seconds``.
    """
    premise = {"recipe": asdict(recipe), **provenance}
    claim_folder(out, premise, restart)
    if (out / "training.json").exists():
        return load_training(out)
    work = out / WORK
    tokenizer = prepare_corpus(texts, work, recipe, groups)
    encoded = open_encoded(work, recipe.vocabulary)
    learned, kept_out = split_held_out(encoded.hashes, recipe.held_out_every)
    if len(learned) == 0:
        raise CorpusError(f"nothing to learn from: {len(encoded.hashes)} documents, {len(kept_out)} of them held out")
    whole = windows = cut_windows(encoded, learned, recipe.context)
    if groups is not None:
        windows = balance_windows(whole, load_groups(work)[encoded.documents_of(whole.begins)], recipe.seed)
    measured = choose_measured(encoded, kept_out) if held_out is None else encode_texts(held_out(), tokenizer)
    learner = make_learner(recipe, device)
    load_checkpoint(learner, work / "state.pt")
    say("training", describe_start(learner, len(learned), whole, len(measured)))

    def measure(model: LlamaForCausalLM) -> float:
        return measure_bits_per_byte(model, measured, token_bytes(tokenizer), learner.dtype, recipe.batch_tokens)

    spend_budget(learner, encoded, windows, recipe, measure, work / "state.pt", checkpoint_seconds)
    bits = finish_weights(learner, recipe, measure)
    training = summarise(learner, whole, windows, len(learned), bits, len(measured))
    write_folder(out, learner.model, tokenizer, recipe, training, premise)
    return training


def prepare_corpus(texts: Texts, work: Path, recipe: TrainingConfig, groups: Texts | None) -> Tokenizer:
    """Train the tokenizer and encode the corpus, or find both done."""
    if (work / "hashes.npy").exists() and (work / "tokenizer.json").exists():
        return Tokenizer.from_file(str(work / "tokenizer.json"))
    say("tokenizer", f"byte-level BPE of {recipe.vocabulary:,} tokens, on up to {recipe.tokenizer_bytes / 1e6:.0f} MB")
    sample = sample_texts((text for text in texts() if not is_held_out(text, recipe)), recipe.tokenizer_bytes)
    if not sample:
        raise CorpusError("the corpus has no text to learn from", "name files with a text field: --text-field")
    tokenizer = train_tokenizer(sample, recipe.vocabulary)
    write_whole(work / "tokenizer.json", tokenizer.to_str())
    if groups is not None:
        save_groups((name for text, name in zip(texts(), groups(), strict=True) if text.strip()), work)
    encode_corpus((text for text in texts() if text.strip()), tokenizer, work, recipe.document_tokens)
    return tokenizer


def describe_start(learner: Trainer, documents: int, windows: Windows, measured: int) -> str:
    parameters = sum(value.numel() for value in learner.model.parameters())
    again = f", going on after {learner.tokens:,} tokens" if learner.tokens else ""
    kind = str(learner.dtype).removeprefix("torch.")
    return (
        f"{parameters / 1e6:.2f} M parameters in {kind} on {learner.device}; {documents:,} documents, "
        f"{windows.tokens:,} tokens; {measured} held-out documents measured{again}"
    )


def finish_weights(learner: Trainer, recipe: TrainingConfig, measure: Callable[[LlamaForCausalLM], float]) -> float:
    """Round the weights as they will be written, and measure those."""
    kind = torch.bfloat16 if recipe.weights == "bfloat16" else torch.float32
    with torch.no_grad():
        for value in learner.model.parameters():
            value.copy_(value.to(kind).to(value.dtype))
    bits = measure(learner.model)
    note_measurement(learner, 1.0, bits)
    return bits


def summarise(
    learner: Trainer, whole: Windows, windows: Windows, documents: int, bits: float, measured: int
) -> TrainingRun:
    return TrainingRun(
        documents=documents,
        corpus_tokens=whole.tokens,
        tokens=learner.tokens,
        epochs=learner.places / windows.places,
        steps=learner.step,
        seconds=learner.seconds,
        parameters=sum(value.numel() for value in learner.model.parameters()),
        loss=recent_loss(learner),
        held_out_bits_per_byte=bits,
        held_out_documents=measured,
        history=tuple(learner.history),
    )
