"""The scorer against a naive fp32 loop, for architectures of many kinds; and what it does when a model misbehaves."""

import numpy as np
import pytest
import torch
from helpers import models
from helpers.scoring import TEXTS, naive, score
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.errors import ModelError
from curate.reference import causal, load, pack_tuning
from curate.reference.likelihood import Passage
from curate.reference.protocol import ScoringConfig

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
EXPECTED = dict.fromkeys(models.SHAPES, "packed") | {"bloom": "padded", "mamba": "padded"}


@pytest.mark.parametrize("kind", sorted(models.SHAPES))
def test_exact_mode_gives_the_naive_loop_to_a_hundred_thousandth_of_a_nat_a_token(folder, kind):
    reference = load(str(folder(kind)), ScoringConfig(exact=True))
    found = score(reference, TEXTS)
    assert reference.runner.layout == EXPECTED[kind] and reference.runner.head is not None
    assert found.status == ["ok"] * len(TEXTS)
    window = reference.policy.window
    truth = naive(folder(kind), TEXTS, window)
    np.testing.assert_array_less(np.abs(found.nats - truth) / found.tokens, 1e-5)


@pytest.mark.parametrize("kind", ["gpt2", "llama", "gemma2"])
def test_the_default_mode_lies_within_its_promised_noise(folder, kind):
    reference = load(str(folder(kind)))
    found, truth = score(reference, TEXTS), naive(folder(kind), TEXTS, 64)
    noise = np.sqrt(np.mean((found.nats - truth) ** 2 / found.tokens))
    assert noise <= 0.05
    assert reference.identity["dtype"] in ("bf16", "fp32")


@pytest.mark.parametrize(
    "options",
    [
        {"window": 16},
        {"window": 16, "overlap": 5},
        {"window": 16, "window_prefix": True},
        {"window": 10, "overlap": 3, "window_prefix": True},
        {"window": 16, "prefix": "none"},
    ],
)
def test_windows_mean_what_they_say(folder, options):
    reference = load(str(folder("llama")), ScoringConfig(exact=True, **options))
    texts = [text for text in TEXTS if len(text) > 1]
    prefix = None if options.get("prefix") == "none" else 0
    truth = naive(
        folder("llama"), texts, options["window"], prefix, options.get("overlap", 0), "window_prefix" in options
    )
    found = score(reference, texts)
    np.testing.assert_allclose(found.nats, truth, rtol=2e-6)


@pytest.mark.parametrize("kind", ["llama", "bloom"])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(len(TEXTS))), pack=st.sampled_from([16, 70, 4096]))
def test_neither_neighbours_nor_order_nor_pack_size_shows_in_a_score(folder, kind, order, pack):
    reference = load(str(folder(kind)), ScoringConfig(exact=True, pack_tokens=pack))
    alone = np.array([score(reference, [text]).nats[0] for text in TEXTS])
    together = score(reference, [TEXTS[at] for at in order])
    np.testing.assert_allclose(together.nats, alone[list(order)], rtol=2e-6)


def test_a_repeated_run_is_bitwise_the_same(folder):
    first, second = (score(load(str(folder("llama"))), TEXTS) for _ in range(2))
    assert first.nats.tobytes() == second.nats.tobytes()


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary(tmp_path):
    model = models.build("llama")
    torch.nn.init.zeros_(model.get_output_embeddings().weight)
    model.save_pretrained(tmp_path)
    models.tokenizer().save_pretrained(tmp_path)
    found = score(load(str(tmp_path), ScoringConfig(dtype="bf16")), TEXTS)
    np.testing.assert_allclose(np.exp(found.nats / found.tokens), models.VOCABULARY, rtol=1e-6)


def test_special_token_text_is_text(folder):
    reference = load(str(folder("llama")), ScoringConfig(exact=True))
    ids = reference.encoder.encode(["<|endoftext|>"])[0]
    assert len(ids) > 1 and 0 not in ids


def test_first_and_largest_nats_are_tokens_of_the_sum(folder):
    reference = load(str(folder("llama")), ScoringConfig(exact=True))
    (first,) = score(reference, ["hello"]).first_nats
    one = score(reference, ["h"])
    assert one.first_nats[0] == one.max_nats[0] == one.nats[0]
    whole = score(reference, ["hello"])
    assert first == whole.first_nats[0] <= whole.max_nats[0] < whole.nats[0]
    assert np.isnan(
        score(load(str(folder("llama")), ScoringConfig(exact=True, prefix="none")), ["hello"]).first_nats[0]
    )


def test_context_is_read_and_costs_nothing(folder):
    reference = load(str(folder("llama")), ScoringConfig(exact=True))
    (found,) = reference.score([[Passage("b c d", context="a "), Passage("b c d")]])
    assert found.tokens[0] == found.tokens[1] and found.nats[0] != found.nats[1]
    joined = reference.encoder.encode(["a ", "b c d"])
    whole = naive(folder("llama"), ["a "], 64)[0]
    sequence = np.concatenate(joined)
    model = models.build("llama").eval()
    with torch.no_grad():
        logs = model(torch.tensor([[0, *sequence[:-1].tolist()]])).logits[0].log_softmax(-1)
    total = -float(logs[torch.arange(len(sequence)), torch.from_numpy(sequence).long()].sum())
    assert abs(found.nats[0] - (total - whole)) < 1e-4


def test_truncation_is_explicit_and_takes_its_bytes_out(folder):
    text = "Größe " * 30
    cut = score(load(str(folder("llama")), ScoringConfig(exact=True, max_tokens=7)), [text, "short"])
    assert cut.tokens[0] == 7 and cut.truncated.tolist() == [True, False]
    kept = models.tokenizer().decode(models.tokenizer()(text)["input_ids"][:7])
    assert abs(int(cut.scored_bytes[0]) - len(kept.encode())) <= 1  # a token may end inside a character
    assert cut.scored_bytes[1] == 5


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.integers(5_000, 30_000), st.integers(1, 12))
def test_all_tokens_of_a_truncated_text_are_counted_and_only_a_beginning_is_read_twice(folder, seed, length, kept):
    text = "".join(np.random.default_rng(seed).choice(list("ab \n1é東<|>endoftx"), length))
    reference, read = load(str(folder("llama")), ScoringConfig(exact=True, max_tokens=kept)), []
    real = type(reference.encoder)._encode_start
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(reference.encoder), "_encode_start", lambda *given: read.append(real(*given)) or read[-1])
        likelihoods = reference.prepare([Passage(text)]).likelihoods
    (ids,) = reference.encoder.encode([text])
    assert (likelihoods.tokens[0], likelihoods.text_tokens[0]) == (kept, len(ids)) and likelihoods.truncated[0]
    assert len(read) == 1 and len(read[0].ids) < 2_000
    pieces = models.tokenizer().convert_ids_to_tokens(ids[:kept].tolist())
    assert likelihoods.scored_bytes[0] == sum(map(len, pieces)), "a character of a byte-level piece is a byte"


def test_without_a_prefix_the_first_token_and_its_bytes_are_left_out(folder):
    reference = load(str(folder("llama")), ScoringConfig(exact=True, prefix="none"))
    found = score(reference, ["hello there", "h"])
    first = models.tokenizer().decode(models.tokenizer()("hello there")["input_ids"][:1])
    assert found.scored_bytes[0] == len("hello there") - len(first)
    assert found.status == ["ok", "unscorable"] and np.isnan(found.nats[1])


def test_a_text_without_tokens_and_one_too_long_keep_their_places(folder, monkeypatch):
    monkeypatch.setattr(causal, "LONGEST", 100)
    found = score(load(str(folder("llama")), ScoringConfig(exact=True)), ["", "hello", "x" * 101])
    assert found.status == ["unscorable", "ok", "too_long"]
    assert np.isnan(found.nats).tolist() == [True, False, True] and "101 bytes" in found.reason[2]


def test_out_of_memory_halves_the_pack_and_then_the_head_and_gives_the_same_numbers(folder):
    reference = load(str(folder("llama")), ScoringConfig(exact=True))
    whole, real = score(reference, TEXTS), causal.CausalModel.nats
    seen = []

    def small(self, pack):
        seen.append(pack.num_positions)
        if pack.num_positions > 100 or self.head.rows > 64:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, pack)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(causal.CausalModel, "nats", small)
        again = score(reference, TEXTS)
    np.testing.assert_allclose(again.nats, whole.nats, rtol=2e-6)
    assert max(seen) > 100 and reference.pack_tokens < pack_tuning.CPU_PACK and reference.runner.head.rows <= 64


def test_out_of_memory_with_nothing_left_to_halve_names_the_window(folder):
    reference = load(str(folder("llama")), ScoringConfig(exact=True))

    def never(self, pack):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(causal.CausalModel, "nats", never)
        with pytest.raises(ModelError, match="a single window of") as caught:
            score(reference, TEXTS)
    assert "--window" in caught.value.hint


def test_a_failure_of_the_model_is_not_swallowed_by_the_thread(folder):
    def broken():
        yield [Passage("fine")]
        raise KeyError("reader")

    with pytest.raises(KeyError, match="reader"):
        list(load(str(folder("llama"))).score(broken()))


def test_nan_for_some_documents_gives_them_a_status_and_no_number(folder):
    reference, real = load(str(folder("llama")), ScoringConfig(exact=True)), causal.CausalModel.nats

    def sometimes(self, pack):
        nats = real(self, pack)
        nats[pack.targets_N == 300] = np.nan
        return nats

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(causal.CausalModel, "nats", sometimes)
        texts = ["hello there friend", models.tokenizer().decode([300]) * 3]
        found = score(reference, texts)
    assert 300 in reference.encoder.encode(texts[1:])[0]
    assert found.status == ["ok", "not_finite"] and np.isnan(found.nats).tolist() == [False, True]


def test_identity_tells_two_models_two_tokenizers_and_two_readings_apart(folder):
    base = load(str(folder("llama"))).identity
    assert base == load(str(folder("llama"))).identity
    assert base["weights"] != load(str(folder("llama", attention_bias=True))).identity["weights"]
    other = load(str(folder("llama")), ScoringConfig(window=32)).identity
    assert {key for key in base if base[key] != other[key]} == {"window"}
