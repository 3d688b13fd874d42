"""Hits, copies, buckets and the order as the report shows them."""

import pytest
from helpers.reports import NUMBERS, digest_of, domains_of
from helpers.runs import numbered_run, write_buckets, write_duplicates, write_hits, write_order

from curate.reports.page import collect, numbers, tables
from curate.reports.page.sources import ScoreBlocks, open_sources
from curate.rundir.run import open_run
from curate.verbs.filter import filter as choose


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


def test_a_text_that_cannot_be_read_is_told_with_the_reason_where_copies_are_shown(tmp_path, monkeypatch):
    run = numbered_run(tmp_path, NUMBERS)
    write_duplicates(run, [{7: "keeper", 8: "exact"}])
    monkeypatch.setattr(collect, "read_text", lambda *_: (None, "a.jsonl: Input/output error"))
    page, found = digest_of(run)
    (cluster,) = found["duplicates"]["largest"]
    assert (cluster["opening"], cluster["missing"]) == (None, "a.jsonl: Input/output error")
    assert "a.jsonl: Input/output error" in page


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
    sources = open_sources(open_run(run.path), "domain")
    table = ScoreBlocks(sources, numbers.list_columns(sources))
    found = tables.describe_buckets(table, sources.run, numbers.collect_numbers(sources, table, []).groups)
    assert [one.name for one in found.rows] == ["low", "high"]
    assert found.cuts == [] and sorted(found.domain_cuts) == [[22.0], [44.0]]
