"""Served tokens must spell the text of their document: numbers of another text are refused, never taken."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.reference.served.formats import LogprobsError, ServedToken
from curate.reference.served.spelling import match_tokens

BOS = ServedToken(None, b"<s>")
EOS = ServedToken(-8.0, b"<|im_end|>")
MARKED = ServedToken(-8.0, b"</s>", special=True)
UNSPELLED = ServedToken(None, None)


def spell(*pieces, logprob=-1.0):
    return [ServedToken(logprob, piece.encode(), is_exact="�" not in piece) for piece in pieces]


@given(text=st.text(min_size=1, max_size=20), cuts=st.lists(st.integers(0, 80), max_size=6))
def test_any_cut_of_the_bytes_of_a_text_is_all_of_it(text, cuts):
    octets = text.encode("utf-8", "replace")
    text = octets.decode()
    ends = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]
    tokens = [ServedToken(-1.0, octets[a:b]) for a, b in pairwise(ends)]
    found = match_tokens(tokens, text)
    assert found.num_bytes == len(octets) and not found.skips_first
    assert len(found.logprobs) in (len(tokens), len(tokens) - 1)  # one behind the text may spell nothing
    with pytest.raises(LogprobsError, match="do not spell"):
        match_tokens(tokens, text + "x" * 300)


@pytest.mark.parametrize(
    ("tokens", "count", "num_bytes", "skips_first"),
    [
        (spell("Hello", "!"), 2, 6, False),
        ([*spell("Hello", "!"), EOS], 2, 6, False),
        ([*spell("Hello", "!"), MARKED], 2, 6, False),
        ([BOS, *spell("Hello", "!")], 2, 6, False),
        ([BOS, *spell("Hello", "!"), EOS], 2, 6, False),
        ([UNSPELLED, *spell("Hello", "!")], 2, 6, False),
        ([UNSPELLED, *spell("!")], 1, 1, True),
        ([ServedToken(None, b"Hello"), *spell("!")], 1, 1, True),
        ([ServedToken(-1.0, None)] * 3, 3, 6, False),
    ],
)
def test_what_is_no_text_is_left_out_and_a_first_token_without_a_number_is_not_scored(
    tokens, count, num_bytes, skips_first
):
    found = match_tokens(tokens, "Hello!")
    assert (len(found.logprobs), found.num_bytes, found.skips_first) == (count, num_bytes, skips_first)
    assert set(found.logprobs) == {-1.0}


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        (spell("Hello", "?"), "they spell 'Hello\\?'"),
        (spell("ello", "!"), "do not spell"),
        ([*spell("Hello", "!"), EOS, EOS], "do not spell"),
        ([UNSPELLED, *spell("?")], "do not spell"),
        ([MARKED], "all tokens are special ones"),
        ([UNSPELLED, ServedToken(-1.0, None)], "how many bytes the others spell"),
        ([*spell("Hello"), ServedToken(-1.0, None)], "others have none"),
        (spell("Hell�"), "do not spell"),
    ],
)
def test_tokens_of_another_text_are_refused(tokens, reason):
    with pytest.raises(LogprobsError, match=reason):
        match_tokens(tokens, "Hello!")


def test_parts_of_characters_spelled_with_the_replacement_character_are_taken_where_the_ascii_agrees():
    found = match_tokens(spell("a ", "�", "�", " b"), "a 🙂 b")
    assert (len(found.logprobs), found.num_bytes) == (4, 8)
    with pytest.raises(LogprobsError, match="do not spell"):
        match_tokens(spell("a ", "�", " c"), "a 🙂 b")
    with pytest.raises(LogprobsError, match="do not spell"):  # which bytes are scored is not known
        match_tokens([UNSPELLED, *spell("�", " b")], "a 🙂 b")


def test_in_a_conversation_the_tokens_are_those_of_all_turns_or_of_the_last():
    text = "What?\n\nHello!"
    answer, both = match_tokens(spell("Hello", "!"), text, "Hello!"), match_tokens(spell(text), text, "Hello!")
    assert (answer.num_bytes, both.num_bytes) == (6, 13)
    with pytest.raises(LogprobsError, match="nor its last turn"):
        match_tokens(spell("What", "?"), text, "Hello!")
    with pytest.raises(LogprobsError, match="of which turns"):
        match_tokens([ServedToken(-1.0, None)], text, "Hello!")
