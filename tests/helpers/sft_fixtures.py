"""Fixtures of the tests of SFT: a tiny model, and a small dataset."""

import pytest
from helpers import sft_datasets as sft


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """Gives the folder of a tiny model without a chat template."""
    return sft.tiny(tmp_path_factory.mktemp("model") / "llama")


@pytest.fixture
def maths(tmp_path):
    return sft.write(tmp_path / "maths.jsonl", sft.MATHS[:12])
