"""Entities of HTML are the characters that they spell, and every other character stays where it is."""

import pytest

from curate.matching import entities, words


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("gr&auml;bt", "gr\u00e4bt"),
        ("&Uuml;ber &#252;ber &#xfc;ber", "\u00dcber \u00fcber \u00fcber"),
        ("&#1055;&#1088;ивет", "Привет"),
        ("&#20013;&#x6587;", "\u4e2d\u6587"),
        ("caf&eacute;", "caf\u00e9"),
        ("Tom&nbsp;&amp;&nbsp;Jerry", "Tom & Jerry"),
        ("&lt;p&gt;one", "<p>one"),
    ],
)
def test_words_with_entities_are_those_of_the_plain_text_and_their_places_those_of_the_text(text, plain):
    opened = entities.open_entities(text)
    assert len(opened) == len(text)
    found, wanted = words.split_words([opened]), words.split_words([plain])
    assert found.hashes.tolist() == wanted.hashes.tolist()
    starts, ends = found.starts.tolist(), [entities.end_entity(text, opened, end) for end in found.ends.tolist()]
    spelled = [text[start:end] for start, end in zip(starts, ends, strict=True)]
    assert words.split_words([entities.open_entities(" ".join(spelled))]).hashes.tolist() == wanted.hashes.tolist()


@pytest.mark.parametrize("text", ["plain; text", "a & b; c", "x&&y;", "&unheard;", "&;", "&#;", "AT&T", "&amp"])
def test_what_is_no_entity_stays(text):
    assert entities.open_entities(text) == text


@pytest.mark.parametrize("text", ["&#xD800;", "&#9999999;", "&#0;", "&NotEqualTilde;", "&fjlig;"])
def test_strange_entities_keep_the_length(text):
    assert len(entities.open_entities(text)) == len(text)


def test_a_soft_hyphen_of_the_text_itself_is_no_rest_of_an_entity():
    text = "caf\xad\xad"
    assert entities.end_entity(text, entities.open_entities(text), 3) == 3
