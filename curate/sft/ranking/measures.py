"""The measures that datasets of instructions are ranked by: each is a ratio of two sums over the examples.

``MEASURES`` is the only list of them. An entry has the formula, the names that tables and sentences use, and what is
known of the measure, so that a new measure is added in this file alone.

Every example gives sums over its tokens (``SUMS``): nats are Σ −ln p. From these come two numbers an example for each
measure, and

    measure = change(Σ above / Σ below)

with ``change`` exp, division by ln 2, or none. So a measure of any choice of examples, drawn with repetition or not,
needs the summed columns only: the bootstrap is one matrix product.

An example that has no number for a measure (no tokens; no unconditional nats; a NaN among its sums) is left out above
and below, for that measure alone. A pass that was not run is a column of NaN. Measures of no example are NaN. Infinite
nats are a number: they give an infinite measure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from curate.reference.likelihood import LN2
from curate.runtime.arrays import Float64Array

Sums = Mapping[str, Float64Array]
"""A column (N) of each of ``SUMS``, one number an example."""

SUMS = (
    "nats",  # of the scored response tokens, given the prompt
    "tokens",  # the number of these tokens
    "content_nats",  # without control tokens, such as the end of turn, which have no text
    "bytes",  # of UTF-8 in the text of the same tokens
    "unconditional_nats",  # of the same tokens, without the prompt
    "ranks",  # Σ min(rank, 100), rank 1 the most likely token
    "first_nats",  # of the first 64 scored tokens
    "first_tokens",
    "full_nats",  # of all tokens of the rendered example
    "full_tokens",
)

PERPLEXITY_STUDY = (
    "Lower response perplexity under the base has gone with larger gains from fine-tuning "
    "(12 bases × 10 datasets, arXiv 2506.14681)"
)
RSR_STUDY = (
    "A lower rank-surprisal ratio has gone with larger gains from reasoning traces "
    "(5 students × 11 teachers, arXiv 2601.14249)"
)


OUTWEIGHED = "one short answer that was not drawn can outweigh all others"


@dataclass(frozen=True, slots=True)
class RankingMeasure:
    """A measure: two columns over the examples and how their ratio is used, shown and explained."""

    name: str
    """In JSON, in Parquet and for ``--by``."""
    heading: str
    """Above a column of a table, in at most 15 characters."""
    phrase: str
    """Within a sentence."""
    meaning: str
    """A definition in a sentence."""
    above: str
    """The column that is summed above the line: one of ``SUMS``, or of what ``_derive_columns`` adds."""
    below: str
    """The column that is summed below the line."""
    change: Callable[[Float64Array], Float64Array]
    """Applied to the ratio."""
    lower_is_better: bool = True
    """Whether lower comes first. If not, neither end is better, and the measure cannot rank."""
    unit: str = ""
    source: str = ""
    """The paper that defines the measure."""
    short_name: str = ""
    """Another name for ``--by``."""
    log_scale: bool = False
    """Whether charts have a logarithmic axis."""
    study: str = PERPLEXITY_STUDY
    """The finding on this measure or on the one closest to it."""
    is_studied: bool = False
    """Whether ``study`` is about this very measure."""
    exponential: bool = False
    """Whether each example's number is an exponential, whose tail may be heavy."""
    no_interval: str = ""
    """Why the measure has no interval, whatever the sample; the empty string where it has one."""

    @property
    def is_log(self) -> bool:
        """Whether the ratio is the logarithm of the measure."""
        return self.change is _exponentiate


def _keep(ratio: Float64Array) -> Float64Array:
    return ratio


def _to_bits(ratio: Float64Array) -> Float64Array:
    return ratio / LN2


def _exponentiate(ratio: Float64Array) -> Float64Array:
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(ratio))


MEASURES = {
    measure.name: measure
    for measure in (
        RankingMeasure(
            name="perplexity",
            heading="response ppl",
            phrase="response perplexity",
            meaning="perplexity of the responses given their prompts, each token weighing the same",
            above="nats",
            below="tokens",
            change=_exponentiate,
            source="arXiv 2506.14681",
            short_name="ppl",
            log_scale=True,
            is_studied=True,
        ),
        RankingMeasure(
            name="mean_perplexity",
            heading="mean ppl",
            phrase="mean perplexity",
            meaning="mean of the responses' perplexities, each example weighing the same",
            above="perplexity",
            below="one",
            change=_keep,
            log_scale=True,
            no_interval=OUTWEIGHED,
        ),
        RankingMeasure(
            name="bits_per_byte",
            heading="bits/byte",
            phrase="bits per byte",
            meaning="bits a byte of response, comparable across tokenizers",
            above="content_nats",
            below="bytes",
            change=_to_bits,
            unit="bits/byte",
            short_name="bpb",
        ),
        RankingMeasure(
            name="unconditional_nats",
            heading="nats alone",
            phrase="nats a token without the prompt",
            meaning="nats a response token without the prompt",
            above="unconditional_nats",
            below="tokens",
            change=_keep,
            lower_is_better=False,
            unit="nats/token",
        ),
        RankingMeasure(
            name="ifd_ppl",
            heading="IFD of ppl",
            phrase="IFD of perplexities",
            meaning="mean of perplexity with the prompt over perplexity without it; above 1 the prompt does not help",
            above="ifd_ppl",
            below="one",
            change=_keep,
            lower_is_better=False,
            exponential=True,
            source="arXiv 2402.00530",
        ),
        RankingMeasure(
            name="ifd_loss",
            heading="IFD of loss",
            phrase="IFD of losses",
            meaning="mean of nats with the prompt over nats without it; above 1 the prompt does not help",
            above="ifd_loss",
            below="one",
            change=_keep,
            lower_is_better=False,
            source="arXiv 2308.12032",
        ),
        RankingMeasure(
            name="rsr",
            heading="RSR",
            phrase="rank-surprisal ratio",
            meaning="rank-surprisal ratio of a dataset as published: mean rank over mean nats, "
            "each example weighing the same",
            above="mean_ranks",
            below="mean_nats",
            change=_keep,
            unit="ranks/nat",
            source="arXiv 2601.14249, equation 9",
            study=RSR_STUDY,
            is_studied=True,
        ),
        RankingMeasure(
            name="token_rsr",
            heading="RSR of tokens",
            phrase="rank-surprisal ratio of all tokens",
            meaning="rank-surprisal ratio: clipped ranks over nats, all tokens of the dataset as one response",
            above="ranks",
            below="nats",
            change=_keep,
            unit="ranks/nat",
            source="arXiv 2601.14249, equation 7",
            study=RSR_STUDY,
        ),
        RankingMeasure(
            name="first_64",
            heading="first 64 nats",
            phrase="nats a token over the first 64",
            meaning="nats a token over the first 64 tokens of each response",
            above="first_nats",
            below="first_tokens",
            change=_keep,
            unit="nats/token",
        ),
        RankingMeasure(
            name="residual",
            heading="ppl at = length",
            phrase="perplexity at equal lengths",
            meaning="perplexity at equal response lengths: exp of the mean nats a token less what length explains",
            above="residual",
            below="one",
            change=_exponentiate,
            log_scale=True,
        ),
        RankingMeasure(
            name="full_perplexity",
            heading="full-text ppl",
            phrase="perplexity of the full text",
            meaning="perplexity of the whole rendered examples, prompts included",
            above="full_nats",
            below="full_tokens",
            change=_exponentiate,
            log_scale=True,
        ),
        RankingMeasure(
            name="response_tokens",
            heading="tokens",
            phrase="tokens of a response",
            meaning="mean response length",
            above="tokens",
            below="one",
            change=_keep,
            lower_is_better=False,
            unit="tokens",
        ),
    )
}
"""In the order of a table. The IFD papers keep the examples with the *highest* ratio below 1 within one dataset, and do
not say which dataset to take: no direction. Superfiltering's program scores one token less without the prompt, since it
has no prefix, and Cherry LLM's reads "### Response:" there; here both passes score the same tokens."""

RANKABLE = tuple(name for name, measure in MEASURES.items() if measure.lower_is_better)
"""The names of the measures that a ranking may go by."""
SHORT_NAMES = {measure.short_name: name for name, measure in MEASURES.items() if measure.short_name}
"""Short names for ``--by`` to names."""


def build_columns(sums: Sums, slope: float = 0.0, centre: float = 0.0) -> Float64Array:
    """Return a row an example: the number of each measure above the line, then of each below (N × 2M).

    M is the number of ``MEASURES``. ``slope`` and ``centre`` are the result of ``fit_length``. Rows keep the order of
    the sums, so that matrices of the same examples under two models can be resampled alike.
    """
    columns = _derive_columns(sums, slope, centre)
    above = np.stack([columns[measure.above] for measure in MEASURES.values()], axis=1)
    below = np.stack([columns[measure.below] for measure in MEASURES.values()], axis=1)
    missing = np.isnan(above) | np.isnan(below)
    above[missing] = below[missing] = 0.0
    return np.concatenate([above, below], axis=1)


def _derive_columns(sums: Sums, slope: float, centre: float) -> dict[str, Float64Array]:
    """Return every column that a measure names (N each), NaN where an example has no number."""
    columns = {name: np.asarray(sums[name], dtype=np.float64) for name in SUMS}
    nats, tokens, unconditional = columns["nats"], columns["tokens"], columns["unconditional_nats"]
    mean = divide_sums(nats, tokens)
    return columns | {
        "one": np.ones_like(nats),
        "mean_nats": mean,
        "mean_ranks": divide_sums(columns["ranks"], tokens),
        "perplexity": _exponentiate(mean),
        "ifd_ppl": _exponentiate(divide_sums(nats - unconditional, tokens)),
        "ifd_loss": divide_sums(nats, unconditional),
        "residual": mean - slope * (_log_length(tokens) - centre),
    }


def evaluate_measures(summed: Float64Array) -> dict[str, Float64Array]:
    """Return each measure of summed columns: a number for 2M sums, B numbers for B × 2M; NaN for no examples."""
    sums = np.asarray(summed, dtype=np.float64)
    half = len(MEASURES)
    ratios = divide_sums(sums[..., :half], sums[..., half:])
    return {name: np.asarray(measure.change(ratios[..., k])) for k, (name, measure) in enumerate(MEASURES.items())}


def fit_length(datasets: Sequence[Sums]) -> tuple[float, float]:
    """Return (slope, centre): how nats a token change with length, and the log length that datasets are compared at.

    Least squares within datasets (a level for each, one slope b for all) of m = nats / tokens on ln tokens, over the
    examples of all datasets. The centre L is the mean over datasets of their mean ln tokens, each dataset weighing the
    same. The residual of an example is m − b · (ln tokens − L): what it would have at the length exp(L).

    Premise: within every dataset, m is linear in the logarithm of length, with one slope. If length goes with the kind
    of question, the slope removes that, too. It is fitted once, on the examples themselves, and not again in every draw
    of a bootstrap: the intervals of the residual exclude its error. Both numbers depend on which datasets are compared.
    The slope is 0 where no dataset has two different lengths; both are 0 without examples.
    """
    pairs = [_take_lengths(sums) for sums in datasets]
    pairs = [(lengths, means) for lengths, means in pairs if lengths.size]
    centre = float(np.mean([lengths.mean() for lengths, _ in pairs])) if pairs else 0.0
    # Equal lengths differ from their mean by rounding: without the test, a slope of noise over noise.
    varied = [(lengths - lengths.mean(), means) for lengths, means in pairs if lengths.min() < lengths.max()]
    square = sum(float(away @ away) for away, _ in varied)
    product = sum(float(away @ means) for away, means in varied)
    return (product / square if square > 0 else 0.0), centre


def _take_lengths(sums: Sums) -> tuple[Float64Array, Float64Array]:
    """Return ln tokens and nats a token of the examples that have both."""
    tokens = np.asarray(sums["tokens"], dtype=np.float64)
    lengths, means = _log_length(tokens), divide_sums(np.asarray(sums["nats"], dtype=np.float64), tokens)
    measured = np.isfinite(means)
    return lengths[measured], means[measured]


def _log_length(tokens: Float64Array) -> Float64Array:
    return np.asarray(np.log(tokens, out=np.full(tokens.shape, np.nan), where=tokens > 0))


def divide_sums(above: Float64Array, below: Float64Array) -> Float64Array:
    """Return the elementwise quotient; NaN where ``below`` is not positive."""
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0))
