"""What a user can get wrong about a model: folders that hold something else, models of another kind, damaged weights.

``require_model_folder`` looks at the files before transformers does, ``require_language_model`` at the configuration
before the weights are read, and ``explain_failure`` makes one line and a way out of what transformers raises.
"""

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from curate.errors import ModelError
from curate.runtime.disk.object_store import is_store_url
from curate.runtime.text import quote_word

OTHER_MODEL = "name a transformers folder or a Hub id with --model, e.g. --model HuggingFaceTB/SmolLM2-135M"
DECODER = "perplexity needs a decoder that predicts the next token, such as a GPT, Llama or Qwen"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tokenizer_config.json")
"""Files of which a model folder with a tokenizer has at least one."""
SENTENCEPIECE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "sentencepiece.model")
"""Files of tokenizers that transformers cannot read without another package."""
OTHER_HEADS = ("Classification", "QuestionAnswering", "MultipleChoice", "RewardModel", "SentencePrediction")
"""Endings of the names of models whose head was trained for another task than the next token."""
WEIGHTS = ("*.safetensors", "*.bin")
FOREIGN = {
    "*.gguf": ("weights in GGUF, the format of llama.cpp", "the folder from which the GGUF file was made"),
    "*.h5": ("weights of TensorFlow", "a folder with model.safetensors"),
    "*.msgpack": ("weights of Flax", "a folder with model.safetensors"),
    "*.onnx": ("weights in ONNX", "a folder with model.safetensors"),
    "*.pth": ("weights of PyTorch outside transformers", "a folder that transformers' save_pretrained wrote"),
}
"""Patterns of weights that are not read, what they are, and what to give instead."""
LFS = b"version https://git-lfs"
LONGEST_LINE = 200
"""Characters of a foreign message that are shown."""


def require_model_folder(folder: Path) -> None:
    """Raise ModelError for a folder in which transformers finds no model, saying what is there and what to do."""
    names = sorted(path.name for path in folder.iterdir())
    shown = ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
    if not names:
        raise ModelError(f"{folder} is an empty folder", OTHER_MODEL)
    if "adapter_config.json" in names:
        raise _describe_adapter(folder)
    foreign = next((found for pattern, found in FOREIGN.items() if any(folder.glob(pattern))), None)
    has_weights = any(path for pattern in WEIGHTS for path in folder.glob(pattern))
    if foreign is not None and not has_weights:
        what, instead = foreign
        raise ModelError(f"{folder} has {what}, which curate does not read: {shown}", f"give --model {instead}")
    if "modules.json" in names:
        message = f"{folder} is not a causal language model: sentence-transformers (modules.json) embeds texts with it"
        raise ModelError(message, DECODER)
    if "config.json" not in names:
        inner = next((path.parent for path in sorted(folder.glob("*/config.json"))), None)
        hint = OTHER_MODEL if inner is None else f"--model {quote_word(str(inner))}"
        raise ModelError(f"{folder} is not a model folder: it has no config.json, only {shown}", hint)
    if not has_weights and not any(folder.glob("*.index.json")):
        hint = "copy its weights there: model.safetensors, or all of its shards and their index"
        raise ModelError(f"{folder} has no weights: it has {shown}", hint)
    pointer = next((path for pattern in WEIGHTS for path in folder.glob(pattern) if _is_pointer(path)), None)
    if pointer is not None:
        hint = f"git -C {quote_word(str(folder))} lfs pull"
        raise ModelError(f"{pointer} is a pointer of Git LFS, not the weights themselves", hint)


def _is_pointer(path: Path) -> bool:
    with open(path, "rb") as handle:
        return handle.read(len(LFS)) == LFS


def _describe_adapter(folder: Path) -> ModelError:
    """Return the error for the folder of an adapter, such as LoRA weights; name the model that it adapts."""
    try:
        base = json.loads((folder / "adapter_config.json").read_text("utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        base = None
    of = f" of {base}" if base else ""
    hint = "merge it with peft (merge_and_unload, then save_pretrained) and give that folder"
    return ModelError(f"{folder} is an adapter{of} (adapter_config.json), not a complete model", hint)


def require_tokenizer(folder: Path) -> None:
    """Raise ModelError for a folder without a tokenizer, or with one that needs a package which is not installed."""
    if not any((folder / name).exists() for name in TOKENIZERS):
        hint = "copy its tokenizer there: tokenizer.json and tokenizer_config.json"
        raise ModelError(f"{folder} has no tokenizer: it has none of {', '.join(TOKENIZERS[:3])}", hint)
    if (folder / "tokenizer.json").exists():
        return
    file = next((folder / name for name in SENTENCEPIECE if (folder / name).exists()), None)
    if file is None:
        return
    packages = ("tiktoken",) if _is_tiktoken(file) else ("sentencepiece", "google.protobuf")
    missing = [name.rpartition(".")[2] for name in packages if not _is_installed(name)]
    if missing:
        kind = "tiktoken" if packages[0] == "tiktoken" else "SentencePiece"
        reason = f"{folder} has no tokenizer.json, and its {file.name} is read by {' and '.join(missing)}"
        raise ModelError(f"{reason}, not installed here ({kind})", f"pip install {' '.join(missing)}")


def _is_tiktoken(file: Path) -> bool:
    """Return whether a vocabulary is lines of base64 and rank; SentencePiece's is binary."""
    with open(file, "rb") as handle:
        return re.match(rb"[A-Za-z0-9+/=]+ \d+\r?\n", handle.read(4096)) is not None


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of the package above it
        return False


def require_language_model(source: str, config: Any) -> None:
    """Raise ModelError for a configuration of a model that does not predict the next token of one text.

    transformers would load the decoder of an encoder–decoder without its encoder, and put the input embedding where a
    classifier has its head.
    """
    architecture = next(iter(getattr(config, "architectures", None) or ()), "")
    kind = architecture or type(config).__name__
    if getattr(config, "is_encoder_decoder", False) and not architecture.endswith("ForCausalLM"):
        message = f"{source} is not a causal language model: {kind} is an encoder and a decoder"
        raise ModelError(message, DECODER)
    if architecture.endswith(OTHER_HEADS):
        raise ModelError(
            f"{source} is not a causal language model: {architecture} has the head of another task", DECODER
        )


def explain_failure(source: str, local: bool, what: str, error: Exception) -> ModelError:
    """Return the error for what transformers raised: its first line, and what to do about it where that is known."""
    text = " ".join(str(error).split())
    if "trust_remote_code" in text:
        return ModelError(
            f"{source} runs only with the Python code in its repository", "if you trust it, add --trust-remote-code"
        )
    if "Unrecognized configuration class" in text:
        kind = text.split("configuration class")[1].split(" for ")[0].strip(" <>'").rsplit(".", 1)[-1]
        return ModelError(f"{source} is not a causal language model ({kind})", DECODER)
    name = source if local else f"model {source}"
    if "does not recognize this architecture" in text:
        named = re.search(r"model type `([^`]*)`", text)
        message = f"{name}: this version of transformers does not know models{f' of type {named[1]}' if named else ''}"
        return ModelError(message, "pip install --upgrade transformers")
    weights = _explain_weights(name, error, text)
    if weights is not None:
        return weights
    package = _missing_package(text)
    if package is not None:
        return ModelError(f"{name}: {what} without the package {package}", f"pip install {package}")
    if is_store_url(source):
        copied = f"copy it to a folder and give that: --model {source.rstrip('/').rpartition('/')[2] or 'FOLDER'}"
        return ModelError(f"{source}: models are read from folders and from the Hub, not from a store", copied)
    check = "check the name and your network, or download it once and give the folder: --model PATH"
    return ModelError(f"{name}: {what}: {_first_line(error)}", OTHER_MODEL if local else check)


def _explain_weights(name: str, error: Exception, text: str) -> ModelError | None:
    """Return the error for weights that cannot be read; None where ``error``, of this ``text``, is another one."""
    if "eights only load failed" in text:
        hint = "use a checkpoint with model.safetensors; curate never runs code that a .bin file holds"
        return ModelError(f"{name}: its .bin file holds more than weights, or is no file of PyTorch", hint)
    if "ignore_mismatched_sizes" in text:
        hint = "copy the config.json that belongs to its weights"
        return ModelError(f"{name}: its weights have other shapes than its config.json says", hint)
    damaged = "safetensors" in type(error).__module__.lower() or "deserializing" in text or isinstance(error, EOFError)
    missing = isinstance(error, FileNotFoundError) and ".safetensors" in text
    if damaged or missing:
        what = "a file of its weights is missing" if missing else "its weights cannot be read"
        hint = "its weights are damaged or incomplete: copy or download them again"
        return ModelError(f"{name}: {what}: {_first_line(error)}", hint)
    return None


def _missing_package(text: str) -> str | None:
    """Return the package that a message of an import asks for, or None."""
    for pattern in (
        r"pip install (?:-\S+ )*`?([A-Za-z][\w.-]*)",
        r"No module named '([\w-]+)",
        r"requires? `?([\w-]+)`? ",
    ):
        found = re.search(pattern, text)
        if found and ("install" in text or "No module" in text):
            return found[1].rstrip(".")
    return None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    line = lines[0].strip() if lines else type(error).__name__
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} …"
