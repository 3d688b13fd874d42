"""``--convention evaluate`` gives the numbers of evaluate's metric as a user runs it, in fp32 to 1e-5 of their size."""

import numpy as np
import pytest
from helpers import convention_tools as tools

from curate.errors import ModelError

TOOLS = [tools.pad_as_evaluate, tools.run_evaluate]
WITH_BOS = ["gpt2", "llama", "unigram", "bos-eos"]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:evaluate")


def perplexities(found):
    return np.exp(found.nats / found.tokens)


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("window", [64, 17])
@pytest.mark.parametrize("kind", WITH_BOS)
def test_evaluate_gives_the_perplexity_of_its_convention(kind_folder, kind_texts, kind, window, tool):
    place, texts = kind_folder(kind), kind_texts(kind)
    found = tools.score_as(place, texts, "evaluate", window=window, padded_to=window - 1)
    expected = tool(place, texts, max_length=window)
    np.testing.assert_array_equal(found.tokens, np.minimum(found.text_tokens, window - 1))  # BOS takes a place
    np.testing.assert_array_equal(found.truncated, found.text_tokens > window - 1)
    tools.assert_close(perplexities(found), expected)
    tools.assert_close(perplexities(found).mean(), expected.mean())  # its mean_perplexity


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("kind", [*WITH_BOS, "eos-only"])
def test_evaluate_without_a_start_token_is_the_convention_without_one(kind_folder, kind_texts, kind, tool):
    place, texts = kind_folder(kind), kind_texts(kind)[1:14]
    options = {"convention_args": "add_start_token=False", "window": 64, "padded_to": 64}
    found = tools.score_as(place, texts, "evaluate", **options)
    tools.assert_close(perplexities(found), tool(place, texts, max_length=64, add_start_token=False))


@pytest.mark.parametrize("longest", [40, 50])
@pytest.mark.parametrize("tool", TOOLS)
def test_padding_on_the_left_makes_a_text_depend_on_the_longest_one(kind_folder, tool, longest):
    place = kind_folder("llama")
    texts = tools.make_texts(place, (1, 2, 7, 30, longest))
    found = tools.score_as(place, texts, "evaluate", padded_to=longest)
    tools.assert_close(perplexities(found), tool(place, texts))
    unpadded = tools.score_as(place, texts, "evaluate")
    differ = np.abs(perplexities(found) / perplexities(unpadded) - 1) > 1e-3
    assert differ.tolist() == [True] * 4 + [False]  # the longest has no padding


def test_it_is_said_where_the_longest_text_is_not_known(kind_folder):
    from curate.reference import load
    from curate.reference.protocol import ScoringConfig

    for kind, is_said in (("llama", True), ("unigram", False), ("gpt2", False)):
        notes = load(str(kind_folder(kind)), ScoringConfig(convention="evaluate", exact=True)).notes
        assert any("pads texts on the left" in note for note in notes) == is_said


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(("kind", "marker"), [("gpt2", "<|endoftext|>"), ("llama", "<s>"), ("unigram", "</s>")])
def test_a_control_token_that_a_text_spells_out_is_one_to_evaluate(kind_folder, kind, marker, tool):
    place = kind_folder(kind)
    texts = [f"one page{marker}and another", f"{marker}a page"]
    longest = max(len(tools.list_ids(place, text, add_special_tokens=False)) for text in texts)
    found = tools.score_as(place, texts, "evaluate", padded_to=longest)
    tools.assert_close(perplexities(found), tool(place, texts))


def test_a_tokenizer_without_bos_has_no_start_token_and_with_max_length_evaluate_refuses_it(kind_folder):
    place = kind_folder("eos-only")
    texts = tools.make_texts(place, (2, 40, 63))
    found = tools.score_as(place, texts, "evaluate")
    assert found.tokens.tolist() == [1, 39, 62] and np.isnan(found.first_nats).all()
    tools.assert_close(perplexities(found), tools.pad_as_evaluate(place, texts, add_start_token=False))
    with pytest.raises(ModelError, match="has no BOS token, which evaluate puts first") as error:
        tools.score_as(place, texts, "evaluate", window=64)
    assert error.value.hint == "--convention-args add_start_token=False"
