"""What ``decontaminate`` found, shown: marks are where the words agree, and no text of a stranger is obeyed."""

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate import evidence, hitbook, tables
from curate.evidence.leakage import BLIND, Leakage, Recall, SetReport
from curate.evidence.marks import find_marks, split_marked
from curate.evidence.page import LEAST_CHARS
from curate.evidence.screen import columns
from curate.evidence.wording import AROUND, RULES, spell_out

PENS = "Mia bought 5 boxes of pens at $2 each and gave the cashier a twenty. How much change did she get?"
HOSTILE = "</script><b>\"'&quot;<!--\x00\x1b[31m\u202e\u2028\r\n\ud800{{ 7*7 }}<img src=x onerror=alert(1)>"
COUNTS = {"read": 110, "scanned": 100, "clean": 90, "review": 4, "contaminated": 6, "dropped": 6}
COUNTS |= {"empty": 7, "unreadable": 3, "bytes": 12_300_000}


def make_hit(number=0, **changes):
    """One hit, as a row of the table."""
    hit = dict.fromkeys(tables.HITS.names) | {
        "file": "web.jsonl.zst", "row": number, "id": f"web-{number}", "eval_set": "gsm8k",
        "eval_id": f"gsm8k/{number}", "part": "question", "verdict": "contaminated", "action": "drop",
        "rule": "exact", "containment": 1.0, "coverage": 1.0, "bits": 100.0 + number, "longest_match": 20,
        "start": 12, "end": 12 + len(PENS), "before": "As they say ", "matched_text": PENS, "after": " The end.",
        "eval_text": PENS,
    }  # fmt: skip
    return hit | changes


def make_found(**changes):
    sets = (
        SetReport("gsm8k", 1319, (), 6, 6, 0, {"exact": 4, "aligned": 1, "partial": 1}),
        SetReport("mmlu/high_school_european_history", 14_042, tuple(f"mmlu/{n}" for n in range(1204)), 0, 0, 4, {}),
    )
    shares = {"verbatim": 100, "case": 100, "spacing": 100, "words": 94, "truncated": 97}
    recall = tuple(Recall(kind, 100, number) for kind, number in shares.items())
    found = Leakage("curated", "corpus/", "ngram", "drop", None, COUNTS, sets, recall, (), (), "curated/page.html")
    return replace(found, **changes)


def write(tmp_path, found, hits):
    evidence.write_page(tmp_path / "page.html", found, hits)
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


# ---- marks --------------------------------------------------------------------------------------------------------


def marked(document, item):
    here, there = find_marks(document, item)
    return [document[first:last] for first, last in here], [item[first:last] for first, last in there]


def test_equal_words_are_marked_whatever_their_case_accents_and_punctuation():
    assert marked("THE Café, closed\nat — noon!", "the cafe closed at noon") == (
        ["THE Café, closed\nat — noon"],
        ["the cafe closed at noon"],
    )


def test_a_replaced_word_splits_the_marks_in_both_texts():
    here, there = marked(
        "she bought five boxes of blue pens at two dollars", "She bought five boxes of red pens at two dollars"
    )
    assert here == ["she bought five boxes of", "pens at two dollars"]
    assert there == ["She bought five boxes of", "pens at two dollars"]


def test_fewer_than_three_words_in_a_row_are_no_evidence_and_not_marked():
    assert marked("the red pens cost two", "the blue pens cost four") == ([], [])
    assert marked("", "") == marked("…", PENS) == ([], [])


def test_chinese_is_marked_by_characters():
    assert marked("他说:今天天气很好。", "今天天气很好吗") == (["今天天气很好"], ["今天天气很好"])


def test_of_texts_without_end_the_beginning_is_compared_and_marked():
    long = " ".join(f"word{number}" for number in range(20_000))
    here, there = find_marks(long, long)
    assert here == there == [(0, long.index(" word1500"))]


@given(st.text("ab c\n", max_size=60), st.text("ab c\n", max_size=60))
@settings(deadline=None)
def test_marks_lie_in_their_texts_in_order_and_pieces_put_together_are_the_text(document, item):
    for text, spans in zip((document, item), find_marks(document, item), strict=True):
        places = [place for span in spans for place in span]
        assert places == sorted(places) and all(first < last <= len(text) for first, last in spans)
        assert "".join(piece.text for piece in split_marked(text, spans, 0, len(text))) == text


def test_the_context_that_hits_keep_is_the_one_that_the_ellipses_go_by():
    assert AROUND == hitbook.CONTEXT


# ---- the screen ---------------------------------------------------------------------------------------------------


def test_the_screen_tells_everything_in_a_hundred_columns():
    before, after = "x" * 90 + " then he said that this is so, as everybody knows who was there. ", " and so on" * 16
    hits = [
        make_hit(number, before=before, after=after, start=400, end=500, turn=3, role="user") for number in range(3)
    ]
    text = make_found(
        strongest=tuple(hits), weakest=(make_hit(7, eval_text="字" * 300, matched_text="字" * 300),)
    ).render()
    assert max(map(columns, text.splitlines())) <= 100 and not re.search(r"[ \t]$", text, flags=re.MULTILINE)
    assert text.startswith("looked through  100 documents   12.3 MB of text   by word n-grams, exactly\n")
    for line in (
        r"read +110 +100\.0 %", r"  unreadable +3 +2\.7 %", r"  empty +7 +6\.4 %", r"  clean +90 +81\.8 %",
        r"  contaminated +6 +5\.5 % +dropped", r"  for review +4 +3\.6 %", r"gsm8k +1,319 +0 +6 +6 +0 +4 +1 +1",
        r"mmlu/high_school_europ… +14,042 +1,204 +0 +0 +4 +0 +0 +0",
        r"canaries +verbatim 100/100 +case 100/100 +spacing 100/100 +words 94/100 +truncated 97/100",
        r"  gsm8k/0   exact   coverage 100 %   100 bits   web.jsonl.zst, row 0, turn 3 \(user\)   web-0",
        r"    document    … .*who was there\. ⟦Mia bought 5 boxes of pens", r"    eval item   ⟦Mia bought 5 boxes",
        r"next: open curated/page.html .*", r"      curate filter --dry-run", r"      curate export out/",
    ):  # fmt: skip
        assert re.search(f"^{line}", text, flags=re.MULTILINE), line
    folded = " ".join(text.split())
    assert "mmlu/0, mmlu/1, mmlu/2 and 1,201 more" in folded
    assert "planted in 500 copies of your documents" in folded and BLIND in folded
    assert "more than a third" not in folded and "verdict" not in folded


def test_a_text_on_the_screen_has_two_lines_around_its_first_marked_word():
    item = "Read the passage. " * 40 + PENS
    text = make_found(strongest=(make_hit(eval_text=item, id=None),)).render()
    after = text[text.index("    eval item") :].split("\n\n")[0].splitlines()
    assert len(after) == 2 and after[0].startswith("    eval item   … ") and "⟦Mia bought" in after[0]
    assert after[1].endswith(("get?", "…⟧", "get⟧?")) and "".join(after).count("⟦") == "".join(after).count("⟧")


def test_the_screen_spells_out_what_a_terminal_would_obey():
    names = ("file", "id", "role", "eval_set", "eval_id", "rule", "before", "matched_text", "after", "eval_text")
    hostile = make_hit(turn=0, **dict.fromkeys(names, HOSTILE + PENS) | {"before": "so\x1b[2J\n"})
    sets = (SetReport(HOSTILE, 9, (HOSTILE, "b"), 1, 1, 0, {"exact": 1}),)
    text = make_found(strongest=(hostile,), weakest=(hostile,), sets=sets, notes=(HOSTILE,), run=HOSTILE).render()
    assert all(char.isprintable() for char in text.replace("\n", ""))
    assert r"\x00\x1b[31m\u202e" in text and r"\ud800" in text


def test_another_run_is_named_in_what_comes_next():
    text = make_found(run="my runs/one", report="my runs/one/page.html").render()
    assert "open 'my runs/one/page.html'" in text and "curate status --run 'my runs/one'" in text


def test_more_than_a_third_contaminated_asks_whether_the_corpus_is_the_eval_set():
    for many, asked in ((33, False), (34, True)):
        found = make_found(counts=COUNTS | {"contaminated": many})
        assert ("is this corpus the eval set itself" in " ".join(found.render().split())) == asked


@pytest.mark.parametrize(
    ("action", "said"),
    [("drop", "dropped by"), ("mark", "marked; they stay"), ("cut-span", "cuts the passage out of 4")],
)
def test_the_screen_says_what_becomes_of_contaminated_documents(action, said):
    assert said in make_found(action=action, counts=COUNTS | {"dropped": 2}).render()


def test_a_verified_export_gets_a_verdict_and_nothing_to_do_next():
    leaking = make_found(verified=True, corpus="out/").render()
    assert "verdict         6 of 100 documents of out/ still contain eval items" in leaking
    clean = make_found(verified=True, corpus="out/", counts=COUNTS | {"contaminated": 0, "review": 2}).render()
    folded = " ".join(clean.split())
    assert "clean: none of 100 documents of out/ contains any of 14,157 eval items; 2 are for review" in folded
    assert "next:" not in leaking + clean and "dropped" not in leaking + clean


def test_a_clean_corpus_is_said_to_be_clean_of_what_was_looked_for():
    text = make_found(counts=COUNTS | {"contaminated": 0, "review": 0, "clean": 100}).render()
    assert "clean: none of 100 documents" in text and "hits\n" not in text and "next:" in text


# ---- the page -----------------------------------------------------------------------------------------------------

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
    sets = (SetReport(HOSTILE, 9, (HOSTILE, "b"), 1, 1, 0, {"exact": 1}),)
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
    found = make_found(strongest=strongest, sets=(SetReport("gsm8k", 9, (), 8, 8, 2, {"exact": 7}),))
    text = write(tmp_path, found, hits[::-1])
    assert re.findall(r"<h3>gsm8k/(\d+)</h3>", text) == ["0", "1", "3", "5", "6", "7", "99", "2", "4"]
    assert "All 7 leaks and 2 hits for review are shown." in text


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
    assert re.findall(r"<td[^>]*>([\d,]+)", row) == ["6", "0", "6", "1,319", "4", "1", "1", "0"]
    assert tuple(re.findall(r"<th>(exact|aligned|partial)", text)) == RULES


def test_what_stands_around_a_match_keeps_its_indents_and_loses_empty_lines_and_cut_words(tmp_path):
    hit = make_hit(before="rted words\n\n  \n    Q: ", after="\n\n\n\tdef f(" + "x " * 77, start=400)
    texts = Page(write(tmp_path, make_found(), [hit])).texts
    assert "… words\n    Q: " in texts and any(
        text.startswith("\n\tdef f(x x") and text.endswith("x …") for text in texts
    )


def test_a_page_without_hits_says_so(tmp_path):
    counts = COUNTS | {"contaminated": 0, "review": 0, "dropped": 0, "clean": 100}
    text = write(tmp_path, make_found(counts=counts), [])
    assert "None of 100 documents contains an eval item that was looked for" in text and "Nothing was found." in text
    assert "<article" not in text and "94/100" in text


def test_the_hits_can_be_read_without_scripts(tmp_path):
    attributes = Page(write(tmp_path, make_found(), [make_hit()])).attributes
    assert [tag for tag, name, _ in attributes if name == "hidden"] == ["form", "p"]


def test_long_texts_are_cut_where_there_are_many_and_a_thousand_hits_fit_three_megabytes(tmp_path):
    long = " ".join(f"word{number}" for number in range(1200))
    lead = "nothing like it at all " * 100
    hits = [
        make_hit(number, matched_text=long, eval_text=lead + long, before="b " * 80) for number in range(evidence.MOST)
    ]
    text = write(tmp_path, make_found(), hits)
    assert len(text.encode()) < 3_100_000
    assert f"{len(long) - LEAST_CHARS:,} more characters" in text and "characters before" in text
    few = write(tmp_path, make_found(), hits[:2])
    assert "more characters" not in few and "word1199" in few


def test_the_same_findings_give_the_same_bytes(tmp_path):
    hits = [make_hit(number, bits=50.0, id=None) for number in range(5)]
    assert write(tmp_path, make_found(), hits) == write(tmp_path, make_found(), hits[::-1])


def test_spelling_out_leaves_what_can_be_seen():
    seen = "naïve 東京 🙂 “x” – € ﬁ"
    assert spell_out(seen) == seen
    assert spell_out("a\u00a0b\u200b\ud800\x07") == r"a b\u200b\ud800\x07"
    assert spell_out("a\n\u200db", "\n\u200d") == "a\n\u200db"
