"""Languages of texts: those of the largest languages by a sentence, none of what has no letters."""

import tempfile

import pytest

from curate.matching import languages
from curate.matching.languages import NONE, identify_language

SENTENCES = {
    "en": "Which of the following statements about the river is correct?",
    "de": "Welche der folgenden Aussagen über den Fluss ist richtig?",
    "fr": "Laquelle des affirmations suivantes concernant la rivière est correcte ?",
    "es": "¿Cuál de las siguientes afirmaciones sobre el río es correcta?",
    "ru": "Какое из следующих утверждений о реке является верным?",
    "zh": "下列关于这条河流的说法中哪一项是正确的？",
    "ja": "次の川についての記述のうち、正しいものはどれですか。",
    "ar": "أي من العبارات التالية حول النهر صحيحة؟",
    "hi": "नदी के बारे में निम्नलिखित में से कौन सा कथन सही है?",
}


@pytest.mark.parametrize("code", SENTENCES)
def test_a_sentence_is_of_its_language(code):
    found = identify_language(SENTENCES[code])
    assert found.code == code and 0.5 < found.confidence <= 1


@pytest.mark.parametrize("text", ["", "  \n", "12 + 30 = 42", "!?…"])
def test_what_has_no_letters_has_no_language(text):
    assert identify_language(text) == NONE


def test_a_text_that_comes_while_the_identifier_is_loaded_in_a_thread_waits_for_it_and_loads_none(monkeypatch):
    languages._load_identifier.cache_clear()
    languages.begin_loading()
    assert identify_language(SENTENCES["fr"]).code == "fr"
    assert languages._load_identifier.cache_info().misses == 1


def test_only_the_beginning_of_a_long_text_is_looked_at():
    assert identify_language(SENTENCES["de"] * 100 + SENTENCES["ru"] * 1000) == identify_language(SENTENCES["de"] * 100)


def test_nothing_is_written_for_it_since_the_temporary_folder_may_be_full(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    languages._load_identifier.cache_clear()
    assert identify_language(SENTENCES["fr"]).code == "fr"
