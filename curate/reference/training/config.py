"""What a training is told and what it comes to: the recipe with its budget, the schedule, and the summary.

Everything that has a part in the result is in ``TrainingConfig``, in the corpus and in the checkpoint, so that under a
budget of tokens a stopped training goes on to the very weights that it would have had.
"""

from dataclasses import dataclass

from curate.errors import UsageError
from curate.reference.training.packs import BLOCK
from curate.reference.training.tokenizer import ALPHABET, END_OF_TEXT


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Everything about a training, apart from the text, that has a part in the resulting weights."""

    vocabulary: int = 8192
    context: int = 1024
    width: int = 256
    layers: int = 4
    heads: int = 4
    minutes: float | None = 60.0
    "The budget in time; given with ``tokens``, the one that is spent first ends the training."
    tokens: int | None = None
    "The budget in tokens read."
    document_tokens: int | None = None
    "Read no more than this of one document, so that long ones do not crowd out the rest."
    balance: str | None = None
    "The column whose values are heard by the root of their share, small ones several times in a pass."
    batch_tokens: int = 4096
    packs: int = 2
    "Parts of a step that are read side by side, each by its share of the cores; gradients are added in order."
    matrix_rate: float = 0.02
    vector_rate: float = 0.006
    warm_up: float = 0.02
    "Share of the budget over which the rate rises."
    held_out_every: int = 200
    "One document of so many, chosen by its hash, is never trained on; 0 when another set is measured."
    tokenizer_bytes: int = 64_000_000
    seed: int = 0
    compute: str = "auto"
    "Arithmetic of the matrix products: bfloat16, float32, or auto (bfloat16 where the machine has it)."
    weights: str = "bfloat16"
    "How the finished weights are written."

    def __post_init__(self) -> None:
        if self.vocabulary <= ALPHABET:
            raise UsageError(f"a vocabulary of {self.vocabulary} has no room for the 256 bytes and {END_OF_TEXT}")
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise UsageError(f"a width of {self.width} does not divide into {self.heads} heads of even size")
        if self.packs < 1:
            raise UsageError(f"a step cannot be read in {self.packs} packs", "--packs 2")
        if self.batch_tokens % BLOCK or self.batch_tokens <= 0:
            raise UsageError(f"a step of {self.batch_tokens} tokens is no multiple of {BLOCK}", "--batch-tokens 4096")
        if not (self.minutes or self.tokens) or min(self.minutes or 1, self.tokens or 1) <= 0:
            raise UsageError("the training has no budget", "curate train-reference … --minutes 60")
        if self.weights not in ("bfloat16", "float32") or self.compute not in ("auto", "bfloat16", "float32"):
            raise UsageError("weights and arithmetic are bfloat16 or float32 (arithmetic also auto)")


def rate_at(share: float, warm_up: float) -> float:
    """The rate of learning at this share of the budget, relative to its peak: up, then straight down to zero at 1.

    Linear decay to zero: Bergsma et al. 2025, arXiv 2502.15938.
    """
    if share >= 1:
        return 0.0
    return min(share / warm_up if warm_up else 1.0, (1 - share) / (1 - warm_up))


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What a finished training was made from and came to."""

    documents: int
    corpus_tokens: int
    tokens: int
    "Tokens learned from, repetitions included."
    epochs: float
    steps: int
    seconds: float
    parameters: int
    loss: float
    "Nats per token over the last twentieth of the steps."
    held_out_bits_per_byte: float
    held_out_documents: int
    history: tuple[tuple[float, int, float, float], ...]
    "Share of the budget, tokens, loss in nats per token, held-out bits per byte: one row a measurement."
