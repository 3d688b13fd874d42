"""Fixtures of helpers that tests of several verbs ask for."""

from helpers.recipe_fixtures import made
from helpers.s3 import bucket, change_host, s3_environment, s3_server
from helpers.sft_fixtures import llama, maths

__all__ = ["bucket", "change_host", "llama", "made", "maths", "s3_environment", "s3_server"]
