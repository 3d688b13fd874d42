"""Simulated documents of two sides of a comparison: lengths and surprisals as texts have them, with a known truth."""

import math

import numpy as np

from curate.monitoring.compare.groups import Drawing, measure_apart, measure_pairs

METRIC = "perplexity"


def draw_documents(chance, count):
    """Tokens and nats per token: lengths are log-normal, and longer texts are a little harder."""
    hardness = chance.standard_normal(count)
    spread = 0.3 * hardness + math.sqrt(1 - 0.3**2) * chance.standard_normal(count)
    return np.maximum(np.exp(5 + 0.9 * spread).round(), 5), 3.5 + 0.6 * hardness


def stack_units(*sides):
    """Sums of units, a document each; a side is its tokens and its nats per token."""
    columns = [np.ones(len(sides[0][0]))]
    for tokens, rate in sides:
        columns += [tokens * rate, tokens, tokens * 4]
    return np.stack(columns, axis=1)


def merge_clusters(units_UC, cluster_U):
    """Sums of clusters from sums of documents."""
    size = int(cluster_U.max()) + 1
    sums = np.stack([np.bincount(cluster_U, column, size) for column in units_UC.T], axis=1)
    return sums[sums[:, 0] > 0]


def simulate_pairs(seed, count, shift, draws=200, noise=0.03):
    """A group of the same documents under two models, of which the second needs ``shift`` nats a token more."""
    chance = np.random.default_rng([seed, count])
    tokens, rate = draw_documents(chance, count)
    after = rate + shift + noise * chance.standard_normal(count) * np.exp(0.5 * chance.standard_normal(count))
    return measure_pairs(
        "g", stack_units((tokens, rate), (tokens, after)), (count, count), Drawing(METRIC, draws, seed)
    )


def simulate_samples(seed, count, shift, draws=200):
    """A group of two samples of one stream, of which the second needs ``shift`` nats a token more."""
    chance = np.random.default_rng([seed, count])
    (first, rate), (second, other) = draw_documents(chance, count), draw_documents(chance, count)
    return measure_apart(
        "g", [stack_units((first, rate)), stack_units((second, other + shift))], Drawing(METRIC, draws, seed)
    )


def simulate_clusters(seed, count, shift, draws=200):
    """Pairs whose differences are alike within clusters of some five documents."""
    chance = np.random.default_rng([seed, count])
    tokens, rate = draw_documents(chance, count)
    cluster = chance.integers(count // 5, size=count)
    after = rate + shift + 0.03 * chance.standard_normal(count // 5)[cluster] + 0.01 * chance.standard_normal(count)
    units = merge_clusters(stack_units((tokens, rate), (tokens, after)), cluster)
    return measure_pairs("g", units, (count, count), Drawing(METRIC, draws, seed))
