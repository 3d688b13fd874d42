"""How far half precision moves the perplexity of a document, and how far it may.

A token's nats in bf16 lie some .05 from those in float32, now above, now below; over the tokens of a document that
averages out. So what is measured, in prose, and limited is the error of a *document*: what all documents share (the
bias), and what falls as one over the root of their tokens (the spread).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.runtime.arrays import Float64Array

DOCUMENT = 200
"""Tokens of the document whose error is stated: the median of what corpora hold."""
MOST = 0.01
"""Of its perplexity, by which half precision may move it (rms)."""
MOST_BIAS = 0.003
"""Nats a token by which half precision may move all documents alike."""
BLOCK = 32
"""Tokens whose differences are summed up: errors of neighbours are alike, and do not cancel as independent ones do."""


@dataclass(frozen=True, slots=True)
class HalfPrecisionError:
    """How the nats of a dtype differ from float32's. Infinite where one of them is not finite."""

    bias: float
    """Mean difference of a token, in nats."""
    bias_error: float
    """Standard error of ``bias``."""
    spread: float
    """Root of the mean squared difference of a sum, bias taken out, over the root of its tokens, in nats."""
    tokens: int
    """Tokens that were compared."""

    def relative(self, tokens: int = DOCUMENT) -> float:
        """Return by which share the perplexity of a document of so many tokens is off (rms)."""
        return math.expm1(min(math.hypot(self.bias, self.spread / math.sqrt(tokens)), 100.0))

    @property
    def is_small(self) -> bool:
        """Whether documents are near enough: within ``MOST``, and no bias that is clearly beyond ``MOST_BIAS``."""
        return self.relative() <= MOST and abs(self.bias) - self.bias_error <= MOST_BIAS

    def describe(self, dtype: str) -> str:
        """Return it in words: ``bf16: perplexity of 200 tokens within 0.4% of fp32 (bias +0.1%)``."""
        if not math.isfinite(self.bias):
            return f"{dtype} gives no numbers"
        off, bias = 100 * self.relative(), 100 * math.expm1(self.bias)
        return f"{dtype}: perplexity of {DOCUMENT} tokens within {off:.2g}% of fp32 (bias {bias:+.1g}%)"


def compare_precision(measured: Sequence[Float64Array], truth: Sequence[Float64Array]) -> HalfPrecisionError:
    """Return how the nats of the tokens of some texts differ from float32's; the arrays pair up."""
    differences = [half - full for half, full in zip(measured, truth, strict=True)]
    every = np.concatenate(differences)
    if not np.isfinite(every).all():
        return HalfPrecisionError(math.inf, math.inf, math.inf, len(every))
    bias = float(every.mean())
    sums = [
        float((block - bias).sum()) for text in differences for block in np.split(text, range(BLOCK, len(text), BLOCK))
    ]
    spread = math.sqrt(sum(one * one for one in sums) / len(every))
    return HalfPrecisionError(bias, spread / math.sqrt(len(every)), spread, len(every))
