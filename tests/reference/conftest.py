"""Tiny models of many kinds, made once."""

import json

import pytest
from helpers import models


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Gives the folder of a tiny model of a kind, made once."""
    root, made = tmp_path_factory.mktemp("models"), {}

    def get(kind, **changes):
        key = kind + json.dumps(changes, sort_keys=True)
        if key not in made:
            made[key] = models.save(root / str(len(made)), kind, **changes)
        return made[key]

    return get
