"""What an item only quotes proves nothing without the words around it."""

import numpy as np
import pytest
from helpers.eval_items import Item

from curate.stages.decontaminate.detector import make_detector
from curate.stages.decontaminate.evidence import quotations

SPAN = "a stitch that is made in time saves the tailor nine"


@pytest.mark.parametrize("quoted", ["“{}”", '"{}"', "„{}“", "«{}»", "「{}」", "‘{}’"])
def test_words_within_quotation_marks_are_marked(quoted):
    text = f"What is meant by {quoted.format(SPAN)} in the play?"
    begins = [at for at in range(len(text)) if text[at].isalpha() and (at == 0 or not text[at - 1].isalpha())]
    marked = quotations.mark_quoted(text, [(at, at + 1) for at in begins])
    assert marked.tolist() == [False] * 4 + [True] * len(SPAN.split()) + [False] * 3


def test_apostrophes_short_titles_and_long_passages_are_no_quotations():
    def count(text):
        return quotations.mark_quoted(text, [(at, at + 1) for at in range(len(text)) if text[at] == "w"]).sum()

    assert count("w don't w w w w didn't w") == count('w "w w w" w') == count('"' + "w " * 41 + '"') == 0
    assert count('"' + "w " * 40 + '"') == 40


def test_enough_of_the_other_words_must_be_there():
    quoted = np.array([True] * 8 + [False] * 4)
    assert not quotations.asks_more_than_it_quotes(quoted, quoted)
    assert quotations.asks_more_than_it_quotes(quoted | (np.arange(12) == 11), quoted)
    assert quotations.asks_more_than_it_quotes(np.zeros(3, bool), np.zeros(3, bool))


def test_a_document_that_quotes_the_same_proverb_is_for_review_and_one_with_the_question_is_not():
    proverb = "Wer andern eine Grube gräbt, fällt selbst hinein"
    detector = make_detector([Item("de", (f"Was meint das Sprichwort „{proverb}“?",))])
    quotes, asks = f"Opa seufzte. {proverb}, sagte er, und stolperte.", f"Was meint das Sprichwort „{proverb}“? Sag!"
    verdicts = {match.document: match.verdict for match in detector.scan([quotes, asks])}
    assert verdicts == {0: "review", 1: "contaminated"}
