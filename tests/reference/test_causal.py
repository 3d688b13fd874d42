"""The scorer against a naive fp32 loop, for architectures of many kinds; and what it does when a model misbehaves."""

import json
import shutil

import numpy as np
import pytest
import torch
from helpers import models
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.errors import ModelError, UsageError
from curate.likelihood import Passage
from curate.reference import Reading, attention, causal, load, loading, selfcheck

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

TEXTS = [
    "hello world",
    "a",
    "Größe 東京 🙂 and some plain words after it",
    "def f(x):\n    return x + 1\n" * 5,
    "x y z <|endoftext|> next " * 5,
    "the same words again and again " * 40,  # several windows of 64
]
EXPECTED = dict.fromkeys(models.SHAPES, "packed") | {"bloom": "padded", "mamba": "padded"}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Gives the folder of a tiny model of a kind, made once."""
    root, made = tmp_path_factory.mktemp("models"), {}

    def get(kind, **changes):
        key = kind + json.dumps(changes, sort_keys=True)
        if key not in made:
            made[key] = models.save(root / str(len(made)), kind, **changes)
        return made[key]

    return get


def naive(place, texts, window, prefix=0, overlap=0, prefix_each=False):
    """Nats of each text, one window at a time, full logits, fp32, the model's own (eager) attention."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(place)  # some model types bring a tokenizer of their own over the file's
    found = []
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        sequence = ([] if prefix is None else [prefix]) + ids
        total, at = 0.0, 1
        while at < len(sequence):
            begin = max(0, at - 1 - overlap) if at > 1 else 0
            end = min(len(sequence), begin + window + 1)
            read = sequence[begin : end - 1]
            if prefix_each and begin > 0:
                read = [prefix, *read[1:]]
            with torch.no_grad():
                logs = model(torch.tensor([read])).logits[0].float().log_softmax(-1)
            for position in range(at, end):
                total -= float(logs[position - 1 - begin, sequence[position]])
            at = end
        found.append(total)
    return np.array(found)


def score(reference, texts):
    (found,) = reference.score([[Passage(text) for text in texts]])
    return found


@pytest.mark.parametrize("kind", sorted(models.SHAPES))
def test_exact_mode_gives_the_naive_loop_to_a_hundred_thousandth_of_a_nat_a_token(folder, kind):
    reference = load(str(folder(kind)), Reading(exact=True))
    found = score(reference, TEXTS)
    assert reference.runner.rung == EXPECTED[kind] and reference.runner.head is not None
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
    reference = load(str(folder("llama")), Reading(exact=True, **options))
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
    reference = load(str(folder(kind)), Reading(exact=True, pack_tokens=pack))
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
    found = score(load(str(tmp_path), Reading(dtype="bf16")), TEXTS)
    np.testing.assert_allclose(np.exp(found.nats / found.tokens), models.VOCABULARY, rtol=1e-6)


def test_special_token_text_is_text(folder):
    reference = load(str(folder("llama")), Reading(exact=True))
    ids = reference.encoder.encode(["<|endoftext|>"])[0]
    assert len(ids) > 1 and 0 not in ids


def test_first_and_largest_nats_are_tokens_of_the_sum(folder):
    reference = load(str(folder("llama")), Reading(exact=True))
    (first,) = score(reference, ["hello"]).first_nats
    one = score(reference, ["h"])
    assert one.first_nats[0] == one.max_nats[0] == one.nats[0]
    whole = score(reference, ["hello"])
    assert first == whole.first_nats[0] <= whole.max_nats[0] < whole.nats[0]
    assert np.isnan(score(load(str(folder("llama")), Reading(exact=True, prefix="none")), ["hello"]).first_nats[0])


def test_context_is_read_and_costs_nothing(folder):
    reference = load(str(folder("llama")), Reading(exact=True))
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
    cut = score(load(str(folder("llama")), Reading(exact=True, max_tokens=7)), [text, "short"])
    assert cut.tokens[0] == 7 and cut.truncated.tolist() == [True, False]
    kept = models.tokenizer().decode(models.tokenizer()(text)["input_ids"][:7])
    assert abs(int(cut.scored_bytes[0]) - len(kept.encode())) <= 1  # a token may end inside a character
    assert cut.scored_bytes[1] == 5


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.integers(5_000, 30_000), st.integers(1, 12))
def test_the_beginning_of_a_long_text_gives_the_same_first_tokens_as_the_whole(folder, seed, length, kept):
    text = "".join(np.random.default_rng(seed).choice(list("ab \n1é東<|>endoftx"), length))
    encoder = load(str(folder("llama"))).encoder
    (start,), (ids,) = encoder.encode_starts([text], kept)
    assert ids.tolist() == encoder.encode([start])[0].tolist()
    assert text.startswith(start)
    assert encoder.encode([start])[0][:kept].tolist() == encoder.encode([text])[0][:kept].tolist()


def test_max_tokens_of_a_huge_text_reads_only_its_beginning(folder, monkeypatch):
    reference, read = load(str(folder("llama")), Reading(exact=True, max_tokens=5)), []
    encode = type(reference.encoder).encode

    def watched(self, texts):
        read.extend(map(len, texts))
        return encode(self, texts)

    monkeypatch.setattr(type(reference.encoder), "encode", watched)
    found = score(reference, ["plain words " * 100_000])
    assert found.tokens[0] == 5 and found.truncated[0] and max(read) < 20_000


def test_the_beginnings_of_many_long_texts_are_tokenised_together_and_grow_alone(folder, monkeypatch):
    """Premise: a token is a word; those of the second text are so long that its beginning must grow, twice."""
    encoder, calls = load(str(folder("llama"))).encoder, []

    def encode(self, given):
        calls.append(len(given))
        return [np.array([len(word) for word in text.split(" ")], np.int32) for text in given]

    monkeypatch.setattr(type(encoder), "encode", encode)
    texts = [
        "plain words " * 900,
        ("x" * 40 + " ") * 900,
        "short",
        *(f"{number} and more " * 900 for number in range(9)),
    ]
    starts, ids = encoder.encode_starts(texts, 300)
    assert calls == [11, 11, 1, 1, 1, 1, 12]
    for text, start, found in zip(texts, starts, ids, strict=True):
        assert text.startswith(start)
        assert found[:300].tolist() == [len(word) for word in text.split(" ")][:300]
    assert starts[2] == "short" and len(starts[0]) < len(texts[0]) / 2 < len(starts[1]) < len(texts[1])


def test_without_a_prefix_the_first_token_and_its_bytes_are_left_out(folder):
    reference = load(str(folder("llama")), Reading(exact=True, prefix="none"))
    found = score(reference, ["hello there", "h"])
    first = models.tokenizer().decode(models.tokenizer()("hello there")["input_ids"][:1])
    assert found.scored_bytes[0] == len("hello there") - len(first)
    assert found.status == ["ok", "unscorable"] and np.isnan(found.nats[1])


def test_a_text_without_tokens_and_one_too_long_keep_their_places(folder, monkeypatch):
    monkeypatch.setattr(causal, "LONGEST", 100)
    found = score(load(str(folder("llama")), Reading(exact=True)), ["", "hello", "x" * 101])
    assert found.status == ["unscorable", "ok", "too_long"]
    assert np.isnan(found.nats).tolist() == [True, False, True] and "101 bytes" in found.reason[2]


def test_out_of_memory_halves_the_pack_and_then_the_head_and_gives_the_same_numbers(folder):
    reference = load(str(folder("llama")), Reading(exact=True))
    whole, real = score(reference, TEXTS), causal.CausalModel.nats
    seen = []

    def small(self, pack):
        seen.append(pack.places)
        if pack.places > 100 or self.head.rows > 64:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, pack)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(causal.CausalModel, "nats", small)
        again = score(reference, TEXTS)
    np.testing.assert_allclose(again.nats, whole.nats, rtol=2e-6)
    assert max(seen) > 100 and reference.pack_tokens < loading.CPU_PACK and reference.runner.head.rows <= 64


def test_out_of_memory_with_nothing_left_to_halve_names_the_window(folder):
    reference = load(str(folder("llama")), Reading(exact=True))

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


# ---- the self-check -----------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_an_attention_that_leaks_between_documents_is_caught_and_packing_given_up(folder, monkeypatch):
    monkeypatch.setattr(attention, "find_runs", lambda edges: [(0, edges[-1], 1)])
    reference = load(str(folder("llama")), Reading(exact=True))
    assert reference.runner.rung == "padded" and any("not packed: a token is off" in note for note in reference.notes)
    np.testing.assert_allclose(score(reference, TEXTS).nats, naive(folder("llama"), TEXTS, 64), rtol=2e-6)


def test_a_kernel_that_fails_in_half_precision_alone_is_caught_and_packing_given_up(folder, monkeypatch):
    real = attention._documents

    def fails(whole, *rest):
        if whole.dtype == torch.bfloat16:
            raise RuntimeError("no kernel for this chip")
        return real(whole, *rest)

    monkeypatch.setattr(attention, "_documents", fails)
    reference = load(str(folder("llama")), Reading(dtype="bf16"))
    assert reference.runner.rung == "padded" and reference.identity["forward"] == "padded"
    assert "not packed in this dtype: no kernel for this chip" in reference.notes
    noise = (score(reference, TEXTS).nats - naive(folder("llama"), TEXTS, 64)) / np.sqrt(score(reference, TEXTS).tokens)
    assert np.sqrt(np.mean(noise**2)) <= 0.05


def test_a_kernel_that_leaks_in_half_precision_alone_is_caught_too(folder, monkeypatch):
    real = attention.attend

    def leaks(module, query, *rest, **options):
        if query.dtype == torch.bfloat16:
            with attention.within(None):
                return real(module, query, *rest, **options)
        return real(module, query, *rest, **options)

    from transformers import AttentionInterface

    monkeypatch.setattr(attention, "register", lambda: AttentionInterface.register(attention.NAME, leaks))
    reference = load(str(folder("llama")), Reading(dtype="bf16"))
    monkeypatch.undo()
    attention.register()
    assert reference.runner.rung == "padded"


def test_a_head_that_is_not_the_models_is_caught_and_given_up(folder, monkeypatch):
    def scaled(model):
        head = real(model)
        head.scale = 0.9
        return head

    real = selfcheck.find_head
    monkeypatch.setattr(selfcheck, "find_head", scaled)
    reference = load(str(folder("llama")), Reading(exact=True))
    assert reference.runner.head is None and reference.identity["head"] == "own"
    np.testing.assert_allclose(score(reference, TEXTS).nats, naive(folder("llama"), TEXTS, 64), rtol=2e-6)


def test_every_rung_gives_the_same_numbers(folder):
    reference = load(str(folder("llama")), Reading(exact=True))
    truth = naive(folder("llama"), TEXTS, 64)
    for rung in ("packed", "padded", "equal", "alone"):
        reference.runner.rung = rung
        selfcheck._set_attention(reference.runner, rung)
        np.testing.assert_allclose(score(reference, TEXTS).nats, truth, rtol=2e-6, err_msg=rung)


def test_half_precision_that_is_too_coarse_gives_way_to_fp32(folder, monkeypatch):
    monkeypatch.setattr(selfcheck, "NOISE", 1e-9)
    monkeypatch.setattr(loading, "cpu_multiplies_bfloat16", lambda: True)
    reference = load(str(folder("llama")))
    assert reference.identity["dtype"] == "fp32" and any("running in fp32 instead" in note for note in reference.notes)


def test_a_model_that_looks_ahead_is_refused(tmp_path):
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        "bert", **models.COMMON, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32
    )
    torch.manual_seed(0)
    config.initializer_range, config.is_decoder = 0.5, False
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    models.tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="not causal"):
        load(str(tmp_path), Reading(exact=True))


# ---- models that cannot be used -----------------------------------------------------------------------------------


def test_nan_from_the_model_is_refused_at_load(tmp_path):
    model = models.build("llama")
    torch.nn.init.constant_(model.model.layers[0].mlp.down_proj.weight, float("nan"))
    model.save_pretrained(tmp_path)
    models.tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="NaN or infinity"):
        load(str(tmp_path))


def test_nan_for_some_documents_gives_them_a_status_and_no_number(folder):
    reference, real = load(str(folder("llama")), Reading(exact=True)), causal.CausalModel.nats

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


def test_a_folder_without_a_tokenizer_is_named(folder, tmp_path):
    models.build("llama").save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="has no tokenizer") as caught:
        load(str(tmp_path))
    assert "tokenizer.json" in caught.value.hint


def test_a_folder_that_holds_no_model_says_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ModelError, match=r"no config.json; it holds notes.txt"):
        load(str(tmp_path))


def test_a_path_that_is_not_there_is_no_hub_name(tmp_path):
    with pytest.raises(ModelError, match="there is no folder"):
        load(str(tmp_path / "nowhere"))


def test_a_hub_model_out_of_reach_is_one_line_with_a_way_out():
    with pytest.raises(ModelError) as caught:
        load("nobody/no-such-model")
    assert "\n" not in caught.value.message and "--model PATH" in caught.value.hint


def test_a_model_that_is_no_causal_language_model_is_refused(tmp_path):
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(**models.COMMON, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    models.tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="no causal language model"):
        load(str(tmp_path))


def test_a_tokenizer_whose_ids_the_model_has_no_rows_for_is_refused(tmp_path):
    models.save(tmp_path, "llama", vocab_size=300)
    with pytest.raises(ModelError, match="ids up to 383, but the model has only 300 rows"):
        load(str(tmp_path))


def test_missing_weights_are_refused_and_not_drawn_at_random(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder("qwen2"), tmp_path / "m")
    weights = load_file(tmp_path / "m" / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, tmp_path / "m" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lacks 1 weights"):
        load(str(tmp_path / "m"))


def test_damaged_weights_are_one_line(folder, tmp_path):
    shutil.copytree(folder("llama"), tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError) as caught:
        load(str(tmp_path / "m"))
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"dtype": "int3"}, "--dtype"),
        ({"convention": "mine"}, "--convention"),
        ({"exact": True, "dtype": "bf16"}, "--exact"),
        ({"window": 65}, "reads at most 64"),
        ({"window": 8, "overlap": 8}, "--overlap"),
        ({"max_tokens": 0}, "--max-tokens"),
        ({"prefix": "nobody"}, "--prefix"),
        ({"window_prefix": True, "prefix": "none"}, "--window-prefix"),
        ({"convention": "lm-eval", "overlap": 3}, "sets prefix and overlap"),
        ({"device": "cuda:99"}, "--device"),
    ],
)
def test_a_reading_that_means_nothing_is_refused(folder, wrong, says):
    with pytest.raises(UsageError) as caught:
        load(str(folder("llama")), Reading(**wrong))
    assert says in caught.value.message


def test_identity_tells_two_models_two_tokenizers_and_two_readings_apart(folder):
    base = load(str(folder("llama"))).identity
    assert base == load(str(folder("llama"))).identity
    assert base["weights"] != load(str(folder("llama", attention_bias=True))).identity["weights"]
    other = load(str(folder("llama")), Reading(window=32)).identity
    assert {key for key in base if base[key] != other[key]} == {"window"}
