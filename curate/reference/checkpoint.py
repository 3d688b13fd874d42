"""A checkpoint, opened: weights and tokenizer from a local folder or the Hub, and what they are exactly.

Everything that a person can get wrong about a model name ends here as a ModelError: no such folder, no tokenizer, no
causal language model, weights that are missing, a tokenizer whose ids the model has no row for.
"""

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xxhash

from curate.errors import ModelError, UsageError
from curate.reference.tokenizer import TextEncoder

BUILTIN = "builtin"
BUILTIN_TEXT = "books, reference works and documentation"
"""What the model in the box was trained on, in a few words; its card says more."""
HASHED_WHOLE = 2_000_000_000  # weights up to this size are hashed whole, larger ones by 64 blocks of 1 MiB a file
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PREFIXES = ("auto", "bos", "eos", "none")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model ready to score, its tokenizer, and the facts that go into every table's provenance."""

    model: Any
    tokenizer: Any
    encoder: TextEncoder
    name: str
    place: str
    revision: str | None
    weights: str
    trust_remote_code: bool

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def dtype(self) -> str:
        found = next(self.model.parameters()).dtype
        return next((name for name, kind in DTYPES.items() if kind == found), str(found))

    def readable(self) -> int | None:
        """How many positions the model was made to read, or None where it does not say."""
        config = self.model.config.get_text_config()
        found = [getattr(config, name, None) for name in ("max_position_embeddings", "n_positions", "n_ctx")]
        known = [int(value) for value in found if isinstance(value, int) and value > 0]
        return min(known) if known else None


def builtin_folder() -> Path:
    """The folder of the reference model in the box."""
    return Path(__file__).parent / BUILTIN


def open_tokenizer(name: str, revision: str | None, trust_remote_code: bool) -> Any:
    """The tokenizer of a model, without its weights."""
    place = str(builtin_folder()) if name == BUILTIN else name
    options = {"revision": revision, "trust_remote_code": trust_remote_code}
    with quiet():
        return _load_tokenizer(place, _require_place(name, place), options)


def open_checkpoint(name: str, revision: str | None, trust_remote_code: bool, dtype: Any) -> Checkpoint:
    """Load a causal language model and its tokenizer; ``dtype`` is a torch dtype, or "auto" for the checkpoint's."""
    place = str(builtin_folder()) if name == BUILTIN else name
    local = _require_place(name, place)
    options = {"revision": revision, "trust_remote_code": trust_remote_code}
    with quiet():
        tokenizer = _load_tokenizer(place, local, options)
        model = _load_model(place, local, options, dtype)
    encoder = TextEncoder(tokenizer)
    _require_rows(model, encoder, place)
    found = getattr(model.config, "_commit_hash", None)
    return Checkpoint(model, tokenizer, encoder, name, place, found, _hash_weights(model, place), trust_remote_code)


def _require_place(name: str, place: str) -> bool:
    """Whether a model is a local folder; ModelError for a folder that is not there, or holds no model."""
    local = Path(place).is_dir()
    if local and not (Path(place) / "config.json").exists():
        held = ", ".join(sorted(path.name for path in Path(place).iterdir())[:8]) or "nothing"
        raise ModelError(f"{place} is no model folder: it has no config.json; it holds {held}", _which_model())
    if not local and (("/" in name and Path(name).parent.is_dir() and name[0] in "./~") or name.startswith("/")):
        raise ModelError(f"there is no folder {name}", _which_model())
    return local


def with_dtype(checkpoint: Checkpoint, dtype: Any) -> Any:
    """The same weights loaded again in another dtype (casting a loaded model would round its rotary tables too)."""
    if checkpoint.place and Path(checkpoint.place).is_dir():
        options: dict[str, Any] = {"revision": None, "trust_remote_code": checkpoint.trust_remote_code}
    else:
        options = {"revision": checkpoint.revision, "trust_remote_code": checkpoint.trust_remote_code}
    with quiet():
        return _load_model(checkpoint.place, Path(checkpoint.place).is_dir(), options, dtype)


def _which_model() -> str:
    return "name a transformers folder or a Hub id with --model, e.g. --model HuggingFaceTB/SmolLM2-135M"


def _load_tokenizer(place: str, local: bool, options: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer

    names = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tokenizer_config.json")
    if local and not any((Path(place) / name).exists() for name in names):
        hint = "copy its tokenizer there: tokenizer.json and tokenizer_config.json"
        raise ModelError(f"{place} has no tokenizer: none of {', '.join(names[:3])} is there", hint)
    try:
        return AutoTokenizer.from_pretrained(place, **options)
    except Exception as error:  # transformers raises OSError, ValueError, KeyError, ImportError, json errors …
        raise _refused(place, local, "its tokenizer cannot be loaded", error) from error


def _load_model(place: str, local: bool, options: dict[str, Any], dtype: Any) -> Any:
    from transformers import AutoModelForCausalLM

    try:
        model, info = AutoModelForCausalLM.from_pretrained(place, dtype=dtype, output_loading_info=True, **options)
    except Exception as error:
        if "Unrecognized configuration class" in str(error):
            kind = str(error).split("configuration class")[1].split(" for ")[0].strip(" <>'").rsplit(".", 1)[-1]
            hint = "perplexity needs a decoder that predicts the next token, such as a GPT, Llama or Qwen"
            raise ModelError(f"{place} is no causal language model ({kind})", hint) from error
        raise _refused(place, local, "it cannot be loaded", error) from error
    missing = sorted(info.get("missing_keys", ()))
    if missing:
        shown = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        hint = "a model without its own weights would score with random ones; use a whole causal language model"
        raise ModelError(f"{place} lacks {len(missing)} weights of a causal language model: {shown}", hint)
    return model.eval().requires_grad_(False)


def _refused(place: str, local: bool, what: str, error: Exception) -> ModelError:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if "trust_remote_code" in str(error):
        return ModelError(f"{place} needs code of its own to run", "if you trust it, add --trust-remote-code")
    if local:
        return ModelError(f"{place}: {what}: {first}", _which_model())
    hint = "check the name and your network, or download it once and give the folder: --model PATH"
    return ModelError(f"model {place}: {what}: {first}", hint)


def _require_rows(model: Any, encoder: TextEncoder, place: str) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    largest = encoder.largest_text_id()
    if largest >= rows:
        message = f"{place}: its tokenizer gives ids up to {largest:,}, but the model has only {rows:,} rows for them"
        raise ModelError(message, "model and tokenizer do not belong together; bring the tokenizer of this model")


def prefix_token(checkpoint: Checkpoint, prefix: str) -> int | None:
    """The id put before every text: BOS if the tokenizer has one, else EOS; None for ``none``."""
    if prefix not in PREFIXES:
        raise UsageError(f"--prefix {prefix} is unknown", f"one of {', '.join(PREFIXES)}")
    tokenizer = checkpoint.tokenizer
    choices = {"bos": (tokenizer.bos_token_id,), "eos": (tokenizer.eos_token_id,), "none": ()}
    wanted = choices.get(prefix, (tokenizer.bos_token_id, tokenizer.eos_token_id))
    found = next((int(one) for one in wanted if one is not None), None)
    if found is None and prefix != "none":
        which = {"bos": "BOS", "eos": "EOS"}.get(prefix, "BOS and no EOS")
        raise ModelError(f"the tokenizer of {checkpoint.name} has no {which} token to put first", "--prefix none")
    rows = checkpoint.model.get_input_embeddings().weight.shape[0]
    if found is not None and found >= rows:
        raise ModelError(f"the prefix token has id {found}, but the model has only {rows:,} rows", "--prefix none")
    return found


def _hash_weights(model: Any, place: str) -> str:
    """A hash of the weight files, or of the weights in memory where the files are not a local folder."""
    files = sorted(path for kind in ("*.safetensors", "*.bin") for path in Path(place).glob(kind))
    digest = xxhash.xxh3_128()
    if files:
        whole = sum(path.stat().st_size for path in files) <= HASHED_WHOLE
        for path in files:
            digest.update(f"{path.name} {path.stat().st_size}".encode())
            for block in _blocks(path, whole):
                digest.update(block)
        return digest.hexdigest()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        sample = tensor.flatten()[:: max(1, tensor.numel() // 65536)].float().cpu().contiguous()
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()


def _blocks(path: Path, whole: bool) -> Iterator[bytes]:
    length, block = path.stat().st_size, 1 << 20
    with open(path, "rb") as handle:
        steps = range(0, length, block) if whole else range(0, length, max(block, length // 64))
        for at in steps:
            handle.seek(at)
            yield handle.read(block)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' bars and warnings off the screen while it loads; what matters we say ourselves."""
    from transformers.utils import logging as hf

    level, bars = hf.get_verbosity(), hf.is_progress_bar_enabled()
    hf.set_verbosity_error()
    hf.disable_progress_bar()
    log = logging.getLogger("torch.distributed")
    before = copy.copy(log.level)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        hf.set_verbosity(level)
        log.setLevel(before)
        if bars:
            hf.enable_progress_bar()
