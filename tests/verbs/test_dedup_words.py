"""``curate dedup``: symbols and marks tell short texts apart, typography does not make a long text another one."""

from itertools import islice, product

import numpy as np
import pytest
from helpers.near_copies import edited, run_on, shared, spelled, words_of

from curate.matching import strict_words
from curate.stages.dedup import sketch_table
from curate.stages.dedup.options import count_strict_words
from curate.stages.dedup.sketches import SketchConfig

FORMULAIC = [
    *("Solve x + 3 = 7 for x.", "Solve x - 3 = 7 for x.", "What is -3 + 5?", "What is 3 - 5?"),
    *("def f(a, b):\n    return a + b\n", "def f(a, b):\n    return a - b\n", "I like C++ a lot", "I like C# a lot"),
    *("It costs $5", "It costs €5", "ไป", "ไป่", "ma", "má", "mà", "かき", "がき", "かぎ", "a < b", "a > b", "a | b"),
    *("Given that a < b and b < c, is it true that a < c?", "Given that a > b and b > c, is it true that a > c?"),
    *(
        "What is 1 + 1 + 1 + 1 + 1?",
        "What is 1 + 1 + 1 + 1 + 1 + 1 + 1?",
        "ha ha ha ha ha ha",
        "ha ha ha ha ha ha ha ha",
    ),
    *("+", "-", "🙂", "🙁", "2 + (3 * 4)", "(2 + 3) * 4"),
]


@pytest.mark.parametrize("exact_only", [True, False])
def test_short_texts_that_differ_in_a_symbol_or_a_mark_are_all_kept(tmp_path, exact_only):
    found = run_on(tmp_path, FORMULAIC, exact_only=exact_only)
    assert (found.kept, found.unique, found.exact, found.near) == (len(FORMULAIC), len(FORMULAIC), 0, 0)


def test_of_1341_distinct_questions_of_arithmetic_all_are_kept(tmp_path):
    asked = [f"What is {a} {op} {b}?" for a, b, op in islice(product(range(3, 30), range(2, 40), "+-*/"), 1341)]
    found = run_on(tmp_path, [*asked, *(text.upper().replace(" ", "\n") for text in asked[:7])])
    assert (found.kept, found.exact, found.near) == (1341, 7, 0)


def test_symbols_twice_are_copies_and_a_text_of_symbols_alone_is_no_text_without_words(tmp_path):
    found = run_on(tmp_path, ["+++ ---", "+++  ---.", "🙂" * 60, "🙂" * 61, "...", "?!?"])
    assert (found.exact, found.near, found.wordless, found.kept) == (1, 1, 2, 4)


@pytest.mark.parametrize(
    "typography",
    [
        lambda text: text.replace("w", "**w** ", 3),
        lambda text: text.replace(" ", " - ", 60),
        lambda text: text.replace(" ", " (", 40).replace(" ", ") ", 80),
        lambda text: text.replace("e", "é"),
        lambda text: text.replace(" ", "; "),
    ],
    ids=["bold", "dashes", "brackets", "accents", "semicolons"],
)
def test_a_long_text_in_another_typography_stays_a_copy(tmp_path, typography):
    text = spelled(words_of(41))
    found = run_on(tmp_path, [text, typography(text)])
    assert found.exact + found.near == 1 and found.through_others == 0


def test_copies_on_both_sides_of_the_length_from_which_words_are_plain_are_found(tmp_path):
    these = words_of(42, 60)
    for count in range(46, 53):
        folder = tmp_path / str(count)
        folder.mkdir()
        assert run_on(folder, [spelled(these[:count]), spelled(these[: count + 3])]).near == 1


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("shingle", [1, 3, 5])
def test_strict_words_are_those_of_texts_in_which_one_other_word_makes_no_copy(threshold, shingle):
    """The smallest length of which a copy with one other word in the middle reaches the threshold."""
    lengths = range(2 * shingle, 400)
    reached = [n for n in lengths if (n - 2 * shingle + 1) / (n + 1) >= threshold - 1e-9]
    assert count_strict_words(threshold, shingle) == reached[0]


def test_the_length_holds_on_texts(tmp_path):
    least = count_strict_words(0.8, 5)
    for count, near in ((least - 1, 0), (least, 1)):
        these, folder = words_of(43, count), tmp_path / str(count)
        folder.mkdir()
        found = run_on(folder, [spelled(these), spelled(edited(these, count // 2))])
        assert found.near == near
    assert shared(1, least - 4) >= 0.8


def test_sketches_by_other_rules_are_not_used(tmp_path, monkeypatch):
    config = SketchConfig(5, 128, 0, None)
    assert config.rules and config != SketchConfig(5, 128, 0, None, rules="of another version")

    def stop(*_):
        raise KeyboardInterrupt

    from curate.errors import Interrupted
    from curate.stages.dedup import duplicates_table

    sketched = []
    sketch = sketch_table.SketchWork._sketch
    monkeypatch.setattr(sketch_table.SketchWork, "_sketch", lambda self, *one: sketched.append(1) or sketch(self, *one))
    monkeypatch.setattr(SketchConfig.__init__, "__defaults__", (0, "of another version"))
    with monkeypatch.context() as stopped:
        stopped.setattr(duplicates_table, "find_duplicates", stop)
        with pytest.raises(Interrupted):
            run_on(tmp_path, ["a b c", "d e f"])
    monkeypatch.setattr(SketchConfig.__init__, "__defaults__", (0, strict_words.RULES))
    run_on(tmp_path, ["a b c", "d e f"])
    assert len(sketched) == 2


def test_the_length_below_which_words_are_strict_is_part_of_what_sketches_are_made_from():
    lengths = [count_strict_words(threshold, 5) for threshold in (0.7, 0.8, 0.9, 1.0)]
    assert np.all(np.diff(lengths) > 0)
