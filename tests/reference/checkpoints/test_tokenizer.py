"""The quick tokenizer is believed as long as it gives the ids of the model's own, on the user's text; and else not."""

import json
import sys
from itertools import pairwise

import numpy as np
import pytest
from helpers import models
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, trainers
from tokenizers import models as kinds
from transformers import PreTrainedTokenizerFast

from curate.reference.checkpoints import tokenizer
from curate.reference.checkpoints.checkpoint import BUILTIN, open_tokenizer
from curate.reference.checkpoints.tokenizer import TextEncoder, choose_probe

fastokens = pytest.importorskip("fastokens", reason="the extra fast is not installed")
ODD = [
    "",
    " ",
    "a",
    "\n\n\t  \r\n",
    "x y z <|endoftext|> next",
    "Größe naïve 東京 Привет 🙂👩‍👩‍👧 e\u0301",
    "\x00\x01\x7f\ufffd",
    "don't I'LL we've 12345 3.14e-7",
    "a" * 3000,
    "<s> </s> [UNK] ▁▁",
]


def sentencepiece_like():
    """A BPE as Llama 2 has it: spaces as ▁, bytes for what it does not know."""
    backend = Tokenizer(kinds.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    octets = [f"<0x{number:02X}>" for number in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=["<unk>", "<s>", "</s>", *octets], show_progress=False)
    backend.train_from_iterator([models.TEXT], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")


def word_piece():
    backend = Tokenizer(kinds.WordPiece(unk_token="[UNK]"))
    backend.normalizer, backend.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=["[UNK]"], show_progress=False)
    backend.train_from_iterator([models.TEXT], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend)


MADE = {
    "byte-level": models.tokenizer,
    "builtin": lambda: open_tokenizer(BUILTIN, None, False),
    "sentencepiece": sentencepiece_like,
    "wordpiece": word_piece,
}


@pytest.fixture
def eager(monkeypatch):
    """Any batch is large enough to be worth it."""
    monkeypatch.setattr(tokenizer, "QUICK_FROM", 0)


@pytest.mark.parametrize("kind", MADE)
def test_whichever_reads_the_ids_are_those_of_the_models_tokenizer(kind, eager, capsys):
    encoder = TextEncoder(MADE[kind]())
    texts = ODD + [models.TEXT[at : at + 700] for at in range(0, 6000, 700)]
    found, wanted = encoder.encode(texts), encoder._encode_exactly(texts)
    assert [one.tolist() for one in found] == [one.tolist() for one in wanted]
    assert all(one.dtype == np.int32 for one in found)
    if kind in ("byte-level", "builtin"):
        assert encoder._quick is not None, "premise: the quick one reads byte-level BPE"


def test_a_small_batch_is_not_worth_it_and_a_large_one_is():
    encoder = TextEncoder(models.tokenizer())
    encoder.encode(["hello"] * 10)
    assert encoder._quick is None and encoder._may_be_quick
    encoder.encode(["hello world " * 1000] * 20)
    assert encoder._quick is not None


class Liar:
    """Gives the right ids but for texts that hold a word."""

    def __init__(self, word, how):
        self.real, self.word, self.how = (
            fastokens.Tokenizer.from_json_str(models.tokenizer().backend_tokenizer.to_str()),
            word,
            how,
        )

    def encode_batch_flat(self, texts, special, split):
        if self.how == "raises" and any(self.word in text for text in texts):
            raise RuntimeError("the expression gave up\nsecond line")
        octets, bounds = self.real.encode_batch_flat(texts, special, split)
        ids, ends = np.frombuffer(octets, np.int32).copy(), np.frombuffer(bounds, np.int64)
        for text, (begin, end) in zip(texts, pairwise(ends.tolist()), strict=True):
            if self.word in text and end > begin:
                ids[begin] += 1
        return ids.tobytes(), bounds


@pytest.mark.parametrize("how", ["lies", "raises"])
def test_one_that_differs_or_fails_on_a_text_is_dropped_and_it_is_said(how, eager, monkeypatch, capsys):
    from curate.runtime import console

    console.enable(True)
    monkeypatch.setattr(tokenizer, "open_fastokens", lambda backend: Liar("wrong", how))
    encoder = TextEncoder(models.tokenizer())
    fine = ["some fine words"] * 5
    assert encoder.encode(fine)[0].tolist() == encoder._encode_exactly(fine)[0].tolist()
    assert encoder._quick is not None and not capsys.readouterr().err
    later = ["all wrong here"] * 5
    assert encoder.encode(later)[0].tolist() == encoder._encode_exactly(later)[0].tolist()
    told = capsys.readouterr().err
    assert told.count("warning: fastokens is not used from here on") == 1 and "second line" not in told
    assert encoder._quick is None and not encoder._may_be_quick
    encoder.encode(later)
    assert not capsys.readouterr().err, "it is said once"


def test_without_it_or_with_a_tokenizer_that_it_does_not_know_nothing_is_said(eager, monkeypatch, capsys):
    from curate.runtime import console

    console.enable(True)
    monkeypatch.setitem(sys.modules, "fastokens", None)
    encoder = TextEncoder(models.tokenizer())
    assert encoder.encode(["hello world"])[0].tolist() == encoder._encode_exactly(["hello world"])[0].tolist()
    monkeypatch.undo()

    class Unknown:
        def to_str(self):
            return json.dumps({"model": {"type": "Something"}})

    assert tokenizer.open_fastokens(Unknown()) is None and not capsys.readouterr().err


@given(st.lists(st.integers(0, 50_000), min_size=1, max_size=300), st.sampled_from([100, 20_000, 1_000_000]))
def test_a_probe_reads_about_as_much_as_it_may_from_all_over_a_batch(lengths, most):
    chosen = choose_probe(lengths, most)
    assert chosen and chosen == sorted(set(chosen)) and chosen[-1] < len(lengths)
    fit = [length for length in lengths if length <= most]
    if not fit:
        assert len(chosen) == 1 and lengths[chosen[0]] == min(lengths)
    elif sum(fit) <= most:
        assert len(chosen) == len(fit), "all that fits is read"
    else:
        assert len(chosen) <= len(fit) and (len(chosen) >= 2 or max(fit) * 2 > most or len(fit) < 4)
