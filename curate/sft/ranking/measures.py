"""What a dataset of instructions can be ranked by: each measure as a ratio of two sums over its examples.

Every example gives sums over its tokens (``SUMS``): nats are Σ −ln p. From these come two numbers an example for each
measure, and

    measure = change(Σ above / Σ below)

with ``change`` exp, division by ln 2, or none. Thus a measure of any choice of examples, drawn with repetition or not,
needs only the summed columns: the whole bootstrap is one matrix product.

An example that has no number for a measure (no tokens; no unconditional nats; a NaN among its sums) counts neither
above nor below, for that measure alone, and ``count_measured`` says how many are left. A pass that was not run is a
column of NaN. Measures of nothing are NaN. Infinite nats are no lack of a number: they give an infinite measure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Sums = Mapping[str, Floats]

LN2 = float(np.log(2.0))
SUMS = (
    "nats",  # of the scored response tokens, given the prompt
    "tokens",  # as many
    "content_nats",  # without control tokens, such as the end of turn, which spell nothing
    "bytes",  # of UTF-8 that the same tokens spell
    "unconditional_nats",  # of the same tokens, without the prompt
    "ranks",  # Σ min(rank, 100), rank 1 the most likely token
    "first_nats",  # of the first 64 scored tokens
    "first_tokens",
    "full_nats",  # of all tokens of the rendered example
    "full_tokens",
)


@dataclass(frozen=True, slots=True)
class RankingMeasure:
    """One way to rank datasets, as two columns over the examples."""

    name: str
    meaning: str
    unit: str
    lower_is_better: bool
    """Whether lower comes first. Where not, no direction is claimed: neither end is better."""
    above: str
    below: str
    change: Callable[[Floats], Floats]
    source: str = ""


def _same(ratio: Floats) -> Floats:
    return ratio


def _to_bits(ratio: Floats) -> Floats:
    return ratio / LN2


def _exponentiate(ratio: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(ratio))


MEASURES = {
    measure.name: measure
    for measure in (
        RankingMeasure(
            "perplexity",
            "perplexity of the responses given their prompts, each token weighing the same",
            "",
            True,
            "nats",
            "tokens",
            _exponentiate,
            "arXiv 2506.14681",
        ),
        RankingMeasure(
            "mean_perplexity",
            "mean of the responses' perplexities, each example weighing the same",
            "",
            True,
            "perplexity",
            "one",
            _same,
        ),
        RankingMeasure(
            "bits_per_byte",
            "bits a byte of response, comparable across tokenizers",
            "bits/byte",
            True,
            "content_nats",
            "bytes",
            _to_bits,
        ),
        RankingMeasure(
            "unconditional_nats",
            "nats a response token without the prompt",
            "nats/token",
            False,
            "unconditional_nats",
            "tokens",
            _same,
        ),
        RankingMeasure(
            "ifd_ppl",
            "mean of perplexity with the prompt over perplexity without it; above 1 the prompt does not help",
            "",
            False,
            "ifd_ppl",
            "one",
            _same,
            "arXiv 2402.00530",
        ),
        RankingMeasure(
            "ifd_loss",
            "mean of nats with the prompt over nats without it; above 1 the prompt does not help",
            "",
            False,
            "ifd_loss",
            "one",
            _same,
            "arXiv 2308.12032",
        ),
        RankingMeasure(
            "rsr",
            "rank-surprisal ratio of a dataset as published: mean rank over mean nats, each example weighing the same",
            "ranks/nat",
            True,
            "mean_ranks",
            "mean_nats",
            _same,
            "arXiv 2601.14249, equation 9",
        ),
        RankingMeasure(
            "token_rsr",
            "rank-surprisal ratio: clipped ranks over nats, all tokens of the dataset as one response",
            "ranks/nat",
            True,
            "ranks",
            "nats",
            _same,
            "arXiv 2601.14249, equation 7",
        ),
        RankingMeasure(
            "first_64",
            "nats a token over the first 64 tokens of each response",
            "nats/token",
            True,
            "first_nats",
            "first_tokens",
            _same,
        ),
        RankingMeasure(
            "residual",
            "perplexity at equal response lengths: exp of the mean nats a token less what length explains",
            "",
            True,
            "residual",
            "one",
            _exponentiate,
        ),
        RankingMeasure(
            "full_perplexity",
            "perplexity of the whole rendered examples, prompts included",
            "",
            True,
            "full_nats",
            "full_tokens",
            _exponentiate,
        ),
        RankingMeasure("response_tokens", "mean response length", "tokens", False, "tokens", "one", _same),
    )
}
"""In the order of a table. The IFD papers keep the examples with the *highest* ratio below 1 within one dataset, and
say nothing of which dataset to take: no direction. Superfiltering's program scores one token less without the prompt,
for want of a prefix, and Cherry LLM's reads "### Response:" there; here both passes score the same tokens."""


def columns(sums: Sums, slope: float = 0.0, centre: float = 0.0) -> Floats:
    """A row an example: what each measure sums above, then what each sums below (n × 2 · len(``MEASURES``)).

    ``slope`` and ``centre`` are ``fit_length``'s. Rows keep the order of the sums, so that the same examples under two
    models give matrices that can be resampled alike.
    """
    parts = _make_parts(sums, slope, centre)
    above = np.stack([parts[measure.above] for measure in MEASURES.values()], axis=1)
    below = np.stack([parts[measure.below] for measure in MEASURES.values()], axis=1)
    missing = np.isnan(above) | np.isnan(below)
    above[missing] = below[missing] = 0.0
    return np.concatenate([above, below], axis=1)


def _make_parts(sums: Sums, slope: float, centre: float) -> dict[str, Floats]:
    """Everything that a measure names, one number an example, NaN where there is none."""
    parts = {name: np.asarray(sums[name], dtype=np.float64) for name in SUMS}
    nats, tokens, unconditional = parts["nats"], parts["tokens"], parts["unconditional_nats"]
    mean = _divide(nats, tokens)
    return parts | {
        "one": np.ones_like(nats),
        "mean_nats": mean,
        "mean_ranks": _divide(parts["ranks"], tokens),
        "perplexity": _exponentiate(mean),
        "ifd_ppl": _exponentiate(_divide(nats - unconditional, tokens)),
        "ifd_loss": _divide(nats, unconditional),
        "residual": mean - slope * (_log_length(tokens) - centre),
    }


def evaluate(summed: Floats) -> dict[str, Floats]:
    """Each measure of summed columns: one number of 2M sums, B of B × 2M (draws). NaN where there is nothing."""
    found = np.asarray(summed, dtype=np.float64)
    half = len(MEASURES)
    ratios = _divide(found[..., :half], found[..., half:])
    return {name: np.asarray(measure.change(ratios[..., k])) for k, (name, measure) in enumerate(MEASURES.items())}


def count_measured(columns_NK: Floats) -> dict[str, int]:
    """How many examples have a number for each measure."""
    above, below = np.hsplit(columns_NK != 0, 2)
    return dict(zip(MEASURES, np.count_nonzero(above | below, axis=0).tolist(), strict=True))


def fit_length(datasets: Sequence[Sums]) -> tuple[float, float]:
    """How nats a token change with length, and the length that all datasets are compared at: (slope, centre).

    Least squares within datasets (a level of its own for each, one slope b for all) of m = nats / tokens on ln tokens,
    over the examples of all datasets; the centre L is the mean over datasets of their mean ln tokens, each dataset
    weighing the same. The residual of an example is m − b · (ln tokens − L): what it would have at the length exp(L).

    Premise: within every dataset, m is linear in the logarithm of length, with one slope. Where length goes with what
    is asked, the slope takes that away, too. It is fitted once, on the examples themselves, and not again in every
    draw of a bootstrap: the intervals of the residual leave its own error out. Both numbers depend on which datasets
    are compared. The slope is 0 where no dataset has two different lengths.
    """
    pairs = [_take_lengths(sums) for sums in datasets]
    pairs = [(lengths, means) for lengths, means in pairs if lengths.size]
    centre = float(np.mean([lengths.mean() for lengths, _ in pairs])) if pairs else 0.0
    # Equal lengths differ from their mean by rounding: without the test, a slope of noise over noise.
    varied = [(lengths - lengths.mean(), means) for lengths, means in pairs if lengths.min() < lengths.max()]
    square = sum(float(away @ away) for away, _ in varied)
    product = sum(float(away @ means) for away, means in varied)
    return (product / square if square > 0 else 0.0), centre


def _take_lengths(sums: Sums) -> tuple[Floats, Floats]:
    """ln tokens and nats a token of the examples that have both."""
    tokens = np.asarray(sums["tokens"], dtype=np.float64)
    lengths, means = _log_length(tokens), _divide(np.asarray(sums["nats"], dtype=np.float64), tokens)
    measured = np.isfinite(means)
    return lengths[measured], means[measured]


def _log_length(tokens: Floats) -> Floats:
    return np.asarray(np.log(tokens, out=np.full(tokens.shape, np.nan), where=tokens > 0))


def _divide(above: Floats, below: Floats) -> Floats:
    """Elementwise; NaN where there is nothing to divide by."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0))
