"""The tokenizer of a training: every text encodes and decodes to itself, and every order gives one sample."""

from hypothesis import given, settings
from hypothesis import strategies as some
from tokenizers import Tokenizer, pre_tokenizers

from curate.reference.training.tokenizer import END, END_OF_TEXT, sample_texts, token_bytes


@given(some.text())
@settings(max_examples=300, deadline=None)
def test_every_text_encodes_and_decodes_to_itself(tokenizer: Tokenizer, text: str) -> None:
    tokenizer.encode_special_tokens = True
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids) == text
    assert END not in ids
    assert token_bytes(tokenizer)[ids].sum() == len(text.encode())


def test_every_byte_is_a_token_and_digits_are_single(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.get_vocab()
    assert len(tokens) == 320 and set(pre_tokenizers.ByteLevel.alphabet()) <= set(tokens)
    assert tokenizer.encode("1984").tokens == ["1", "9", "8", "4"]
    text = f"a text that spells {END_OF_TEXT}"
    tokenizer.encode_special_tokens = True
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_the_sample_for_the_tokenizer_is_one_for_every_order() -> None:
    texts = [f"text {number}" for number in range(50)]
    some_of = sample_texts(texts, 100)
    assert 0 < sum(map(len, some_of)) <= 100
    assert sample_texts(reversed(texts), 100) == some_of
