"""Names of models that were scored in training: ``live:NAME@STEP``. They name numbers, not weights that can be loaded.

Tables of scores have such a name in their identity, so that whatever would load the model again is told why it cannot.
"""

import re

from curate.errors import ModelError

PREFIX = "live:"
NAME = re.compile(r"live:(?P<name>.+)@(?P<step>\d+)", re.DOTALL)


def spell_live_name(name: str, step: int) -> str:
    """Return the name of a model at a step of its training: ``live:smollm2@500``."""
    return f"{PREFIX}{name}@{step}"


def is_live_name(name: str) -> bool:
    """Return whether a name is that of a model that was scored in training."""
    return NAME.fullmatch(name) is not None


def refuse_live_name(name: str) -> None:
    """Raise ModelError for the name of a model that was scored in training: its weights have moved on since."""
    if (match := NAME.fullmatch(name)) is not None:
        message = f"{name} was scored in training, at step {match['step']}, and its weights were not kept"
        raise ModelError(message, "save a checkpoint at that step, and name its folder: --model CHECKPOINT")
