"""A checkpoint is known by a hash of its weights, and states how much it can read and what goes first."""

from types import SimpleNamespace

import pytest
import torch
from helpers import models

from curate.errors import ModelError
from curate.reference.checkpoints import checkpoint
from curate.reference.checkpoints.checkpoint import open_checkpoint, prefix_token


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return models.save(tmp_path_factory.mktemp("models") / "llama", "llama")


@pytest.fixture
def opened(place):
    return open_checkpoint(str(place), None, False, torch.float32)


@pytest.mark.parametrize("in_full", [True, False])
def test_weights_of_one_other_byte_or_name_have_another_hash_whether_read_in_full_or_by_blocks(
    tmp_path, monkeypatch, in_full
):
    monkeypatch.setattr(checkpoint, "FULL_HASH_BYTES", 1 << 30 if in_full else 0)
    file = tmp_path / "model.safetensors"
    file.write_bytes(bytes(3 << 20))
    plain = checkpoint._hash_weights(None, str(tmp_path))
    assert checkpoint._hash_weights(None, str(tmp_path)) == plain
    for offset in (0, (3 << 20) - 1):
        changed = bytearray(3 << 20)
        changed[offset] = 1
        file.write_bytes(changed)
        assert checkpoint._hash_weights(None, str(tmp_path)) != plain
    file.write_bytes(bytes(3 << 20))
    file.rename(tmp_path / "other.safetensors")
    assert checkpoint._hash_weights(None, str(tmp_path)) != plain


def test_large_weights_are_read_in_64_blocks_of_a_file_from_its_first(tmp_path):
    file = tmp_path / "model.safetensors"
    with open(file, "wb") as handle:
        handle.truncate(256 << 20)
    assert sum(map(len, checkpoint._blocks(file, in_full=False))) == 64 << 20
    assert sum(map(len, checkpoint._blocks(file, in_full=True))) == 256 << 20


def test_weights_that_are_not_in_a_folder_are_hashed_from_memory():
    first, second = models.build("llama"), models.build("llama", attention_bias=True)
    hashes = [checkpoint._hash_weights(model, "nobody/such") for model in (first, first, second)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_model_reads_the_smallest_number_of_positions_that_its_configuration_states(opened):
    assert opened.readable() == 64 and opened.vocab_size == models.VOCABULARY and opened.dtype == "fp32"
    config = SimpleNamespace(max_position_embeddings=0, n_positions=512, n_ctx=256)
    opened.model.config = SimpleNamespace(get_text_config=lambda: config)
    assert opened.readable() == 256
    opened.model.config = SimpleNamespace(get_text_config=SimpleNamespace)
    assert opened.readable() is None


def test_the_prefix_is_bos_else_eos_and_a_missing_one_is_refused_with_a_way_out(opened):
    tokenizer = SimpleNamespace(bos_token_id=None, eos_token_id=7)
    object.__setattr__(opened, "tokenizer", tokenizer)
    assert prefix_token(opened, "auto") == prefix_token(opened, "eos") == 7 and prefix_token(opened, "none") is None
    with pytest.raises(ModelError, match="no BOS token to use as a prefix") as caught:
        prefix_token(opened, "bos")
    assert caught.value.hint == "--prefix none"
    tokenizer.bos_token_id = models.VOCABULARY
    assert prefix_token(opened, "eos") == 7
    with pytest.raises(ModelError, match="the model has only 384 rows"):
        prefix_token(opened, "auto")
