"""A long document is looked through in pieces that share what was asked, and places are right."""

from itertools import pairwise

from helpers.eval_items import FILLER, ITEMS, LAKE, POET

from curate.stages.decontaminate import detector


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
