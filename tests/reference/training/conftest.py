"""A tokenizer trained once for each file of tests."""

import pytest
from helpers.training import SENTENCES
from tokenizers import Tokenizer

from curate.reference import training


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return training.train_tokenizer(SENTENCES, 320)
