"""Models that cannot be used, and readings that mean nothing, are refused with what to do."""

import shutil

import pytest
import torch
from helpers import models

from curate.errors import ModelError, UsageError
from curate.reference import load
from curate.reference.protocol import ScoringConfig

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def test_nan_from_the_model_is_refused_at_load(tmp_path):
    model = models.build("llama")
    torch.nn.init.constant_(model.model.layers[0].mlp.down_proj.weight, float("nan"))
    model.save_pretrained(tmp_path)
    models.tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="NaN or infinity"):
        load(str(tmp_path))


def test_a_folder_without_a_tokenizer_is_named(folder, tmp_path):
    models.build("llama").save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="has no tokenizer") as caught:
        load(str(tmp_path))
    assert "tokenizer.json" in caught.value.hint


def test_a_folder_that_holds_no_model_says_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ModelError, match=r"no config.json, only notes.txt"):
        load(str(tmp_path))


def test_a_path_that_is_not_there_is_no_hub_name(tmp_path):
    with pytest.raises(ModelError, match="there is no folder"):
        load(str(tmp_path / "nowhere"))


def test_a_hub_model_out_of_reach_is_one_line_with_a_way_out():
    with pytest.raises(ModelError) as caught:
        load("nobody/no-such-model")
    assert "\n" not in caught.value.message and "--model PATH" in caught.value.hint


def test_a_model_that_is_no_causal_language_model_is_refused(tmp_path):
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(**models.COMMON, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    models.tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="not a causal language model"):
        load(str(tmp_path))


def test_a_tokenizer_whose_ids_the_model_has_no_rows_for_is_refused(tmp_path):
    models.save(tmp_path, "llama", vocab_size=300)
    with pytest.raises(ModelError, match="ids up to 383, but the model has only 300 rows"):
        load(str(tmp_path))


def test_missing_weights_are_refused_and_not_drawn_at_random(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder("qwen2"), tmp_path / "m")
    weights = load_file(tmp_path / "m" / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, tmp_path / "m" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lacks 1 weights"):
        load(str(tmp_path / "m"))


def test_damaged_weights_are_one_line(folder, tmp_path):
    shutil.copytree(folder("llama"), tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError) as caught:
        load(str(tmp_path / "m"))
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"dtype": "int3"}, "--dtype"),
        ({"convention": "mine"}, "--convention"),
        ({"exact": True, "dtype": "bf16"}, "--exact"),
        ({"window": 65}, "--window must be at most 64"),
        ({"window": 0}, "--window must be at least 1, not 0"),
        ({"window": -5}, "--window must be at least 1, not -5"),
        ({"window": 1, "convention": "evaluate"}, "--window must be at least 2 with --convention evaluate, not 1"),
        ({"overlap": -1}, "--overlap must be at least 0, not -1"),
        ({"overlap": 64}, "--overlap must be from 0 to 63"),
        ({"pack_tokens": 0}, "--pack-tokens must be at least 1, not 0"),
        ({"compiled": "maybe"}, "--compile must be one of"),
        ({"window": 8, "overlap": 8}, "--overlap"),
        ({"max_tokens": 0}, "--truncate"),
        ({"prefix": "nobody"}, "--prefix"),
        ({"window_prefix": True, "prefix": "none"}, "--window-prefix"),
        ({"convention": "lm-eval", "overlap": 3}, "sets the prefix and the overlap"),
        ({"device": "cuda:99"}, "--device cuda:99 is not available"),
        ({"device": "foo"}, "--device must be auto, cpu, cuda, cuda:1 or mps, not foo"),
    ],
)
def test_a_reading_that_means_nothing_is_refused(folder, wrong, says):
    with pytest.raises(UsageError) as caught:
        load(str(folder("llama")), ScoringConfig(**wrong))
    assert says in caught.value.message


@pytest.mark.parametrize(
    "wrong", [{"window": 0}, {"overlap": -1}, {"max_tokens": 0}, {"convention": "mine"}, {"window": 8, "overlap": 8}]
)
def test_a_config_that_no_model_could_take_is_refused_without_a_model_too(wrong):
    with pytest.raises(UsageError, match="--"):
        load("none", ScoringConfig(**wrong))
