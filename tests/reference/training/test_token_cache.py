"""Encoded texts: a text that spells the special token stays text, and no more is read than was asked."""

from pathlib import Path

from tokenizers import Tokenizer

from curate.reference.training.token_cache import encode_corpus, open_encoded
from curate.reference.training.tokenizer import END, END_OF_TEXT


def test_a_text_that_spells_the_special_token_stays_text(tokenizer: Tokenizer, tmp_path: Path) -> None:
    texts = [f"one {END_OF_TEXT} two", "three", f"{END_OF_TEXT}"]
    tokenizer.encode_special_tokens = False
    encode_corpus(iter(texts), tokenizer, tmp_path, None)
    encoded = open_encoded(tmp_path, 320)
    for number, text in enumerate(texts):
        ids = encoded.document(number).tolist()
        assert (ids[0], ids[-1]) == (END, END) and END not in ids[1:-1]
        assert tokenizer.decode(ids[1:-1]) == text


def test_no_more_of_a_document_is_read_than_was_asked(tokenizer: Tokenizer, tmp_path: Path) -> None:
    encode_corpus(iter(["a cat and a dog " * 40, "short"]), tokenizer, tmp_path, 32)
    encoded = open_encoded(tmp_path, 320)
    assert len(encoded.document(0)) == 32 and encoded.document(0)[-1] != END
    assert encoded.document(1)[-1] == END
