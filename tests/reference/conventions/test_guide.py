"""``--convention hf-guide`` gives what the guide's loop prints, in fp32 to 1e-5 of its size."""

import numpy as np
import pytest
from helpers import convention_tools as tools

COUNTS = (2, 511, 512, 513, 600, 1023, 1024, 1025, 1111, 1535, 1536, 1537, 2300)


def follow_the_guide(place, texts, window, stride=512):
    """The guide over each text, as its tokenizer encodes it.  → nats and tokens of each"""
    model = tools.open_model(place)
    loops = [tools.stride_as_the_guide(model, tools.list_ids(place, text), window, stride) for text in texts]
    return tuple(map(np.array, zip(*loops, strict=True)))


@pytest.fixture
def long_folder(kind_folder):
    def get(kind):
        return kind_folder(kind, **{"max_position_embeddings" if kind != "gpt2" else "n_positions": 1024})

    return get


@pytest.mark.parametrize("window", [513, 600, 1024])
@pytest.mark.parametrize("kind", ["gpt2", "unigram", "bos-eos"])
def test_the_guide_strides_over_a_document_as_its_convention_does(long_folder, kind, window):
    place = long_folder(kind)
    texts = tools.make_texts(place, COUNTS)
    found = tools.score_as(place, texts, "hf-guide", window=window)
    nats, tokens = follow_the_guide(place, texts, window)
    np.testing.assert_array_equal(found.tokens, tokens)
    tools.assert_close(found.nats / found.tokens, nats / tokens)
    tools.assert_close(np.exp(found.nats.sum() / found.tokens.sum()), np.exp(nats.sum() / tokens.sum()))


@pytest.mark.parametrize("kind", tools.KINDS)
def test_a_model_of_fewer_positions_than_the_stride_leaves_the_first_token_of_each_window_out(kind_folder, kind):
    """Between its windows the guide reads nothing: of 64 positions, a stride of 512 leaves 448 of 512 tokens out."""
    place = kind_folder(kind)
    texts = tools.make_texts(place, (3, 40, 63, 64, 65, 200, 510, 516, 600, 1200))
    found = tools.score_as(place, texts, "hf-guide")
    nats, tokens = follow_the_guide(place, texts, 64)
    np.testing.assert_array_equal(found.tokens, tokens)
    tools.assert_close(found.nats / found.tokens, nats / tokens)
    assert found.tokens[-1] < 200 and found.scored_bytes[-1] < len(texts[-1].encode()) / 4
    assert found.windows[-1] == 3 and not found.truncated.any()


@pytest.mark.parametrize("stride", [1, 7, 32, 63, 64, 65, 100])
@pytest.mark.parametrize("kind", ["gpt2", "llama", "bos-eos"])
def test_another_stride_is_the_guide_with_it(kind_folder, kind, stride):
    place = kind_folder(kind)
    added = len(tools.list_ids(place, "a")) - len(tools.list_ids(place, "a", add_special_tokens=False))
    counts = [count for count in (2, 63, 64, 66, 150, 230) if (count + added - 1) % stride or stride < 64]
    texts = tools.make_texts(place, counts)
    found = tools.score_as(place, texts, "hf-guide", convention_args=f"stride={stride}")
    nats, tokens = follow_the_guide(place, texts, 64, stride)
    np.testing.assert_array_equal(found.tokens, tokens)
    tools.assert_close(found.nats / found.tokens, nats / tokens)


def test_a_stride_of_512_on_512_positions_reads_all_and_scores_all_but_the_first_of_each_window(kind_folder):
    place = kind_folder("gpt2", n_positions=512)
    (text,) = tools.make_texts(place, (1200,))
    found = tools.score_as(place, [text], "hf-guide")
    nats, tokens = follow_the_guide(place, [text], 512)
    assert found.tokens[0] == tokens[0] == 1200 - 3
    tools.assert_close(found.nats, nats)
    ours = tools.score_as(place, [text], "curate", prefix="none")
    assert ours.tokens[0] == 1199 and 0 < ours.scored_bytes[0] - found.scored_bytes[0] < 20


def test_what_a_tokenizer_adds_is_read_and_counted_as_the_guide_does(kind_folder):
    place = kind_folder("bos-eos")
    (text,) = tools.make_texts(place, (40,))
    found = tools.score_as(place, [text], "hf-guide")
    assert found.text_tokens[0] == 40 and found.tokens[0] == 41  # EOS is scored, BOS is what the first is read after
    assert found.scored_bytes[0] == len(text.encode())


def test_a_window_of_one_token_behind_the_stride_is_left_out_where_the_guide_prints_nan(kind_folder):
    place = kind_folder("gpt2")
    one, two = tools.make_texts(place, (513, 514))
    model = tools.open_model(place)
    with pytest.raises(AssertionError):
        tools.stride_as_the_guide(model, tools.list_ids(place, one), 64)
    found = tools.score_as(place, [one, two], "hf-guide")
    assert found.status == ["ok", "ok"] and found.tokens.tolist() == [63, 64]
