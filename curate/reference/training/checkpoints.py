"""Checkpoints: what a stopped or killed training goes on from."""

from pathlib import Path

import torch

from curate.reference.training.folder import replacing
from curate.reference.training.learner import Learner


def save_checkpoint(learner: Learner, path: Path) -> None:
    """Weights, optimisers and place, written beside and renamed."""
    state = {"model": learner.model.state_dict(), "muon": learner.muon.averages, "adam": learner.adam.state_dict()}
    with replacing(path) as file:
        torch.save({**state, "counters": learner.counters()}, file)


def load_checkpoint(learner: Learner, path: Path) -> None:
    """Put the learner where the last checkpoint was; nothing happens when there is none."""
    if not path.exists():
        return
    state = torch.load(path, map_location=learner.device, weights_only=True)
    learner.model.load_state_dict(state["model"])
    learner.adam.load_state_dict(state["adam"])
    learner.muon.averages = state["muon"]
    for name, value in state["counters"].items():
        setattr(learner, name, value)
