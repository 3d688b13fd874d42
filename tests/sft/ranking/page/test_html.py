"""The page of a ranking: every number on it, and what strangers wrote is text."""

import dataclasses
import math
import re
import shlex

import numpy as np
import pytest
from helpers.browser import assert_harmless, hostile, needs_browser, open_page
from helpers.ranking_page import Tree, places_of
from helpers.rankings import LONG, make_dataset, make_place, make_ranking, make_table

from curate.runtime.text import fold_whitespace
from curate.sft.datasets import name_sets
from curate.sft.ranking.page.html import draw_page, list_best, list_reasons, rank_by, split_letters, write_command
from curate.sft.ranking.summary import format_interval, format_number


def test_what_is_opened_is_closed_and_every_id_is_there_once(full):
    tree = Tree(full[1])
    assert not tree.open
    ids = [attrs["id"] for _, attrs in tree.found if "id" in attrs]
    targets = {attrs["href"] for tag, attrs in tree.found if tag == "a"}
    assert len(ids) == len(set(ids)) and targets <= {f"#{one}" for one in ids}


def test_every_dataset_is_there_with_all_its_numbers(full):
    ranking, page = full
    text, rows = "".join(Tree(page).texts), places_of(page)
    for one, row in zip(ranking.table.datasets, rows.values(), strict=True):
        assert fold_whitespace(one.name) in row[1] and fold_whitespace(one.name) in text
        own = one.scores["perplexity"]
        assert format_number(own.value) in row[3] and format_interval(own) in row[3]
        assert row[0].strip() == str(one.rank or "–") and row[6].strip() == (one.group or "–")
        assert all(flag in row[1] for flag in one.flags)
        for score in one.scores.values():
            assert format_number(score.value) in text and format_interval(score) in text


def test_set_aside_ones_come_last_and_say_why(full):
    last = list(places_of(full[1]).values())[-1]
    assert "identity" in last[1] and "set aside: repeats its answers" in last[1] and last[4].strip() == "–"


def test_a_table_holds_the_words_of_each_reading_and_of_each_agreement(full):
    text = "".join(Tree(full[1]).texts)
    assert "domain foreign, answers ordinary; continued pre-training on its domain first" in text
    assert "Kendall’s τ −1.00 [−1.00, −0.80]; 18 of 171 pairs in the opposite order change beyond chance" in text
    assert "maths before a-very-long-name-of-a-dataset" in text
    assert "no number: they are the same" in text and "about 1,300" in text and "too few to say" in text


def test_what_was_read_is_counted_with_its_reasons(full):
    rows = [[cell.strip() for cell in row] for row in Tree(full[1]).rows]
    assert ["no example", "90", "no answer It is 4."] in rows and ["unreadable", "5", "no object It is 4."] in rows
    assert ["template", "7", "the system turn is dropped It is 4."] in rows and ["schema", "5", "messages"] in rows
    assert ["windows", "3", "longer than the model’s window, read in several"] in rows


def test_many_reasons_are_bounded_and_none_is_lost_from_the_count():
    reasons = {f"reason {number} " + "x" * 1000: number for number in range(1, 101)}
    found = list_reasons(reasons)
    assert sum(number for _, number in found) == sum(reasons.values()) and found[0][1] == 100
    assert len(found) == 13 and found[-1][0] == "88 other reasons" and all(len(text) <= 400 for text, _ in found)


@pytest.mark.parametrize(
    ("groups", "best"),
    [(("a", "b"), 1), (("a", "ab", "b"), 2), (("b", "a", "b"), 2), (("(53)", "(53)c", "(5)"), 2), ((), 0)],
)
def test_the_headline_names_those_that_share_a_letter_with_the_best(groups, best):
    places = [make_place(f"set{at}", at + 1, 4.0 + at, group=group) for at, group in enumerate(groups)]
    table = dataclasses.replace(make_table(), datasets=(*places, make_place("aside", None, 1.0)))
    assert len(list_best(table)) == best
    assert split_letters("ab(53)(7)") == {"a", "b", "(53)", "(7)"}


def test_headlines_of_one_of_several_and_of_none():
    def headline(*places):
        table = dataclasses.replace(make_table(), datasets=places, pairs=())
        datasets = tuple(make_dataset(one.name) for one in places)
        page = draw_page(make_ranking(table=table, datasets=datasets, others={}, compared=(), readings=()))
        return "".join(Tree(re.search(r"<h1>.*?</h1>", page)[0]).texts)

    places = [make_place(name, at, 4.0, group="a") for at, name in enumerate("tuvwxyz", 1)]
    aside = make_place("aside", None, 1.0)
    assert headline(aside) == "No dataset has a rank" and headline(places[0], aside) == "Only t has a rank"
    assert headline(*places[:3]) == "Nearest to acme/base-7B: t, u or v, which cannot be told apart"
    assert headline(*places) == "Nearest to acme/base-7B: one of 7 datasets that cannot be told apart"
    assert headline(places[0], make_place("u", 2, 9.0, group="b")) == "Nearest to acme/base-7B: t"


def test_what_strangers_wrote_runs_nothing_points_nowhere_and_stays_legible():
    names = tuple(f"{number}{hostile(1, 'name')}" for number in range(4))
    ranking = make_ranking(names, hostile(1, "text"), model=hostile(1, "model"), template=hostile(1, "template"))
    page = draw_page(dataclasses.replace(ranking, others={hostile(1, "other"): ranking.table}))
    text = "".join(assert_harmless(page).texts)
    for name in ("name", "text", "model", "template", "other"):
        assert f"{name}-end" in text
    assert "{{ 7*7 }}" in text and not set("\x00\x1b\u202e\u2066\u2028") & set(page)
    page.encode("utf-8")


def test_no_address_is_on_the_page_and_nothing_of_it_comes_from_elsewhere(full):
    assert not re.search(r"https?://|//www|@import|url\(|<script|<link|<img", full[1])
    assert "default-src 'none'" in full[1] and "<script>alert" not in full[1] and "&lt;script&gt;alert" in full[1]


def test_lone_surrogates_are_spelled_out():
    draw_page(make_ranking(("a\udc80", "b", "c"))).encode("utf-8")


def test_twenty_datasets_make_a_page_of_less_than_300_kilobytes(full):
    assert len(full[1].encode()) < 300_000 and fold_whitespace(LONG) in full[1]


def test_the_same_ranking_gives_the_same_page(full):
    assert draw_page(make_ranking()) == full[1]


@needs_browser
def test_a_hostile_ranking_runs_nothing_in_a_browser(tmp_path):
    page = tmp_path / "ranking.html"
    names = tuple(f"{number}{hostile(1, 'name')}" for number in range(3))
    page.write_text(draw_page(make_ranking(names, hostile(1, "text"))), encoding="utf-8")
    dom = open_page(page, tmp_path / "profile")
    assert re.search(r"<title>([^<]*)</title>", dom)[1] == "curate rank-sft: 3 datasets under acme/base-7B"
    assert "name-end" in "".join(assert_harmless(dom).texts)


def test_ranks_by_another_measure_leave_out_what_has_no_number():
    table = make_table(("a", "b", "c", "aside"))
    table.values["rsr"] = np.array([3.0, math.nan, 1.0])
    assert rank_by(table, "rsr") == {"c": 1, "a": 2}


def test_the_command_makes_the_same_ranking_again():
    datasets = (make_dataset("maths"), dataclasses.replace(make_dataset("é"), data="/data/other name.json"))
    said = write_command(make_ranking(datasets=datasets, end_of_turn=False, chat_model=None))
    assert said == (
        "curate rank-sft /data/maths.jsonl 'é=/data/other name.json' --model acme/base-7B --template plain "
        "--by perplexity --turns all --sample-size 1000 --seed 7 --draws 1000 --window 2048 --overlap 1024 "
        "--revision main --dtype bf16 --out ranked --no-end-of-turn"
    )
    grown = (dataclasses.replace(datasets[0], drawn=2000),)
    own = write_command(make_ranking(datasets=grown, template="chat template of acme", identity={"exact": True}))
    assert "--template auto" in own and own.endswith("--out ranked --exact --until-separated")


@pytest.mark.parametrize("data", [["a/x.json", "b/x.json"], ["x=a/y.json", "b/x.json"], ["my data.v2.json"]])
def test_the_datasets_of_the_command_get_the_same_names_again(data):
    named = name_sets(data)
    datasets = tuple(dataclasses.replace(make_dataset(name), data=path) for name, path in named.items())
    said = shlex.split(write_command(make_ranking(datasets=datasets)))
    assert name_sets(said[2 : 2 + len(data)]) == named
