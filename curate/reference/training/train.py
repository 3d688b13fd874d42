"""A training from beginning to end: texts in, a finished folder out."""

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
    write_text,
)
from curate.reference.training.packs import Windows, balance_windows, cut_windows
from curate.reference.training.token_cache import encode_corpus, load_groups, open_encoded, save_groups
from curate.reference.training.tokenizer import sample_texts, token_bytes, train_tokenizer
from curate.reference.training.train_step import Trainer, make_trainer, recent_loss
from curate.runtime.console import say

Texts = Callable[[], Iterable[str]]
"""A function that reads the texts from the beginning each time it is called."""


def train(
    texts: Texts,
    out: Path,
    config: TrainingConfig,
    *,
    provenance: Mapping[str, Any],
    held_out: Texts | None = None,
    groups: Texts | None = None,
    device: str = "cpu",
    restart: bool = False,
    checkpoint_seconds: float = 120.0,
) -> TrainingRun:
    """Train a reference model on ``texts``, write it to ``out`` and return its results.

    A training that ``out`` holds goes on; a finished one is not repeated. A killed one loses at most
    ``checkpoint_seconds``. ``groups`` names the group of every text, in the order of ``texts``, to balance passes
    (``balance_windows``). ``held_out`` are texts to measure; None keeps some of ``texts`` out.
    ``provenance`` identifies the texts (JSON-able). ``restart`` drops the training in ``out``.

    Raises TableError where ``out`` holds a training with another config or provenance, or other files; CorpusError
    where there is too little text; ValueError where groups and texts differ in number; ModelError where the loss is not
    finite; Interrupted when the user stops it.
    """
    premise = {"recipe": asdict(config), **provenance}
    claim_folder(out, premise, restart)
    if (out / "training.json").exists():
        return load_training(out)
    work = out / WORK
    tokenizer = prepare_corpus(texts, work, config, groups)
    encoded = open_encoded(work, config.vocabulary)
    learned, kept_out = split_held_out(encoded.hashes, config.held_out_every)
    if len(learned) == 0:
        raise CorpusError(f"nothing to learn from: {len(encoded.hashes)} documents, {len(kept_out)} of them held out")
    pass_windows = windows = cut_windows(encoded, learned, config.context)
    if groups is not None:
        pass_windows = balance_windows(windows, load_groups(work)[encoded.documents_of(windows.begins)], config.seed)
    measured = choose_measured(encoded, kept_out) if held_out is None else encode_texts(held_out(), tokenizer)
    trainer = make_trainer(config, device)
    load_checkpoint(trainer, work / "state.pt")
    say("training", describe_start(trainer, len(learned), windows, len(measured)))

    def measure(model: LlamaForCausalLM) -> float:
        return measure_bits_per_byte(model, measured, token_bytes(tokenizer), trainer.dtype, config.batch_tokens)

    spend_budget(trainer, encoded, pass_windows, config, measure, work / "state.pt", checkpoint_seconds)
    bits = finish_weights(trainer, config, measure)
    training = summarise(trainer, windows, pass_windows, len(learned), bits, len(measured))
    write_folder(out, trainer.model, tokenizer, config, training, premise)
    return training


def prepare_corpus(texts: Texts, work: Path, config: TrainingConfig, groups: Texts | None) -> Tokenizer:
    """Return the tokenizer; train it and encode the corpus into ``work``, unless both are done.

    Raises CorpusError where there is too little text.
    """
    if (work / "hashes.npy").exists() and (work / "tokenizer.json").exists():
        return Tokenizer.from_file(str(work / "tokenizer.json"))
    most = f"{config.tokenizer_bytes / 1e6:.0f} M characters"
    say("tokenizer", f"byte-level BPE of {config.vocabulary:,} tokens, trained on up to {most}")
    sample = sample_texts((text for text in texts() if not is_held_out(text, config)), config.tokenizer_bytes)
    if not sample:
        raise CorpusError("the corpus has no text to learn from", "name files with a text field: --text-field")
    tokenizer = train_tokenizer(sample, config.vocabulary)
    write_text(work / "tokenizer.json", tokenizer.to_str())
    if groups is not None:
        save_groups((name for text, name in zip(texts(), groups(), strict=True) if text.strip()), work)
    encode_corpus((text for text in texts() if text.strip()), tokenizer, work, config.document_tokens)
    return tokenizer


def describe_start(trainer: Trainer, documents: int, windows: Windows, measured: int) -> str:
    """Return the line that is printed before the first step."""
    parameters = sum(value.numel() for value in trainer.model.parameters())
    again = f", going on after {trainer.tokens:,} tokens" if trainer.tokens else ""
    dtype = str(trainer.dtype).removeprefix("torch.")
    return (
        f"{parameters / 1e6:.2f} M parameters in {dtype} on {trainer.device}; {documents:,} documents, "
        f"{windows.tokens:,} tokens; {measured} held-out documents measured{again}"
    )


def finish_weights(trainer: Trainer, config: TrainingConfig, measure: Callable[[LlamaForCausalLM], float]) -> float:
    """Round the weights to the dtype in which they are written, and return their held-out bits per byte."""
    dtype = torch.bfloat16 if config.weights == "bfloat16" else torch.float32
    with torch.no_grad():
        for value in trainer.model.parameters():
            value.copy_(value.to(dtype).to(value.dtype))
    bits = measure(trainer.model)
    note_measurement(trainer, 1.0, bits)
    return bits


def summarise(
    trainer: Trainer, windows: Windows, pass_windows: Windows, documents: int, bits: float, measured: int
) -> TrainingRun:
    """Return the results of a finished training; ``pass_windows`` are ``windows`` with the repetitions of a pass."""
    return TrainingRun(
        documents=documents,
        corpus_tokens=windows.tokens,
        tokens=trainer.tokens,
        epochs=trainer.places / pass_windows.num_positions,
        steps=trainer.step,
        seconds=trainer.seconds,
        parameters=sum(value.numel() for value in trainer.model.parameters()),
        loss=recent_loss(trainer),
        held_out_bits_per_byte=bits,
        held_out_documents=measured,
        history=tuple(trainer.history),
    )
