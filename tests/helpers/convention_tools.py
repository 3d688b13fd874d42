"""Tokenizers that add tokens of their own, and the tools whose numbers ``--convention`` reproduces, run for real.

lm-eval is asked itself. evaluate's metric is a script that its package fetches from the Hub: it is run where
``CURATE_EVALUATE_SCRIPT`` names a copy of metrics/perplexity/perplexity.py, and told again here, since no test
downloads anything. The guide is a page with a loop in it, https://huggingface.co/docs/transformers/perplexity.
"""

import importlib.util
import math
import os
import warnings
from contextlib import redirect_stderr
from functools import cache
from io import StringIO

import numpy as np
import pytest
import torch
from helpers import models
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, trainers
from tokenizers import models as tokenizer_models
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaTokenizer, PreTrainedTokenizerFast

from curate.reference import load
from curate.reference.likelihood import Passage
from curate.reference.protocol import ScoringConfig

SPECIAL = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def make_byte_level(*, bos=True):
    """The kind of GPT-2: it adds nothing. Without ``bos`` EOS is its only special token."""
    made = models.tokenizer()
    if not bos:
        made = PreTrainedTokenizerFast(tokenizer_object=made.backend_tokenizer, eos_token="<|endoftext|>")
    made.pad_token = made.eos_token
    return made


@cache
def train_pieces():
    """A BPE over ▁-words whose unknown characters are bytes, as SentencePiece trains them."""
    backend = Tokenizer(tokenizer_models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=[*SPECIAL, *BYTES], show_progress=False)
    backend.train_from_iterator([models.TEXT], trainer)
    return backend


def make_llama(**settings):
    """``LlamaTokenizer`` with BOS in front, which pads on the left."""
    import json

    model = json.loads(train_pieces().to_str())["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    made = LlamaTokenizer(vocab=model["vocab"], merges=merges, add_bos_token=True, **settings)
    made.pad_token = made.eos_token
    return made


def make_unigram(template="<s> $A"):
    """A Unigram of SentencePiece's making, with a template."""
    backend = Tokenizer(tokenizer_models.Unigram())
    backend.normalizer = normalizers.Replace(" {2,}", " ")
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=500, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False, initial_alphabet=[]
    )
    backend.train_from_iterator([models.TEXT], trainer)
    backend.post_processor = TemplateProcessing(single=template, special_tokens=[("<s>", 1), ("</s>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )


KINDS = {
    "gpt2": (make_byte_level, "gpt2"),
    "eos-only": (lambda: make_byte_level(bos=False), "gpt2"),
    "llama": (make_llama, "llama"),
    "unigram": (make_unigram, "llama"),
    "bos-eos": (lambda: make_unigram("<s> $A </s>"), "llama"),
}
"""Of each kind its tokenizer and the shape of its model."""


def save_kind(folder, kind, **changes):
    """Write a tiny model of a kind with its tokenizer.  → the folder"""
    make, shape = KINDS[kind]
    tokenizer = make()
    sizes = {"vocab_size": len(tokenizer), "bos_token_id": tokenizer.bos_token_id, **changes}
    models.build(shape, **sizes).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def list_ids(place, text, **options):
    return AutoTokenizer.from_pretrained(place)(text, **options)["input_ids"]


def make_texts(place, counts):
    """Texts of exactly so many tokens of a tokenizer; none begins as another does."""
    tokenizer, source = AutoTokenizer.from_pretrained(place), models.TEXT.replace("<|endoftext|>", "") * 3
    texts = []
    for count in counts:
        for start in range(37 * count % 900, 3000):
            encoding = tokenizer(source[start:], add_special_tokens=False, return_offsets_mapping=True)
            text = source[start : start + encoding["offset_mapping"][count - 1][1]]
            if len(tokenizer(text, add_special_tokens=False)["input_ids"]) == count and text.strip():
                texts.append(text)
                break
    assert len(texts) == len(counts), "the source has no piece of some count"
    return texts


def score_as(place, texts, convention, **options):
    """Ours.  → likelihoods"""
    config = ScoringConfig(convention=convention, exact=True, **options)
    (found,) = load(str(place), config).score([[*map(Passage, texts)]])
    return found


def open_model(place):
    return AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, attn_implementation="eager").eval()


def assert_close(found, expected):
    """Equal to 1e-5 of their size, which is one at which that says something."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    assert np.isfinite(expected).all() and np.min(np.abs(expected)) > 0.01
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def roll(place, texts, **options):
    """lm-eval's own ``loglikelihood_rolling``.  → nats of each text

    Without its ``logits_cache``, which gives wrong numbers (found in 0.4.13) where two windows of a batch read the same
    tokens and score differently many of them, as near-duplicates do: it then takes the first logits, not the last.
    """
    pytest.importorskip("lm_eval")
    with warnings.catch_warnings(), redirect_stderr(StringIO()):  # its bars
        warnings.simplefilter("ignore")
        from lm_eval.api.instance import Instance
        from lm_eval.models.huggingface import HFLM

        options = {"logits_cache": False, "dtype": "float32", **options}
        harness = HFLM(pretrained=str(place), device="cpu", **options)
        requests = [Instance("loglikelihood_rolling", {}, (text,), at) for at, text in enumerate(texts)]
        return -np.array(harness.loglikelihood_rolling(requests, disable_tqdm=True))


def find_script():
    """Return the path of evaluate's script, or skip."""
    script = os.environ.get("CURATE_EVALUATE_SCRIPT")
    if not script:
        pytest.skip("CURATE_EVALUATE_SCRIPT names no copy of evaluate's metrics/perplexity/perplexity.py")
    pytest.importorskip("evaluate")
    return script


def run_evaluate(place, texts, **options):
    """evaluate's own script.  → perplexity of each text"""
    specification = importlib.util.spec_from_file_location("evaluate_perplexity", find_script())
    module = importlib.util.module_from_spec(specification)
    with warnings.catch_warnings(), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        specification.loader.exec_module(module)
        found = module.Perplexity()._compute(texts, model_id=str(place), device="cpu", **options)
    return np.array(found["perplexities"])


def pad_as_evaluate(place, texts, max_length=None, add_start_token=True, batch_size=16):
    """What evaluate's perplexity does: all texts cut and padded to one length, by the tokenizer, on its side; BOS put
    in front of that; the mean of the losses of what is not padding.

    → perplexity of each text
    """
    model, tokenizer = open_model(place), AutoTokenizer.from_pretrained(place)
    model.set_attn_implementation("sdpa")
    most = max_length - 1 if max_length and add_start_token else max_length
    cutting = {"truncation": True, "max_length": most} if most else {}
    padded = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt", **cutting)
    ids_CL, mask_CL = padded["input_ids"], padded["attention_mask"]
    if add_start_token:
        ids_CL = torch.nn.functional.pad(ids_CL, (1, 0), value=tokenizer.bos_token_id)
        mask_CL = torch.nn.functional.pad(mask_CL, (1, 0), value=1)
    found = []
    for ids_BL, mask_BL in zip(ids_CL.split(batch_size), mask_CL.split(batch_size), strict=True):
        with torch.no_grad():
            logits_BLV = model(ids_BL, attention_mask=mask_BL).logits
        losses_BL = torch.nn.functional.cross_entropy(logits_BLV[:, :-1].mT, ids_BL[:, 1:], reduction="none")
        counted_BL = mask_BL[:, 1:]
        found += torch.exp((losses_BL * counted_BL).sum(1) / counted_BL.sum(1)).tolist()
    return np.array(found)


def stride_as_the_guide(model, ids, window, stride=512):
    """The guide's loop and its sums.  → the nats that it adds up, the tokens that it divides them by"""
    nats = tokens = end = 0
    for begin in range(0, len(ids), stride):
        before, end = end, min(begin + window, len(ids))
        read = torch.tensor([ids[begin:end]])
        labels = read.clone()
        labels[:, : -(end - before)] = -100
        with torch.no_grad():
            loss = float(model(read, labels=labels).loss)
        counted = int((labels != -100).sum()) - 1
        nats, tokens = nats + loss * counted, tokens + counted
        if end == len(ids):
            break
    assert tokens and not math.isnan(nats)
    return nats, tokens
