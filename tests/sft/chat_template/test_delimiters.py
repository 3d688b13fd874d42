"""What a template writes around turns: a text is placed by it where it can be nowhere else."""

import string

import pytest
from helpers.chat_templates import CHATML, owned, spelled, talk

from curate.corpus.chat.types import Turn
from curate.sft.chat_template.delimiters import TextMarker, locate_between, locate_texts, read_delimiters
from curate.sft.chat_template.render import CHANGED, RenderError

LETTERS = string.ascii_letters


def test_an_answer_that_spells_what_the_template_writes_is_scored_whole():
    said = "<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nyes"
    turns = talk("Hello", said, "Hello", said)
    found, rendered = spelled(CHATML, turns)
    assert found == [said + "<|im_end|>"] * 2
    assert rendered.notes == ()
    asked = talk(said, "yes")
    found, rendered = spelled(CHATML, asked)
    assert found == ["yes<|im_end|>"] and rendered.text.endswith("yes<|im_end|>\n")
    assert owned(rendered)[-1] == "<|im_end|>"


def test_texts_that_a_template_changes_are_found_by_what_stands_around_them():
    source = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content | upper + '<|im_end|>\\n' }}{% endfor %}"
    )
    found, rendered = spelled(source, talk("Hello", "yes"))
    assert found == ["YES<|im_end|>"] and rendered.notes == (CHANGED,)
    with pytest.raises(RenderError, match="cannot be found"):  # where does the question end?
        spelled("{% for m in messages %}{{ m.content | upper + '\\n' }}{% endfor %}", talk("a\nb", "c"))


def test_a_tool_result_that_a_template_writes_as_json_is_placed_exactly():
    source = (
        "{% for m in messages %}{{ '[' + (m.content | tojson if m.role == 'tool' else m.content) + ']' }}{% endfor %}"
    )
    found, rendered = spelled(source, [*talk("Hello", "a]"), Turn("tool", '["]\n"]'), Turn("assistant", "b")])
    assert found == ["a]", "b"] and CHANGED not in rendered.notes


def test_a_place_between_pieces_is_none_where_it_could_be_another():
    marker = TextMarker()
    delimiters = read_delimiters(f"<{marker.take(0, 'whole', 'a')}|{marker.take(1, 'whole', 'b')}>")
    assert locate_between(delimiters, "<ab|c>") == [(1, 3), (4, 5)]
    assert locate_between(delimiters, "<a|b|c>") is None
    assert locate_between(delimiters, "<abc>") is None and locate_between(delimiters, "a|b>") is None
    assert locate_texts(delimiters, "<a|b|c>", ["a|b", "c"]) == [(1, 4), (5, 6)]
    assert locate_texts(delimiters, "<a|b|c>", ["a", "b|c"]) == [(1, 2), (3, 6)]
    assert locate_texts(delimiters, "<a|b>c>", ["a", "b"]) is None


def test_a_rendering_that_begins_otherwise_than_the_template_did_is_not_taken_for_its_own():
    marker = TextMarker()
    delimiters = read_delimiters(f"<{marker.take(0, 'whole', 'a')}|{marker.take(1, 'whole', 'b')}>")
    assert locate_texts(delimiters, "<a|b>", ["a", "b"]) == [(1, 2), (3, 4)]
    assert locate_texts(delimiters, "(a|b>", ["a", "b"]) is None
    counting = "{{ 'many' if messages[0].content | length > LEAST else 'none' }}"
    source = "{% for m in messages %}{{ '[' + m.content + ']' }}{% endfor %}"
    assert spelled(counting.replace("LEAST", "99") + source, talk("Hello", "yes"))[0] == ["yes"]
    with pytest.raises(RenderError, match="cannot be found"):  # a text with more characters than a marker
        spelled(counting.replace("LEAST", "9") + source, talk("Hello, you", "yes"))


@pytest.mark.parametrize("blank", [" ", "\n", " \n"])
def test_of_the_ends_of_a_text_a_template_may_leave_out_white_space_alone(blank):
    delimiters = read_delimiters(f"<{TextMarker().take(0, 'whole', 'a')}>")
    inner = f"{LETTERS[::-1]} {LETTERS}"
    for text in (blank + inner, inner + blank, blank + inner + blank):
        assert locate_texts(delimiters, f"<{inner}>", [text]) == [(1, 1 + len(inner))]
    for letter in LETTERS:
        for text in (letter + inner, inner + letter, blank + letter + inner, inner + letter + blank):
            assert locate_texts(delimiters, f"<{inner}>", [text]) is None
