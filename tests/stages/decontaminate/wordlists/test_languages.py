"""The table that an item is weighed by: of its language, else of its set's, else by the lengths of its words."""

import numpy as np
import pytest
from helpers.eval_items import Item

from curate.stages.decontaminate import queries, surprisal
from curate.stages.decontaminate.wordlists import languages, tables

QUESTIONS = {
    "en": "Which of the following statements about the separation of powers is correct?",
    "de": "Welche der folgenden Aussagen über die Gewaltenteilung im Grundgesetz ist richtig?",
    "fr": "Laquelle des affirmations suivantes concernant la séparation des pouvoirs est correcte ?",
    "es": "¿Cuál de las siguientes afirmaciones sobre la separación de poderes es correcta?",
    "ru": "Какое из следующих утверждений о разделении властей в конституции является верным?",
    "ar": "أي من العبارات التالية حول الفصل بين السلطات في الدستور صحيحة؟",
    "hi": "शक्तियों के पृथक्करण के बारे में निम्नलिखित में से कौन सा कथन सही है?",
    "zh": "下列关于权力分立制度的说法中，哪一项是正确的？",
    "ja": "三権分立に関する次の記述のうち、正しいものはどれですか。",
    "ko": "권력 분립에 대한 다음 설명 중 옳은 것은 무엇입니까?",
}


def weigh(text, code=None):
    made = queries.make_queries([Item("one", (text,))], surprisal.load_word_model())
    assert code is None or made.tables == (code,)
    return made


@pytest.mark.parametrize("code", QUESTIONS)
def test_an_item_is_weighed_by_the_table_of_its_language_and_no_word_is_rare_by_being_foreign(code):
    made = weigh(QUESTIONS[code], code)
    most = 9.0 if code in ("zh", "ja") else 14.0
    assert made.surprise.first.mean() < most


def test_without_its_table_a_foreign_question_has_nearly_twice_the_bits():
    split = languages.words.split_words([QUESTIONS["ru"]])
    alone, english = np.zeros(len(split), bool), surprisal.load_word_model()
    by = {code: languages.weigh_words(split, [QUESTIONS["ru"]], alone, [code], english).first for code in ("en", "ru")}
    assert by["ru"].sum() < 0.65 * by["en"].sum()


def test_a_language_without_a_table_is_weighed_by_the_lengths_of_its_words():
    made = weigh("Ni kauli gani kati ya zifuatazo kuhusu usanisinuru iliyo sahihi kabisa?", languages.BY_LENGTH)
    assert made.surprise.first[0] == languages.BITS_BY_LENGTH[1]  # "ni"
    assert max(made.surprise.first) == languages.BITS_BY_LENGTH[10]  # "usanisinuru"


def test_a_short_item_is_weighed_by_the_table_of_most_items_of_its_set():
    texts = [QUESTIONS["de"]] * 3 + ["Wer schrieb Wallenstein?"]
    codes = languages.choose_tables(texts, ["set"] * 4, surprisal.load_word_model())
    assert codes == ["de"] * 4


def test_korean_words_are_known_by_their_stems():
    made = weigh("광합성에 대한 다음 설명으로 옳은 것은 무엇입니까 그리고 그 까닭은", "ko")
    assert np.count_nonzero(made.surprise.first >= surprisal.UNSEEN) <= 2


def test_there_are_tables_of_the_twenty_largest_languages_that_have_spaces_or_characters():
    large = {"en", "zh", "hi", "es", "ar", "fr", "bn", "pt", "ru", "ur", "id", "de", "ja", "tr", "vi", "ko", "it", "fa"}
    assert large | {"pl", "uk", "nl", "ro", "sv", "el", "cs", "hu"} <= tables.list_languages()
    assert tables.TABLES.stat().st_size < 3_000_000
