"""Units that are drawn, totals, quantiles and the sample of hashes: what one pass over the documents keeps."""

import numpy as np
import pytest
from helpers.simulated_sides import METRIC, draw_documents, stack_units

from curate.monitoring.compare import units
from curate.monitoring.compare.documents import DocumentBatch
from curate.monitoring.compare.groups import Drawing, measure_pairs
from curate.monitoring.compare.totals import HashSample, SideTotals, estimate_quantiles, estimate_shared
from curate.monitoring.compare.units import MOST_UNITS, UnitSums


def make_hashes(count, seed=0):
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


def make_batch(count, seed=0, groups=1):
    chance = np.random.default_rng(seed)
    tokens, rate = draw_documents(chance, count)
    hashes, zeros = make_hashes(count, seed), np.zeros(count, np.int64)
    group = chance.integers(0, groups, count)
    sizes = tokens.astype(np.int64)
    return DocumentBatch(hashes, sizes * rate, sizes, 4 * sizes, group, hashes, zeros, 1)


@pytest.mark.parametrize("exact", [1 << 30, 0])
def test_sums_of_units_add_up_by_group_whatever_their_number(monkeypatch, exact):
    monkeypatch.setattr(units, "EXACT", exact)
    found, batches = UnitSums(2, 9000), [make_batch(3000, seed, groups=3) for seed in range(3)]
    for batch in batches:
        found.add(batch.groups, batch.keys, [np.ones(len(batch)), batch.nats])
    *tables, whole = found.tabulate(4)
    assert not len(tables[3]) and 0.97 * MOST_UNITS < len(whole) <= MOST_UNITS
    assert max(len(table) for table in tables) <= MOST_UNITS
    for number, table in enumerate(tables[:3]):
        chosen = [batch.nats[batch.groups == number] for batch in batches]
        assert table.sum(axis=0) == pytest.approx([sum(map(len, chosen)), np.concatenate(chosen).sum()])
    assert whole.sum(axis=0) == pytest.approx(np.sum([table.sum(axis=0) for table in tables], axis=0))
    assert whole[:, 0].max() < 30, "no unit has more than a few documents"


def test_documents_of_one_key_are_one_unit():
    found = UnitSums(1, 10)
    found.add(np.zeros(4, np.int64), np.array([7, 8, 7, 7], np.uint64), [np.ones(4)])
    assert sorted(found.tabulate(1)[0][:, 0]) == [1, 3]


def test_the_error_of_random_collections_is_that_of_documents():
    tokens, rate = draw_documents(np.random.default_rng(0), 40_000)
    after = rate + 0.01 + 0.03 * np.random.default_rng(1).standard_normal(40_000)
    rows, found = stack_units((tokens, rate), (tokens, after)), UnitSums(7, 40_000)
    found.add(np.zeros(40_000, np.int64), make_hashes(40_000), list(rows.T))
    (merged, _), drawing = found.tabulate(1), Drawing(METRIC, 400, 0)
    errors = [measure_pairs("g", each, (40_000,) * 2, drawing).estimate((-1.0, 1.0)).error for each in (rows, merged)]
    assert len(merged) <= MOST_UNITS and errors[1] == pytest.approx(errors[0], rel=0.06)


def test_quantiles_of_a_histogram_are_those_of_the_numbers_to_a_third_of_a_per_cent():
    batch, totals = make_batch(5000), SideTotals()
    totals.add(batch)
    perplexities = np.exp(batch.nats / batch.tokens)
    shares = np.linspace(0.01, 0.99, 99)
    found = estimate_quantiles(totals.histograms["perplexity"].sum(axis=0), shares)
    assert found == pytest.approx(np.quantile(perplexities, shares, method="inverted_cdf"), rel=0.0055)
    assert np.isnan(estimate_quantiles(np.zeros_like(totals.histograms["perplexity"][0]), shares)).all()
    assert totals.sums_G4.sum(axis=0) == pytest.approx([5000, batch.nats.sum(), batch.tokens.sum(), batch.bytes.sum()])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_texts_that_both_hold_is_seen_in_samples_of_their_hashes(share):
    hashes, size = make_hashes(400_000), 200_000
    samples = [HashSample(), HashSample()]
    offset = int(size * (1 - share))
    for sample, first in zip(samples, (0, offset), strict=True):
        for begin in range(first, first + size, 10_000):
            sample.add(hashes[begin : begin + 10_000])
    assert estimate_shared(samples) == pytest.approx(share, abs=0.02)
    assert len(samples[0].take(samples[0].shift)) > 20_000
