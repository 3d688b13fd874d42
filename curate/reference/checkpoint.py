"""Open a checkpoint: weights and tokenizer from a local folder or the Hub, and hashes that identify them.

Whatever a user can get wrong about a model name raises a ModelError here: no such folder, no tokenizer, not a causal
language model, missing weights, a tokenizer whose ids the model has no row for.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xxhash

from curate.errors import ModelError
from curate.reference.tokenizer import TextEncoder
from curate.runtime.choices import Prefix

BUILTIN = "builtin"
BUILTIN_TEXT = "books, reference works and documentation"
"""What the model in the box was trained on, in a few words; its card has the details."""
FULL_HASH_BYTES = 2_000_000_000  # weights up to this size are hashed in full, larger ones by 64 blocks of 1 MiB a file
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model ready to score, its tokenizer, and the facts that go into every table's provenance."""

    model: Any
    """A causal language model of transformers, in evaluation mode."""
    tokenizer: Any
    encoder: TextEncoder
    name: str
    """The name that the user gave."""
    source: str
    """The folder or Hub id that transformers loads."""
    revision: str | None
    """The commit on the Hub; None for a local folder."""
    weights: str
    """A hash of the weights."""
    trust_remote_code: bool

    @property
    def parameters(self) -> int:
        """The number of weights."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def dtype(self) -> str:
        """The dtype of the weights as a key of ``DTYPES``, or as torch spells it."""
        dtype = next(self.model.parameters()).dtype
        return next((name for name, known in DTYPES.items() if known == dtype), str(dtype))

    @property
    def vocab_size(self) -> int:
        """The number of token ids that the model can read: the rows of its input embedding."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    def readable(self) -> int | None:
        """Return how many positions the model was made to read, or None where its configuration does not state it."""
        config = self.model.config.get_text_config()
        values = [getattr(config, name, None) for name in ("max_position_embeddings", "n_positions", "n_ctx")]
        known = [int(value) for value in values if isinstance(value, int) and value > 0]
        return min(known) if known else None


def builtin_folder() -> Path:
    """Return the folder of the reference model in the box."""
    return Path(__file__).parent / BUILTIN


def open_tokenizer(name: str, revision: str | None, trust_remote_code: bool) -> Any:
    """Return the tokenizer of a model, without its weights. Raises ModelError where it cannot be loaded."""
    source = str(builtin_folder()) if name == BUILTIN else name
    options = {"revision": revision, "trust_remote_code": trust_remote_code}
    with silence_transformers():
        return _load_tokenizer(source, _require_source(name, source), options)


def open_checkpoint(name: str, revision: str | None, trust_remote_code: bool, dtype: Any) -> Checkpoint:
    """Load a causal language model and its tokenizer. Raises ModelError where they cannot be loaded or do not match.

    ``dtype`` is a torch dtype, or "auto" for the checkpoint's.
    """
    source = str(builtin_folder()) if name == BUILTIN else name
    local = _require_source(name, source)
    options = {"revision": revision, "trust_remote_code": trust_remote_code}
    with silence_transformers():
        tokenizer = _load_tokenizer(source, local, options)
        model = _load_model(source, local, options, dtype)
    encoder = TextEncoder(tokenizer)
    _require_rows(model, encoder, source)
    commit = getattr(model.config, "_commit_hash", None)
    return Checkpoint(model, tokenizer, encoder, name, source, commit, _hash_weights(model, source), trust_remote_code)


def open_without_weights(name: str, revision: str | None, trust_remote_code: bool) -> Checkpoint:
    """Return a checkpoint with its tokenizer and its configuration, whose weights are tensors without numbers.

    Raises ModelError where they cannot be loaded.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = open_tokenizer(name, revision, trust_remote_code)
    source = str(builtin_folder()) if name == BUILTIN else name
    options = {"revision": revision, "trust_remote_code": trust_remote_code}
    try:
        with silence_transformers(), torch.device("meta"):
            config = AutoConfig.from_pretrained(source, **options)
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    except Exception as error:  # as ``_load_model``
        raise _make_error(source, Path(source).is_dir(), "its configuration cannot be loaded", error) from error
    return Checkpoint(model, tokenizer, TextEncoder(tokenizer), name, source, revision, "", trust_remote_code)


def _require_source(name: str, source: str) -> bool:
    """Return whether a model is a local folder. Raises ModelError for a folder that does not exist or has no model."""
    local = Path(source).is_dir()
    if local and not (Path(source) / "config.json").exists():
        files = ", ".join(sorted(path.name for path in Path(source).iterdir())[:8]) or "nothing"
        raise ModelError(f"{source} is not a model folder: it has no config.json, only {files}", _model_hint())
    if not local and (("/" in name and Path(name).parent.is_dir() and name[0] in "./~") or name.startswith("/")):
        raise ModelError(f"there is no folder {name}", _model_hint())
    return local


def load_with_dtype(checkpoint: Checkpoint, dtype: Any) -> Any:
    """Load the weights again in another dtype and return the model. (A cast would round its rotary tables too.)"""
    local = Path(checkpoint.source).is_dir()
    revision = None if local else checkpoint.revision
    options = {"revision": revision, "trust_remote_code": checkpoint.trust_remote_code}
    with silence_transformers():
        return _load_model(checkpoint.source, local, options, dtype)


def _model_hint() -> str:
    return "name a transformers folder or a Hub id with --model, e.g. --model HuggingFaceTB/SmolLM2-135M"


def _load_tokenizer(source: str, local: bool, options: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer

    names = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tokenizer_config.json")
    if local and not any((Path(source) / name).exists() for name in names):
        hint = "copy its tokenizer there: tokenizer.json and tokenizer_config.json"
        raise ModelError(f"{source} has no tokenizer: it has none of {', '.join(names[:3])}", hint)
    try:
        return AutoTokenizer.from_pretrained(source, **options)
    except Exception as error:  # transformers raises OSError, ValueError, KeyError, ImportError, json errors …
        raise _make_error(source, local, "its tokenizer cannot be loaded", error) from error


def _load_model(source: str, local: bool, options: dict[str, Any], dtype: Any) -> Any:
    from transformers import AutoModelForCausalLM

    try:
        model, info = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, output_loading_info=True, **options)
    except Exception as error:
        if "Unrecognized configuration class" in str(error):
            kind = str(error).split("configuration class")[1].split(" for ")[0].strip(" <>'").rsplit(".", 1)[-1]
            hint = "perplexity needs a decoder that predicts the next token, such as a GPT, Llama or Qwen"
            raise ModelError(f"{source} is not a causal language model ({kind})", hint) from error
        raise _make_error(source, local, "it cannot be loaded", error) from error
    missing = sorted(info.get("missing_keys", ()))
    if missing:
        shown = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        hint = "transformers would fill them with random numbers; use a complete causal language model"
        raise ModelError(f"{source} lacks {len(missing)} weights of a causal language model: {shown}", hint)
    return model.eval().requires_grad_(False)


def _make_error(source: str, local: bool, what: str, error: Exception) -> ModelError:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if "trust_remote_code" in str(error):
        return ModelError(
            f"{source} runs only with the Python code in its repository", "if you trust it, add --trust-remote-code"
        )
    if local:
        return ModelError(f"{source}: {what}: {first}", _model_hint())
    hint = "check the name and your network, or download it once and give the folder: --model PATH"
    return ModelError(f"model {source}: {what}: {first}", hint)


def _require_rows(model: Any, encoder: TextEncoder, source: str) -> None:
    rows, largest = model.get_input_embeddings().weight.shape[0], encoder.largest_text_id()
    if largest >= rows:
        ids = f"its tokenizer gives ids up to {largest:,}, but the model has only {rows:,} rows for them"
        hint = "model and tokenizer do not belong together; use the tokenizer of this model"
        raise ModelError(f"{source}: {ids}", hint)


def prefix_token(checkpoint: Checkpoint, prefix: Prefix) -> int | None:
    """Return the id of the token in front of every text: BOS if the tokenizer has one, else EOS; None for ``none``.

    Raises ModelError where the tokenizer has no such token or the model no row for it.
    """
    tokenizer = checkpoint.tokenizer
    choices = {"bos": (tokenizer.bos_token_id,), "eos": (tokenizer.eos_token_id,), "none": ()}
    candidates = choices.get(prefix, (tokenizer.bos_token_id, tokenizer.eos_token_id))
    token = next((int(each) for each in candidates if each is not None), None)
    if token is None and prefix != "none":
        which = {"bos": "BOS", "eos": "EOS"}.get(prefix, "BOS and no EOS")
        raise ModelError(f"the tokenizer of {checkpoint.name} has no {which} token to use as a prefix", "--prefix none")
    rows = checkpoint.vocab_size
    if token is not None and token >= rows:
        raise ModelError(f"the prefix token has id {token}, but the model has only {rows:,} rows", "--prefix none")
    return token


def _hash_weights(model: Any, source: str) -> str:
    """Return a hash of the weight files, or of the weights in memory where the files are not in a local folder."""
    files = sorted(path for kind in ("*.safetensors", "*.bin") for path in Path(source).glob(kind))
    digest = xxhash.xxh3_128()
    if files:
        in_full = sum(path.stat().st_size for path in files) <= FULL_HASH_BYTES
        for path in files:
            digest.update(f"{path.name} {path.stat().st_size}".encode())
            for block in _blocks(path, in_full):
                digest.update(block)
        return digest.hexdigest()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        sample = tensor.flatten()[:: max(1, tensor.numel() // 65536)].float().cpu().contiguous()
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()


def _blocks(path: Path, in_full: bool) -> Iterator[bytes]:
    length, block = path.stat().st_size, 1 << 20
    with open(path, "rb") as handle:
        steps = range(0, length, block) if in_full else range(0, length, max(block, length // 64))
        for offset in steps:
            handle.seek(offset)
            yield handle.read(block)


@contextmanager
def silence_transformers() -> Iterator[None]:
    """Inside the block, hide transformers' progress bars and warnings; we report what matters."""
    from transformers.utils import logging as hf

    level, bars = hf.get_verbosity(), hf.is_progress_bar_enabled()
    hf.set_verbosity_error()
    hf.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        hf.set_verbosity(level)
        if bars:
            hf.enable_progress_bar()
