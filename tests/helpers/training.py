"""A tiny training: its recipe, and sentences that there is something to learn of."""

import random
from pathlib import Path

from curate.reference.training import TrainingConfig, TrainingRun, train

TINY = TrainingConfig(
    vocabulary=320,
    context=64,
    width=32,
    layers=1,
    heads=2,
    minutes=None,
    tokens=12_000,
    batch_tokens=512,
    held_out_every=10,
    compute="float32",
    weights="float32",
)
CORPUS = {"corpus": {"description": "made here", "fingerprint": "0123"}}


def write_sentences(count: int = 120, seed: int = 0) -> list[str]:
    """Documents of one to thirty sentences from a small grammar: there is something to learn, and to predict."""
    choose = random.Random(seed)
    subjects, verbs = ["The cat", "A dog", "My neighbour", "Nobody"], ["saw", "chased", "forgot", "bought"]
    objects = ["the mouse", "12 apples", "a house in 1984", "  nothing\n\tat all", "déjà vu 🙂"]

    def sentence() -> str:
        return f"{choose.choice(subjects)} {choose.choice(verbs)} {choose.choice(objects)}. "

    return ["".join(sentence() for _ in range(choose.randint(1, 30))) for _ in range(count)]


SENTENCES = write_sentences()


def learn(out: Path, recipe: TrainingConfig = TINY, **options: object) -> TrainingRun:
    return train(lambda: iter(SENTENCES), out, recipe, provenance=CORPUS, **options)  # type: ignore[arg-type]


def weights_of(out: Path) -> bytes:
    return (out / "model.safetensors").read_bytes()
