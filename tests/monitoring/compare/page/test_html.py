"""The page of a comparison: its numbers are those of the JSON, and what strangers wrote is text."""

import math
import re
from dataclasses import replace
from html import unescape

import pytest
from helpers.browser import assert_harmless, hostile, needs_browser, open_page
from helpers.ranking_page import Tree
from typer.testing import CliRunner

from curate.cli import app
from curate.monitoring.compare.measures import show_change, show_level
from curate.monitoring.compare.page.html import MOST_ROWS, draw_comparison, write_page
from curate.monitoring.compare.screen import format_change, format_interval, format_level
from curate.monitoring.compare.worst import ChangedSpan

NAMES = ("paired", "samples", "plain", "series", "three", "saved", "leak")
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


@pytest.fixture(scope="module")
def pages(compared):
    return {name: draw_comparison(getattr(compared, name)) for name in NAMES}


def rows_of(page, ident):
    """The cells of the rows of a section, from its second row on."""
    part = page[page.index(f'id="{ident}"') :]
    return [
        [cell.strip() for cell in row] for row in Tree(part[part.index("<table") : part.index("</table>") + 8]).rows
    ][1:]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_opened_is_closed_every_id_is_there_once_and_nothing_runs_or_loads(pages, name):
    page = pages[name]
    tree = Tree(page)
    assert not tree.open
    ids = [attrs["id"] for _, attrs in tree.found if "id" in attrs]
    labels = {word for _, attrs in tree.found for word in attrs.get("aria-labelledby", "").split()}
    assert len(ids) == len(set(ids)) and labels <= set(ids)
    assert_harmless(page)
    assert page.index(POLICY) < page.index("<style>") and "://" not in page and "nan" not in "".join(tree.texts)


def test_a_row_has_the_numbers_of_the_json(compared, pages):
    pair = compared.paired.as_dict()["pairs"][0]
    rows = rows_of(pages["paired"], "differences")
    assert len(rows) == len(pair["groups"]) + 1
    for cells, row in zip(rows, [pair["all"], *pair["groups"]], strict=True):
        assert cells[0] == row["name"]
        ends = format_interval(row["change_low"], row["change_high"], "perplexity")
        assert cells[2] == f"{format_change(row['change'], 'perplexity')} {ends}"
        assert cells[3] == f"{format_level(row['before'], 'perplexity')} → {format_level(row['after'], 'perplexity')}"
        assert cells[4] == f"{row['documents'][0]:,}" and cells[5].startswith(row["verdict"])


def test_the_series_has_the_numbers_of_the_json(compared, pages):
    series = compared.series.as_dict()["series"]
    for cells, row in zip(rows_of(pages["series"], "series"), [series["all"], *series["groups"]], strict=True):
        assert cells[:2] == [row["name"], format_level(row["levels"][0], "perplexity")]
        assert cells[3:5] == [
            format_change(row["change"], "perplexity"),
            format_interval(row["change_low"], row["change_high"], "perplexity"),
        ]
        assert cells[5] == ("–" if row["since"] is None else series["steps"][row["since"]])
        assert cells[6] == row["verdict"]
    assert pages["series"].count('class="dots jumped" d=') >= sum(
        len(row.crossed) > 0 for row in compared.series.series.rows
    )


def test_quantiles_and_prices_are_those_of_the_json(compared, pages):
    quantiles = compared.three.as_dict()["distributions"]
    for cells, side in zip(rows_of(pages["three"], "quantiles"), quantiles, strict=True):
        assert cells[0] == side["label"] and float(cells[5]) == pytest.approx(side["quantiles"][50], rel=5e-3)
    costs = sorted(compared.three.costs, key=lambda one: one.dollars_per_gigabyte)
    for number, (cells, one) in enumerate(zip(rows_of(pages["three"], "costs"), costs, strict=True), 1):
        assert cells[0] == f"{number}. {one.label}" and cells[1] == f"{one.bits_per_byte:.4f}"
        assert cells[5] == ("on it" if one.on_front else "–")


def test_there_is_a_section_only_where_there_is_something_to_show(pages):
    sections = {
        "paired": {"differences", "distributions", "quantiles", "documents"},
        "samples": {"differences", "distributions", "quantiles"},
        "series": {"series", "groups"},
        "three": {"differences", "distributions", "quantiles", "costs"},
        "leak": {"differences", "distributions", "quantiles", "leak"},
    }
    known = set().union(*sections.values())
    for name, wanted in sections.items():
        assert set(re.findall(r'id="([^"]*)"', pages[name])) & known == wanted, name


def test_the_answer_is_in_words_and_names_what_crossed_and_what_is_missing(compared, pages):
    text = " ".join("".join(Tree(pages["samples"]).texts).split())
    assert "exit code" in text and "not measured now: domain-00" in text and "was not there" not in text
    assert "Beyond the tolerance of 1%" in pages["paired"] and "beyond the tolerance:" in pages["paired"]
    assert "Signs of a leak" in pages["leak"] and "100.00 % of the texts" in pages["leak"]
    shown = "".join(Tree(pages["plain"]).texts)
    whole = compared.plain.pairs[0].all
    assert f"({format_interval(whole.change_low, whole.change_high, 'perplexity')})" in shown


def test_several_sides_without_groups_share_a_table(pages):
    rows = rows_of(pages["three"], "differences")
    assert [row[0] for row in rows] == ["after", "less"] and 'id="differences-2"' not in pages["three"]


def test_a_group_without_an_interval_says_so(compared):
    pair = compared.paired.pairs[0]
    few = replace(pair.groups[0], low=-math.inf, high=math.inf, change_low=-1.0, change_high=math.inf)
    page = draw_comparison(replace(compared.paired, pairs=(replace(pair, groups=(few, *pair.groups[1:])),)))
    assert rows_of(page, "differences")[1][2].endswith("too few documents")
    assert page.count('class="whisker boundless"') == 1 and "inf" not in "".join(Tree(page).texts).split()


def test_of_many_groups_the_first_are_shown_and_the_page_says_so(compared):
    pair = compared.plain.pairs[0]
    groups = tuple(replace(pair.groups[0], name=f"group {number}") for number in range(1000))
    page = draw_comparison(replace(compared.plain, pairs=(replace(pair, groups=groups),)))
    assert len(rows_of(page, "differences")) == MOST_ROWS + 1
    assert "The first 200 of 1,000 groups are shown" in page and len(page) < 300_000


def test_a_page_of_seventeen_domains_is_small_and_the_same_each_time(compared, pages, tmp_path):
    assert write_page(tmp_path / "compare.html", compared.paired) < 100_000
    assert (tmp_path / "compare.html").read_bytes() == pages["paired"].encode()


def test_the_command_writes_the_page_and_names_it(compared, tmp_path):
    words = ["compare", *compared.sides[:2], "--within", "domain", "--tolerance", "1%", "--worst", "3"]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "compare.html")])
    assert done.exit_code == 4 and "page" in done.output
    assert (tmp_path / "compare.html").read_text() == draw_comparison(compared.paired)


def make_hostile(compared, port):
    """A comparison with everything, hostile wherever text can come from."""
    evil = lambda name: f"\u202e\x1b[31m\x00{{{{ 7*7 }}}} {hostile(port, name)}"  # noqa: E731
    found, series = compared.paired, compared.series.series
    pair = replace(found.pairs[0], before=evil("before"), after=evil("after"))
    groups = tuple(
        replace(row, name=f"{n}{evil('group')}" + "long" * 5000 * (n == 1)) for n, row in enumerate(pair.groups)
    )
    changed = tuple(
        replace(one, file=evil("file"), id=evil("id") if n else None, group=evil("kind"), note=evil("note"),
                spans=(ChangedSpan(evil("span"), (1.0, 9.0)), ChangedSpan("👩\u200d👩 " * 3000, (3.0, 0.1))))
        for n, one in enumerate(found.changed)
    )  # fmt: skip
    return replace(
        found,
        sides=tuple(replace(side, label=evil("label"), model=evil("model")) for side in found.sides),
        pairs=(replace(pair, groups=groups),),
        series=replace(series, steps=tuple(f"{n}{evil('step')}" for n in range(len(series.steps)))),
        costs=tuple(replace(one, label=evil("cost")) for one in compared.three.costs),
        leak=replace(compared.leak.leak, alarms=(evil("alarm"),), training=evil("train"), held_out=evil("held")),
        distributions=tuple(replace(one, label=evil("line")) for one in found.distributions),
        changed=changed,
        within=(evil("within"),),
        cluster=evil("cluster"),
        metric_reason=evil("reason"),
        ignored=(evil("ignored"),),
        noise=(evil("noise"),),
    )


def test_hostile_names_are_text(compared):
    page = draw_comparison(make_hostile(compared, 1))
    text = "".join(assert_harmless(page).texts)
    assert not Tree(page).open and "<script>document.title='owned'" in text
    assert not set("\x00\x1b\u202e\u2066\u2028") & set(page) and "{{ 7*7 }}" in page
    assert "longlonglong" not in page and len(page) < 300_000


@needs_browser
def test_hostile_names_run_and_load_nothing_in_a_browser(compared, tmp_path):
    page = tmp_path / "compare.html"
    write_page(page, make_hostile(compared, 1))
    dom = open_page(page, tmp_path / "profile")
    assert unescape(re.search(r"<title>([^<]*)</title>", dom)[1]).startswith("curate compare: ")
    assert "<script>document.title='owned'" in "".join(assert_harmless(dom).texts)


def test_what_was_not_measured_is_no_number_and_not_infinite():
    assert math.isnan(show_level(math.nan, "perplexity")) and math.isnan(show_change(math.nan, "perplexity"))
    assert show_level(701.0, "perplexity") == math.inf == show_change(math.inf, "perplexity")
