"""The page of ``decontaminate``: every hit with its evidence, and no text of a stranger is obeyed."""

import re
from html import unescape
from html.parser import HTMLParser

import pytest
from helpers.leakage import COUNTS, HOSTILE, make_found, make_hit

from curate.stages.decontaminate import report
from curate.stages.decontaminate.report.html import LEAST_CHARS
from curate.stages.decontaminate.report.wording import RULES
from curate.stages.decontaminate.summary import BLIND, EvalSetReport


def write(tmp_path, found, hits):
    report.write_page(tmp_path / "page.html", found, hits)
    return (tmp_path / "page.html").read_bytes().decode()


class Page(HTMLParser):
    """The elements of a page, with the text of its articles and its marks."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.marks, self.texts, self.open = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if "mark" in self.open:
            self.marks.append(data)
        if "article" in self.open:
            self.texts.append(data)


TEXTS = (
    "file",
    "id",
    "role",
    "eval_set",
    "eval_id",
    "part",
    "verdict",
    "rule",
    "before",
    "matched_text",
    "after",
    "eval_text",
)


@pytest.mark.parametrize("name", TEXTS)
def test_no_text_of_a_hit_appears_raw(tmp_path, name):
    plain = Page(write(tmp_path, make_found(), [make_hit(turn=1, role="user")]))
    text = write(tmp_path, make_found(), [make_hit(turn=1, role="user") | {name: HOSTILE}])
    page = Page(text)
    assert page.tags.count("script") == 1 and not {"b>", "img"} & set(page.tags)
    assert page.tags.count("b") == plain.tags.count("b") and text.count("<!--") == 0
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\u2028]", text) and "49" not in "".join(page.texts)
    shown = "".join(page.texts) + "".join(str(attribute[2]) for attribute in page.attributes)
    assert r'</script><b>"' in shown and r"\x00\x1b[31m\u202e" in shown and r"\ud800" in shown


def test_no_text_of_the_findings_appears_raw(tmp_path):
    sets = (EvalSetReport(HOSTILE, 9, (HOSTILE, "b"), 1, 1, 0, {"exact": 1}),)
    changes = {"corpus": HOSTILE, "run": HOSTILE, "notes": (HOSTILE,), "sets": sets, "report": HOSTILE}
    text = write(tmp_path, make_found(**changes, method=HOSTILE, turns=HOSTILE), [])
    page = Page(text)
    assert page.tags.count("script") == 1 and "img" not in page.tags and r"\ud800" in text
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\u2028]", text)


def test_only_the_page_s_own_script_may_run(tmp_path):
    from base64 import b64encode
    from hashlib import sha256

    text = write(tmp_path, make_found(), [make_hit()])
    script = re.search("<script>(.*)</script>", text, flags=re.DOTALL)[1]
    allowed = re.search('http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1]
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" == unescape(allowed)


def test_the_page_refers_to_nothing_outside_itself(tmp_path):
    text = write(tmp_path, make_found(), [make_hit(number) for number in range(3)])
    assert "http" not in text.replace("http-equiv", "") and "url(" not in text and "@import" not in text
    references = [value for _, name, value in Page(text).attributes if name in ("src", "href", "action", "srcset")]
    assert references == ["#hit-1", "#hit-2", "#hit-3"]


def test_the_page_has_every_hit_once_leaks_before_review_the_weakest_first(tmp_path):
    hits = [make_hit(number) for number in range(8)]
    hits[2]["verdict"] = hits[4]["verdict"] = "review"
    strongest = (hits[7], make_hit(99, verdict="contaminated"))
    found = make_found(strongest=strongest, sets=(EvalSetReport("gsm8k", 9, (), 8, 8, 2, {"exact": 7}),))
    text = write(tmp_path, found, hits[::-1])
    assert re.findall(r"<h3>gsm8k/(\d+)</h3>", text) == ["0", "1", "3", "5", "6", "7", "99", "2", "4"]
    assert "All 7 leaks and 2 hits for review are shown." in text
    hits[2]["verdict"] = "variant"
    assert "All 7 leaks and 1 variants and 1 hits for review are shown." in write(tmp_path, found, hits)


def test_the_page_says_how_many_hits_it_leaves_out(tmp_path):
    text = write(tmp_path, make_found(), [make_hit(number) for number in range(2)])
    assert "2 of 6 leaks, the weakest and the strongest, and none of the 4 documents for review are shown;" in text
    assert "all hits are in the table curated/hits." in text


def test_the_words_that_agree_are_marked_in_both_texts(tmp_path):
    hit = make_hit(matched_text="MIA bought 5 boxes of <pens>", eval_text="Mia bought 5 boxes of “pens” & ink")
    page = Page(write(tmp_path, make_found(), [hit]))
    assert page.marks == ["Marked", "MIA bought 5 boxes of <pens", "Mia bought 5 boxes of “pens"]


def test_one_hit_of_each_document_decides_a_leak_before_review_and_the_most_bits_among_leaks(tmp_path):
    hits = [make_hit(1, eval_id=name, verdict=verdict, bits=bits) for name, verdict, bits in (
        ("a", "contaminated", 40), ("b", "contaminated", 50), ("c", "review", 90))]  # fmt: skip
    text = write(tmp_path, make_found(), [*hits, make_hit(2, eval_id="d", verdict="review")])
    best = re.findall(r"data-best>\n.*<h3>gsm8k (\w)</h3>", text)
    assert best == ["b", "d"]


def test_the_summary_of_the_page_has_the_funnel_the_sets_and_the_canaries(tmp_path):
    text = write(tmp_path, make_found(notes=("the lock names another gsm8k",)), [make_hit()])
    for piece in (
        "6 of 100 documents contain eval items", "mmlu/high_school_european_history", "94/100", BLIND, "1,174 more",
        "the lock names another gsm8k", "12.3 MB", "5.5 %", "from 35 bits on", "1,204 of <bdi>mmlu",
    ):  # fmt: skip
        assert piece in text, piece
    row = re.search('<tr><th scope="row">gsm8k(.*)</tr>', text)[1]
    assert re.findall(r"<td[^>]*>([\d,]+)", row) == ["6", "0", "0", "6", "1,319", "4", "1", "1", "0"]
    assert tuple(re.findall(r"<th>(exact|aligned|partial)", text)) == RULES[:3]


def test_what_stands_around_a_match_keeps_its_indents_and_loses_empty_lines_and_cut_words(tmp_path):
    hit = make_hit(before="rted words\n\n  \n    Q: ", after="\n\n\n\tdef f(" + "x " * 77, start=400)
    texts = Page(write(tmp_path, make_found(), [hit])).texts
    assert "… words\n    Q: " in texts and any(
        text.startswith("\n\tdef f(x x") and text.endswith("x …") for text in texts
    )


def test_a_page_without_hits_says_so(tmp_path):
    counts = COUNTS | {"contaminated": 0, "review": 0, "dropped": 0, "clean": 100}
    text = write(tmp_path, make_found(counts=counts), [])
    assert "None of 100 documents contains an eval item that was searched for" in text and "Nothing was found." in text
    assert "<article" not in text and "94/100" in text


def test_the_hits_can_be_read_without_scripts(tmp_path):
    attributes = Page(write(tmp_path, make_found(), [make_hit()])).attributes
    assert [tag for tag, name, _ in attributes if name == "hidden"] == ["form", "p"]


def test_long_texts_are_cut_where_there_are_many_and_a_thousand_hits_fit_three_megabytes(tmp_path):
    long = " ".join(f"word{number}" for number in range(1200))
    lead = "nothing like it at all " * 100
    hits = [
        make_hit(number, matched_text=long, eval_text=lead + long, before="b " * 80)
        for number in range(report.PAGE_HITS)
    ]
    text = write(tmp_path, make_found(), hits)
    assert len(text.encode()) < 3_100_000
    assert f"{len(long) - LEAST_CHARS:,} more characters" in text and "characters before" in text
    few = write(tmp_path, make_found(), hits[:2])
    assert "more characters" not in few and "word1199" in few


def test_the_same_findings_give_the_same_bytes(tmp_path):
    hits = [make_hit(number, bits=50.0, id=None) for number in range(5)]
    assert write(tmp_path, make_found(), hits) == write(tmp_path, make_found(), hits[::-1])
