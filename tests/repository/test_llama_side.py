"""llama.cpp as a side of the benchmark of scoring; a stand-in for ``llama_cpp.Llama`` computes with transformers."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.models import save
from helpers.paths import ROOT
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXTS = ["A short text.", "Another one, which is a little longer than the first."]


class StandIn:
    """A "GGUF file" here holds the path of a model's folder."""

    def __init__(self, path: str, n_ctx: int = 512, logits_all: bool = False, **settings: object) -> None:
        assert settings["n_threads"] == torch.get_num_threads() and settings["verbose"] is False
        folder = Path(path).read_text()
        self.model, self.tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
        config = self.model.config
        self.metadata = {
            "general.architecture": "llama",
            "general.file_type": "7",
            "llama.embedding_length": str(config.hidden_size),
            "llama.block_count": str(config.num_hidden_layers),
        }
        self.scores = np.full((n_ctx if logits_all else 1, config.vocab_size), np.nan, np.single)
        self.read = 0

    def n_vocab(self) -> int:
        return int(self.model.config.vocab_size)

    def token_bos(self) -> int:
        return int(self.tokenizer.bos_token_id)

    def tokenize(self, text: bytes, add_bos: bool = True, special: bool = False) -> list[int]:
        return [self.token_bos()] * add_bos + self.tokenizer.encode(text.decode(), add_special_tokens=special)

    def reset(self) -> None:
        self.read = 0

    def eval(self, tokens: list[int]) -> None:
        assert self.read == 0, "what was read before would be context"
        with torch.inference_mode():
            self.scores[: len(tokens)] = self.model(torch.tensor([tokens])).logits[0].float().numpy()
        self.read = len(tokens)

    def close(self) -> None: ...


@pytest.fixture
def sides(monkeypatch):
    """Return the modules of the sides, where llama-cpp-python seems installed."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    stand_in = types.ModuleType("llama_cpp")
    stand_in.Llama = StandIn
    monkeypatch.setitem(sys.modules, "llama_cpp", stand_in)
    import llama_side
    import peers

    return llama_side, peers


def test_the_same_weights_have_the_same_nats_as_in_the_loop(tmp_path, sides):
    llama_side, peers = sides
    folder = save(tmp_path / "model", "llama", max_position_embeddings=128)
    file = tmp_path / "model-q8.gguf"
    file.write_text(str(folder))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = np.array([len(tokenizer.encode(text, add_special_tokens=False)) for text in TEXTS])
    loop, side = peers.open_loop(folder, "fp32"), llama_side.open_llama(file)
    assert side.name == "llama.cpp, model-q8" and side.dtype == "q8_0"
    assert np.allclose(side.score(TEXTS, tokens), loop.score(TEXTS, tokens), atol=1e-5)
    assert side.places() == tokens.sum() and "none of 2 documents" in side.how
    side.score(TEXTS, tokens + np.array([0, 1]))
    assert "1 of 2 documents have another number of tokens" in side.how


def test_a_file_is_known_by_the_vocabulary_the_width_and_the_layers_of_its_model(tmp_path, sides):
    llama_side, _ = sides
    folder = save(tmp_path / "model", "llama")
    file = tmp_path / "model.gguf"
    file.write_text(str(folder))
    assert llama_side.is_of_model(file, folder)
    for name, changed in {"layers": {"num_hidden_layers": 3}, "width": {"hidden_size": 16}}.items():
        assert not llama_side.is_of_model(file, save(tmp_path / name, "llama", **changed)), name


def test_files_that_are_not_there_are_refused_and_those_of_no_use_left_out(tmp_path, sides, monkeypatch, capsys):
    import score

    monkeypatch.setattr(sys, "argv", ["score.py", "--small", "--gguf", str(tmp_path / "none.gguf")])
    with pytest.raises(SystemExit):
        score.read_options()
    assert "--gguf: no file" in capsys.readouterr().err
    monkeypatch.setattr(score.importlib.util, "find_spec", lambda name: None)
    assert not score.is_of_shape(tmp_path / "none.gguf", tmp_path)
    assert "llama-cpp-python is not installed" in capsys.readouterr().err
