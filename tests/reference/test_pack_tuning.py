"""How many tokens a pack has: activations near a gigabyte, and halved where there is no room."""

import numpy as np
import pytest
import torch

from curate.reference import load, pack_tuning
from curate.reference.forward_pass.forward import CausalModel
from curate.reference.protocol import ScoringConfig


@pytest.fixture
def plain(folder):
    return load(str(folder("llama")), ScoringConfig(exact=True))


@pytest.mark.parametrize(
    ("hidden", "inner", "wanted"), [(576, 1536, 65536), (896, 4864, 16384), (2048, 8192, 8192), (4096, 14336, 8192)]
)
def test_the_activations_of_a_pack_stay_near_a_gigabyte_whatever_the_model(plain, hidden, inner, wanted):
    from dataclasses import replace

    from curate.reference.checkpoints.checkpoint import open_checkpoint

    checkpoint = open_checkpoint("builtin", None, False, torch.bfloat16)
    checkpoint.model.config.hidden_size, checkpoint.model.config.intermediate_size = hidden, inner
    assert pack_tuning.choose_pack(replace(checkpoint), torch.device("cuda")) == wanted
    assert pack_tuning.choose_pack(checkpoint, torch.device("cpu")) == pack_tuning.CPU_PACK


def test_packs_that_a_trial_has_no_room_for_are_halved(plain, monkeypatch):
    tried = []

    def nats(self, pack_):
        tried.append(pack_.num_positions)
        if pack_.num_positions > 1024:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return np.zeros(pack_.tokens, np.float32)

    monkeypatch.setattr(CausalModel, "nats", nats)
    assert pack_tuning.fit_packs(plain.runner, 4096) == 1024 and tried == [4096, 2048, 1024]
    assert plain.runner.sizes == (1024, 256, 64)
    monkeypatch.setattr(CausalModel, "nats", lambda self, pack_: (_ for _ in ()).throw(RuntimeError("no kernel image")))
    with pytest.raises(RuntimeError, match="no kernel image"):
        pack_tuning.fit_packs(plain.runner, 4096)


@pytest.mark.parametrize(("name", "wanted"), [("cuda", 0), ("cuda:1", torch.device("cuda:1"))])
def test_cuda_without_a_number_is_the_current_device(plain, monkeypatch, name, wanted):
    """torch.cuda.set_device refuses a device without an index."""
    from curate.reference.checkpoints.checkpoint import open_checkpoint

    seen = []
    checkpoint = open_checkpoint("builtin", None, False, torch.float32)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_device", seen.append)
    monkeypatch.setattr(type(checkpoint.model), "to", lambda self, device: self)
    pack_tuning.move_to_device(checkpoint, torch.device(name))
    assert seen == [wanted]
