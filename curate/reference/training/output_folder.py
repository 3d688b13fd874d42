"""The folder of a training: claimed at the start, in the end what transformers loads, with a card and a record.

While the training goes on, ``.training`` in it holds the tokens and the checkpoint. ``training.json`` is written last:
where it stands, the training is finished.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from curate.errors import TableError
from curate.reference.checkpoint import quiet
from curate.reference.training.config import TrainingConfig, TrainingRun
from curate.reference.training.tokenizer import END_OF_TEXT, save_tokenizer
from curate.reference.training.train_step import Trainer

WORK = ".training"


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write beside and rename: the file is whole or not there, or still the one before."""
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def write_whole(path: Path, text: str) -> None:
    """The text in UTF-8 as the whole of the file."""
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


def claim_folder(out: Path, premise: Mapping[str, Any], restart: bool) -> None:
    """Make ``out`` this training's own: new, or begun from the same premise; ``TableError`` says what differs."""
    mark = out / "training.json" if (out / "training.json").exists() else out / WORK / "premise.json"
    if mark.exists() and not restart:
        found = json.loads(mark.read_text())
        differing = difference(found.get("premise", found), json.loads(json.dumps(premise)))
        if differing:
            raise TableError(f"{out} holds a training with {differing}", "name another --out, or start over: --restart")
        return
    if not mark.exists() and out.exists() and any(out.iterdir()) and not (out / WORK).exists():
        raise TableError(f"{out} is not empty and holds no training", "name a new folder with --out")
    shutil.rmtree(out / WORK, ignore_errors=True)
    (out / "training.json").unlink(missing_ok=True)
    (out / WORK).mkdir(parents=True, exist_ok=True)
    write_whole(out / WORK / "premise.json", json.dumps(premise, indent=2))


def difference(found: Mapping[str, Any], asked: Mapping[str, Any], name: str = "") -> str:
    """The first thing in which two premises differ, in words; empty when they agree."""
    for key in sorted({*found, *asked} - {"description"}):
        left, right = found.get(key), asked.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            if inner := difference(left, right, f"{name}{key} "):
                return inner
        elif left != right:
            return f"{name}{key} {left}; this command has {right}"
    return ""


def load_training(out: Path) -> TrainingRun:
    """What a finished training came to."""
    found = json.loads((out / "training.json").read_text())["training"]
    return TrainingRun(**{**found, "history": tuple(tuple(row) for row in found["history"])})


def write_folder(
    out: Path,
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    recipe: TrainingConfig,
    training: TrainingRun,
    premise: Mapping[str, Any],
) -> None:
    """The folder that transformers loads, the card, and last the record that says the training is finished."""
    kind = torch.bfloat16 if recipe.weights == "bfloat16" else torch.float32
    model.config._attn_implementation = "sdpa"
    model.config.use_cache = True
    with quiet():
        model.to(kind).save_pretrained(out)
    (out / "generation_config.json").unlink(missing_ok=True)
    save_tokenizer(tokenizer, out, recipe.context)
    write_whole(out / "README.md", card(recipe, training, premise))
    record = {"training": asdict(training), "premise": premise, "torch": torch.__version__}
    write_whole(out / "training.json", json.dumps(record, indent=2))
    shutil.rmtree(out / WORK, ignore_errors=True)


def card(recipe: TrainingConfig, training: TrainingRun, premise: Mapping[str, Any]) -> str:
    """The model card: what it is, what it was made from, what it measures."""
    corpus = premise.get("corpus", {})
    rows = {
        "architecture": f"Llama, {recipe.layers} layers, {recipe.width} wide, {recipe.heads} heads, tied embeddings",
        "parameters": f"{training.parameters:,}",
        "vocabulary": f"{recipe.vocabulary:,} (byte-level BPE, digits singly)",
        "context": f"{recipe.context:,} tokens",
        "corpus": corpus.get("description", ""),
        "corpus fingerprint": corpus.get("fingerprint", ""),
        "documents": f"{training.documents:,}",
        "tokens in them": f"{training.corpus_tokens:,}",
        "tokens learned from": f"{training.tokens:,} ({training.epochs:.2f} passes)",
        "steps": f"{training.steps:,}",
        "seconds": f"{training.seconds:,.0f}",
        "final loss": f"{training.loss:.4f} nats per token",
        "held-out bits per byte": f"{training.held_out_bits_per_byte:.4f} ({training.held_out_documents} documents, "
        f"their first {recipe.context:,} tokens)",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return (
        "---\nlibrary_name: transformers\npipeline_tag: text-generation\n---\n\n"
        "# A reference model\n\n"
        "A small causal language model trained by `curate train-reference`, to tell how expected a text is. It is a\n"
        "yardstick for text like the text it was trained on, and no more: do not generate with it.\n\n"
        f"| | |\n|---|---|\n{table}\n\n"
        f"The whole recipe and its history are in `training.json`. `{END_OF_TEXT}` goes before a text as its prefix.\n"
    )


def save_checkpoint(learner: Trainer, path: Path) -> None:
    """Weights, optimisers and place, written beside and renamed."""
    state = {"model": learner.model.state_dict(), "muon": learner.muon.averages, "adam": learner.adam.state_dict()}
    with replacing(path) as file:
        torch.save({**state, "counters": learner.counters()}, file)


def load_checkpoint(learner: Trainer, path: Path) -> None:
    """Put the learner where the last checkpoint was; nothing happens when there is none."""
    if not path.exists():
        return
    state = torch.load(path, map_location=learner.device, weights_only=True)
    learner.model.load_state_dict(state["model"])
    learner.adam.load_state_dict(state["adam"])
    learner.muon.averages = state["muon"]
    for name, value in state["counters"].items():
        setattr(learner, name, value)
