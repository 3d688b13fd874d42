"""What numba compiles finds the same words and tokens as its twin in NumPy, wherever the text is odd."""

import numpy as np
import pytest

from curate.matching import code_tokens, numba_code, numba_kernels, numba_words, words

FILLER = "The quick brown fox, 12 of 34, doesn't jump over \u201cit\u201d.\n" * 400
ODD = {
    "plain": "One two, three-four (5) six_seven.",
    "spelled by several": "\ufb01ne stra\u00dfe \u1e9e \ufdfa \u00bd \u338f \u01c5 \uff21\uff22\uff23",
    "marks": "cafe\u0301 nai\u0308ve soft\u00adhyphen zero\u200dwidth \u0130I\u0131 \u093f\u0915",
    "spaceless": "\u4e2d\u6587abc\u30c6\u30b9\u30c8 \u0e44\u0e17\u0e22 \uac01\uac02x",
    "beyond the plane": "a\U0001f600b \U00020000\U00020001 \ud800 x \ue001y",
    "nothing": " .,;\n\t",
    "one word": "x" * 3000,
}
CODE = {
    "operators": "a<<=b**c //= d!=e ==== f->g ?[1:2] <>=!~ x",
    "names": "len(x) len (y) len\n(z) a.len(b) .5 1e5 1x x1 print print( self.append",
    "strings": "\ue001\ue002x\ue003 = \ue004 \U0001f600 a",
    "comments": "a = 1 # b = 2\n# c\nd # e \\n f = 3 # \\t g\n#",
    "marks": "+a = 1\n++b\n+=c\n|d|\n> e\n>> f\n+\n +g\n>",
    "prompts": ">>> a = 1\n  >>> b\n>>>> c\n>>> >>> d\n>>>e\n... f\n# >>> g\n>>>",
    "escapes": "\\na\\tb\\rc\\\\nd\\x \\",
    "nothing": "\n\n",
}


@pytest.fixture(params=["words", "code"])
def kind(request):
    if not numba_kernels.is_numba_available():
        pytest.skip("numba is not installed")
    return request.param


def read_both(monkeypatch, read, texts):
    """Return what is found by numba, and by NumPy."""
    compiled = read(texts)
    monkeypatch.setattr(numba_kernels, "is_numba_available", lambda: False)
    return compiled, read(texts)


@pytest.mark.parametrize("commented", [False, True])
def test_both_find_the_same(monkeypatch, kind, commented):
    texts = [*ODD.values(), FILLER, *CODE.values(), *ODD.values(), "".join(CODE.values())]
    assert sum(map(len, texts)) > 2 * numba_words.LEAST_CHARACTERS

    def read(some):
        return words.split_words(some) if kind == "words" else code_tokens.split_cleaned(some, commented)

    compiled, plain = read_both(monkeypatch, read, texts)
    assert len(plain) > 4000
    for column in type(plain).__slots__:
        one, other = getattr(compiled, column), getattr(plain, column)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other, err_msg=column)


@pytest.mark.parametrize("text", [*ODD.values(), *CODE.values()])
def test_both_find_the_same_in_each_alone(monkeypatch, kind, text):
    monkeypatch.setattr(numba_words, "LEAST_CHARACTERS", 0)
    read = words.split_words if kind == "words" else lambda some: code_tokens.split_cleaned(some, True)
    compiled, plain = read_both(monkeypatch, read, [text, "", text])
    for column in type(plain).__slots__:
        np.testing.assert_array_equal(getattr(compiled, column), getattr(plain, column), err_msg=column)


def test_there_is_room_for_as_many_words_as_characters(monkeypatch, kind):
    monkeypatch.setattr(numba_words, "LEAST_CHARACTERS", 0)
    assert len(words.split_words(["\u4e2d" * 20_000])) == 20_000


def test_a_table_of_words_knows_those_and_no_others(kind):
    known = np.array([1, 1 + (1 << numba_code.TABLE_BITS), 7, 2**64 - 1], np.uint64)
    table = numba_code.make_word_table(known)
    among = numba_code._compile_among()
    assert [among(value, table) for value in known] == [True] * 4
    assert not any(among(np.uint64(value), table) for value in (2, 3, 6, 2**63))
