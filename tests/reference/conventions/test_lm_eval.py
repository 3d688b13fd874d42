"""``--convention lm-eval`` gives the numbers of lm-eval as a user runs it; it is asked itself, in fp32, to 1e-5."""

import json

import numpy as np
import pytest
from helpers import convention_tools as tools
from transformers import AutoTokenizer

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("kind", tools.KINDS)
def test_lm_eval_rolls_over_texts_of_any_tokenizer_as_its_convention_does(kind_folder, kind_texts, kind, batch_size):
    place, texts = kind_folder(kind), kind_texts(kind)
    found, expected = tools.score_as(place, texts, "lm-eval"), tools.roll(place, texts, batch_size=batch_size)
    assert found.windows.max() > 3
    tools.assert_close(found.nats, expected)
    num_bytes = sum(len(text.encode()) for text in texts)
    assert found.scored_bytes.sum() == num_bytes  # what its bits_per_byte divides by
    tools.assert_close(found.nats.sum() / num_bytes, expected.sum() / num_bytes)


@pytest.mark.parametrize("kind", tools.KINDS)
def test_tokens_are_those_of_the_text_whatever_the_tokenizer_adds(kind_folder, kind_texts, kind):
    place, texts = kind_folder(kind), kind_texts(kind)
    plain = [len(tools.list_ids(place, text, add_special_tokens=False)) for text in texts]
    found = tools.score_as(place, texts, "lm-eval")
    assert found.tokens.tolist() == plain and found.text_tokens.tolist() == plain
    adds = len(tools.list_ids(place, texts[2])) - plain[2]
    assert adds == {"gpt2": 0, "eos-only": 0, "llama": 1, "unigram": 1, "bos-eos": 2}[kind]
    assert np.isnan(found.first_nats).all() == (adds > 0)  # what is first is no token of the text


@pytest.mark.parametrize("kind", ["llama", "unigram", "bos-eos"])
def test_lm_eval_scores_a_second_bos_unless_it_is_told_not_to(kind_folder, kind_texts, kind):
    place, texts = kind_folder(kind), kind_texts(kind)
    doubled = tools.score_as(place, texts, "lm-eval")
    plain = tools.score_as(place, texts, "lm-eval", convention_args="add_bos_token=False")
    tools.assert_close(plain.nats, tools.roll(place, texts, add_bos_token=False))
    assert np.abs(doubled.nats - plain.nats).min() > 0.01
    ours = tools.score_as(place, texts[:5], "curate")
    tools.assert_close(plain.nats[:5], ours.nats)  # of one window: one prefix token, as our own default


@pytest.mark.parametrize("kind", ["gpt2", "llama", "eos-only"])
def test_a_tokenizer_is_made_to_add_bos_as_lm_eval_makes_it(kind_folder, kind_texts, kind):
    place, texts = kind_folder(kind), kind_texts(kind)
    found = tools.score_as(place, texts, "lm-eval", convention_args="add_bos_token=True")
    tools.assert_close(found.nats, tools.roll(place, texts, add_bos_token=True))
    by_default = tools.score_as(place, texts, "lm-eval")
    assert (np.abs(found.nats - by_default.nats).max() > 0.01) == (kind == "gpt2")  # of the others one has none to add


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_the_prefix_is_another_token_where_lm_eval_is_given_one(kind_folder, kind_texts, kind):
    place, texts = kind_folder(kind), kind_texts(kind)
    found = tools.score_as(place, texts, "lm-eval", convention_args="prefix_token_id=7")
    tools.assert_close(found.nats, tools.roll(place, texts, prefix_token_id=7))
    assert np.abs(found.nats - tools.score_as(place, texts, "lm-eval").nats).max() > 0.01


@pytest.mark.parametrize("window", [1, 2, 17])
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_lm_eval_with_a_smaller_window_is_the_convention_with_it(kind_folder, kind_texts, kind, window):
    place, texts = kind_folder(kind), kind_texts(kind)
    found = tools.score_as(place, texts, "lm-eval", window=window)
    tools.assert_close(found.nats, tools.roll(place, texts, batch_size=8, max_length=window))


@pytest.mark.parametrize(("kind", "marker"), [("gpt2", "<|endoftext|>"), ("llama", "<s>"), ("bos-eos", "</s>")])
def test_a_control_token_that_a_text_spells_out_is_one_to_lm_eval_and_text_to_our_default(kind_folder, kind, marker):
    place = kind_folder(kind)
    texts = [f"one page{marker}and another", f"{marker}a page", f"{marker}{marker}", f"page {marker}"]
    found = tools.score_as(place, texts, "lm-eval")
    tools.assert_close(found.nats, tools.roll(place, texts))
    ours = tools.score_as(place, texts, "curate")
    assert (ours.tokens != found.tokens).any() and np.abs(ours.nats - found.nats).min() > 0.01


def test_a_text_that_begins_with_the_prefix_gets_no_second_one(kind_folder):
    """lm-eval looks for it in the text and leaves the tokenizer's own out then."""
    place = kind_folder("llama")
    text = "<s>a page"
    found = tools.score_as(place, [text], "lm-eval")
    tools.assert_close(found.nats, tools.roll(place, [text]))
    model, ids = tools.open_model(place), [1, *tools.list_ids(place, text, add_special_tokens=False)]
    assert ids[:2] == [1, 1] and found.text_tokens[0] == len(ids) - 1 and model is not None


def test_a_tokenizer_that_splits_control_tokens_splits_them_under_the_convention_too(kind_folder, tmp_path):
    place = tools.save_kind(tmp_path / "model", "llama")
    config = json.loads((place / "tokenizer_config.json").read_text())
    (place / "tokenizer_config.json").write_text(json.dumps({**config, "split_special_tokens": True}))
    assert AutoTokenizer.from_pretrained(place).split_special_tokens
    texts = ["one page</s>and another"]
    tools.assert_close(tools.score_as(place, texts, "lm-eval").nats, tools.roll(place, texts))


def test_lm_eval_reaches_back_in_its_last_window_and_our_default_does_not(kind_folder, kind_texts):
    place, texts = kind_folder("gpt2"), kind_texts("gpt2")
    ours, theirs = (tools.score_as(place, texts, name) for name in ("curate", "lm-eval"))
    differ = np.abs(ours.nats - theirs.nats) / ours.tokens > 1e-4
    lengths = theirs.text_tokens
    np.testing.assert_array_equal(differ, (lengths > 64) & (lengths % 64 != 0))
