"""A long document is looked through in pieces that share what was asked, and places are right."""

from itertools import pairwise

from helpers.eval_items import FILLER, ITEMS, LAKE, POET, Item

from curate.stages.decontaminate import detector

DITCH = "Welche Straße führt über das Brücklein nächst der Königsmühle nach Gräfenthä"
"""A question with an accent in nearly every word, and in its last letter."""


def test_a_long_document_is_looked_through_in_pieces_and_the_place_is_right(monkeypatch):
    monkeypatch.setattr(detector, "PIECE_CHARS", 5_000)
    monkeypatch.setattr(detector, "OVERLAP_CHARS", 1_000)
    one = detector.make_detector(ITEMS)
    text = FILLER * 40 + "\n\n" + LAKE.questions[0] + "\n\n" + FILLER * 40 + POET.questions[0]
    found = one.scan(["first", text])
    assert [(match.document, match.item) for match in found] == [(1, 1), (1, 2)]
    for match in found:
        assert text[match.start : match.end] == ITEMS[match.item].questions[0].rstrip("?")


def test_pieces_cover_a_long_text_and_share_what_was_asked():
    text = " ".join(f"word{number}" for number in range(120_000))
    found = list(detector.split_text(text, 50_000))
    assert found[0][0] == 0 and found[-1][0] + len(found[-1][1]) == len(text)
    for (base, piece), (later, _) in pairwise(found):
        assert later + 50_000 <= base + len(piece) <= later + 52_100
        assert text[base : base + len(piece)] == piece


def test_an_item_whose_accents_are_entities_is_found_whole_and_the_place_is_that_in_the_text():
    one = detector.make_detector([Item("set", (DITCH,))])
    spelled = "".join(letter if letter.isascii() else f"&#{ord(letter)};" for letter in DITCH)
    text = f"{FILLER}\n\n{spelled}\n\n{FILLER}"
    (match,) = one.scan([text])
    assert (match.verdict, match.coverage) == ("contaminated", 1.0)
    assert text[match.start : match.end] == spelled


def test_entities_that_an_item_has_itself_are_opened_too():
    item = Item("set", ("Which founder of AT&amp;T quarrelled with the glaziers&rsquo; guild of Rotterdam?",))
    one = detector.make_detector([item])
    for text in (item.questions[0], item.questions[0].replace("&amp;", "&").replace("&rsquo;", "\u2019")):
        (match,) = one.scan([text])
        assert (match.verdict, match.coverage) == ("contaminated", 1.0)
