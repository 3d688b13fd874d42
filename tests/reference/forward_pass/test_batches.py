"""Packs that are filled up to a fixed size: the filling changes no number."""

import pytest
from helpers import models
from helpers.packs import SIZES, TEXTS, batches_of, same

from curate.reference import load
from curate.reference.forward_pass.forward import CausalModel
from curate.reference.likelihood import Passage
from curate.reference.protocol import ScoringConfig


@pytest.mark.parametrize("kind", ["llama", "gpt2", "mistral", "gemma2"])
def test_the_filling_of_a_pack_changes_no_number(tmp_path, kind):
    """Exact mode, so that a leak from the filling would show."""
    reference = load(str(models.save(tmp_path / kind, kind)), ScoringConfig(exact=True))
    wanted = list(reference.score(iter(batches_of(5))))
    seen, real = [], CausalModel.nats
    reference.runner.sizes = SIZES
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CausalModel, "nats", lambda self, pack: (seen.append(pack.num_positions), real(self, pack))[1])
        found = list(reference.score(iter(batches_of(5))))
    same(found, wanted)
    assert set(seen) <= set(SIZES) and len(set(seen)) >= 2


def test_a_window_longer_than_a_pack_takes_whole_multiples(folder):
    reference = load(str(folder), ScoringConfig(exact=True, window=60))
    wanted = list(reference.score([[Passage(TEXTS[4])]]))
    reference.runner.sizes = (16, 4)
    same(list(reference.score([[Passage(TEXTS[4])]])), wanted)
