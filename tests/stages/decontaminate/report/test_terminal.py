"""The screen of ``decontaminate``: everything in a hundred columns, and nothing that a terminal would obey."""

import re

import pytest
from helpers.leakage import COUNTS, HOSTILE, PENS, make_found, make_hit

from curate.runtime.text import count_columns
from curate.stages.decontaminate.summary import BLIND, EvalSetReport


def test_the_screen_tells_everything_in_a_hundred_columns():
    before, after = "x" * 90 + " then he said that this is so, as everybody knows who was there. ", " and so on" * 16
    hits = [
        make_hit(number, before=before, after=after, start=400, end=500, turn=3, role="user") for number in range(3)
    ]
    text = make_found(
        strongest=tuple(hits), weakest=(make_hit(7, eval_text="字" * 300, matched_text="字" * 300),)
    ).render()
    assert max(map(count_columns, text.splitlines())) <= 100 and not re.search(r"[ \t]$", text, flags=re.MULTILINE)
    assert text.startswith("looked through  100 documents   12.3 MB of text   by word n-grams, exactly\n")
    for line in (
        r"read +110 +100\.0 %", r"  unreadable +3 +2\.7 %", r"  empty +7 +6\.4 %", r"  clean +90 +81\.8 %",
        r"  contaminated +6 +5\.5 % +dropped", r"  for review +4 +3\.6 %", r"gsm8k +1,319 +0 +6 +6 +0 +0 +4 +1 +1",
        r"mmlu/high_school_europ… +14,042 +1,204 +0 +0 +0 +4 +0 +0 +0",
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
    sets = (EvalSetReport(HOSTILE, 9, (HOSTILE, "b"), 1, 1, 0, {"exact": 1}),)
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


def test_variants_that_are_dropped_are_not_counted_among_the_passages_that_are_cut():
    """Premise: 2 of 6 contaminated documents are dropped, and all of the 5 variants."""
    text = make_found(action="cut-span", variants="drop", counts=COUNTS | {"variant": 5, "dropped": 7}).render()
    assert "export cuts the passage out of 4; 2 dropped: too little left, or variants" in text
    marked = make_found(action="mark", variants="drop", counts=COUNTS | {"variant": 5, "dropped": 7}).render()
    assert "marked; 4 stay, 2 dropped: they have variants" in marked


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
