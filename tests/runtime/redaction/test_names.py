"""Names of people: what a model finds is replaced; what is not installed is named with its command."""

import re

import pytest

from curate.errors import UsageError
from curate.runtime.redaction import make_redactor, names

BOTH = ("presidio_analyzer", "spacy")


class Capitals:
    """Takes two words in capitals for a name."""

    def find(self, text):
        assert len(text) <= names.CHUNK
        return [match.span() for match in re.finditer(r"\b[A-Z][a-z]+ [A-Z][a-z]+\b|\[EMAIL\]", text)]


@pytest.fixture
def capitals(monkeypatch):
    monkeypatch.setattr(names, "open_engine", lambda model: Capitals())


def test_names_are_replaced_next_to_what_patterns_find(capitals):
    redact = make_redactor("presidio")
    assert redact("Jane Doe <jane@corp.com> and [EMAIL]") == "[PERSON] <[EMAIL]> and [EMAIL]"
    assert make_redactor("person")("Jane Doe <jane@corp.com>") == "[PERSON] <jane@corp.com>"
    assert redact.redact("Jane Doe, Joe Roe: jane@corp.com").counts() == {"email": 1, "person": 2}


def test_a_long_text_is_read_in_chunks_that_end_between_words(capitals, monkeypatch):
    monkeypatch.setattr(names, "CHUNK", 40)
    text = "Jane Doe met Joe Roe.\n" * 20 + "x" * 100 + " Ann Lee"
    assert make_redactor("person")(text) == "[PERSON] met [PERSON].\n" * 20 + "x" * 100 + " [PERSON]"


@pytest.mark.parametrize(
    ("installed", "model", "message", "hint"),
    [
        ((), None, "presidio-analyzer is not installed", "pip install 'curate[pii]'"),
        (BOTH, None, "no spaCy model is installed", "python -m spacy download en_core_web_sm"),
        (BOTH, "de_core_news_sm", "is not installed", "python -m spacy download de_core_news_sm"),
    ],
)  # fmt: skip
def test_what_is_not_installed_is_one_line_with_the_command(monkeypatch, installed, model, message, hint):
    monkeypatch.setattr(names, "find_spec", lambda name: object() if name in installed else None)
    names.open_engine.cache_clear()
    with pytest.raises(UsageError, match=message) as error:
        make_redactor("presidio" if model is None else f"presidio:{model}")
    assert error.value.hint == hint and "\n" not in error.value.message


def test_the_first_model_that_is_installed_is_taken(monkeypatch):
    known = {"presidio_analyzer", "spacy", "en_core_web_sm", "xx_ent_wiki_sm"}
    monkeypatch.setattr(names, "find_spec", lambda name: object() if name in known else None)
    assert names.choose_model(None) == "en_core_web_sm"
