"""A convention that bears a tool's name gives that tool's numbers, document by document, in fp32 to 1e-5 nats a token.

lm-eval is asked itself where it is installed. evaluate's metric is a script that its package fetches from the Hub:
``CURATE_EVALUATE_SCRIPT=…/perplexity.py`` runs the real one beside the equivalent below. The guide is a page with a
loop in it, https://huggingface.co/docs/transformers/perplexity, which is told again here.
"""

import importlib.util
import os
from contextlib import redirect_stderr
from functools import cache
from io import StringIO

import numpy as np
import pytest
import torch
from helpers import models
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM

from curate.reference import load
from curate.reference.likelihood import Passage
from curate.reference.protocol import ScoringConfig

KINDS = ("gpt2", "llama")
WINDOW = 64
COUNTS = (1, 2, 40, 62, 63, 64, 65, 66, 127, 128, 129, 130, 200, 330)  # around one and two windows, prefix or not
UNICODE = ["Größe", "東京 🙂 naïve – ", "日本語とкириллица, emoji 🙂🙃 and ordinary words. " * 9]
MARKER = "<|endoftext|>"
GUIDE_STRIDE = 512

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def ids_of(text):
    return models.tokenizer().encode(text, add_special_tokens=False)


@cache
def text_of(count):
    """A text of exactly so many tokens; each count begins at another place of the source, so that no two agree."""
    source = models.TEXT.replace(MARKER, "") * 3
    for start in range(37 * count % 900, 3000):
        ends = models.tokenizer()(source[start:], add_special_tokens=False, return_offsets_mapping=True)
        text = source[start : start + ends["offset_mapping"][count - 1][1]]
        if len(ids_of(text)) == count:
            return text
    raise AssertionError(f"the source has no piece of {count} tokens")


@pytest.fixture(scope="module")
def texts():
    found = [text_of(count) for count in COUNTS] + UNICODE
    assert [len(ids_of(text)) for text in found[: len(COUNTS)]] == list(COUNTS)
    assert any(len(ids_of(text)) > 3 * WINDOW for text in UNICODE) and len(set(found)) == len(found)
    assert not any(MARKER in text for text in found)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Gives the folder of a tiny model, made once; its tokenizer has a padding token, which evaluate needs."""
    root, made = tmp_path_factory.mktemp("conventions"), {}

    def get(kind, **changes):
        key = (kind, *sorted(changes.items()))
        if key not in made:
            made[key] = models.save(root / str(len(made)), kind, **changes)
            with_padding = models.tokenizer().__class__.from_pretrained(made[key])
            with_padding.pad_token = with_padding.eos_token
            with_padding.save_pretrained(made[key])
        return made[key]

    return get


def score(place, texts, convention, **options):
    """Ours.  → likelihoods"""
    (found,) = load(str(place), ScoringConfig(convention=convention, exact=True, **options)).score(
        [[*map(Passage, texts)]]
    )
    return found


def open_model(place):
    return AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, attn_implementation="eager").eval()


def assert_equal_means(means, expected):
    """Equal to 1e-5 nats a token; the expected numbers are of a size at which that says something."""
    assert np.isfinite(expected).all() and np.min(expected) > 0.01
    np.testing.assert_array_less(np.abs(np.asarray(means) - np.asarray(expected)), 1e-5)


@pytest.fixture(scope="module")
def lm_eval():
    """The modules of lm-eval, with what they warn about on import left to them."""
    import warnings

    pytest.importorskip("lm_eval")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", SyntaxWarning)
        from lm_eval.api.instance import Instance
        from lm_eval.models.huggingface import HFLM
    return Instance, HFLM


def roll(lm_eval, place, texts, **options):
    """lm-eval's own ``loglikelihood_rolling``.  → nats of each text

    Without its ``logits_cache``, which gives wrong numbers (found in 0.4.13) where two windows of a batch read the same
    tokens and score differently many of them, as near-duplicates do: it then takes the first logits, not the last.
    """
    instance, harness = lm_eval
    with redirect_stderr(StringIO()):  # its bars
        model = harness(pretrained=str(place), device="cpu", dtype="float32", logits_cache=False, **options)
        requests = [instance("loglikelihood_rolling", {}, (text,), at) for at, text in enumerate(texts)]
        return -np.array(model.loglikelihood_rolling(requests, disable_tqdm=True))


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_lm_eval_rolls_over_a_document_as_its_convention_does(lm_eval, folder, texts, kind, batch_size):
    found = score(folder(kind), texts, "lm-eval")
    assert found.tokens.tolist() == [len(ids_of(text)) for text in texts]
    assert found.windows.max() > 3
    assert_equal_means(
        found.nats / found.tokens, roll(lm_eval, folder(kind), texts, batch_size=batch_size) / found.tokens
    )


@pytest.mark.parametrize("window", [1, 2, 17])
def test_lm_eval_with_a_smaller_window_is_the_convention_with_it(lm_eval, folder, texts, window):
    found = score(folder("llama"), texts, "lm-eval", window=window)
    expected = roll(lm_eval, folder("llama"), texts, batch_size=8, max_length=window)
    assert_equal_means(found.nats / found.tokens, expected / found.tokens)


def test_lm_eval_reaches_back_in_its_last_window_and_our_default_does_not(folder, texts):
    ours, theirs = (score(folder("llama"), texts, name) for name in ("curate", "lm-eval"))
    differ = np.abs(ours.nats - theirs.nats) / ours.tokens > 1e-4
    lengths = np.array([len(ids_of(text)) for text in texts])
    np.testing.assert_array_equal(differ, (lengths > WINDOW) & (lengths % WINDOW != 0))


def test_lm_eval_counts_a_prefix_twice_where_the_tokenizer_adds_its_own_and_the_convention_never_does(
    lm_eval, folder, texts, tmp_path
):
    place = models.save(tmp_path, "llama")
    adding = models.tokenizer().__class__.from_pretrained(place)
    adding.backend_tokenizer.post_processor = TemplateProcessing(f"{MARKER} $A", None, [(MARKER, 0)])
    adding.save_pretrained(place)
    texts = [text for text in texts if len(ids_of(text)) < WINDOW]
    found = score(place, texts, "lm-eval")
    plain = roll(lm_eval, place, texts, add_bos_token=False)
    assert_equal_means(found.nats / found.tokens, plain / found.tokens)
    doubled = roll(lm_eval, place, texts)
    model = open_model(place)
    expected = [-log_probabilities(model, [0, 0, *ids_of(text)]).sum() for text in texts]
    assert_equal_means(doubled / found.tokens, np.array(expected) / found.tokens)
    assert np.abs(doubled - plain).min() > 1e-3


def test_a_marker_spelled_in_a_text_is_a_control_token_to_lm_eval_and_text_to_us_under_every_convention(
    lm_eval, folder
):
    text = f"one page{MARKER}and another"
    as_control, as_text = ids_of(text), ids_of(text.replace(MARKER, "<|endoftext|") + "x")
    assert 0 in as_control and len(as_text) > len(as_control) + 5
    model = open_model(folder("llama"))
    expected = -log_probabilities(model, [0, *as_control]).sum()
    assert_equal_means(roll(lm_eval, folder("llama"), [text]) / len(as_control), expected / len(as_control))
    for convention in ("curate", "lm-eval", "evaluate"):
        found = score(folder("llama"), [text], convention)
        assert found.tokens[0] > len(as_control) + 5 and abs(found.nats[0] - expected) > 1


def pad_as_evaluate(place, texts, max_length, batch_size=16):
    """What evaluate's perplexity does: the whole corpus cut and padded to one length, the mean of a masked loss.

    → perplexity of each text
    """
    model, start = open_model(place), 0
    cut = [[start, *ids_of(text)[: max_length - 1]] for text in texts]
    longest = max(map(len, cut))
    ids_CL = torch.tensor([row + [0] * (longest - len(row)) for row in cut])
    mask_CL = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in cut])
    found = []
    for ids_BL, mask_BL in zip(ids_CL.split(batch_size), mask_CL.split(batch_size), strict=True):
        with torch.no_grad():
            logits_BLV = model(ids_BL, attention_mask=mask_BL).logits
        losses_BL = torch.nn.functional.cross_entropy(logits_BLV[:, :-1].mT, ids_BL[:, 1:], reduction="none")
        counted_BL = mask_BL[:, 1:]
        found += torch.exp((losses_BL * counted_BL).sum(1) / counted_BL.sum(1)).tolist()
    return np.array(found)


def run_evaluate(place, texts, max_length):
    """evaluate's own script.  → perplexity of each text"""
    script = os.environ.get("CURATE_EVALUATE_SCRIPT")
    if not script:
        pytest.skip("CURATE_EVALUATE_SCRIPT names no copy of evaluate's perplexity.py")
    pytest.importorskip("evaluate")
    specification = importlib.util.spec_from_file_location("evaluate_perplexity", script)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    metric = module.Perplexity()
    with redirect_stderr(StringIO()):
        found = metric._compute(texts, model_id=str(place), batch_size=16, device="cpu", max_length=max_length)
    return np.array(found["perplexities"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning:evaluate")
@pytest.mark.parametrize("tool", [pad_as_evaluate, run_evaluate])
@pytest.mark.parametrize("window", [WINDOW, 17])
@pytest.mark.parametrize("kind", KINDS)
def test_evaluate_gives_the_perplexity_of_its_convention(folder, texts, kind, window, tool):
    found = score(folder(kind), texts, "evaluate", window=window)
    lengths = np.array([len(ids_of(text)) for text in texts])
    np.testing.assert_array_equal(found.tokens, np.minimum(lengths, window - 1))  # the prefix takes a place
    np.testing.assert_array_equal(found.truncated, lengths > window - 1)
    assert_equal_means(found.nats / found.tokens, np.log(tool(folder(kind), texts, window)))


def log_probabilities(model, ids):
    """ln p of every id but the first, given those before it.  → len(ids) - 1"""
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, :-1].double()
    return logits.log_softmax(-1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].numpy()


def stride_as_the_guide(model, ids, window, stride):
    """The guide's loop: windows that begin every ``stride`` tokens, each scored from where the one before it ended.

    → the nats of all the losses' tokens, how many these are, the mean that the guide prints, how many it divides by
    """
    nats = printed = 0.0
    tokens = counted = end = 0
    for begin in range(0, len(ids), stride):
        before, end = end, min(begin + window, len(ids))
        read = torch.tensor([ids[begin:end]])
        labels = read.clone()
        labels[:, : before - begin if begin else 0] = -100
        with torch.no_grad():
            loss = float(model(read, labels=labels).loss)
        valid = int((labels[:, 1:] != -100).sum())  # what the loss is the mean of
        taken = int((labels != -100).sum()) - 1  # what the guide takes it to be the mean of
        nats, tokens = nats + loss * valid, tokens + valid
        printed, counted = printed + loss * taken, counted + taken
        if end == len(ids):
            break
    return nats, tokens, printed / max(counted, 1), counted


@pytest.mark.parametrize("window", [513, 600, 1024])
@pytest.mark.parametrize("kind", KINDS)
def test_the_guide_strides_over_a_document_as_its_convention_does(folder, kind, window):
    place = folder(kind, **{"n_positions" if kind == "gpt2" else "max_position_embeddings": 1024})
    lengths = (2, 511, 512, 513, window - 1, window, window + 1, window + 511, window + 512, window + 513, 2300)
    texts = [text_of(count) for count in lengths]
    found, model = score(place, texts, "hf-guide", window=window), open_model(place)
    loops = [stride_as_the_guide(model, ids_of(text), window, GUIDE_STRIDE) for text in texts]
    nats, tokens, _, _ = map(np.array, zip(*loops, strict=True))
    np.testing.assert_array_equal(found.tokens, np.array(lengths) - 1)
    np.testing.assert_array_equal(found.tokens, tokens)
    assert_equal_means(found.nats / found.tokens, nats / tokens)


@pytest.mark.parametrize("window", [2, 3, 4, 17, WINDOW])
@pytest.mark.parametrize("kind", KINDS)
def test_a_window_below_the_guides_stride_is_the_guide_with_the_longest_stride_that_loses_no_token(
    folder, texts, kind, window
):
    found, model = score(folder(kind), texts, "hf-guide", window=window), open_model(folder(kind))
    assert [status for status, text in zip(found.status, texts, strict=True) if len(ids_of(text)) == 1] == [
        "unscorable"
    ]
    assert found.status.count("ok") == len(texts) - 1
    loops = [stride_as_the_guide(model, ids_of(text), window, window - 1) for text in texts]
    nats, tokens, _, _ = map(np.array, zip(*loops[1:], strict=True))
    np.testing.assert_array_equal(found.tokens[1:], tokens)
    assert_equal_means(found.nats[1:] / found.tokens[1:], nats / tokens)


def test_the_guide_leaves_one_token_of_every_later_window_out_of_its_count_and_we_do_not(folder):
    """Only a first window has a token that nothing predicts; the guide's "- batch_size" takes one off each window."""
    place = folder("llama", max_position_embeddings=1024)
    texts = [text_of(count) for count in (800, 1024, 1025, 2300)]
    found, model = score(place, texts, "hf-guide"), open_model(place)
    assert found.windows.tolist() == [1, 1, 2, 4]
    for row, text in enumerate(texts):
        _, _, printed, counted = stride_as_the_guide(model, ids_of(text), 1024, GUIDE_STRIDE)
        assert counted == found.tokens[row] - (found.windows[row] - 1)
        gap = abs(printed - found.nats[row] / found.tokens[row])
        assert gap < 1e-5 if found.windows[row] == 1 else 0 < gap < 0.02
