"""A tokenizer without its model: where it is looked for, and what is said of it."""

import json

import pytest
from helpers.models import tokenizer
from helpers.tokens import a_tokenizer

from curate.errors import ModelError
from curate.exports.tokens.tokenizer import load_tokenizer


@pytest.mark.parametrize("model", [None, "gpt2"])
def test_a_tokenizer_without_a_configuration_is_what_its_file_says_whatever_the_model_beside_it(tmp_path, model):
    """Of GPT-2 transformers knows a class of tokenizers, which has an EOS."""
    folder = tmp_path / "bare"
    folder.mkdir()
    if model is not None:
        (folder / "config.json").write_text(json.dumps({"model_type": model}))
    (folder / "tokenizer.json").write_text(tokenizer().backend_tokenizer.to_str())
    bare, configured = load_tokenizer(str(folder)), load_tokenizer(a_tokenizer(tmp_path))
    assert (bare.name, bare.size, bare.eos, bare.eos_text) == ("bare", configured.size, None, None)
    assert configured.eos == 0 and configured.eos_text == tokenizer().eos_token
    texts = ["a document", "another 東京"]
    for one, other in zip(bare.encoder.encode(texts), configured.encoder.encode(texts), strict=True):
        assert one.tolist() == other.tolist()


def test_a_folder_without_a_tokenizer_and_none_are_answered_with_what_is_taken(tmp_path):
    (tmp_path / "empty").mkdir()
    for path, why in ((tmp_path / "empty", "it cannot be loaded"), (tmp_path / "none", "there is no folder")):
        with pytest.raises(ModelError, match=why) as caught:
            load_tokenizer(str(path))
        assert "tokenizer.json" in caught.value.hint
