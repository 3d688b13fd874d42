"""Verdicts on known texts: what hides nothing, what is for review, and what is no leak."""

import pytest
from helpers.eval_items import AUTHOR, COMMON, FILLER, ITEMS, LAKE, PENS, POET, TINY, Item

from curate.stages.decontaminate.detector import make_detector


@pytest.fixture(scope="module")
def detector():
    return make_detector(ITEMS)


def verdict_of(detector, text, item):
    """The verdict on one item in one text, None where there is no match."""
    found = [match for match in detector.scan([text]) if detector.queries.items[match.item] is item]
    return found[0] if found else None


def planted(passage):
    return f"{FILLER}\n\n{passage}\n\n{FILLER}"


def test_an_item_is_found_word_by_word_and_its_span_is_the_planted_one(detector):
    text = planted(PENS.questions[0])
    match = verdict_of(detector, text, PENS)
    assert (match.verdict, match.rule, match.coverage, match.containment) == ("contaminated", "exact", 1.0, 1.0)
    assert text[match.start : match.end] == PENS.questions[0].rstrip("?")


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        str.title,
        lambda text: text.replace(" ", "\n\t "),
        lambda text: text.replace(";", " -- ").replace("?", "!!"),
        lambda text: f"Q: {text}\nA: ten dollars",
    ],
    ids=["upper", "title", "white space", "punctuation", "forum"],
)
def test_case_white_space_and_punctuation_hide_nothing(detector, change):
    match = verdict_of(detector, planted(change(PENS.questions[0])), PENS)
    assert match.verdict == "contaminated" and match.coverage == 1.0


def test_a_replaced_word_and_a_missing_end_hide_nothing(detector):
    assert verdict_of(detector, planted(PENS.questions[0].replace("pens", "pencils")), PENS).verdict == "contaminated"
    first = " ".join(LAKE.questions[0].split()[:9])
    match = verdict_of(detector, planted(first), LAKE)
    assert match.verdict == "contaminated" and match.rule == "partial" and match.coverage < 0.7


def test_half_of_a_common_question_is_no_leak(detector):
    """Half of the words, but words that are in every textbook: less than the bits that a half needs."""
    half = verdict_of(detector, planted("Which of the following is true about the pump of the town?"), COMMON)
    assert half.coverage > 0.6 and half.verdict == "review"
    assert verdict_of(detector, planted(COMMON.questions[0]), COMMON).verdict == "contaminated"


def test_clean_text_has_no_matches(detector):
    assert detector.scan([FILLER, "", "...", "x"]) == []


def test_items_that_prove_nothing_alone_are_found_with_what_stands_beside_them(detector):
    kinds = {query.part for query in detector.queries.queries if detector.queries.items[query.item] is AUTHOR}
    assert "question" not in kinds and {"choices", "in_context"} <= kinds
    whole = f"{AUTHOR.context}\n{AUTHOR.questions[0]}"
    assert verdict_of(detector, planted(whole), AUTHOR).verdict == "contaminated"


def test_a_context_without_its_question_is_for_review(detector):
    match = verdict_of(detector, planted(AUTHOR.context), AUTHOR)
    assert match.verdict == "review"


def test_items_that_nothing_identifies_are_told_by_number(detector):
    assert detector.queries.unmatchable == (ITEMS.index(TINY),)
    assert verdict_of(detector, planted(TINY.questions[0]), TINY) is None


def test_the_answer_is_looked_for_near_the_match(detector):
    with_answer = planted(f"{POET.questions[0]} It was Theodor Fontane, of course.")
    assert verdict_of(detector, with_answer, POET).answer_found is True
    assert verdict_of(detector, planted(POET.questions[0]), POET).answer_found is False
    assert verdict_of(detector, planted(LAKE.questions[0]), LAKE).answer_found is None


def test_short_documents_of_one_batch_are_judged_apart(detector):
    """SFT rows are short: the same item in neighbours must be found in each."""
    texts = ["yes", PENS.questions[0], PENS.questions[0], "no", POET.questions[0], POET.questions[0]]
    found = [(match.document, match.item) for match in detector.scan(texts)]
    assert found == [(1, 0), (2, 0), (4, 2), (5, 2)]


def test_an_item_that_a_document_has_three_times_is_found_three_times(detector):
    text = f"{PENS.questions[0]}\n{PENS.questions[0]}\n{FILLER}\n{PENS.questions[0]}"
    found = detector.scan([text])
    assert [match.start for match in found] == [at for at in range(len(text)) if text.startswith("Marguerite", at)]


def test_text_without_spaces_is_compared_by_characters():
    question = "下列哪一项最能说明作者对港口城市历史变迁的态度和看法以及理由"
    one = make_detector([Item("zh", (question,))])
    text = "会议在星期二举行，大家都来了。" * 20
    assert one.scan([text]) == []
    [match] = one.scan([text + question + text])
    assert match.verdict == "contaminated" and (text + question + text)[match.start : match.end] == question
