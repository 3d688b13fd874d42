"""A model that sees the future is refused, however little it sees and whatever its dtype; a causal one passes."""

from types import SimpleNamespace

import pytest
import torch
from helpers import models
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

from curate.errors import ModelError
from curate.reference import load
from curate.reference.checks import self_check
from curate.reference.protocol import ScoringConfig

pytestmark = pytest.mark.filterwarnings("ignore")
SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 66,
    "embedding_size": 32,
}
PADDED = {"pad_token_id": 1, "max_position_embeddings": 66}  # positions count from padding + 1: 64 of them are left
BIDIRECTIONAL = {
    "bert": {},
    "electra": {},
    "rembert": {},
    "roberta": PADDED,
    "camembert": PADDED,
    "xlm-roberta": PADDED,
    "data2vec-text": PADDED,
}
XLNET = {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 32}


def save(folder, model):
    model.save_pretrained(folder)
    models.tokenizer().save_pretrained(folder)
    return str(folder)


def config_of(kind, **changes):
    return AutoConfig.for_model(kind, **{**models.COMMON, **SHAPE, **changes})


def fit(model, steps):
    """Train a masked language model a little, on the text of the helpers."""
    ids = torch.tensor(models.tokenizer()(models.TEXT)["input_ids"])
    optimizer, generator = torch.optim.AdamW(model.parameters(), 3e-3), torch.Generator().manual_seed(0)
    for _ in range(steps):
        begins = torch.randint(0, len(ids) - 48, (8,), generator=generator)
        targets = torch.stack([ids[begin : begin + 48] for begin in begins.tolist()])
        masked = torch.rand(targets.shape, generator=generator) < 0.2
        logits = model(input_ids=targets.masked_fill(masked, 383)).logits
        torch.nn.functional.cross_entropy(logits[masked], targets[masked]).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", BIDIRECTIONAL)
def test_an_untrained_bidirectional_model_is_refused(tmp_path, kind, dtype):
    torch.manual_seed(0)
    place = save(tmp_path, AutoModelForCausalLM.from_config(config_of(kind, **BIDIRECTIONAL[kind], is_decoder=False)))
    with pytest.raises(ModelError, match=r"is not causal: .* must have one first_nats") as caught:
        load(place, ScoringConfig(dtype=dtype))
    assert "decoder" in caught.value.hint


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_so_is_one_that_was_trained_with_masks(tmp_path, kind, dtype):
    torch.manual_seed(0)
    model = fit(AutoModelForMaskedLM.from_config(config_of(kind, **BIDIRECTIONAL[kind])), 60)
    with pytest.raises(ModelError, match="is not causal"):
        load(save(tmp_path, model), ScoringConfig(dtype=dtype))


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "auto"])
def test_xlnet_is_refused_whose_weights_have_two_dtypes_where_it_is_loaded_in_half_precision(tmp_path, dtype):
    place = save(tmp_path, AutoModelForCausalLM.from_config(AutoConfig.for_model("xlnet", **models.COMMON, **XLNET)))
    with pytest.raises(ModelError, match="is not causal"):
        load(place, ScoringConfig(dtype=dtype))


@pytest.mark.parametrize("kind", BIDIRECTIONAL)
def test_the_same_architectures_pass_as_decoders_and_have_the_numbers_of_one_text_at_a_time(tmp_path, kind):
    torch.manual_seed(0)
    changes = {**BIDIRECTIONAL[kind], "is_decoder": True, "initializer_range": 0.2}
    reference = load(
        save(tmp_path, AutoModelForCausalLM.from_config(config_of(kind, **changes))), ScoringConfig(exact=True)
    )
    assert reference.policy.window == (64 if BIDIRECTIONAL[kind] else 66)
    from helpers.scoring import TEXTS, naive, score

    truth = naive(tmp_path, TEXTS, reference.policy.window)
    assert abs(score(reference, TEXTS).nats - truth).max() < 1e-2


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["gpt2", "llama", "opt", "mistral", "mamba", "gpt_oss", "bloom"])
def test_causal_models_of_every_kind_pass(folder, kind, dtype):
    load(str(folder(kind)), ScoringConfig(dtype=dtype))


def peeking(folder, monkeypatch, first, last):
    """Let a causal model read, in positions from ``first`` on, what stands up to ``last`` positions ahead."""
    real = self_check._own_nats

    def own_nats(runner, pack):
        nats = real(runner, pack)
        ids = pack.ids_BL[0]
        for at, row in enumerate(pack.rows_N.tolist()):
            if row >= first:
                nats[at] += 1e-5 * sum(ids[row + 1 : row + 1 + last].tolist())
        return nats

    monkeypatch.setattr(self_check, "_own_nats", own_nats)
    with pytest.raises(ModelError, match="is not causal"):
        load(str(folder("llama")), ScoringConfig(exact=True))


@pytest.mark.parametrize(("first", "last"), [(0, 1000), (0, 1), (40, 1000)])
def test_a_leak_is_found_from_any_token_near_or_far_and_however_small(folder, monkeypatch, first, last):
    """A prefix that sees itself, one token of look-ahead, the end alone; 1e-5 nats for a difference of one id."""
    peeking(folder, monkeypatch, first, last)


def test_rounding_that_depends_on_the_other_rows_of_a_pass_is_no_leak(folder, monkeypatch):
    """As experts (MoE) round: what is measured with other neighbours excuses as much with other futures."""
    real = self_check._own_nats

    def own_nats(runner, pack):
        return real(runner, pack) + 1e-4 * (int(pack.ids_BL.sum()) % 7)

    monkeypatch.setattr(self_check, "_own_nats", own_nats)
    runner_of = SimpleNamespace()
    real_check = self_check._check_numbers

    def check(checkpoint, runner, prepared, prefix):
        self_check._require_causal(checkpoint, runner, prepared, prefix)
        runner_of.passed = True
        monkeypatch.undo()
        return real_check(checkpoint, runner, prepared, prefix)

    monkeypatch.setattr(self_check, "_check_numbers", check)
    load(str(folder("llama")), ScoringConfig(exact=True))
    assert runner_of.passed
