"""Labels: printable, short, and never one for two texts."""

import pytest
from helpers.published import HOSTILE

from curate.monitoring.publish.labels import EMPTY, MOST_CHARS, clean_label, name_group


def test_texts_that_differ_have_labels_that_differ():
    names = [name_group(text) for text in HOSTILE if text is not None]
    labels = [clean_label(name) for name in names]
    assert len(set(labels)) == len(set(names)) == len(names)
    for label in labels:
        assert label and len(label) <= MOST_CHARS and label.isprintable()
        label.encode()


@pytest.mark.parametrize("text", ["plain", "🙂 émoji", 'a "quote"', "日本語", "x" * MOST_CHARS, ""])
def test_a_text_that_can_be_shown_is_its_own_label(text):
    assert clean_label(text) == text


def test_a_long_text_ends_with_a_hash_that_is_the_same_each_time():
    assert clean_label("x" * 500) == clean_label("x" * 500) != clean_label("x" * 501)
    assert clean_label("x" * 500).startswith("xxx") and len(clean_label("x" * 500)) == MOST_CHARS


def test_the_group_of_empty_texts_has_a_name():
    assert name_group("") == EMPTY and name_group(EMPTY) == f'"{EMPTY}"'
