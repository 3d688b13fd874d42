"""Laws of redaction: idempotent, offsets that agree, nothing lost across a cut."""

import itertools
import pickle
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import UsageError
from curate.runtime.redaction import LABELS, FoundSpan, Redaction, count_kinds, make_redactor, parse_choice
from curate.runtime.redaction.redaction import merge_found

REDACT = make_redactor("default")
SECRETS = [
    "jane@corp.com", "81.2.69.142", "+49 30 1234567", "4111 1111 1111 1111", "DE89370400440532013000",
    "AKIAIOSFODNN7EXAMPLE", "https://u:p@h.io", "212-555-0123", "2a00:1450::1",
]  # fmt: skip
PIECES = [
    *SECRETS, "@", ".", "-", "1", "0", "tel ", "+", "(", ")", ":", "//", " ", "\r\n", "é", "👩‍👩‍👧", "中", "م",
    "[EMAIL]", "a", "1234",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(TEXTS)
def test_a_redacted_text_is_redacted_to_itself(text):
    once = REDACT(text)
    assert REDACT(once) == once


@settings(max_examples=200, deadline=None, derandomize=True)
@given(TEXTS, st.integers(0, 80), st.integers(0, 80))
def test_pieces_of_a_cut_text_join_to_the_redacted_text_and_positions_agree(text, first, second):
    found = REDACT.redact(text)
    first, second = sorted((min(first, len(text)), min(second, len(text))))
    assert found.cut(0, first) + found.cut(first, second) + found.cut(second, len(text)) == found.text
    assert found.measure(first) == len(found.cut(0, first))
    begin, end = found.move_span((first, second))
    shown = found.text[begin:end]
    outside = [text[at] for at in range(first, second) if not any(one.start <= at < one.end for one in found.spans)]
    for label in LABELS.values():
        shown = shown.replace(label, "") if label not in text else shown
    assert "[" in text or shown == "".join(outside)
    assert found.counts() == count_kinds([text], REDACT)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9), st.sampled_from(list(LABELS)))))
def test_merged_spans_cover_the_same_characters_and_do_not_overlap(spans):
    made = [FoundSpan(start, start + size, kind) for start, size, kind in spans]
    merged = merge_found(made)
    assert all(left.end <= right.start for left, right in itertools.pairwise(merged))
    assert {at for one in merged for at in range(one.start, one.end)} == {
        at for one in made for at in range(one.start, one.end)
    }


@pytest.mark.parametrize("secret", SECRETS)
def test_of_a_secret_across_a_cut_nothing_is_in_either_piece(secret):
    text = f"one two {secret} three"
    found = REDACT.redact(text)
    for cut in range(len(text) + 1):
        for piece in (found.cut(0, cut), found.cut(cut, len(text))):
            assert piece in found.text


def test_the_earlier_kind_names_what_two_kinds_find():
    assert REDACT("https://jane:jane@corp.com") == "https://[SECRET]"


@pytest.mark.parametrize("secret", [*SECRETS, "a1B2" * 30])
def test_an_excerpt_that_is_cut_inside_a_secret_shows_no_part_of_it(secret):
    text = f"long before {secret} long after"
    begin, end = text.index(secret), text.index(secret) + len(secret)
    for at in range(begin + 1, end):
        after = REDACT.redact_excerpt(text[at:], True, False).text
        before = REDACT.redact_excerpt(text[:at], False, True).text
        assert after.endswith("long after") and before.startswith("long")
        for shown in (before, after):
            left = re.sub("|".join(["long", "before", "after", *map(re.escape, LABELS.values())]), "", shown)
            assert not any(map(str.isalnum, left)), (shown, at)


def test_an_excerpt_in_a_script_without_spaces_loses_what_may_be_a_part_and_no_more():
    assert REDACT.redact_excerpt("corp.com请联系我们", True, True).text == "…请联系我们"
    assert REDACT.redact_excerpt("请联系我们jane@cor", True, True).text == "请联系我们…"
    assert make_redactor(None).redact_excerpt("corp.com", True, True).text == "corp.com"


def test_values_of_json_are_redacted_and_keys_stay():
    value = {"a@b.org": ["jane@corp.com", 1, None, {"x": "81.2.69.142 jane@corp.com"}], "n": 4111111111111111}
    changed, counts = REDACT.redact_values(value)
    assert changed == {"a@b.org": ["[EMAIL]", 1, None, {"x": "[IP] [EMAIL]"}], "n": 4111111111111111}
    assert counts == {"email": 2, "ip": 1}


@pytest.mark.parametrize(
    ("choice", "spelled"),
    [
        (None, "none"), (False, "none"), ("none", "none"), ("off", "none"), (True, "default"), ("default", "default"),
        ("yes", "default"), ("phone,email", "email,phone"), (["ip", "default"], "default"), ("EMAIL", "email"),
        ("presidio", "presidio"), ("default,person", "presidio"), ("person:xx_a,email", "email,person:xx_a"),
        ("presidio:xx_ent_wiki_sm", "presidio:xx_ent_wiki_sm"),
    ],
)  # fmt: skip
def test_a_choice_is_spelled_in_one_way_and_read_again(choice, spelled):
    assert parse_choice(choice).spell() == spelled
    assert parse_choice(spelled) == parse_choice(choice)


@pytest.mark.parametrize("choice", ["", "emails", "email,", "email:x", "none,email", "out/", "default;ip"])
def test_an_unknown_kind_is_an_error_that_names_the_kinds(choice):
    with pytest.raises(UsageError, match="iban") as error:
        make_redactor(choice)
    assert error.value.hint == "--redact default" and "\n" not in error.value.message


def test_a_redactor_can_be_sent_to_another_process():
    assert pickle.loads(pickle.dumps(REDACT))("jane@corp.com") == "[EMAIL]"


def test_a_text_in_which_nothing_is_found_is_the_very_text():
    text = "nothing here\r\n👩‍👩‍👧 e\u0301 \ud800"
    assert Redaction(text).text is text and REDACT(text) == text
