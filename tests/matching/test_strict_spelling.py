"""Which characters make up each strict word: the rules of punctuation, each where it holds and where it does not."""

import unicodedata

import pytest

from curate.matching import strict_words, words


def spell(text):
    prepared = strict_words.prepare_text(text)
    found = strict_words.split_strict_words([text])
    return [prepared[start:end] for start, end in zip(found.starts, found.ends, strict=True)]


@pytest.mark.parametrize(
    "spelled",
    [
        # a full stop between two letters or digits, or before a digit
        "1.5", "a.b", "a.5", "5.a", ".15", "a |b",
        # a colon between two letters or digits, a comma between two digits
        "10:30", "a:b", "1,5", "1,000,5", "é:b",
        # an apostrophe between letters or behind a single one, and those that follow it
        "can't", "y'", "y''", "y'''", "y''''", "é'", "5'a", "x |y' |+ |z",
    ],
)  # fmt: skip
def test_punctuation_within_a_word_is_a_part_of_it(spelled):
    assert spell(spelled.replace("|", "")) == [part.strip() for part in spelled.split("|")]


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("a. b", "a b"), ("a.", "a"), (".a", "a"), (". 5", "5"), ("a .5", "a .5"), ("a: b", "a b"), (":a", "a"),
        ("a,b", "a b"), ("1,b", "1 b"), ("a,1", "a 1"), ("1, 5", "1 5"), (",5", "5"), ("5,", "5"),
        ("ab'", "ab"), ("dogs' x", "dogs x"), ("'a'", "a"), ("5'", "5"), ("'ab'", "ab"), ("' a", "a"),
        ("ab''c", "ab c"), ("y'z", "y'z"), ("y'''''", "y''''"),
    ],
)  # fmt: skip
def test_punctuation_at_the_edge_of_a_word_is_left_out(text, spelled):
    assert spell(text) == spelled.split()


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("a := b", "a : = b"), ("x[1:]", "x [ 1 : ]"), ("[:-1]", "[ : - 1 ]"), ("a::b", "a : : b"),
        ("x[:b]", "x [ : b ]"),
        ("x]: b", "x ] b"), (": :", ""), ("::", ": :"), ("a :: b", "a : : b"),
        ("./a", ". / a"), ("../a", ". . / a"), (".*", ". *"), (".../a", "/ a"), ("a./b", "a / b"), ("..a", "a"),
        (". /a", "/ a"), ("..", ""),
        ("!x", "! x"), ("!=", "! ="), ("!5", "! 5"), ("! x", "x"), ("!", ""), ("!!", ""),
        ("5!", "5 !"), ("n!", "n !"), ("ab!", "ab"), ("é!", "é !"), ("[1; 2]", "[ 1 ; 2 ]"), ("[a; 2]", "[ a ; 2 ]"),
        ("ab; cd", "ab cd"), ("a;b", "a ; b"), ("(n + 1)!", "( n + 1 ) !"), ("(n + 1);", "( n + 1 )"), (";=", "; ="),
    ],
)  # fmt: skip
def test_punctuation_that_means_something_is_a_word_of_its_own(text, spelled):
    assert spell(text) == spelled.split()


@pytest.mark.parametrize(
    ("char", "folded"),
    [
        ("a", "a"), ("z", "z"), ("A", "a"), ("É", "é"), ("ß", "ß"), ("ẞ", "ß"), ("İ", "i̇"), ("Σ", "σ"), ("ς", "σ"),
        ("ﬁ", "fi"), ("Ａ", "a"), ("＇", "'"), ("’", "'"), ("−", "-"), ("–", "-"), ("—", "-"), ("‐", "-"), ("⁄", "/"),
        ("²", "²"), ("½", "½"), ("①", "①"), ("ℝ", "ℝ"), ("`", "\0"), ("…", "..."), ("“", "\0"), (" ", "\0"),
        ("\u200b", "\0"), ("\u00ad", ""), ("\u200d", ""), ("\ufe0f", ""), ("\u0640", ""), ("\U000e0067", "\U000e0067"),
        ("{", "{"), ("|", "|"), ("~", "~"), ("€", "€"), ("🙂", "🙂"), ("\u00a0", "\0"), ("ﾊ", "ハ"),
        ("\u0301", "\u0301"), ("\ue000", "\ue000"),
    ],
)  # fmt: skip
def test_a_character_becomes_what_it_means(char, folded):
    assert strict_words.fold_character(char) == folded


@pytest.mark.parametrize(
    ("chars", "kind"),
    [
        ("#%&@*/\\()[]{}_§‰′″", strict_words.SYMBOL), ("+<=>|~^$€→🙂-–—\ue000", strict_words.SYMBOL),
        (".", strict_words.STOP), (":", strict_words.JOINT), (",٫٬", strict_words.COMMA),
        ("'", strict_words.APOSTROPHE),
        ("!", strict_words.BANG), (";", strict_words.SEMICOLON), ("aé我", strict_words.LETTER),
        ("5½²٣", strict_words.DIGIT), ("\u0301\u093f\U000e0067", strict_words.MARK),
        ("`´¨¯¸˘“”«»?¿ \n\x00\u200d\u200b\u2028", strict_words.NOTHING),
    ],
)  # fmt: skip
def test_each_character_is_of_a_kind(chars, kind):
    for char in chars:
        assert strict_words.classify_character(char, alone=False) == kind, hex(ord(char))
        assert strict_words.is_kept(char) is (kind != strict_words.NOTHING)
    assert strict_words.classify_character("我", alone=True) == strict_words.ALONE
    assert strict_words.classify_character("5", alone=True) == strict_words.DIGIT


def test_the_tables_have_what_the_rules_say_of_each_character():
    table = strict_words.load_strict_folding()
    for char in map(chr, [*range(1, 0x600), *range(0x2000, 0x2100), *range(0xFB00, 0xFB10), *range(0xFF00, 0xFFF0)]):
        if unicodedata.category(char) in ("Cn", "Cs"):
            continue
        found, _ = words.fold_text(char + "é", table.folding)
        wanted = char if words.is_plain_letter(char) else strict_words.fold_character(char)
        assert "".join(map(chr, found[:-1])) == wanted, hex(ord(char))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("**a** b", "a b"), ("*a b* c", "a b c"), ("***a***", "a"), ("****a****", "****a****"), ("a*b*c", "a*b*c"),
        ("2*3*4", "2*3*4"), ("* a *", "* a *"), ("*a *", "*a *"), ("*a\nb*", "*a\nb*"), ("(*a*)", "(a)"),
        ("*a*b", "*a*b"),
        ("**", "**"), ("*a", "*a"), ("*a**", "*a**"),
    ],
)  # fmt: skip
def test_emphasis_is_left_out_and_other_stars_stay(text, plain):
    assert strict_words.prepare_text(text) == plain


@pytest.mark.parametrize(
    ("text", "prepared"), [("e\u0301", "é"), ("ｶﾞｷ", "ガｷ"), ("ﾊﾟ", "パ"), ("ﾞ", "ﾞ"), ("aﾞ", "a\u3099"), ("か\u3099", "が")]
)
def test_texts_are_composed_and_half_width_voicing_marks_belong_to_their_kana(text, prepared):
    assert strict_words.prepare_text(text) == prepared


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("กา่", ["ก", "า่"]), ("ก่า", ["ก่", "า"]), ("a\u0336b", ["a\u0336b"]), ("🙂x", ["🙂", "x"]),
        ("+\u0336x", ["+\u0336", "x"]),
        (" \u0336x", ["\u0336", "x"]), ("か\u3099き", ["が", "き"]), ("a我b", ["a", "我", "b"]),
    ],
)  # fmt: skip
def test_a_mark_stays_with_what_it_stands_on(text, spelled):
    assert spell(text) == spelled
