"""Which texts an item is searched by: the question where it proves something, else joined with what it has."""

import numpy as np
import pytest
from helpers.eval_items import AUTHOR, LAKE, PENS, POET, TINY, Item

from curate.matching import words
from curate.stages.decontaminate import queries, surprisal

NOTHING = surprisal.WordModel((np.zeros(0, np.uint32),) * 3, (np.zeros(0),) * 3, 1000.0)
"""A model that counted nothing: every word has twenty bits, a character of a script without spaces six."""
LONG = " ".join(f"word{number}" for number in range(19))


def parts_of(*items, known=NOTHING):
    made = queries.make_queries(items, known)
    return [(query.item, query.part) for query in made.queries], made.unmatchable


@pytest.mark.parametrize(("text", "is_query"), [("a b c d", False), ("a b c d e", True)])
def test_a_query_has_at_least_five_words(text, is_query):
    assert parts_of(Item("s", (text,))) == (([(0, "question")], ()) if is_query else ([], (0,)))


@pytest.mark.parametrize(("text", "is_query"), [("書書書書", False), ("書書書書書", True)])
def test_a_query_has_at_least_thirty_bits(text, is_query):
    """Four characters of six bits are 24, five are 30."""
    queries_, unmatchable = parts_of(Item("s", (f"{text}",)))
    assert (len(queries_) == 1) is is_query and (not unmatchable) is is_query


def test_an_item_whose_question_is_weak_is_searched_by_it_joined_with_what_it_has():
    item = Item("s", ("which one",), context="a long story", choices=("red", "green", "blue"), answer="the green one")
    made = queries.make_queries([item], NOTHING)
    assert [(one.part, one.text, one.core) for one in made.queries] == [
        ("answered", "which one\nthe green one", 0),
        ("choices", "which one\nred\ngreen\nblue", 0),
        ("in_context", "a long story\nwhich one", len("a long story")),
    ]
    assert made.unmatchable == ()
    blank = Item("s", ("which one",), context=" ", answer=" \n")
    assert parts_of(blank) == ([], (0,))


def test_an_item_whose_question_is_strong_is_searched_by_it_alone():
    item = Item(
        "s", ("which of the five is it", "so what"), "a story", ("red", "green", "blue"), "the green one of them"
    )
    assert parts_of(item) == ([(0, "question")], ())
    assert [query.core for query in queries.make_queries([item], NOTHING).queries] == [0]
    assert parts_of(Item("s", ("one two three four five", "six seven eight nine ten")))[0] == [(0, "question")] * 2


@pytest.mark.parametrize("part", ["context", "answer"])
def test_a_context_or_an_answer_of_twenty_words_is_a_query_of_its_own(part):
    strong = ("which of the five is it",)
    assert parts_of(Item("s", strong, **{part: LONG}))[0] == [(0, "question")]
    assert parts_of(Item("s", strong, **{part: LONG + " end"}))[0] == [(0, "question"), (0, part)]
    made = queries.make_queries([Item("s", strong, **{part: LONG + " end"})], NOTHING)
    assert made.queries[1].text == LONG + " end" and made.queries[1].core == 0
    assert parts_of(Item("s", ("so",), **{part: LONG + " end"}))[1] == ()
    assert (made.sets[0] != made.sets[1]) and made.sets.dtype == np.int64


def test_items_too_short_or_too_common_are_unmatchable():
    common = Item("exam", ("It is one of the",))
    assert parts_of(TINY, common, LAKE, known=surprisal.load_word_model())[1] == (0, 1)


def test_equal_words_are_one_query_within_a_set_and_a_part_and_the_first_item_has_it():
    text = "one two three four five"
    same = [Item("s", (text,)), Item("s", (text.upper() + "!",)), Item("t", (text,)), Item("s", ("so", text))]
    made = queries.make_queries(same, NOTHING)
    assert [query.item for query in made.queries] == [0, 2] and made.unmatchable == ()
    assert made.queries[0].text == text
    assert made.sets[0] != made.sets[1]


def test_queries_stand_in_the_order_of_their_items_and_have_the_shingles_and_bits_of_their_own_words():
    items = [PENS, LAKE, POET, AUTHOR]
    made = queries.make_queries(items, surprisal.load_word_model())
    numbers = [query.item for query in made.queries]
    assert numbers == sorted(numbers) and set(numbers) == {0, 1, 2, 3}
    assert made.items is items
    for number, query in enumerate(made.queries):
        begin, end = made.words.offsets[number : number + 2]
        own = words.split_words([query.text])
        assert made.words.hashes[begin:end].tolist() == own.hashes.tolist()
        assert made.valid[begin:end].tolist() == [True] * (end - begin - 2) + [False] * 2
        assert made.shingles[begin : end - 2].tolist() == words.hash_shingles(own.hashes, 3).tolist()
        assert made.bits[number] == pytest.approx(made.surprise.of_run(begin, end - begin))
    assert [len(answer) for answer in made.answers] == [1, 0, 2, 0]
    assert made.answers[2].tolist() == words.split_words(["Theodor Fontane"]).hashes.tolist()


def test_only_characters_of_scripts_without_spaces_are_alone_wherever_their_query_stands():
    made = queries.make_queries([Item("s", ("héron cendré gris sur une 書",)), Item("s", ("one 書書書書書",))], NOTHING)
    alone = made.surprise.first <= 12
    assert made.surprise.later[5:6].tolist() == [6] or alone.tolist() == [False] * 5 + [True] + [False] + [True] * 5


GENERIC = ["Can you help me with this please?", "How are you doing today?", "What is the capital of France?"]
TELLING = ["What happens if you swallow powdered glass?", "When were the Normans in Normandy?", "(4 * 7 * 1 * 9 * 3) ="]


@pytest.mark.parametrize("text", GENERIC)
def test_what_anybody_may_ask_is_no_query_by_itself(text):
    known = surprisal.load_word_model()
    assert parts_of(Item("s", (text,)), known=known) == ([], (0,))
    answered = Item("s", (text,), answer="By the third canal lock before the frost")
    assert parts_of(answered, known=known)[1] == ()


@pytest.mark.parametrize("text", TELLING)
def test_what_few_would_ask_is_a_query_by_itself(text):
    assert parts_of(Item("s", (text,)), known=surprisal.load_word_model()) == ([(0, "question")], ())


def test_a_question_in_a_language_without_a_model_of_what_words_foretell_is_judged_by_its_bits_alone():
    asked = Item("s", ("请问这本书的作者是在哪一年出生的呢？",))
    assert parts_of(asked, known=surprisal.load_word_model())[0] == [(0, "question")]
