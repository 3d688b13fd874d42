"""``curate report``: the numbers add up, the page holds them, and nothing of a run makes it fail."""

import dataclasses
import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import models
from helpers.runs import (
    kept_of,
    make_run,
    numbered_run,
    write_buckets,
    write_duplicates,
    write_hits,
    write_lines,
    write_order,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from curate import axes, carried, runs
from curate.errors import TableError, UsageError
from curate.explanation import read_text
from curate.likelihood import Passage
from curate.overview import findings, numbers, ranks
from curate.overview.binning import MEASURES, Grid, Histogram, coarsen, quantile
from curate.overview.numbers import SHARES
from curate.overview.sources import Table, open_sources
from curate.reference import Reading, load, surprise
from curate.reporting import report
from curate.selection import filter as choose

NUMBERS = [{"perplexity": 2.0 * (n + 1), "tokens": n + 1, "zlib_ratio": 0.1 + n / 100} for n in range(40)]


def digest_of(run, **options):
    found = report(str(run.path), **options)
    assert found.as_dict()["page"] == found.page and "open it in a browser" in found.render()
    with open(found.page, encoding="utf-8") as page, open(found.numbers, encoding="utf-8") as numbers:
        return page.read(), json.load(numbers)


def domains_of(folder, count=40, kinds=3):
    rows = [{"id": f"d{n}", "text": f"document {n} word", "domain": f"kind-{n % kinds}"} for n in range(count)]
    write_lines(folder / "corpus" / "a.jsonl", rows)
    return make_run(folder / "run", [folder / "corpus"], lambda text: NUMBERS[int(text.split()[1]) % 40])


# ---- counts -------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1e-3, 1e12), max_size=50), st.integers(1, 96))
def test_drawn_bins_lose_no_document_and_hold_what_lies_between_their_edges(values, most):
    grid = MEASURES["perplexity"].fine
    histogram = Histogram(grid, 1)
    keep = np.arange(len(values)) % 2 == 0
    histogram.add(np.array(values), np.zeros(len(values), np.int64), keep)
    drawn = histogram.drawn(most)
    assert drawn.counts.sum() == len(values) and drawn.counts[0, 0].sum() == keep.sum()
    assert drawn.counts.shape[-1] <= most
    edges = drawn.edges
    for place, many in enumerate(drawn.counts[0].sum(axis=0).tolist()):
        low = -math.inf if place == 0 else edges[place] * (1 - 1e-9)
        high = math.inf if place == len(edges) - 2 else edges[place + 1] * (1 + 1e-9)
        assert many <= sum(low <= value <= high for value in values)


def test_nan_and_what_has_no_logarithm_count_nowhere():
    grid = MEASURES["perplexity"].fine
    assert grid.place(np.array([np.nan, 0.0, -1.0])).tolist() == [-1, -1, -1]
    assert MEASURES["zlib_ratio"].fine.place(np.array([np.nan, 0.0, 99.0])).tolist() == [-1, 0, 239]


def test_a_quantile_of_counts_lies_within_its_bin():
    grid = Grid(0, 1, 10, log=False)
    assert quantile(grid, [0, 0, 4, 0], 0.5) == 2.5
    assert math.isnan(quantile(grid, [0, 0], 0.5))
    assert coarsen(grid, np.array([0, 0, 0, 1, 1, 1, 0, 0, 0, 5]), 4).counts.tolist() == [2, 1, 0, 5]


# ---- the page and its numbers --------------------------------------------------------------------------------------


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


def test_the_same_run_gives_the_same_bytes(tmp_path):
    run = numbered_run(tmp_path, NUMBERS)
    assert digest_of(run) == digest_of(run)


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


def test_a_domain_that_no_document_has_is_an_error_with_the_columns(tmp_path):
    with pytest.raises(UsageError) as error:
        report(str(domains_of(tmp_path).path), domain="domian")
    assert "domain" in (error.value.hint or "")


def test_thresholds_of_percentiles_are_where_the_documents_were_cut(tmp_path):
    run = numbered_run(tmp_path, NUMBERS)
    choose(str(run.path), keep="25:75")
    _, found = digest_of(run)
    lines = found["distributions"]["perplexity"]["thresholds"]
    assert [(line["side"], line["value"]) for line in lines] == [("below", 22.0), ("above", 60.0)]


def test_examples_are_the_documents_at_the_percentiles_with_decision_and_text(tmp_path):
    run = numbered_run(tmp_path, NUMBERS)
    choose(str(run.path), max_ppl=50)
    _, found = digest_of(run, percentiles="100, 0,50")
    shown = [(one["percentile"], one["id"], one["kept"], one["reason"], one["text"]) for one in found["examples"]]
    assert shown == [
        (0.0, "d0", True, None, "document 0 word"),
        (50.0, "d20", True, None, "document 20 word"),
        (100.0, "d39", False, "perplexity > 50", "document 39 word"),
    ]


@pytest.mark.parametrize("wrong", ["a", "101", "-1", ",".join(map(str, range(60)))])
def test_what_is_no_percentile_is_refused(tmp_path, wrong):
    with pytest.raises(UsageError):
        report(str(numbered_run(tmp_path, NUMBERS).path), percentiles=wrong)


def test_hits_and_copies_are_counted_and_shown(tmp_path):
    run = numbered_run(tmp_path, NUMBERS)
    write_hits(run, [{"row": 3}, {"row": 4, "bits": 200.0, "eval_id": "test #9"}])
    write_duplicates(run, [{7: "keeper", 8: "exact", 9: "near"}])
    page, found = digest_of(run)
    assert found["hits"]["sets"] == [{"name": "gsm8k", "documents": 2, "review": 0, "items": 2}]
    assert [hit["eval_id"] for hit in found["hits"]["strongest"]] == ["test #9", "test #417"]
    (cluster,) = found["duplicates"]["largest"]
    assert (cluster["exact"], cluster["near"], cluster["id"], cluster["opening"]) == (1, 1, "d7", "document 7 word")
    assert "1 exact and 1 near duplicates" in page
    assert found["funnel"]["kept"] == 36


def test_buckets_and_the_order_are_shown_and_stale_ones_named(tmp_path):
    run = numbered_run(tmp_path, NUMBERS)
    write_buckets(run, ["q1"] * 10 + ["q2"] * 30)
    write_order(run, range(39, -1, -1), schedule="fold", folds=3)
    page, found = digest_of(run)
    assert [(one["name"], one["documents"], one["tokens"], one["median"]) for one in found["buckets"]] == [
        ("q1", 10, 55, 11.0),
        ("q2", 30, 765, 51.0),
    ]
    assert found["cut_offs"] == [22.0] and found["funnel"]["stale"] == []
    assert found["order"][0]["perplexity"] == pytest.approx(80) and found["order"][-1]["tokens"] == sum(range(41))
    assert "fold by perplexity, ascending; seed 0; folds 3" in page
    choose(str(run.path), max_ppl=50)
    page, found = digest_of(run)
    assert found["buckets"] is None and found["order"] is None
    assert len(found["funnel"]["stale"]) == 2 and "Stale, not counted" in page


def test_the_cut_offs_of_a_domain_are_drawn_where_the_whole_has_none(tmp_path):
    run = domains_of(tmp_path, kinds=2)
    halves = ["low" if n < (20 if n % 2 else 10) else "high" for n in range(40)]
    write_buckets(run, halves, names=["low", "high"], within=["domain"])
    sources = open_sources(runs.open_run(run.path), "domain")
    table = Table(sources, numbers.list_columns(sources))
    found = findings.describe_buckets(table, sources.run, numbers.collect_numbers(sources, table, []).groups)
    assert [one.name for one in found.rows] == ["low", "high"]
    assert found.cuts == [] and sorted(found.domain_cuts) == [[22.0], [44.0]]


def test_a_stale_filter_is_named_and_not_counted(tmp_path):
    run = numbered_run(tmp_path, NUMBERS)
    choose(str(run.path), max_ppl=50)
    run = runs.open_run(run.path)
    run.save("filter", {**run.stage("filter"), "made_from": "other"})
    page, found = digest_of(run)
    assert found["funnel"]["kept"] == 40 and not found["funnel"]["filtered"]
    assert "Stale, not counted" in page and found["distributions"]["perplexity"]["thresholds"] == []


def test_without_scores_the_error_names_the_command(tmp_path):
    with pytest.raises(TableError) as error:
        report(str(tmp_path))
    assert "curate score" in (error.value.hint or "")


@pytest.mark.parametrize("values", [[], [{}], [{"perplexity": None, "tokens": None, "zlib_ratio": None}] * 3])
def test_runs_of_nothing_of_one_document_and_of_nulls_have_a_page(tmp_path, values):
    page, found = digest_of(numbered_run(tmp_path, values))
    assert found["funnel"]["read"] == len(values) and "</html>" in page


def test_a_run_of_unscored_documents_has_a_page(tmp_path):
    write_lines(tmp_path / "c" / "a.jsonl", [{"text": ""}, b"{broken"])
    page, found = digest_of(make_run(tmp_path / "run", [tmp_path / "c"]))
    assert found["distributions"] == {} and "nothing to draw" in page


def test_a_run_without_a_model_shows_lengths_and_repetition(tmp_path):
    run = numbered_run(tmp_path, [{"perplexity": None, "tokens": None}] * 5)
    record = run.stage("score")
    record["made_from"]["model"]["model"] = "none"
    run.save("score", record)
    page, found = digest_of(run)
    assert set(found["distributions"]) == {"bytes", "zlib_ratio"} and found["densities"][0]["x"] == "bytes"
    assert "scored without a model" in page
    with pytest.raises(UsageError):
        report(str(run.path), tokens_of=1)


def test_when_the_corpus_is_gone_the_examples_say_so_and_the_rest_stands(tmp_path):
    run = numbered_run(tmp_path, NUMBERS)
    write_lines(tmp_path / "corpus" / "a.jsonl", [{"id": "d0", "text": "another"}])
    page, found = digest_of(run)
    assert all(one["text"] is None and "changed" in one["missing"] for one in found["examples"])
    assert "The text is not shown" in page and sum(found["distributions"]["perplexity"]["kept"]) == 40
    (tmp_path / "corpus" / "a.jsonl").unlink()
    _, found = digest_of(run)
    assert all(one["missing"] for one in found["examples"]) and found["funnel"]["stale"]


def test_the_page_may_go_elsewhere_but_not_over_a_folder(tmp_path):
    run = numbered_run(tmp_path, NUMBERS)
    found = report(str(run.path), out=str(tmp_path / "x" / "page.html"))
    assert found.page.endswith("page.html") and (tmp_path / "x" / "page.json").exists()
    for wrong in (tmp_path, tmp_path / "page.json"):
        with pytest.raises(UsageError):
            report(str(run.path), out=str(wrong))


def test_a_page_stays_small_however_many_documents_there_are(tmp_path):
    """4,000 documents of 30 domains: the number of elements follows bins and domains."""
    rows = [{"id": f"d{n}", "text": f"document {n}", "domain": f"k{n % 30}"} for n in range(4000)]
    write_lines(tmp_path / "c" / "a.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    page, found = digest_of(run, domain="domain")
    assert len(page) < 1_000_000 and page.count("<path") < 1_000
    assert sum(found["distributions"]["perplexity"]["kept"]) == 4000


def test_quantiles_are_exact_and_the_same_by_either_way(tmp_path, monkeypatch):
    run = domains_of(tmp_path)
    choose(str(run.path), max_ppl=50)
    _, fast = digest_of(run, domain="domain")
    monkeypatch.setattr(ranks, "HELD", -1)
    _, slow = digest_of(run, domain="domain")
    assert fast == slow
    shares = list(fast["distributions"]["perplexity"]["quantiles"]["all"].values())
    expected = np.quantile([2.0 * (n + 1) for n in range(40)], SHARES)
    assert shares == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("held", [10**6, -1])
def test_quantiles_are_those_of_their_own_documents_within_one_bin(tmp_path, monkeypatch, held):
    """All numbers lie in one fine bin, in which kept and dropped documents of both domains mix."""
    monkeypatch.setattr(ranks, "HELD", held)
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
    carried.carry(run, ["domain"])  # as ``score`` does
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


def test_percentiles_within_a_domain_are_drawn_in_each_and_said_for_the_whole(tmp_path):
    run = domains_of(tmp_path, kinds=2)
    choose(str(run.path), keep="25:75", within="domain")
    page, found = digest_of(run)
    one = found["distributions"]["perplexity"]
    assert one["thresholds"] == [] and "each domain has its own thresholds" in page
    lines = {
        name: [(line["side"], line["value"]) for line in own["thresholds"]] for name, own in one["domains"].items()
    }
    assert lines == {"kind-0": [("below", 22.0), ("above", 58.0)], "kind-1": [("below", 24.0), ("above", 60.0)]}
    assert found["distributions"]["bits_per_byte"]["domains"]["kind-0"]["thresholds"] == []


def test_a_budget_is_drawn_where_it_ended(tmp_path):
    run = numbered_run(tmp_path, NUMBERS)
    chosen = choose(str(run.path), keep="low", tokens=300, min_zlib=0.12)
    _, found = digest_of(run)
    lines = found["distributions"]["perplexity"]["thresholds"]
    kept = [2.0 * (n + 1) for n in kept_of(run)]
    assert chosen.kept.tokens <= 300 and [(one["side"], one["value"]) for one in lines] == [("above", max(kept))]
    assert lines[0]["label"].startswith("budget of 300 tokens")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keep": "low", "temperature": 1.0}, "temperature 1, seed 0, toward low"),
        ({"where": "perplexity < 50 or tokens > 30"}, "--where perplexity < 50 or tokens > 30: a condition"),
        ({"keep": "20:80", "by": "chars"}, "60 % of the documents were chosen by chars: chars is not drawn here."),
        ({"keep": "low", "within": "domain"}, "thresholds are shown by curate report --domain domain"),
    ],
)
def test_what_is_no_line_in_a_picture_is_said_in_words(tmp_path, options, said):
    run = domains_of(tmp_path)
    choose(str(run.path), **options)
    _, found = digest_of(run, domain="id")
    assert len(found["funnel"]["not_drawn"]) == 1 and said in found["funnel"]["not_drawn"][0]
    assert found["distributions"]["perplexity"]["thresholds"] == []


def test_a_bound_on_a_column_that_is_not_drawn_is_said(tmp_path):
    run = numbered_run(tmp_path, [{**one, "repeated_5grams": 0.01 * n} for n, one in enumerate(NUMBERS)],
                       signals=("zlib_ratio", "repeated_5grams"))  # fmt: skip
    choose(str(run.path), max_repeated_5grams=0.2, min_zlib=0.15)
    page, found = digest_of(run)
    (line,) = found["funnel"]["not_drawn"]
    assert line.startswith("--max-repeated-5grams 0.2: repeated_5grams is not drawn here") and "min zlib 0.15" in page


@pytest.mark.parametrize("chosen", [{}, {"max_ppl": 50}])
def test_what_does_not_fit_into_memory_is_read_again_with_the_same_result(tmp_path, monkeypatch, chosen):
    run = domains_of(tmp_path)
    write_hits(run, [{"row": 3}])
    if chosen:
        choose(str(run.path), **chosen)
    held = digest_of(run)
    monkeypatch.setattr("curate.overview.sources.HELD_BYTES", 100)
    assert digest_of(run) == held
    assert held[1]["funnel"]["rejected"]["contaminated: gsm8k"] == 1


@pytest.mark.parametrize("more", [-1, 1])
def test_a_decision_table_of_other_rows_is_refused(tmp_path, more):
    run = numbered_run(tmp_path, NUMBERS)
    choose(str(run.path), max_ppl=50)
    table = pq.read_table(run.filter)
    rows = pa.concat_tables([table, table])[: 40 + more]
    pq.write_table(rows.replace_schema_metadata(table.schema.metadata), run.filter)
    with pytest.raises(TableError, match="rows than the scores"):
        report(str(run.path))


def test_a_place_that_the_corpus_lacks_is_a_table_error(tmp_path):
    run = numbered_run(tmp_path, NUMBERS[:3])
    corpus = run.corpus()
    for file, row in (("b.jsonl", 0), ("a.jsonl", 3), ("a.jsonl", 10**6)):
        with pytest.raises(TableError, match="not the one that was scored"):
            read_text(run, corpus, file, row, 0)
    write_lines(tmp_path / "corpus" / "a.jsonl", [])
    with pytest.raises(TableError, match="not the one that was scored"):
        read_text(run, corpus, "a.jsonl", 0, 0)


# ---- drawing -------------------------------------------------------------------------------------------------------


def is_round(value):
    """Whether a number has two significant digits at most."""
    return float(f"{value:.1e}") == value


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-3, 1e9), st.floats(1.2, 1e9), st.integers(4, 9))
def test_ticks_are_round_few_and_inside(low, ratio, most):
    high = low * ratio
    for found in (list(axes.list_logarithmic(low, high, most)), list(axes.list_linear(low, high, most))):
        assert 1 + (most > 5) <= len(found) <= most and found == sorted(set(found))
        assert all(low * (1 - 1e-6) <= value <= high * (1 + 1e-6) for value in found)
    steps = np.diff(found)  # the even ones
    assert all(is_round(float(f"{step:.3g}")) for step in steps)
    assert steps.tolist() == pytest.approx(steps[:1].tolist() * len(steps), rel=1e-3)


def test_ticks_of_known_axes():
    assert list(axes.list_linear(0.0, 1.2, 6)) == [0.0, 0.5, 1.0]
    assert list(axes.list_linear(0.0, 1.2, 7)) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2]
    assert list(axes.list_logarithmic(0.3, 5, 7)) == [0.5, 1.0, 2.0, 5.0]
    assert list(axes.list_logarithmic(0.2, 90_000, 7)) == [1.0, 10.0, 100.0, 1000.0, 10_000.0]
    assert list(axes.list_logarithmic(48, 77, 5)) == [50.0, 60.0, 70.0]


# ---- tokens --------------------------------------------------------------------------------------------------------

TEXTS = ["one page of ordinary words, and more of them " * 6, "Größe 東京 한🙂🙃 naïve –\n\t  x", "a", "", "\n\n 🙂"]


@pytest.mark.parametrize("options", [{}, {"prefix": "none"}, {"max_tokens": 9}, {"window": 7, "overlap": 3}])
def test_the_nats_of_the_tokens_add_up_to_the_nats_of_the_document(tmp_path, options):
    reference = load(str(models.save(tmp_path, "gpt2")), Reading(exact=True, **options))
    (scored,) = reference.score([[Passage(text) for text in TEXTS]])
    for text, found, nats, tokens in zip(
        TEXTS, surprise.measure(reference, TEXTS), scored.nats, scored.tokens, strict=True
    ):
        if not tokens:
            assert found is None
            continue
        assert len(found.nats) == len(found.spans) == tokens
        assert found.nats.sum() == pytest.approx(nats, abs=1e-4 * tokens)
        pieces = surprise.stretch(text, found)
        assert sum(piece.nats for piece in pieces) == pytest.approx(nats, abs=1e-4 * tokens)
        assert sum(piece.tokens for piece in pieces) == tokens
        joined = "".join(piece.text for piece in pieces)
        assert text.startswith(joined) and (options.get("max_tokens") or joined == text)
    assert any(piece.tokens > 1 and "한" in piece.text for piece in surprise.stretch(TEXTS[1], surprise.measure(
        load(str(models.save(tmp_path, "gpt2")), Reading(exact=True)), TEXTS)[1]))  # fmt: skip


def test_the_model_is_loaded_again_as_it_was_and_another_one_is_refused(tmp_path):
    from curate.errors import ModelError

    place = models.save(tmp_path / "m", "gpt2")
    first = load(str(place), Reading(exact=True, window=9, overlap=2, max_tokens=20))
    again = surprise.load_again(first.identity)
    assert (again.policy, again.prefix) == (first.policy, first.prefix)
    models.save(tmp_path / "m", "gpt2", seed=1)
    with pytest.raises(ModelError, match="weights"):
        surprise.load_again(first.identity)


def test_shown_texts_are_shaded_by_the_runs_own_model_and_their_sums_agree(tmp_path):
    from curate.scoring import score

    place = models.save(tmp_path / "m", "llama")
    write_lines(tmp_path / "c" / "a.jsonl", [{"id": f"d{n}", "text": text} for n, text in enumerate(TEXTS)])
    score([str(tmp_path / "c")], model=str(place), run=str(tmp_path / "run"), exact=True, device="cpu")
    page, found = digest_of(runs.open_run(tmp_path / "run"), tokens_of=2, percentiles="0,50,100")
    read = [one for one in found["examples"] if one["again_nats"] is not None]
    assert len(read) == 2 and all(one["note"] is None and one["surprising"] for one in read)
    assert all(one["again_nats"] == pytest.approx(one["numbers"]["nats"], rel=1e-4) for one in read)
    assert 'title="' in page and " nats" in page
