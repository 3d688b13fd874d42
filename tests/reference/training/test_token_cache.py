"""Encoded texts: a text that spells the special token stays text, and no more is read than was asked."""

from pathlib import Path

from tokenizers import Tokenizer

from curate.reference import training


def test_a_text_that_spells_the_special_token_stays_text(tokenizer: Tokenizer, tmp_path: Path) -> None:
    texts = [f"one {training.END_OF_TEXT} two", "three", f"{training.END_OF_TEXT}"]
    tokenizer.encode_special_tokens = False
    training.encode_corpus(iter(texts), tokenizer, tmp_path, None)
    encoded = training.open_encoded(tmp_path, 320)
    for number, text in enumerate(texts):
        ids = encoded.document(number).tolist()
        assert (ids[0], ids[-1]) == (training.END, training.END) and training.END not in ids[1:-1]
        assert tokenizer.decode(ids[1:-1]) == text


def test_no_more_of_a_document_is_read_than_was_asked(tokenizer: Tokenizer, tmp_path: Path) -> None:
    training.encode_corpus(iter(["a cat and a dog " * 40, "short"]), tokenizer, tmp_path, 32)
    encoded = training.open_encoded(tmp_path, 320)
    assert len(encoded.document(0)) == 32 and encoded.document(0)[-1] != training.END
    assert encoded.document(1)[-1] == training.END
