"""Metrics of a callback into the logs of its trainer: the history of its state, and every service that it reports to.

A callback is not given its trainer, and ``TrainerControl`` cannot carry numbers. The handler that calls it knows the
callbacks that report (TensorBoard, W&B, MLflow …), and has ``on_log``, as ``Trainer.log`` uses it. It is found in the
stack. ``Trainer.log`` itself is not called: that of TRL would empty the averages that it is about to log.
"""

import re
import sys
from collections.abc import Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any

from transformers.trainer_callback import CallbackHandler

if TYPE_CHECKING:
    from curate.monitoring.callback.series import Evaluation

PREFIX = "eval_curate"
"""What the name of every metric begins with; services show ``eval_`` as a group ``eval/``."""
MOST_DOMAINS = 40
"""Domains whose perplexity is logged, those with the most tokens; the tables have all."""
UNUSUAL = re.compile(r"[^\w.\- ]")
"""Characters that not every service allows in the name of a metric."""


def name_metrics(evaluation: "Evaluation", flags: Mapping[str, bool]) -> dict[str, float]:
    """Return the metrics of an evaluation by name: ``eval_curate/perplexity``, ``…/perplexity/DOMAIN``, ``…/overfit``.

    Those of a corpus with a name begin with ``eval_curate/NAME``.
    """
    from curate.reference.likelihood import perplexity

    begin = PREFIX if evaluation.corpus is None else f"{PREFIX}/{UNUSUAL.sub('_', evaluation.corpus)}"
    metrics = {
        f"{begin}/perplexity": evaluation.perplexity,
        f"{begin}/bits_per_byte": evaluation.bits_per_byte,
        f"{begin}/seconds": evaluation.seconds,
    }
    metrics |= {f"{begin}/{flag}": float(is_up) for flag, is_up in flags.items()}
    ordered = sorted(evaluation.domains.items(), key=lambda item: -item[1].scored_tokens)
    for domain, sums in ordered[:MOST_DOMAINS]:
        name = f"{begin}/perplexity/{UNUSUAL.sub('_', domain)}"
        while name in metrics:
            name += "_"
        metrics[name] = float(perplexity(sums.nats, sums.scored_tokens))
    return metrics


def log_metrics(arguments: Any, state: Any, control: Any, metrics: Mapping[str, float]) -> bool:
    """Log metrics at the step of a state; return whether the services were reached, and not the history alone.

    ``arguments``, ``state`` and ``control`` are what a callback is given. What the trainer was about to do stays.
    """
    logs = dict(metrics) if state.epoch is None else {**metrics, "epoch": state.epoch}
    state.log_history.append({**logs, "step": state.global_step})
    handler = find_handler(sys._getframe())
    if handler is None:
        return False
    should_log = control.should_log  # which ``on_log`` takes as done
    handler.on_log(arguments, state, control, logs)
    control.should_log = should_log
    return True


def find_handler(frame: FrameType | None) -> Any:
    """Return the handler of callbacks that is calling, from a frame of the stack upwards; None where none is."""
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, CallbackHandler):
            return owner
        frame = frame.f_back
    return None
