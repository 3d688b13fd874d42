"""The folder of a training: claimed at the start; in the end transformers loads it, and it has a card and a record.

While the training goes on, ``.training`` in it holds the tokens and the checkpoint. ``training.json`` is written last:
where it exists, the training is finished.
"""

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from curate.errors import StorageError, TableError
from curate.reference.checkpoints.checkpoint import silence_transformers
from curate.reference.training.config import TrainingConfig, TrainingRun
from curate.reference.training.tokenizer import END_OF_TEXT, save_tokenizer
from curate.reference.training.train_step import Trainer
from curate.runtime.disk import claims
from curate.runtime.disk.files import check_output_directory, replace_atomically, share_files
from curate.runtime.disk.writers import remove_leftover

WORK = ".training"
MADE = "made.json"
"""The file in the work folder that lists the files of the folder above it that are of a training."""
WRITTEN = frozenset(
    ("README.md", "config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json",
     "tokenizer_config.json", "training.json")
)  # fmt: skip
"""The files of a finished training."""
NEW_FOLDER = "name a new folder with --out"
PASSING = frozenset(("chat_template.jinja", "generation_config.json"))
"""What transformers may write next to them, and ``write_folder`` removes."""
OF_WORK = re.compile(
    r"(premise|made|tokenizer)\.json|tokens\.bin|(starts|hashes|groups)\.npy|state\.pt|\.[^/]+\.tmp|\.DS_Store|\.nfs.+"
)
"""The files of the work folder."""


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8 to a file, which is replaced at once. Raises StorageError."""
    with replace_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def claim_folder(out: Path, premise: Mapping[str, Any], restart: bool) -> None:
    """Create the folder of a training, or check that it was begun from the same premise.

    ``restart`` drops the training that is there. Raises TableError where the premise differs, with the first
    difference, and where the folder has other files; StorageError where it cannot be written.
    """
    check_output_directory(out)
    mark = out / "training.json" if (out / "training.json").exists() else out / WORK / "premise.json"
    record = read_record(mark)
    made = check_foreign(out, record, restart)
    if record is not None and not restart:
        differing = find_difference(record.get("premise", record), json.loads(json.dumps(premise)))
        if differing:
            raise TableError(f"{out} holds a training with {differing}", "name another --out, or start over: --restart")
        return
    if record is None and out.exists() and _holds_files(out) and not (out / WORK).exists():
        raise TableError(f"{out} is not empty and holds no training", NEW_FOLDER)
    (out / WORK).mkdir(parents=True, exist_ok=True)
    write_made(out, made)
    (out / WORK / "premise.json").unlink(missing_ok=True)
    (out / "training.json").unlink(missing_ok=True)
    for path in (out / WORK).iterdir():
        if path.name != MADE:
            remove_leftover(path)
    write_text(out / WORK / "premise.json", json.dumps(premise, indent=2))


def write_made(out: Path, names: Iterable[str]) -> None:
    """List the files of the folder that are of a training, before they are written: a kill may leave any of them."""
    write_text(out / WORK / MADE, json.dumps(sorted(names), indent=2))


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the record of a training, or its premise; None where there is none.

    Raises TableError for a file of the same name that is neither.
    """
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        record = None
    keys = ("training", "premise") if path.name == "training.json" else ("recipe",)
    if isinstance(record, dict) and all(isinstance(record.get(key), dict) for key in keys):
        return record
    raise TableError(f"{path} is there, and curate train-reference did not write it", NEW_FOLDER)


def check_foreign(out: Path, record: Mapping[str, Any] | None, restart: bool) -> set[str]:
    """Return which of the files that a training writes are there and of an earlier training.

    Raises TableError for one that is of somebody else, and for a work folder that is a link or has other files.
    """
    work = out / WORK
    strange = work if work.is_symlink() or (work.exists() and not work.is_dir()) else None
    if strange is None and work.exists():
        strange = next((path for path in sorted(work.iterdir()) if not OF_WORK.fullmatch(path.name)), None)
    present = {path.name for path in out.iterdir()} & (WRITTEN | PASSING) if out.exists() else set()
    is_finished = record is not None and "training" in record
    made = set(record.get("files", WRITTEN)) if record is not None and is_finished else _read_made(work)
    if foreign := sorted(present - made) if restart or not is_finished else []:
        strange = out / foreign[0]
    if strange is not None:
        raise TableError(f"{strange} is there, and curate train-reference did not write it", NEW_FOLDER)
    return present


def _read_made(work: Path) -> set[str]:
    """Return the files of an earlier training that one that goes on replaces; earlier versions did not list them."""
    try:
        return set(json.loads((work / MADE).read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return set(WRITTEN) if (work / "premise.json").exists() else set()
    except (OSError, ValueError, TypeError) as error:
        raise TableError(f"{work / MADE} cannot be read: {error}", NEW_FOLDER) from error


def _holds_files(out: Path) -> bool:
    """Return whether anything is in a folder but the claim on it."""
    return any(path.name != claims.FOLDER for path in out.iterdir())


def find_difference(recorded: Mapping[str, Any], premise: Mapping[str, Any], name: str = "") -> str:
    """Return the first difference of two premises, in words; empty when they agree. Descriptions may differ."""
    for key in sorted({*recorded, *premise} - {"description"}):
        left, right = recorded.get(key), premise.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            if inner := find_difference(left, right, f"{name}{key} "):
                return inner
        elif left != right:
            return f"{name}{key} {left}; this command has {right}"
    return ""


def load_training(out: Path) -> TrainingRun:
    """Return the record of a finished training; the work that a kill at the very end left is removed."""
    shutil.rmtree(out / WORK, ignore_errors=True)
    fields = json.loads((out / "training.json").read_text())["training"]
    return TrainingRun(**{**fields, "history": tuple(tuple(row) for row in fields["history"])})


def write_folder(
    out: Path,
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    config: TrainingConfig,
    training: TrainingRun,
    premise: Mapping[str, Any],
) -> None:
    """Write the model, the tokenizer and the card, and last the record, which marks the training finished.

    Raises TableError where somebody has put a file in the place of one of them meanwhile.
    """
    check_foreign(out, None, False)
    write_made(out, WRITTEN | PASSING)
    dtype = torch.bfloat16 if config.weights == "bfloat16" else torch.float32
    model.config._attn_implementation = "sdpa"
    model.config.use_cache = True
    try:
        with silence_transformers():
            model.to(dtype).save_pretrained(out)
    except SafetensorError as error:
        message = f"{out / 'model.safetensors'} could not be written: {error}"
        raise StorageError(message, "free some space, then the same command again") from error
    for name in PASSING:
        (out / name).unlink(missing_ok=True)
    save_tokenizer(tokenizer, out, config.context)
    share_files(out)
    write_text(out / "README.md", render_card(config, training, premise))
    made = sorted(name for name in WRITTEN if name == "training.json" or (out / name).exists())
    record = {"training": asdict(training), "premise": premise, "torch": torch.__version__, "files": made}
    write_text(out / "training.json", json.dumps(record, indent=2))
    shutil.rmtree(out / WORK, ignore_errors=True)


def render_card(config: TrainingConfig, training: TrainingRun, premise: Mapping[str, Any]) -> str:
    """Return the model card in Markdown: what the model is, what it was made from, what it measures."""
    corpus = premise.get("corpus", {})
    rows = {
        "architecture": f"Llama, {config.layers} layers, {config.width} wide, {config.heads} heads, tied embeddings",
        "parameters": f"{training.parameters:,}",
        "vocabulary": f"{config.vocabulary:,} (byte-level BPE, digits singly)",
        "context": f"{config.context:,} tokens",
        "corpus": corpus.get("description", ""),
        "corpus fingerprint": corpus.get("fingerprint", ""),
        "documents": f"{training.documents:,}",
        "tokens in them": f"{training.corpus_tokens:,}",
        "tokens learned from": f"{training.tokens:,} ({training.epochs:.2f} passes)",
        "steps": f"{training.steps:,}",
        "seconds": f"{training.seconds:,.0f}",
        "final loss": f"{training.loss:.4f} nats per token",
        "held-out bits per byte": f"{training.held_out_bits_per_byte:.4f} ({training.held_out_documents} documents, "
        f"their first {config.context:,} tokens)",
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


def save_checkpoint(trainer: Trainer, path: Path) -> None:
    """Write weights, optimisers and counters to a file, which is replaced at once. Raises StorageError."""
    state = {"model": trainer.model.state_dict(), "muon": trainer.muon.averages, "adam": trainer.adam.state_dict()}
    with replace_atomically(path) as temporary, temporary.open("wb") as file:
        torch.save({**state, "counters": trainer.counters()}, file)


def load_checkpoint(trainer: Trainer, path: Path) -> None:
    """Set the trainer to the last checkpoint; without one, leave it as it is."""
    if not path.exists():
        return
    state = torch.load(path, map_location=trainer.device, weights_only=True)
    trainer.model.load_state_dict(state["model"])
    trainer.adam.load_state_dict(state["adam"])
    trainer.muon.averages = state["muon"]
    for name, value in state["counters"].items():
        setattr(trainer, name, value)
