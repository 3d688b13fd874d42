"""The transformers model inside of what a training wraps it in: DDP, torch.compile, DeepSpeed, PEFT."""

from typing import Any

import torch

from curate.errors import ModelError
from curate.reference.checkpoints import model_folder

WRAPPERS = {
    "OptimizedModule": "_orig_mod",
    "DistributedDataParallel": "module",
    "DataParallel": "module",
    "DeepSpeedEngine": "module",
}
"""Classes that wrap a model whole, with the attribute that has it."""
CHECKPOINTS = "score the checkpoints that the training writes: curate score CORPUS --model CHECKPOINT"


def unwrap_model(model: Any) -> Any:
    """Return the causal language model of transformers inside of a model in training.

    With LoRA and its kin that is the base model with the adapters in its layers, as they are active. Raises ModelError
    for weights that are sharded, offloaded or on several devices, for adapters that are not in layers (prompt tuning),
    and for what is no causal language model of transformers.
    """
    while (inner := WRAPPERS.get(type(model).__name__)) is not None:
        model = getattr(model, inner)
    if type(model).__name__ in ("FullyShardedDataParallel", "FSDPModule"):
        raise ModelError("the weights are sharded (FSDP): no process has a model that it could score", CHECKPOINTS)
    if hasattr(model, "peft_config"):
        model = _unwrap_adapters(model)
    if not all(hasattr(model, name) for name in ("config", "base_model", "get_output_embeddings")):
        message = f"{type(model).__name__} is no causal language model of transformers"
        raise ModelError(message, "the callback works for models that AutoModelForCausalLM loads")
    model_folder.require_language_model(type(model).__name__, model.config)
    _require_weights_here(model)
    return model


def _unwrap_adapters(model: Any) -> Any:
    """Return the base model of a PEFT model. Raises ModelError for adapters that work on inputs, not in layers."""
    configs = [config for config in dict(model.peft_config).values() if getattr(config, "is_prompt_learning", False)]
    if configs:
        kind = getattr(configs[0].peft_type, "value", configs[0].peft_type)
        raise ModelError(f"{kind} adds trained tokens in front of every input, and cannot be scored live", CHECKPOINTS)
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _require_weights_here(model: torch.nn.Module) -> None:
    """Raise ModelError where this process does not have all weights, on one device."""
    devices = set()
    for parameter in model.parameters():
        if hasattr(parameter, "ds_id"):
            raise ModelError("the weights are sharded (DeepSpeed ZeRO-3): no process has all of them", CHECKPOINTS)
        if type(parameter.data).__name__ == "DTensor" or type(parameter).__name__ == "DTensor":
            raise ModelError("the weights are sharded (DTensor, as FSDP2 and tensor parallelism do)", CHECKPOINTS)
        devices.add(parameter.device)
    if torch.device("meta") in devices:
        raise ModelError("some weights are offloaded, and not in the memory of a device", CHECKPOINTS)
    if len(devices) > 1:
        shown = ", ".join(sorted(map(str, devices)))
        raise ModelError(f"the weights are on several devices: {shown}", CHECKPOINTS)
