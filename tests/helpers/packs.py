"""Batches of a few texts, sizes of packs for them, and whether two readings have the same numbers."""

import numpy as np

from curate.reference.likelihood import Passage

SIZES = (256, 64, 16)
TEXTS = [
    "hello world",
    "a",
    "Größe 東京 🙂 and more words",
    "def f(x):\n    return x + 1\n" * 5,
    "the same words " * 40,
]


def batches_of(count):
    return [[Passage(text + f" {number}") for text in TEXTS[: 1 + number % len(TEXTS)]] for number in range(count)]


def same(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.nats, other.nats, rtol=2e-6)
        assert one.tokens.tolist() == other.tokens.tolist() and one.status == other.status
