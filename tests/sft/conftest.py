"""Fixtures of helpers that tests of SFT ask for."""

from helpers.sft_fixtures import llama, maths

__all__ = ["llama", "maths"]
