"""The options of a training with its budget, the schedule of the learning rate, and the summary of a finished training.

The result depends only on the ``TrainingConfig``, the corpus and the checkpoint, so that under a budget of tokens a
stopped training ends with the same weights as one that was not stopped.
"""

from dataclasses import dataclass

from curate.errors import UsageError
from curate.reference.training.packs import BLOCK
from curate.reference.training.tokenizer import ALPHABET, END_OF_TEXT
from curate.runtime.choices import ComputeDtype, WeightsDtype, check_choice, choices_of


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Everything but the text that the resulting weights depend on. Raises UsageError for what is out of range."""

    vocabulary: int = 8192
    """Tokens of the vocabulary, more than 256."""
    context: int = 1024
    """Tokens that the model can look back on."""
    width: int = 256
    """Width of the hidden states; divides into ``heads`` heads of even size."""
    layers: int = 4
    heads: int = 4
    """Attention heads of a layer."""
    minutes: float | None = 60.0
    """The budget in time. With ``tokens`` too, the budget that is spent first ends the training."""
    tokens: int | None = None
    """The budget in tokens read."""
    document_tokens: int | None = None
    """Read no more than this of one document, so that long ones do not crowd out the rest."""
    balance: str | None = None
    """The column whose values are repeated in a pass so that their shares follow the square roots of their sizes."""
    batch_tokens: int = 4096
    """Tokens of a step, a multiple of ``packs.BLOCK``."""
    packs: int = 2
    """Parts of a step that threads compute at the same time, each on its share of the cores; gradients add in order."""
    matrix_rate: float = 0.02
    """Peak learning rate of the layers' matrices (Muon)."""
    vector_rate: float = 0.006
    """Peak learning rate of embeddings and gains (AdamW)."""
    warm_up: float = 0.02
    """Share of the budget over which the rate rises."""
    held_out_every: int = 200
    """One document of so many, chosen by its hash, is never trained on; 0 when another set is measured."""
    tokenizer_bytes: int = 64_000_000
    """Characters, not bytes, of text that the tokenizer is trained on, at most. ``training.json`` keeps the name."""
    seed: int = 0
    """Seed of the first weights and of the order of the documents."""
    compute: ComputeDtype = "auto"
    """Dtype of the matrix products; ``auto``: bfloat16 where the machine is faster with it."""
    weights: WeightsDtype = "bfloat16"
    """Dtype in which the finished weights are written."""

    def __post_init__(self) -> None:
        if self.vocabulary <= ALPHABET:
            raise UsageError(
                f"--vocabulary must be more than {ALPHABET} (the bytes and {END_OF_TEXT}), not {self.vocabulary}",
                "--vocabulary 8192",
            )
        for name in ("context", "layers", "heads", "document_tokens"):
            value, option = getattr(self, name), f"--{name.replace('_', '-')}"
            if value is not None and value < 1:
                raise UsageError(f"{option} must be at least 1, not {value}", f"leave {option} out for the default")
        for name in ("matrix_rate", "vector_rate"):
            value, option = getattr(self, name), f"--{name.replace('_', '-')}"
            if not value > 0:
                raise UsageError(f"{option} must be greater than 0, not {value}", f"leave {option} out for the default")
        if self.width < 1 or self.width % self.heads or (self.width // self.heads) % 2:
            width = 2 * self.heads * max(1, round(self.width / (2 * self.heads)))
            message = f"--width must be a multiple of 2 × --heads, {2 * self.heads}, not {self.width}"
            raise UsageError(message, f"--width {width} --heads {self.heads}")
        if self.packs < 1:
            raise UsageError(f"--packs must be at least 1, not {self.packs}", "--packs 2")
        if self.batch_tokens % BLOCK or self.batch_tokens <= 0:
            raise UsageError(
                f"--batch-tokens must be a positive multiple of {BLOCK}, not {self.batch_tokens}", "--batch-tokens 4096"
            )
        if not (self.minutes or self.tokens) or min(self.minutes or 1, self.tokens or 1) <= 0:
            raise UsageError("the training has no budget: --minutes or --tokens must be greater than 0", "--minutes 60")
        check_choice("--weights", self.weights, choices_of(WeightsDtype))
        check_choice("--compute", self.compute, choices_of(ComputeDtype))


def rate_at(share: float, warm_up: float) -> float:
    """Return the learning rate at this share of the budget, relative to its peak: up, then straight down to zero at 1.

    Linear decay to zero: Bergsma et al. 2025, arXiv 2502.15938.
    """
    if share >= 1:
        return 0.0
    return min(share / warm_up if warm_up else 1.0, (1 - share) / (1 - warm_up))


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What a finished training was made from, and its results. ``training.json`` has the same fields."""

    documents: int
    """Documents to learn from; held-out ones are not counted."""
    corpus_tokens: int
    """Tokens to predict in these documents."""
    tokens: int
    """Tokens learned from, repetitions included."""
    epochs: float
    """Passes over the windows."""
    steps: int
    seconds: float
    """Seconds of training, those before a stop included."""
    parameters: int
    """The number of weights."""
    loss: float
    """Nats per token over the last twentieth of the steps."""
    held_out_bits_per_byte: float
    held_out_documents: int
    """Documents that were measured."""
    history: tuple[tuple[float, int, float, float], ...]
    """Share of the budget, tokens, loss in nats per token, held-out bits per byte: one row a measurement."""
