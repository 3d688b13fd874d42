"""Whatever a folder holds that is no causal language model, the error says what was found and what to do."""

import json
import pickle
import shutil

import pytest
import torch
from helpers import models
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, ViTConfig, ViTModel

from curate.errors import ModelError
from curate.reference import load
from curate.reference.checkpoints import model_folder
from curate.reference.protocol import ScoringConfig

pytestmark = pytest.mark.filterwarnings("ignore")
WEIGHTS = "model.safetensors"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


@pytest.fixture
def copy(folder, tmp_path):
    """Gives a copy of a good model without some of its files."""

    def make(*dropped):
        place = tmp_path / "model"
        shutil.copytree(folder("llama"), place)
        for name in dropped:
            (place / name).unlink()
        return place

    return make


def change_config(place, **changes):
    config = json.loads((place / "config.json").read_text()) | changes
    (place / "config.json").write_text(json.dumps(config))


def refusal(place, what):
    with pytest.raises(ModelError, match=what) as caught:
        load(str(place), ScoringConfig(exact=True))
    assert "\n" not in caught.value.message and caught.value.hint and "\n" not in caught.value.hint
    return caught.value


FOLDERS = {
    "nothing": ((), "is an empty folder", "--model"),
    "a tokenizer": (("tokenizer.model",), "no config.json, only tokenizer.model", "--model"),
    "gguf": (("m-Q4.gguf",), "GGUF, the format of llama.cpp.*m-Q4.gguf", "from which the GGUF file was made"),
    "onnx": (("model.onnx",), "weights in ONNX", "model.safetensors"),
    "raw": (("consolidated.00.pth", "params.json"), "weights of PyTorch outside transformers", "save_pretrained"),
    "embeddings": (("modules.json", "config.json"), "not a causal language model: sentence-transformers", "decoder"),
    "diffusers": (("model_index.json",), "no config.json, only model_index.json", "--model"),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_of_something_else_is_named_by_what_is_in_it(tmp_path, kind):
    files, what, hint = FOLDERS[kind]
    for name in files:
        (tmp_path / name).write_text("{}")
    assert hint in refusal(tmp_path, what).hint


def test_an_adapter_names_the_model_that_it_adapts_also_next_to_a_configuration(tmp_path, copy):
    for place in (tmp_path / "alone", copy(WEIGHTS)):
        place.mkdir(exist_ok=True)
        (place / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "org/base"}))
        (place / "adapter_model.safetensors").write_bytes(b"")
        assert "merge it" in refusal(place, "is an adapter of org/base").hint


def test_a_folder_of_checkpoints_names_the_first_of_them_quoted(tmp_path, folder):
    shutil.copytree(folder("llama"), tmp_path / "step 500")
    assert refusal(tmp_path, "no config.json, only step 500").hint == f"--model '{tmp_path}/step 500'"


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    refusal(tmp_path / "model.gguf", "is a file, not a model folder")


HEADS = {
    "gpt2": AutoModelForSequenceClassification,
    "llama": AutoModelForTokenClassification,
}


@pytest.mark.parametrize("kind", HEADS)
def test_a_classifier_is_refused_although_its_embedding_could_stand_for_a_head(tmp_path, kind):
    from transformers import AutoConfig

    config = AutoConfig.for_model(kind, **{**models.COMMON, **models.SHAPES[kind]})
    HEADS[kind].from_config(config).save_pretrained(tmp_path)
    models.tokenizer().save_pretrained(tmp_path)
    refusal(tmp_path, "not a causal language model: .*Classification has the head of another task")


def test_an_encoder_and_decoder_is_refused_and_its_decoder_alone_is_not(tmp_path):
    from transformers import BartConfig, BartForCausalLM, BartForConditionalGeneration

    shape = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "max_position_embeddings": 64}
    shape |= {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "decoder_ffn_dim": 32, "encoder_ffn_dim": 32}
    for kind in (BartForConditionalGeneration, BartForCausalLM):
        kind(BartConfig(**models.COMMON, **shape)).save_pretrained(tmp_path / kind.__name__)
        models.tokenizer().save_pretrained(tmp_path / kind.__name__)
    refusal(tmp_path / "BartForConditionalGeneration", "not a causal language model: .* an encoder and a decoder")
    assert load(str(tmp_path / "BartForCausalLM"), ScoringConfig(exact=True)).policy.window == 64


def test_a_model_of_images_is_refused(tmp_path):
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 32}
    ViTModel(ViTConfig(**shape, image_size=32, patch_size=16)).save_pretrained(tmp_path)
    models.tokenizer().save_pretrained(tmp_path)
    refusal(tmp_path, "not a causal language model")


class Evil:
    def __reduce__(self):
        return print, ("code of a .bin file ran",)


def test_weights_that_are_missing_damaged_or_code_are_told_apart(copy, capsys):
    place = copy(WEIGHTS)
    assert "model.safetensors" in refusal(place, "has no weights: it has config.json").hint
    (place / WEIGHTS).write_bytes(b"not weights at all")
    assert "damaged" in refusal(place, "its weights cannot be read").hint
    (place / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert refusal(place, "pointer of Git LFS").hint == f"git -C {place} lfs pull"
    (place / WEIGHTS).unlink()
    torch.save({"a": Evil()}, place / "pytorch_model.bin")
    assert "safetensors" in refusal(place, "its .bin file holds more than weights").hint
    (place / "pytorch_model.bin").write_bytes(pickle.dumps({"a": 1}))
    refusal(place, "its .bin file holds more than weights")
    (place / "pytorch_model.bin").write_bytes(b"")
    refusal(place, "its weights cannot be read")
    assert "code of a .bin file ran" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"hidden_size": 64}, "other shapes than its config.json says"),
        ({"num_hidden_layers": 3}, "lacks 9 weights of a causal language model"),
        ({"model_type": "superllama9"}, "does not know models of type superllama9"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(copy, changes, what):
    place = copy()
    change_config(place, **changes)
    refusal(place, what)


def test_weights_that_the_configuration_leaves_out_are_a_note(copy):
    place = copy()
    change_config(place, num_hidden_layers=1)
    notes = load(str(place), ScoringConfig(exact=True)).notes
    assert any(note.startswith("9 of its weights are not used") for note in notes)


@pytest.mark.parametrize("text", ['{"model_type": ', "[]", "{}"])
def test_a_damaged_configuration_is_refused(copy, text):
    place = copy()
    (place / "config.json").write_text(text)
    refusal(place, "its config.json cannot be read")


@pytest.mark.parametrize("method", ["bitsandbytes", "gptq", "awq", "compressed-tensors"])
def test_quantised_weights_name_the_package_that_reads_them(copy, method):
    place = copy()
    options = {"quant_method": method, "bits": 4, "load_in_4bit": True, "format": "pack-quantized"}
    change_config(place, quantization_config=options)
    assert refusal(place, "without the package ").hint.startswith("pip install ")


@pytest.mark.parametrize(
    ("name", "content", "packages"),
    [
        ("tokenizer.model", b"\x0a\x0c\x0a\x05<unk>", "sentencepiece protobuf"),
        ("spiece.model", b"\x0a\x0c\x0a\x05<unk>", "sentencepiece protobuf"),
        ("tokenizer.model", b"IQ== 0\nIg== 1\n", "tiktoken"),
    ],
)
def test_a_tokenizer_file_names_the_package_that_reads_it(copy, monkeypatch, name, content, packages):
    monkeypatch.setattr(model_folder, "_is_installed", lambda package: False)
    place = copy(*TOKENIZER)
    (place / name).write_bytes(content)
    assert refusal(place, f"no tokenizer.json, and its {name} is read by").hint == f"pip install {packages}"


def test_a_folder_without_a_tokenizer_is_refused(copy):
    refusal(copy(*TOKENIZER), "has no tokenizer")


def test_a_model_whose_code_fails_is_refused_in_one_line(folder, monkeypatch):
    from curate.reference.checks import self_check

    def fail(*_):
        raise IndexError("index 130 is out of bounds\nfor dimension 1")

    monkeypatch.setattr(self_check, "measure_together", fail)
    refusal(folder("llama"), "fails on texts of up to 64 tokens: .*out of bounds")
