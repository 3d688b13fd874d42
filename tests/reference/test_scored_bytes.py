"""The bytes of the scored tokens are those of the text less what the unscored first token and the cut-off end spell."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers import models
from helpers.encoders import KINDS, TEXTS, sentencepiece
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from curate.reference import load
from curate.reference.checkpoints import tokenizer
from curate.reference.checkpoints.tokenizer import TextEncoder
from curate.reference.forward_pass import batches
from curate.reference.likelihood import Passage, bits_per_byte
from curate.reference.packing import WindowPolicy
from curate.reference.protocol import ScoringConfig


@pytest.fixture(params=KINDS)
def encoder(request):
    make, *options = KINDS[request.param]
    return TextEncoder(SimpleNamespace(backend_tokenizer=make(*options)))


def prepare(encoder, texts, prefix, kept=None):
    passages = [Passage(text) for text in texts]
    return batches.prepare_batch(passages, encoder, WindowPolicy(64, max_tokens=kept), prefix, 10**8).likelihoods


def test_the_bytes_of_the_first_tokens_never_fall_and_all_of_them_are_the_text(encoder):
    for text in TEXTS:
        (ids,) = encoder.encode([text])
        counts = encoder.count_start_bytes(text, ids, list(range(len(ids) + 1)))
        assert counts == sorted(counts) and counts[0] == 0 and counts[-1] == len(text.encode()), (text, counts)


def test_with_a_prefix_every_byte_is_scored(encoder):
    assert prepare(encoder, TEXTS, 0).scored_bytes.tolist() == [len(text.encode()) for text in TEXTS]


@pytest.mark.parametrize("kept", [None, 1, 2, 3])
@pytest.mark.parametrize("prefix", [None, 0])
def test_no_text_is_ok_without_a_byte_or_with_more_than_it_has(encoder, prefix, kept):
    found = prepare(encoder, TEXTS, prefix, kept)
    for at, text in enumerate(TEXTS):
        if found.status[at] == "ok":
            assert 0 < found.scored_bytes[at] <= len(text.encode()), text
            assert found.tokens[at] <= found.text_tokens[at] == len(encoder.encode([text])[0])
        else:
            assert found.status[at] == "unscorable" and found.reason[at], text
            assert not found.scored_bytes[at] and not found.tokens[at] and not found.text_tokens[at]


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_what_is_cut_off_and_what_is_kept_are_the_text(encoder, kept):
    for text in TEXTS:
        (ids,) = encoder.encode([text])
        if kept < len(ids):
            (start, rest) = encoder.count_start_bytes(text, ids, [kept, len(ids)])
            found = prepare(encoder, [text], 0, kept)
            assert found.scored_bytes[0] == start and rest == len(text.encode())
            assert bool(start) == (found.status == ["ok"])


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.integers(400, 3000))
def test_a_long_text_read_in_pieces_has_the_tokens_of_the_text_read_at_once(encoder, seed, length):
    text = "".join(np.random.default_rng(seed).choice(list("ab \n1é東🙂½ａ▁"), length))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"PIECE": 150, "OVERLAP": 60, "SAME": 8}.items():
            patch.setattr(tokenizer, name, value)
        joined = encoder._join_pieces(text)
        (found,) = encoder.encode_in_pieces([text])
    assert joined is not None
    assert found.tolist() == joined.tolist() == encoder.encode([text])[0].tolist()


def test_pieces_that_never_agree_are_read_as_one_text(monkeypatch):
    """Premise: of a run of one letter, a piece may pair the letters otherwise than the one before it."""
    made = Tokenizer(BPE({"a": 0, "aa": 1, "aaa": 2}, [("a", "a"), ("aa", "a")]))
    encoder = TextEncoder(SimpleNamespace(backend_tokenizer=made))
    for name, value in {"PIECE": 150, "OVERLAP": 59, "SAME": 40}.items():
        monkeypatch.setattr(tokenizer, name, value)
    assert encoder._join_pieces("a" * 1000) is None
    assert encoder.encode_in_pieces(["a" * 1000, "aa"])[0].tolist() == encoder.encode(["a" * 1000])[0].tolist()


KNOWN = {  # bytes of the scored tokens without a prefix
    "unigram-always": {"é": 2, "日": 3, "🙂": 4, "a": 1, "ab": 2, " a": 1, "▁a": 1, " é": 2, "\n": 1, "é é": 5},
    "bpe-prepend": {"é": 2, "日": 3, "🙂": 4, "a": 1, "ab": 2, " a": 1, "▁a": 1, " é": 2, "\n": 1, "é é": 5},
    "unigram-never": {"é": 1, "日": 2, "🙂": 3, " a": 1, "▁a": 1, " é": 2, "é é": 4},
    "bpe-nfkc": {"½": 2, "½a": 3, "ａ": 3},
    "bytes": {"é": 1, "日": 2, "🙂": 3, " a": 1, "▁": 2, " é": 2, "é é": 4},
    "bytes with a blank": {"é": 2, "日": 3, "🙂": 4, "a": 1, " a": 1, "\n": 1},
}


@pytest.mark.parametrize("kind", KNOWN)
def test_without_a_prefix_the_first_token_takes_its_own_bytes_and_a_dummy_blank_none(kind):
    make, *options = KINDS[kind]
    encoder = TextEncoder(SimpleNamespace(backend_tokenizer=make(*options)))
    found = prepare(encoder, list(KNOWN[kind]), None)
    assert dict(zip(KNOWN[kind], found.scored_bytes.tolist(), strict=True)) == KNOWN[kind]


def test_a_model_without_a_prefix_gives_bits_per_byte_to_a_text_of_one_character(tmp_path):
    models.build("llama").save_pretrained(tmp_path)
    PreTrainedTokenizerFast(tokenizer_object=sentencepiece("unigram", "always"), eos_token="<unk>").save_pretrained(
        tmp_path
    )
    reference = load(str(tmp_path), ScoringConfig(exact=True, prefix="none"))
    (found,) = reference.score([[Passage("é"), Passage("▁"), Passage("日本")]])
    assert found.status == ["ok", "unscorable", "ok"] and found.scored_bytes.tolist() == [2, 0, 6]
    assert np.isfinite(bits_per_byte(found.nats, found.scored_bytes)).tolist() == [True, False, True]
