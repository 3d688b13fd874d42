"""Exports are loaded with datasets, so each test here has a cache of its own."""

import pytest


@pytest.fixture(autouse=True)
def _own_cache(own_cache):
    pass
