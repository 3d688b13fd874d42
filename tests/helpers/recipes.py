"""Recipes in files, read and run."""

import pytest

from curate.errors import UsageError
from curate.recipes.parameters import read_parameters
from curate.recipes.recipe import read_recipe
from curate.verbs.run import load_functions

VERBS = {verb: read_parameters(function) for verb, function in load_functions().items()}
FOUR = [{"perplexity": 10.0 * (n + 1), "tokens": 5} for n in range(8)]


def written(folder, text):
    path = folder / "r.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def read(folder, text, *settings):
    return read_recipe(written(folder, text), VERBS, settings)


def mistakes(folder, text, *settings):
    with pytest.raises(UsageError) as caught:
        read(folder, text, *settings)
    assert caught.value.exit_code == 2 and caught.value.hint
    return caught.value.message


def states(course):
    return [step.state for step in course.steps]
