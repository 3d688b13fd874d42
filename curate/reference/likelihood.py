"""What the numbers mean: sums of nats, divided once, here.

For one text with ``bytes`` octets of UTF-8 and text tokens t_1 … t_n

    nats          = sum of -ln p(t_i | prefix, t_<i)      natural logarithm
    perplexity    = exp(nats / tokens)                    only comparable under one tokenizer
    bits_per_byte = nats / (ln 2 * bytes)                 comparable across tokenizers

and for a corpus the same formulas over the sums, so that parts add up. The mean of the documents' perplexities is
another number, and goes by its own name.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

LN2 = float(np.log(2.0))


def perplexity(nats: ArrayLike, tokens: ArrayLike) -> NDArray[np.float64]:
    """exp(nats / tokens), elementwise; NaN where there are no tokens, never 0 or infinity for want of a measurement.

    A finite but enormous mean overflows to infinity; that takes 709 nats a token, which no vocabulary has.
    """
    mean = _ratio(nats, tokens)
    return np.asarray(np.exp(mean))


def bits_per_byte(nats: ArrayLike, octets: ArrayLike) -> NDArray[np.float64]:
    """nats / (ln 2 · bytes), elementwise; NaN where there are no bytes. The bytes are those of the scored tokens."""
    return np.asarray(_ratio(nats, octets) / LN2)


def _ratio(numerator: ArrayLike, denominator: ArrayLike) -> NDArray[np.float64]:
    above = np.asarray(numerator, dtype=np.float64)
    below = np.asarray(denominator, dtype=np.float64)
    found = np.full(np.broadcast(above, below).shape, np.nan)
    np.divide(above, below, out=found, where=below > 0)
    return found


@dataclass(frozen=True, slots=True)
class Passage:
    """What is scored: a ``target``, after a ``context`` that is read first and costs nothing."""

    target: str
    context: str = ""


@dataclass(slots=True)
class Likelihoods:
    """One row a passage, in the order of the passages; all arrays have the same length N.

    ``status`` is ``ok``, or why there are no numbers (then the sums are NaN and 0): ``unscorable`` when the text gives
    no token that could be predicted, ``too_long`` above the limit, ``not_finite`` when the model gave NaN or infinity.
    ``scored_bytes`` are the octets that the scored tokens spell: less than the text's when it was truncated, or when
    there is no prefix and the first token goes unscored.
    """

    nats: NDArray[np.float64]  # N
    tokens: NDArray[np.int64]  # N
    scored_bytes: NDArray[np.int64]  # N
    windows: NDArray[np.int32]  # N
    truncated: NDArray[np.bool_]  # N
    first_nats: NDArray[np.float64]  # N, nats of the first text token, NaN without a prefix
    max_nats: NDArray[np.float64]  # N, the most surprising token
    status: list[str] = field(default_factory=list)
    reason: list[str | None] = field(default_factory=list)

    @classmethod
    def blank(cls, count: int) -> "Likelihoods":
        """N rows that hold nothing yet."""
        return cls(
            nats=np.full(count, np.nan),
            tokens=np.zeros(count, np.int64),
            scored_bytes=np.zeros(count, np.int64),
            windows=np.zeros(count, np.int32),
            truncated=np.zeros(count, np.bool_),
            first_nats=np.full(count, np.nan),
            max_nats=np.full(count, np.nan),
            status=["ok"] * count,
            reason=[None] * count,
        )

    def refuse(self, row: int, status: str, reason: str) -> None:
        """Take one row out: no numbers, and why."""
        self.status[row], self.reason[row] = status, reason
        self.nats[row] = self.first_nats[row] = self.max_nats[row] = np.nan
        self.tokens[row] = self.scored_bytes[row] = 0


def token_nats(logits_NV: ArrayLike, targets_N: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
    """-ln softmax(logits)[target] of each row in float64: the definition, for tests and small checks."""
    logits = np.asarray(logits_NV, dtype=np.float64)
    top = logits.max(axis=-1, keepdims=True)
    log_sum = np.log(np.exp(logits - top).sum(axis=-1)) + top[..., 0]
    return np.asarray(log_sum - logits[np.arange(len(logits)), np.asarray(targets_N)])
