"""A made-up Hub for the tests of eval sets."""

from types import SimpleNamespace

import datasets
import huggingface_hub
import pytest
from helpers.evalsets import COMMIT


@pytest.fixture
def hub(monkeypatch):
    """A Hub of whatever the test puts in ``rows``: split as the corpus spells it → rows. ``asked`` has every load."""

    state = SimpleNamespace(rows={}, asked=[], sha=COMMIT, error=None, checksums=None)

    def load(path, name=None, *, split, revision):
        state.asked.append((path, name, split, revision))
        if state.error is not None:
            raise state.error
        found = datasets.Dataset.from_list(state.rows[f"{path}@{name}:{split}" if name else f"{path}:{split}"])
        found.info.download_checksums = state.checksums
        return found

    class Api:
        def dataset_info(self, name, revision=None):
            if state.sha is None:
                raise ConnectionError("out of reach")
            return huggingface_hub.hf_api.DatasetInfo(id=name, sha=state.sha, tags=[])

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    return state
