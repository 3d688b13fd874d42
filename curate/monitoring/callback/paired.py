"""Losses of one set of documents at several steps of a training, and how sure their changes are.

A loss is a ratio of sums: nats over tokens. Documents are the same at every step, so that a change is measured in each,
and its error is that of a ratio of sums over documents: √(N/(N−1) · Σ r²) / Σ w, with r the change of a document less
the change of all times its tokens w (Cochran, Sampling Techniques, 1977, 2.11). That is how far it may be off for other
documents of their kind. What all documents share, as the noise of a late learning rate, shows only from one step to the
next: ``measure_fluctuation``.

Shapes: T evaluations, N documents.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from curate.runtime.arrays import Float64Array, Int64Array


@dataclass(frozen=True, slots=True)
class Uncertain:
    """A number with its standard error, in nats a token, and the degrees of freedom of the error."""

    value: float
    error: float
    freedom: float

    def margin(self, level: float) -> float:
        """Return how far it may lie from the truth with a probability of ``1 - level``, on both sides together.

        By Student's t; infinite without degrees of freedom.
        """
        from scipy.special import stdtrit

        if self.error == 0.0:
            return 0.0
        if self.freedom <= 0 or not math.isfinite(self.error):
            return math.inf
        return float(self.error * stdtrit(self.freedom, 1 - level / 2))


@dataclass(frozen=True, slots=True)
class TrainingHistory:
    """What was measured of a training so far."""

    steps_T: Int64Array
    """The steps of the evaluations, rising."""
    nats_TN: Float64Array
    """Nats of each document at each."""
    tokens_N: Float64Array
    """Scored tokens of each document, above 0."""
    train_steps: Int64Array
    """The steps at which the trainer logged a loss, rising."""
    train_losses: Float64Array
    """These losses, each the mean since the one before."""

    @property
    def losses(self) -> Float64Array:
        """Nats a token at each evaluation."""
        losses: Float64Array = self.nats_TN.sum(1) / self.tokens_N.sum()
        return losses

    def until(self, stop: int) -> "TrainingHistory":
        """Return the history with the evaluations before ``stop`` alone; negative as in slices."""
        return replace(self, steps_T=self.steps_T[:stop], nats_TN=self.nats_TN[:stop])

    def list_train_losses(self, after: int, until: int) -> Float64Array:
        """Return the losses of training that were logged after one step and until another one."""
        return self.train_losses[(self.train_steps > after) & (self.train_steps <= until)]


def measure_ratio(nats_N: Float64Array, tokens_N: Float64Array) -> Uncertain:
    """Return Σ nats / Σ tokens with its error over documents; ``nats_N`` may be a difference of two steps."""
    count, total = len(tokens_N), float(tokens_N.sum())
    value = float(nats_N.sum()) / total
    if count < 2:
        return Uncertain(value, math.inf, 0)
    residuals_N = nats_N - value * tokens_N
    return Uncertain(value, math.sqrt(count / (count - 1) * float(residuals_N @ residuals_N)) / total, count - 1)


def measure_fluctuation(losses_T: Float64Array) -> Uncertain:
    """Return 0 with the error that one evaluation has of the trend of its neighbours: what all documents share.

    From third differences, −x₋₁ + 3x − 3x₊₁ + x₊₂, whose mean square is 20σ² for independent noise, whatever the slope
    and the bend: a loss that falls steeply at first bends much, and is not noisy for that (Gasser, Sroka &
    Jennen-Steinmetz, 1986). Of three or four evaluations from second differences, whose mean square is 6σ².
    """
    if len(losses_T) < 3:
        return Uncertain(0.0, math.inf, 0)
    if len(losses_T) < 5:
        bends = np.diff(losses_T, 2)
        freedom = len(bends) * 18 / 35  # neighbours share evaluations: their correlations are −2/3 and 1/6
        return Uncertain(0.0, math.sqrt(float(bends @ bends) / (6 * len(bends))), max(1.0, freedom))
    twists = np.diff(losses_T, 3)
    freedom = len(twists) * 200 / 462  # likewise: −3/4, 3/10 and −1/20
    return Uncertain(0.0, math.sqrt(float(twists @ twists) / (20 * len(twists))), max(1.0, freedom))


def add_errors(value: float, *parts: tuple[float, Uncertain]) -> Uncertain:
    """Return a number with the errors of independent parts, each with its factor (Satterthwaite, 1946)."""
    squares = [(factor * part.error) ** 2 for factor, part in parts]
    total = sum(squares)
    if total == 0.0 or not math.isfinite(total):
        return Uncertain(value, math.sqrt(total), 0 if total else math.inf)
    spread = sum(
        square**2 / part.freedom if part.freedom > 0 else math.inf
        for square, (_, part) in zip(squares, parts, strict=True)
        if square
    )
    return Uncertain(value, math.sqrt(total), total**2 / spread)
