"""Where the filter cut is a line in the picture, or is said in words."""

import pytest
from helpers.reports import NUMBERS, digest_of, domains_of
from helpers.runs import kept_of, numbered_run

from curate.verbs.filter import filter as choose


def test_thresholds_of_percentiles_are_where_the_documents_were_cut(tmp_path):
    run = numbered_run(tmp_path, NUMBERS)
    choose(str(run.path), keep="25:75")
    _, found = digest_of(run)
    lines = found["distributions"]["perplexity"]["thresholds"]
    assert [(line["side"], line["value"]) for line in lines] == [("below", 22.0), ("above", 60.0)]


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
