"""Fixtures of helpers that tests of several verbs ask for."""

from helpers.recipe_fixtures import made
from helpers.sft_fixtures import llama, maths

__all__ = ["llama", "made", "maths"]
