"""From the documents of several evaluations, and the log of a trainer, to the history that flags are found in."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from curate.monitoring.callback.evaluate import DocumentSums
from curate.monitoring.callback.paired import TrainingHistory


def make_history(
    step_to_sums: Mapping[int, DocumentSums], log_history: Sequence[Mapping[str, Any]]
) -> TrainingHistory | None:
    """Return the history of the documents that were scored at every step, by the order of steps; None without any.

    A document is the same where its file, row and text are, and as many of its tokens were scored.
    ``log_history`` is that of a trainer's state; its entries with a ``loss`` are those of training.
    """
    steps = sorted(step_to_sums)
    places = [
        {(key, tokens): at for at, (key, tokens) in enumerate(zip(sums.keys, sums.tokens_N.tolist(), strict=True))}
        for sums in (step_to_sums[step] for step in steps)
    ]
    if not places:
        return None
    shared = [key for key in places[0] if all(key in each for each in places[1:])]
    if not shared:
        return None
    chosen = [np.array([each[key] for key in shared]) for each in places]
    nats_TN = np.stack([step_to_sums[step].nats_N[at] for step, at in zip(steps, chosen, strict=True)])
    tokens_N = step_to_sums[steps[0]].tokens_N[chosen[0]]
    logged = [(int(each["step"]), float(each["loss"])) for each in log_history if "loss" in each and "step" in each]
    train_steps, train_losses = np.array(logged or np.zeros((0, 2))).reshape(-1, 2).T
    return TrainingHistory(np.array(steps), nats_TN, tokens_N, train_steps.astype(np.int64), train_losses)
