"""The numbers of a report add up, are those of the filter, and are exact by either way."""

import dataclasses

import numpy as np
import pytest
from helpers.document_blocks import count_readings
from helpers.reports import NUMBERS, digest_of, domains_of
from helpers.runs import kept_of, make_run, numbered_run, write_duplicates, write_hits, write_lines

from curate.reports.page import exact_quantiles
from curate.reports.page.numbers import SHARES
from curate.rundir import document_blocks, document_columns
from curate.verbs.filter import filter as choose


def test_the_numbers_are_those_of_the_filter_and_add_up(tmp_path):
    run = numbered_run(tmp_path, NUMBERS)
    choose(str(run.path), max_ppl=50, min_tokens=3)
    page, found = digest_of(run)
    assert found["funnel"]["rejected"] == {"perplexity > 50": 15, "tokens < 3": 2}
    assert (found["funnel"]["read"], found["funnel"]["kept"]) == (40, 23)
    one = found["distributions"]["perplexity"]
    assert sum(one["kept"]) == 23 and sum(one["dropped"]) == 17
    assert one["quantiles"]["all"]["0.5"] == 41.0 and one["quantiles"]["kept"]["0.5"] == 28.0
    assert [(line["label"], line["value"]) for line in one["thresholds"]] == [("max ppl 50", 50.0)]
    assert [density["x"] for density in found["densities"]] == ["tokens", "zlib_ratio"]
    assert sum(map(sum, found["densities"][0]["kept"])) == 23
    assert found["ledger"][0]["after"] == {"documents": 23, "tokens": sum(range(3, 26)), "median_perplexity": 28.0}
    assert "23 of 40 documents are kept" in page and "max ppl 50" in page and "perplexity &gt; 50" in page


def test_domains_have_distributions_of_their_own_and_the_ledger_sums_to_the_whole(tmp_path):
    run = domains_of(tmp_path)
    choose(str(run.path), max_ppl=50)
    page, found = digest_of(run, domain="domain")
    assert sorted(row["domain"] for row in found["ledger"]) == ["kind-0", "kind-1", "kind-2"]
    assert sum(row["after"]["documents"] for row in found["ledger"]) == found["funnel"]["kept"] == 25
    for name, one in found["distributions"]["perplexity"]["domains"].items():
        row = next(row for row in found["ledger"] if row["domain"] == name)
        assert sum(one["kept"]) + sum(one["dropped"]) == row["before"]["documents"]
        assert one["median"] == row["before"]["median_perplexity"]
    assert "kind-2: perplexity" in page


def test_more_domains_than_fit_are_summed_up_as_others(tmp_path):
    run = domains_of(tmp_path, count=40, kinds=40)
    _, found = digest_of(run, domain="domain")
    assert len(found["ledger"]) == 25 and found["ledger"][-1]["domain"] == "16 others"
    assert sum(row["before"]["documents"] for row in found["ledger"]) == 40


def test_quantiles_are_exact_and_the_same_by_either_way(tmp_path, monkeypatch):
    run = domains_of(tmp_path)
    choose(str(run.path), max_ppl=50)
    _, fast = digest_of(run, domain="domain")
    monkeypatch.setattr(exact_quantiles, "HELD", -1)
    _, slow = digest_of(run, domain="domain")
    assert fast == slow
    shares = list(fast["distributions"]["perplexity"]["quantiles"]["all"].values())
    expected = np.quantile([2.0 * (n + 1) for n in range(40)], SHARES)
    assert shares == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("held", [10**6, -1])
def test_quantiles_are_those_of_their_own_documents_within_one_bin(tmp_path, monkeypatch, held):
    """All numbers lie in one fine bin, in which kept and dropped documents of both domains mix."""
    monkeypatch.setattr(exact_quantiles, "HELD", held)
    ppl = [50 + (n * 17 % 40) / 1000 for n in range(40)]
    rows = [{"id": f"d{n}", "text": f"document {n} word", "domain": f"kind-{n % 2}"} for n in range(40)]
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    numbered_by = [{"perplexity": value, "tokens": 1 + n // 3 % 2} for n, value in enumerate(ppl)]
    run = make_run(tmp_path / "run", [tmp_path / "c"], lambda text: numbered_by[int(text.split()[1])])
    choose(str(run.path), min_tokens=2)
    _, found = digest_of(run, domain="domain")
    one = found["distributions"]["perplexity"]
    assert np.count_nonzero(np.array(one["kept"]) + one["dropped"]) == 1
    keep = {"all": range(40), "kept": kept_of(run), "dropped": [n for n in range(40) if n not in kept_of(run)]}
    for which, places in keep.items():
        expected = np.quantile([ppl[n] for n in places], SHARES)
        assert list(one["quantiles"][which].values()) == pytest.approx(expected, rel=1e-12), which
    for kind in (0, 1):
        own = one["domains"][f"kind-{kind}"]
        assert own["median"] == pytest.approx(np.median(ppl[kind::2]), rel=1e-12)
        assert own["kept_median"] == pytest.approx(
            np.median([ppl[n] for n in kept_of(run) if n % 2 == kind]), rel=1e-12
        )


@pytest.mark.parametrize("options", [{"max_ppl": 50}, {"keep": "middle", "within": "domain", "min_zlib": 0.15}])
def test_the_ledger_is_the_one_that_filter_shows(tmp_path, options):
    """Leaks and copies are in neither: the criteria are not about them."""
    run = domains_of(tmp_path)
    document_columns.carry_columns(run, ["domain"])  # as ``score`` does
    write_hits(run, [{"row": 3}, {"row": 30}])
    write_duplicates(run, [{7: "keeper", 8: "exact", 9: "near"}])
    chosen = choose(str(run.path), **options)
    page, found = digest_of(run)
    assert found["domain_column"] == chosen.domain == "domain" and len(chosen.ledger) == 3
    for line, shown in zip(chosen.ledger, found["ledger"], strict=True):
        assert shown["domain"] == line.name
        assert shown["before"] == dataclasses.asdict(line.before) and shown["after"] == dataclasses.asdict(line.after)
    whole = found["distributions"]["perplexity"]
    assert sum(whole["kept"]) + sum(whole["dropped"]) == chosen.scored.documents == 36
    assert whole["quantiles"]["all"]["0.5"] == chosen.scored.median_perplexity
    assert whole["quantiles"]["kept"]["0.5"] == chosen.kept.median_perplexity
    assert found["funnel"]["rejected"] == {why: one.documents for why, one in chosen.rejected.items()}
    assert found["funnel"]["rejected_tokens"] == {why: one.tokens for why, one in chosen.rejected.items()}
    assert "neither contaminated nor duplicates" in page


@pytest.mark.parametrize("chosen", [{}, {"max_ppl": 50}])
def test_what_does_not_fit_into_memory_is_read_again_with_the_same_result(tmp_path, monkeypatch, chosen):
    run = domains_of(tmp_path)
    write_hits(run, [{"row": 3}])
    if chosen:
        choose(str(run.path), **chosen)
    readings = count_readings(monkeypatch)
    held = digest_of(run)
    assert readings() == 1
    monkeypatch.setattr(document_blocks, "HELD_BYTES", 100)
    assert digest_of(run) == held and readings() > 3
    assert held[1]["funnel"]["rejected"]["contaminated: gsm8k"] == 1
