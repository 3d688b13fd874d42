"""What the numbers mean: sums of nats, divided once, here.

For one text with ``bytes`` bytes of UTF-8 and text tokens t_1 … t_n

    nats          = sum of -ln p(t_i | prefix, t_<i)      natural logarithm
    perplexity    = exp(nats / tokens)                    only comparable under one tokenizer
    bits_per_byte = nats / (ln 2 * bytes)                 comparable across tokenizers

and for a corpus the same formulas over the sums, so that parts add up. The mean of the documents' perplexities is a
different number with a different name.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from curate.runtime.arrays import BoolArray, Float64Array, Int32Array, Int64Array

LN2 = float(np.log(2.0))


def perplexity(nats: ArrayLike, tokens: ArrayLike) -> Float64Array:
    """Return exp(nats / tokens), elementwise; NaN where there are no tokens.

    A finite but enormous mean overflows to infinity; that takes 709 nats a token, which no vocabulary has.
    """
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(_ratio(nats, tokens)))


def bits_per_byte(nats: ArrayLike, num_bytes: ArrayLike) -> Float64Array:
    """Return nats / (ln 2 · bytes), elementwise; NaN where there are no bytes.

    ``num_bytes`` are those of the scored tokens (``Likelihoods.scored_bytes``).
    """
    return np.asarray(_ratio(nats, num_bytes) / LN2)


def _ratio(numerator: ArrayLike, denominator: ArrayLike) -> Float64Array:
    above = np.asarray(numerator, dtype=np.float64)
    below = np.asarray(denominator, dtype=np.float64)
    ratio = np.full(np.broadcast(above, below).shape, np.nan)
    np.divide(above, below, out=ratio, where=below > 0)
    return ratio


@dataclass(frozen=True, slots=True)
class Passage:
    """A text to score: ``target``, after a ``context`` that is read first and not scored."""

    target: str
    context: str = ""


@dataclass(slots=True)
class Likelihoods:
    """One row a passage, in the order of the passages; all arrays and lists have the same length N."""

    nats: Float64Array
    """Sum over the scored tokens of the target; NaN where ``status`` is not ``ok``."""
    tokens: Int64Array
    """Scored tokens; 0 where ``status`` is not ``ok``."""
    text_tokens: Int64Array
    """All tokens of the target, scored or not; 0 where ``status`` is not ``ok``."""
    scored_bytes: Int64Array
    """UTF-8 bytes that the scored tokens spell: fewer than the text has where it was truncated, or where there is no
    prefix and the first token is not scored."""
    windows: Int32Array
    """Windows that the text was cut into."""
    truncated: BoolArray
    """Whether tokens were cut off the end."""
    first_nats: Float64Array
    """Nats of the first text token; NaN without a prefix."""
    max_nats: Float64Array
    """Nats of the most surprising token."""
    status: list[str] = field(default_factory=list)
    """``ok``, or why there are no numbers: ``unscorable`` where the text gives no token that can be predicted,
    ``too_long`` above the limit, ``not_finite`` where the model gave NaN or infinity."""
    reason: list[str | None] = field(default_factory=list)
    """``status`` in words; None where it is ``ok``."""
    sums: dict[str, Float64Array] = field(default_factory=dict)
    """Further sums that were asked for, by their names as columns of the scores: N, or N×B for numbers in bins; NaN in
    rows where they were not measured (``reference.measures``)."""

    @classmethod
    def blank(cls, count: int) -> "Likelihoods":
        """Return ``count`` rows without numbers, with status ``ok``."""
        return cls(
            nats=np.full(count, np.nan),
            tokens=np.zeros(count, np.int64),
            text_tokens=np.zeros(count, np.int64),
            scored_bytes=np.zeros(count, np.int64),
            windows=np.zeros(count, np.int32),
            truncated=np.zeros(count, np.bool_),
            first_nats=np.full(count, np.nan),
            max_nats=np.full(count, np.nan),
            status=["ok"] * count,
            reason=[None] * count,
        )

    def refuse(self, row: int, status: str, reason: str) -> None:
        """Set the status and reason of one row, and remove its numbers."""
        self.status[row], self.reason[row] = status, reason
        self.nats[row] = self.first_nats[row] = self.max_nats[row] = np.nan
        self.tokens[row] = self.text_tokens[row] = self.scored_bytes[row] = 0

    def write_sums(self, name: str, rows: Int64Array, values: Float64Array) -> None:
        """Write a further sum of some rows; those that were never written are NaN."""
        if name not in self.sums:
            self.sums[name] = np.full((len(self.nats), *values.shape[1:]), np.nan)
        self.sums[name][rows] = values


def token_nats(logits_NV: ArrayLike, targets_N: Sequence[int] | Int64Array) -> Float64Array:
    """Return -ln softmax(logits)[target] of each row, N in float64: the definition, for tests and small checks."""
    logits = np.asarray(logits_NV, dtype=np.float64)
    top = logits.max(axis=-1, keepdims=True)
    log_sum = np.log(np.exp(logits - top).sum(axis=-1)) + top[..., 0]
    return np.asarray(log_sum - logits[np.arange(len(logits)), np.asarray(targets_N)])
