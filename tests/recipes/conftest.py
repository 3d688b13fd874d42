"""Fixtures of helpers that tests of recipes ask for."""

from helpers.recipe_fixtures import made

__all__ = ["made"]
