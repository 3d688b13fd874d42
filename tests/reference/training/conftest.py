"""A tokenizer trained once for each file of tests."""

import pytest
from helpers.training import SENTENCES
from tokenizers import Tokenizer

from curate.reference.training.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(SENTENCES, 320)
