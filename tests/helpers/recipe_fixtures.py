"""A scored run with a recipe over it."""

import pytest
from helpers.recipes import FOUR, written
from helpers.runs import numbered_run


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A scored run of eight documents in ``run``, and a recipe over it; the working directory is their folder."""
    monkeypatch.chdir(tmp_path)
    numbered_run(tmp_path, FOUR)
    written(tmp_path, "run: run\nsteps:\n- dedup\n- filter: {max-ppl: 50}\n- export: out\n- status\n")
    return tmp_path
