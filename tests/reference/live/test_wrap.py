"""A model in training is scored as its checkpoint would be, and is not changed by it."""

import copy
import random

import numpy as np
import pytest
import torch
from helpers.models import build, tokenizer

from curate.errors import ModelError
from curate.reference import load
from curate.reference.checkpoints.tokenizer import TextEncoder
from curate.reference.likelihood import Passage
from curate.reference.live.twin import keep_random_states, share_weights
from curate.reference.live.unwrap import unwrap_model
from curate.reference.live.wrap import LiveModel, wrap_model
from curate.reference.protocol import ScoringConfig

TEXTS = ["To be, or not to be", "x", "Größe 東京 🙂 " * 12, "numbers 1 2 3 4 5 6 7 8 9 " * 4]
CONFIG = ScoringConfig(window=32, overlap=4)
FP32 = ScoringConfig(window=32, overlap=4, dtype="fp32")


def make_live(model, config=CONFIG):
    return LiveModel(model, TextEncoder(tokenizer()), tokenizer(), "tiny", config)


def measure(reference):
    (likelihoods,) = reference.score([[Passage(text) for text in TEXTS]])
    return likelihoods.nats


def describe(model):
    """All that scoring might leave behind on a model."""
    modules = [
        (name, module.training, sorted(module.__dict__), len(module._forward_hooks), type(module).__name__)
        for name, module in model.named_modules()
    ]
    weights = [(name, one.data_ptr(), one.requires_grad, one.dtype, one.grad) for name, one in model.named_parameters()]
    return (
        modules,
        weights,
        model.config.to_dict(),
        model.config._attn_implementation,
        model.is_activation_checkpointing,
    )


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma2", "mamba", "opt"])
def test_a_live_model_gives_the_nats_of_its_checkpoint(kind, tmp_path):
    model = build(kind).train()
    model.save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    live, _ = wrap_model(make_live(model), 7)
    saved = load(str(tmp_path), FP32)
    np.testing.assert_allclose(measure(live), measure(saved), rtol=1e-5)
    same = ("tokenizer", "prefix", "window", "overlap", "convention", "dtype", "forward", "head", "device", "frame")
    assert {name: live.identity[name] for name in same} == {name: saved.identity[name] for name in same}


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_nothing_of_a_live_model_is_changed(kind):
    model = build(kind).train()
    model.activation_checkpointing_enable()
    model.enable_input_require_grads()
    model.config.use_cache = True
    before, content = describe(model), copy.deepcopy(model.state_dict())
    measure(wrap_model(make_live(model), 0)[0])
    assert describe(model) == before
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, content[name])
    model(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()


def test_a_step_of_the_optimiser_shows_at_the_next_evaluation_and_only_weights_differ():
    model = build("llama")
    first, check = wrap_model(make_live(model), 0)
    nats = measure(first)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.1)
    second, _ = wrap_model(make_live(model), 5, check)
    assert not np.allclose(nats, measure(second))
    differing = {name for name in first.identity if first.identity[name] != second.identity[name]}
    assert differing == {"model", "weights", "live"}
    assert (second.identity["model"], second.identity["live"]) == ("live:tiny@5", {"step": 5})


def test_weights_are_shared_unless_another_dtype_is_asked_for():
    model = build("llama")
    pointers = [weight.data_ptr() for weight in model.parameters()]
    assert [weight.data_ptr() for weight in share_weights(model).parameters()] == pointers
    half = share_weights(model, torch.bfloat16)
    assert {weight.dtype for weight in half.parameters()} == {torch.bfloat16}
    assert [weight.data_ptr() for weight in model.parameters()] == pointers
    assert half.get_output_embeddings().weight is half.get_input_embeddings().weight


@pytest.mark.parametrize("how", ["weights", "option"])
def test_half_precision_is_scored_as_such(how, tmp_path):
    model = build("llama")
    nats = measure(wrap_model(make_live(model), 0)[0])
    config = ScoringConfig(window=32, overlap=4, dtype="auto" if how == "weights" else "bf16")
    live, _ = wrap_model(make_live(model.bfloat16() if how == "weights" else model, config), 0)
    assert live.identity["dtype"] == "bf16"
    np.testing.assert_allclose(measure(live), nats, rtol=0.05)


def test_random_numbers_to_come_are_those_that_would_have_come():
    def draw():
        return random.random(), np.random.rand(), float(torch.rand(()))

    def seed():
        random.seed(1), np.random.seed(1), torch.manual_seed(1)

    seed()
    expected = draw()
    seed()
    with keep_random_states():
        draw()
    assert draw() == expected


def test_a_twin_computes_what_the_class_says_whatever_a_training_put_in_its_place():
    """Accelerate replaces ``forward`` of the model itself, and libraries hang hooks into it."""
    model = build("llama")
    nats = measure(wrap_model(make_live(model), 0)[0])
    model.forward = lambda *args, **kwargs: pytest.fail("the forward of the training was called")
    layer = model.base_model.layers[0]
    layer.register_forward_hook(lambda module, args, output: pytest.fail("a hook of the training was called"))
    assert measure(wrap_model(make_live(model), 0)[0]).tolist() == nats.tolist()
    assert "forward" in model.__dict__ and len(layer._forward_hooks) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_models_and_layers_are_scored_as_written():
    model = build("llama")
    nats = measure(wrap_model(make_live(model), 0)[0])
    assert measure(wrap_model(make_live(torch.compile(model)), 0)[0]).tolist() == nats.tolist()
    layers = model.base_model.layers
    layers[0] = torch.compile(layers[0])
    layers[1].compile()
    assert measure(wrap_model(make_live(model), 0)[0]).tolist() == nats.tolist()
    assert type(layers[0]).__name__ == "OptimizedModule"


def test_a_distributed_model_is_unwrapped():
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        model = build("llama")
        assert unwrap_model(torch.nn.parallel.DistributedDataParallel(model)) is model
    finally:
        torch.distributed.destroy_process_group()


class Sharded(torch.nn.Module):
    pass


def test_what_cannot_be_scored_is_refused_with_the_reason():
    Sharded.__name__ = "FullyShardedDataParallel"
    with pytest.raises(ModelError, match="sharded"):
        unwrap_model(Sharded())
    zero = build("llama")
    zero.lm_head.weight.ds_id = 3
    with pytest.raises(ModelError, match="ZeRO-3"):
        unwrap_model(zero)
    with pytest.raises(ModelError, match="offloaded"):
        unwrap_model(build("llama").to("meta"))
    with pytest.raises(ModelError, match="no causal language model"):
        unwrap_model(torch.nn.Linear(2, 2))
    with pytest.raises(ModelError, match="its tokenizer gives ids"):
        wrap_model(make_live(build("llama", vocab_size=300)), 0)


def test_the_name_of_a_live_model_is_not_loaded():
    with pytest.raises(ModelError, match="scored in training, at step 500"):
        load("live:smollm2@500")


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_lora_is_scored_with_its_adapters(tmp_path):
    peft = pytest.importorskip("peft")
    base = build("llama", tie_word_embeddings=False)
    nats = measure(wrap_model(make_live(base), 0)[0])
    config = peft.LoraConfig(target_modules=["q_proj", "lm_head"], init_lora_weights=False, task_type="CAUSAL_LM")
    model = peft.get_peft_model(base, config).train()
    live, _ = wrap_model(make_live(model), 0)
    assert not np.allclose(measure(live), nats, rtol=1e-3)
    adapted = measure(live)
    merged = model.merge_and_unload()
    merged.save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    np.testing.assert_allclose(adapted, measure(load(str(tmp_path), FP32)), rtol=1e-4)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_prompt_tuning_is_refused():
    peft = pytest.importorskip("peft")
    config = peft.PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM")
    with pytest.raises(ModelError, match="PROMPT_TUNING adds trained tokens"):
        unwrap_model(peft.get_peft_model(build("llama"), config))
