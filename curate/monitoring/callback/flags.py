"""What a series of evaluations says of a training: it stands still, it overfits, or the held-out text leaked into it.

Each flag is looked at after every evaluation, so that its level is spent over the looks: the m-th look has
``LEVEL / (m (m + 1))``, which adds up to ``LEVEL`` however long a training is. benchmarks/README.md has how often each
fires without a reason.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from curate.monitoring.callback.paired import (
    TrainingHistory,
    Uncertain,
    add_errors,
    measure_fluctuation,
    measure_ratio,
)
from curate.runtime.arrays import Float64Array
from curate.runtime.numbers import format_percent

LEVEL = 0.05
"""The share of trainings without a reason in which a flag may fire."""
ALMOST_NONE = 0.1
"""Nats a token below which a document holds no surprise: the model gives each of its tokens more than 90 %. No English
prose is that predictable for a model that has not seen it: the best models spend some 1.5 nats a token on it."""
SHORTEST = 32
"""Tokens of the shortest document of which that is said."""
MEMORISED_SHARE, MEMORISED_LEAST = 0.01, 3
"""Share, and number, of documents from which on memorised ones are a leak."""


@dataclass(frozen=True, slots=True)
class TrainingFlag:
    """A flag that is up after the latest evaluation."""

    flag: str
    """``plateau``, ``overfit`` or ``leak``."""
    began: int
    """The step at which it began."""
    text: str
    """What was measured, in a sentence."""


def find_flags(history: TrainingHistory, evaluations: int, tolerance: float) -> list[TrainingFlag]:
    """Return the flags that are up after the latest evaluation, in the order of ``FLAGS``.

    ``evaluations`` is over how many a plateau extends, ``tolerance`` the change of perplexity, as a share, that counts
    as none.
    """
    flags = (find(history, evaluations, tolerance) for find in FLAGS.values())
    return [flag for flag in flags if flag is not None]


def find_plateau(history: TrainingHistory, evaluations: int, tolerance: float) -> TrainingFlag | None:
    """Return a flag where the held-out loss stood still over the last ``evaluations``, at least 3, twice in a row.

    A line is fitted to them. Its change from the first to the last must have a 95 % interval that contains 0 and lies
    within ``tolerance`` on both sides (two one-sided tests; Schuirmann, 1987). The error of the slope is that over
    documents, and that of the evaluations around the line, with ``evaluations - 2`` degrees of freedom. The same must
    have been true one evaluation earlier, since it is looked at after each.
    """
    before = _find_flat(history.until(-1), evaluations, tolerance)
    now = None if before is None else _find_flat(history, evaluations, tolerance)
    return None if before is None or now is None else replace(now, began=before.began)


def _find_flat(history: TrainingHistory, evaluations: int, tolerance: float) -> TrainingFlag | None:
    """Return a flag where the last ``evaluations`` are flat, looked at once."""
    if len(history.steps_T) < evaluations:
        return None
    steps, nats = history.steps_T[-evaluations:].astype(np.float64), history.nats_TN[-evaluations:]
    centred = steps - steps.mean()
    weights = centred * (steps[-1] - steps[0]) / float(centred @ centred)  # of the change over the stretch
    change = measure_ratio(weights @ nats, history.tokens_N)
    losses = history.losses[-evaluations:]
    off = losses - losses.mean() - change.value * centred / (steps[-1] - steps[0])
    freedom = evaluations - 2
    around = Uncertain(0.0, math.sqrt(float(off @ off) / freedom), freedom)
    total = add_errors(change.value, (1.0, change), (float(np.sqrt(weights @ weights)), around))
    margin, most = total.margin(LEVEL), math.log1p(tolerance)
    if abs(total.value) > margin or abs(total.value) + margin > most:
        return None
    text = (
        f"held-out perplexity changed by {_spell(total.value)} (95 %: {_spell(total.value - margin)} to "
        f"{_spell(total.value + margin)}) from step {int(steps[0]):,} to {int(steps[-1]):,}"
    )
    return TrainingFlag("plateau", int(steps[0]), text)


def find_overfit(history: TrainingHistory, evaluations: int = 0, tolerance: float = 0.0) -> TrainingFlag | None:
    """Return a flag where the held-out loss rises and that of training falls.

    The last two evaluations must both lie above the lowest one before them, by more than the interval of the change in
    the same documents and of the fluctuation between evaluations, at the level of the look, shared among the
    evaluations of which the lowest was chosen. The losses that the trainer logged since the evaluation before the
    lowest must have a slope whose 95 % interval lies below 0. The two other parameters are not used.
    """
    losses, looks = history.losses, len(history.steps_T) - 2
    if looks < 1:
        return None
    lowest = int(np.argmin(losses[:-2]))
    fluctuation = measure_fluctuation(losses)
    rises = []
    for number in (-2, -1):
        change = measure_ratio(history.nats_TN[number] - history.nats_TN[lowest], history.tokens_N)
        rise = add_errors(change.value, (1.0, change), (math.sqrt(2), fluctuation))
        if rise.value <= rise.margin(2 * LEVEL / (looks * (looks + 1)) / looks):
            return None
        rises.append(rise)
    since = int(history.steps_T[max(0, lowest - 1)])
    if not _falls(history, since):
        return None
    began, best = int(history.steps_T[-2]), int(history.steps_T[lowest])
    text = (
        f"held-out perplexity is {_spell(rises[-1].value)} above that of step {best:,} (95 %: at least "
        f"{_spell(rises[-1].value - rises[-1].margin(2 * LEVEL))}), while the loss of training falls"
    )
    return TrainingFlag("overfit", began, text)


def _falls(history: TrainingHistory, since: int) -> bool:
    """Return whether the losses of training fall after a step: the 95 % interval of their slope is below 0."""
    chosen = history.train_steps > since
    steps, losses = history.train_steps[chosen].astype(np.float64), history.train_losses[chosen]
    if len(steps) < 3:
        return False
    centred = steps - steps.mean()
    slope = float(centred @ losses) / float(centred @ centred)
    off = losses - losses.mean() - slope * centred
    freedom = len(steps) - 2
    error = math.sqrt(float(off @ off) / freedom / float(centred @ centred))
    return slope + Uncertain(slope, error, freedom).margin(LEVEL) < 0


def find_leak(history: TrainingHistory, evaluations: int = 0, tolerance: float = 0.0) -> TrainingFlag | None:
    """Return a flag where the training seems to have read the held-out text. It is a reason to look, not a proof.

    Either is enough:

    - Documents that held surprise at the first evaluation (``ALMOST_NONE`` nats a token or more, in ``SHORTEST`` tokens
      or more) hold almost none now: a share of ``MEMORISED_SHARE``, and ``MEMORISED_LEAST``, of them.
    - The held-out loss lies below that of training, and did not do so as much between the first two evaluations: the
      loss that the trainer logged between two evaluations, less the mean held-out loss of both, is above 0, and above
      what it was first, each by more than its interval at the level of the look. Other text may be easier; it does not
      become easier faster than the text that is learned. At least 3 logged losses between two evaluations are needed.

    The two other parameters are not used.
    """
    return _find_memorised(history) or _find_below_training(history)


def _find_memorised(history: TrainingHistory) -> TrainingFlag | None:
    long = history.tokens_N >= SHORTEST
    first, now = (nats[long] / history.tokens_N[long] for nats in (history.nats_TN[0], history.nats_TN[-1]))
    memorised = int(((first >= ALMOST_NONE) & (now < ALMOST_NONE)).sum())
    if memorised < max(MEMORISED_LEAST, MEMORISED_SHARE * len(now)):
        return None
    share = format_percent(memorised / len(now))
    text = (
        f"{memorised:,} held-out documents ({share}) hold less than {ALMOST_NONE} nats a token, and did not at step "
        f"{int(history.steps_T[0]):,}"
    )
    return TrainingFlag("leak", int(history.steps_T[-1]), text)


def _find_below_training(history: TrainingHistory) -> TrainingFlag | None:
    looks = len(history.steps_T) - 2
    if looks < 1:
        return None
    early, late = (_measure_training(history, number) for number in (1, len(history.steps_T) - 1))
    level = 2 * LEVEL / (looks * (looks + 1))
    held_out = (history.nats_TN[-1] + history.nats_TN[-2]) / 2
    before = (history.nats_TN[0] + history.nats_TN[1]) / 2
    now, change = (measure_ratio(nats, history.tokens_N) for nats in (held_out, held_out - before))
    fluctuation = measure_fluctuation(history.losses)
    below = add_errors(late.value - now.value, (1.0, late), (1.0, now), (math.sqrt(0.5), fluctuation))
    faster = add_errors(
        late.value - early.value - change.value, (1.0, late), (1.0, early), (1.0, change), (1.0, fluctuation)
    )
    if not (below.value > below.margin(level) and faster.value > faster.margin(level)):  # nor where one is unknown
        return None
    text = (
        f"held-out perplexity lies {format_percent(-math.expm1(-below.value), 2)} below that of training, and fell "
        "faster than it"
    )
    return TrainingFlag("leak", int(history.steps_T[-1]), text)


def _measure_training(history: TrainingHistory, number: int) -> Uncertain:
    """Return the mean of the losses of training between an evaluation and the one before; unknown below 3 of them."""
    losses: Float64Array = history.list_train_losses(int(history.steps_T[number - 1]), int(history.steps_T[number]))
    if len(losses) < 3:
        return Uncertain(math.nan, math.inf, 0)
    return Uncertain(float(losses.mean()), float(losses.std(ddof=1)) / math.sqrt(len(losses)), len(losses) - 1)


def _spell(change: float) -> str:
    """Return a change of nats a token as one of perplexity: ``+1.20 %``."""
    return format_percent(math.expm1(change), 2) if change < 0 else f"+{format_percent(math.expm1(change), 2)}"


FLAGS: dict[str, Callable[[TrainingHistory, int, float], TrainingFlag | None]] = {
    "plateau": find_plateau,
    "overfit": find_overfit,
    "leak": find_leak,
}
"""The flags by name, each with its function of a history, the length of a plateau and its tolerance."""
