"""Transcripts against a naive fp32 loop: any tokens of a sequence, their nats and their ranks."""

import numpy as np
import pytest
import torch
from helpers import models

from curate.reference import load
from curate.reference.packing import WindowPolicy
from curate.reference.protocol import ScoringConfig
from curate.reference.token_sequences import TokenSequence, measure_sequences

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root, made = tmp_path_factory.mktemp("models"), {}

    def get(kind):
        if kind not in made:
            made[kind] = models.save(root / kind, kind)
        return made[kind]

    return get


@pytest.fixture
def llama(folder):
    return load(str(folder("llama")), ScoringConfig(exact=True))


def draw(seed, lengths, share=0.4):
    """Random sequences without the prefix id 0, some of whose tokens are wanted."""
    chance = np.random.default_rng(seed)
    found = []
    for length in lengths:
        wanted = chance.random(length) < share
        wanted[-1] = True
        found.append(TokenSequence(chance.integers(1, models.VOCABULARY, length).astype(np.int32), wanted))
    return found


def naive(place, transcript, prefix=0):
    """Nats and ranks of every token by one forward pass with full logits, in float32; NaN and 0 where not wanted."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, attn_implementation="eager").eval()
    sequence = [prefix, *transcript.ids.tolist()]
    with torch.no_grad():
        logits = model(torch.tensor([sequence[:-1]])).logits[0].double()
    targets = torch.tensor(sequence[1:])[:, None]
    nats = -logits.log_softmax(-1).gather(1, targets)[:, 0].numpy()
    ranks = (logits > logits.gather(1, targets)).sum(1).numpy() + 1
    return np.where(transcript.is_scored, nats, np.nan), np.where(transcript.is_scored, ranks, 0)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma2", "bloom", "mamba"])
def test_wanted_tokens_have_the_nats_and_ranks_of_the_naive_loop(folder, kind):
    transcripts = draw(1, [1, 2, 30, 60, 17, 60])
    reference = load(str(folder(kind)), ScoringConfig(exact=True))
    for transcript, found in zip(transcripts, measure_sequences(reference, transcripts), strict=True):
        nats, ranks = naive(folder(kind), transcript)
        np.testing.assert_allclose(found.nats, nats, atol=1e-5)
        np.testing.assert_array_equal(found.ranks, ranks)


def test_ranks_come_from_the_models_own_logits_too_where_its_head_is_not_ours(folder, llama):
    transcripts = draw(2, [20, 40])
    ours = measure_sequences(llama, transcripts)
    llama.runner.head = None
    for one, other in zip(ours, measure_sequences(llama, transcripts), strict=True):
        np.testing.assert_allclose(one.nats, other.nats, atol=1e-5)
        np.testing.assert_array_equal(one.ranks, other.ranks)


def test_a_prefix_that_is_there_already_is_not_put_twice(folder, llama):
    plain = draw(3, [25])[0]
    begun = TokenSequence(np.append(np.int32(0), plain.ids), np.append(False, plain.is_scored))
    (one,), (other,) = measure_sequences(llama, [plain]), measure_sequences(llama, [begun])
    np.testing.assert_allclose(one.nats, other.nats[1:], atol=1e-6)


def test_without_a_prefix_the_first_token_stays_unscored(folder):
    reference = load(str(folder("llama")), ScoringConfig(exact=True, prefix="none"))
    (found,) = measure_sequences(reference, [TokenSequence(np.arange(5, 10, dtype=np.int32), np.ones(5, np.bool_))])
    assert np.isnan(found.nats[0]) and found.ranks[0] == 0
    assert np.isfinite(found.nats[1:]).all() and (found.ranks[1:] >= 1).all()


@pytest.mark.parametrize("overlap", [0, 32])
def test_a_long_transcript_is_read_in_windows_and_each_wanted_token_is_scored_once(folder, llama, overlap):
    """Premise: the model reads 64 tokens, the sequence has 200; each token must equal its window's own."""
    llama.policy = WindowPolicy(64, overlap)
    (transcript,) = draw(4, [200])
    (found,) = measure_sequences(llama, [transcript])
    np.testing.assert_array_equal(np.isfinite(found.nats), transcript.is_scored)
    sequence = np.append(np.int32(0), transcript.ids)
    scored, begin, end = 1, 0, 65
    while scored < len(sequence):
        alone = TokenSequence(sequence[begin + 1 : end], np.ones(end - begin - 1, np.bool_))
        nats, _ = naive(folder("llama"), alone, int(sequence[begin]))
        own = np.full(len(sequence), np.nan)
        own[begin + 1 : end] = nats
        part = slice(scored, end)
        kept = transcript.is_scored[scored - 1 : end - 1]
        np.testing.assert_allclose(found.nats[scored - 1 : end - 1][kept], own[part][kept], atol=1e-5)
        scored, begin, end = end, end - 1 - overlap, min(len(sequence), end + 64 - overlap)
    assert found.windows == (4 if overlap == 0 else 6)


def test_company_and_order_change_nothing(folder, llama):
    transcripts = draw(5, [60, 3, 3, 41, 12, 60, 7])
    together = measure_sequences(llama, transcripts)
    for one, transcript in zip(together, transcripts, strict=True):
        (alone,) = measure_sequences(llama, [transcript])
        np.testing.assert_allclose(one.nats, alone.nats, atol=1e-5)
        np.testing.assert_array_equal(one.ranks, alone.ranks)


def test_what_stands_behind_the_last_wanted_token_is_not_read(folder, llama):
    (transcript,) = draw(6, [60])
    wanted = np.zeros(60, np.bool_)
    wanted[10] = True
    before = llama.num_computed_tokens
    measure_sequences(llama, [TokenSequence(transcript.ids, wanted)])
    assert llama.num_computed_tokens - before == 11


def test_nothing_wanted_and_nothing_at_all_give_nothing(llama):
    nothing = TokenSequence(np.arange(1, 6, dtype=np.int32), np.zeros(5, np.bool_))
    (found,) = measure_sequences(llama, [nothing])
    assert np.isnan(found.nats).all() and found.windows == 0
    assert measure_sequences(llama, []) == []


def test_an_id_beyond_the_models_rows_is_a_mistake(llama):
    with pytest.raises(ValueError, match="beyond the model's 384 rows"):
        measure_sequences(llama, [TokenSequence(np.array([384], np.int32), np.ones(1, np.bool_))])


def test_out_of_memory_reads_smaller_packs_and_the_same_numbers(llama, monkeypatch):
    transcripts = draw(7, [30] * 8)
    whole = measure_sequences(llama, transcripts)
    true = type(llama.runner)._read

    def fails(self, pack, ranks):
        if pack.num_positions > 70:
            raise RuntimeError("out of memory")
        return true(self, pack, ranks)

    monkeypatch.setattr(type(llama.runner), "_read", fails)
    for one, other in zip(whole, measure_sequences(llama, transcripts), strict=True):
        np.testing.assert_allclose(one.nats, other.nats, atol=1e-5)
