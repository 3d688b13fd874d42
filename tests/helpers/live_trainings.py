"""Trainings of tiny models by transformers' Trainer, with held-out text of two domains."""

import json
from pathlib import Path

import torch
from helpers.models import build, tokenizer
from transformers import Trainer, TrainerCallback, TrainingArguments

import curate

TEXTS = [f"the {word} of number {row} is here, and {row * 7} more" for row in range(16) for word in ("house", "river")]


def write_held_out(folder: Path, rows: int = 12) -> Path:
    """Documents of two domains, the odd ones numbers; one is empty."""
    path = folder / "heldout.jsonl"
    domains = ("prose", "numbers")
    texts = [f"document {row} tells of rivers and houses" if row % 2 == 0 else str(row**5) * 3 for row in range(rows)]
    documents = [{"id": f"d{row}", "text": text, "domain": domains[row % 2]} for row, text in enumerate(texts)]
    documents.append({"id": "empty", "text": "", "domain": "prose"})
    path.write_text("".join(json.dumps(one) + "\n" for one in documents))
    return path


def make_arguments(folder: Path, steps: int = 6, **changes: object) -> TrainingArguments:
    given = {
        "output_dir": str(folder), "max_steps": steps, "per_device_train_batch_size": 2, "learning_rate": 0.01,
        "logging_steps": 1, "save_strategy": "no", "report_to": [], "use_cpu": True, "seed": 3, "disable_tqdm": True,
    }  # fmt: skip
    return TrainingArguments(**{**given, **changes})


def make_rows() -> list[dict[str, list[int]]]:
    encoded = [tokenizer()(text)["input_ids"][:24] for text in TEXTS]
    return [{"input_ids": ids, "labels": ids} for ids in encoded]


def collate(rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """Rows cut to the shortest of a batch."""
    length = min(len(row["input_ids"]) for row in rows)
    return {name: torch.tensor([row[name][:length] for row in rows]) for name in rows[0]}


def make_trainer(
    folder: Path, *callbacks: TrainerCallback, kind: str = "llama", steps: int = 6, model=None, **changes: object
) -> Trainer:
    torch.manual_seed(0)
    arguments = make_arguments(folder, steps, **changes)
    model = build(kind) if model is None else model
    return Trainer(
        model, arguments, data_collator=collate, train_dataset=make_rows(), processing_class=tokenizer(),
        callbacks=list(callbacks),
    )  # fmt: skip


def watch(corpus: Path | dict[str, Path], save: Path, **options: object) -> TrainerCallback:
    return curate.PerplexityCallback(corpus, **{"every": 2, "save": save, "window": 32, **options})


def list_losses(trainer: Trainer) -> list[tuple[int, float]]:
    return [(one["step"], one["loss"]) for one in trainer.state.log_history if "loss" in one]
