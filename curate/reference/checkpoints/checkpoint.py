"""Open a checkpoint: weights and tokenizer from a local folder or the Hub, and hashes that identify them.

Whatever a user can get wrong about a model name raises a ModelError here: no such folder, no tokenizer, not a causal
language model, missing weights, a tokenizer whose ids the model has no row for.
"""

import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xxhash

from curate.errors import ModelError
from curate.reference.checkpoints import model_folder
from curate.reference.checkpoints.live_names import refuse_live_name
from curate.reference.checkpoints.tokenizer import TextEncoder
from curate.runtime.choices import Prefix
from curate.runtime.disk.filenames import expand_home
from curate.runtime.work import profiler, threads

BUILTIN = "builtin"
BUILTIN_TEXT = "books, reference works and documentation"
"""What the model in the box was trained on, in a few words; its card has the details."""
FULL_HASH_BYTES = 2_000_000_000  # weights up to this size are hashed in full, larger ones by 64 blocks of 1 MiB a file
REMOTE_CODE = "transformers_modules"
"""The package under which transformers imports the Python code of a repository."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

LENGTHS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_target_positions")
"""Where configurations state how many positions a model reads."""
POSITION_TABLES = ("position_embeddings", "embed_positions", "wpe", "positions_embed")
"""What modules that hold a learned vector for each position are called."""


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
    notes: tuple[str, ...] = ()
    """What a user should know about its files, a line each."""
    live: bool = False
    """Whether the model is one in training: it is in memory alone, and cannot be loaded in another dtype."""

    @property
    def parameters(self) -> int:
        """The number of weights."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def dtype(self) -> str:
        """The dtype of the weights as a key of ``DTYPES``, or as torch spells it."""
        dtypes = [parameter.dtype for parameter in self.model.parameters()]
        dtype = next((one for one in dtypes if one != torch.float32), torch.float32)
        return next((name for name, known in DTYPES.items() if known == dtype), str(dtype))

    @property
    def vocab_size(self) -> int:
        """The number of token ids that the model can read: the rows of its input embedding."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    @property
    def position_offset(self) -> int:
        """Rows of the table of positions before the one of position 0: RoBERTa and its kin count from padding + 1."""
        table = _position_table(self.model)
        return 0 if table is None or table.padding_idx is None else table.padding_idx + 1

    def readable(self) -> int | None:
        """Return how many positions the model was made to read, or None where its configuration does not state it."""
        config = self.model.config.get_text_config()
        values = [getattr(config, name, None) for name in LENGTHS]
        known = [int(value) for value in values if isinstance(value, int) and value > 0]
        table = _position_table(self.model)
        if table is not None:
            known.append(table.num_embeddings - self.position_offset)
        return min(known) if known else None


def _position_table(model: Any) -> torch.nn.Embedding | None:
    """Return the learned vectors of positions of a model, a row for each; None where it has none.

    Subclasses keep their own account of rows, such as the two more that OPT has.
    """
    modules = model.named_modules() if isinstance(model, torch.nn.Module) else ()
    tables = (module for name, module in modules if name.rpartition(".")[2] in POSITION_TABLES)
    return next((table for table in tables if type(table) is torch.nn.Embedding), None)


def builtin_folder() -> Path:
    """Return the folder of the reference model in the box."""
    return Path(__file__).parent.parent / BUILTIN


def open_tokenizer(
    name: str, revision: str | None, trust_remote_code: bool, changes: Mapping[str, Any] | None = None
) -> Any:
    """Return the tokenizer of a model, without its weights. Raises ModelError where it cannot be loaded.

    ``changes`` are settings of its ``tokenizer_config.json`` to load it with.
    """
    source = _find_source(name)
    options = {"revision": revision, "trust_remote_code": trust_remote_code, **(changes or {})}
    with silence_transformers():
        return _load_tokenizer(source, _require_source(name, source), options)


def open_checkpoint(name: str, revision: str | None, trust_remote_code: bool, dtype: Any) -> Checkpoint:
    """Load a causal language model and its tokenizer. Raises ModelError where they cannot be loaded or do not match.

    ``dtype`` is a torch dtype, or "auto" for the checkpoint's.
    """
    source = _find_source(name)
    local = _require_source(name, source)
    options = {"revision": revision, "trust_remote_code": trust_remote_code}
    with silence_transformers():
        with profiler.span("transformers"):
            _require_language_model(source, local, options)
        with profiler.span("tokenizer"):
            tokenizer = _load_tokenizer(source, local, options)
        with profiler.span("weights"):
            model, unused = _load_model(source, local, options, dtype)
    encoder = TextEncoder(tokenizer)
    require_rows(model, encoder, source)
    commit, weights = getattr(model.config, "_commit_hash", None), _hash_weights(model, source)
    shown = f"{len(unused):,} of its weights are not used by the model that config.json describes: {_list_some(unused)}"
    notes = (shown,) if unused else ()
    return Checkpoint(model, tokenizer, encoder, name, source, commit, weights, trust_remote_code, notes)


def open_without_weights(name: str, revision: str | None, trust_remote_code: bool) -> Checkpoint:
    """Return a checkpoint with its tokenizer and its configuration, whose weights are tensors without numbers.

    Raises ModelError where they cannot be loaded.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = open_tokenizer(name, revision, trust_remote_code)
    source = _find_source(name)
    options = {"revision": revision, "trust_remote_code": trust_remote_code}
    try:
        with silence_transformers(), torch.device("meta"):
            config = AutoConfig.from_pretrained(source, **options)
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    except Exception as error:  # as ``_load_model``
        local = Path(source).is_dir()
        raise model_folder.explain_failure(source, local, "its configuration cannot be loaded", error) from error
    return Checkpoint(model, tokenizer, TextEncoder(tokenizer), name, source, revision, "", trust_remote_code)


def _find_source(name: str) -> str:
    """Return what transformers loads for a name: the folder of the model in the box, a folder, or an id on the Hub."""
    if name == BUILTIN:
        return str(builtin_folder())
    return str(expand_home(name)) if name.startswith("~") else name


def _require_source(name: str, source: str) -> bool:
    """Return whether a model is a local folder.

    Raises ModelError for a folder that does not exist or has no model, and for a model that was scored in training.
    """
    refuse_live_name(name)
    local = Path(source).is_dir()
    if local:
        model_folder.require_model_folder(Path(source))
    elif ("/" in name and Path(source).parent.is_dir() and name[0] in "./~") or name.startswith("/"):
        what = "a file, not a model folder" if Path(source).exists() else None
        raise ModelError(f"{name} is {what}" if what else f"there is no folder {name}", model_folder.OTHER_MODEL)
    return local


def load_with_dtype(checkpoint: Checkpoint, dtype: Any) -> Any:
    """Load the weights again in another dtype and return the model. (A cast would round its rotary tables too.)"""
    local = Path(checkpoint.source).is_dir()
    revision = None if local else checkpoint.revision
    options = {"revision": revision, "trust_remote_code": checkpoint.trust_remote_code}
    with silence_transformers():
        return _load_model(checkpoint.source, local, options, dtype)[0]


def _load_tokenizer(source: str, local: bool, options: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer

    if local:
        model_folder.require_tokenizer(Path(source))
    try:
        return AutoTokenizer.from_pretrained(source, **options)
    except Exception as error:  # transformers raises OSError, ValueError, KeyError, ImportError, json errors …
        raise model_folder.explain_failure(source, local, "its tokenizer cannot be loaded", error) from error


def _require_language_model(source: str, local: bool, options: dict[str, Any]) -> None:
    """Raise ModelError where the configuration cannot be read, or is that of a model that is not scored."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(source, **options)
    except Exception as error:
        raise model_folder.explain_failure(source, local, "its config.json cannot be read", error) from error
    model_folder.require_language_model(source, config)


def _load_model(source: str, local: bool, options: dict[str, Any], dtype: Any) -> tuple[Any, list[str]]:
    """Return the model, and the names of the weights that are not of it."""
    from transformers import AutoModelForCausalLM

    try:
        model, info = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, output_loading_info=True, **options)
    except Exception as error:
        raise model_folder.explain_failure(source, local, "it cannot be loaded", error) from error
    missing = sorted(info.get("missing_keys", ()))
    if missing:
        hint = "transformers would fill them with random numbers; use a complete causal language model"
        message = f"{source} lacks {len(missing)} weights of a causal language model: {_list_some(missing)}"
        raise ModelError(message, hint)
    return model.eval().requires_grad_(False), sorted(info.get("unexpected_keys", ()))


def _list_some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def require_rows(model: Any, encoder: TextEncoder, source: str) -> None:
    """Raise ModelError where a tokenizer gives ids for which a model has no row."""
    rows, largest = model.get_input_embeddings().weight.shape[0], encoder.largest_text_id()
    if largest >= rows:
        ids = f"its tokenizer gives ids up to {largest:,}, but the model has only {rows:,} rows for them"
        hint = "model and tokenizer do not belong together; use the tokenizer of this model"
        raise ModelError(f"{source}: {ids}", hint)


def prefix_token(checkpoint: Checkpoint, prefix: Prefix, hint: str = "--prefix none") -> int | None:
    """Return the id of the token in front of every text: BOS if the tokenizer has one, else EOS; None for ``none``.

    Raises ModelError, with ``hint``, where the tokenizer has no such token or the model no row for it.
    """
    tokenizer = checkpoint.tokenizer
    choices = {"bos": (tokenizer.bos_token_id,), "eos": (tokenizer.eos_token_id,), "none": ()}
    candidates = choices.get(prefix, (tokenizer.bos_token_id, tokenizer.eos_token_id))
    token = next((int(each) for each in candidates if each is not None), None)
    if token is None and prefix != "none":
        which = {"bos": "BOS", "eos": "EOS"}.get(prefix, "BOS and no EOS")
        raise ModelError(f"the tokenizer of {checkpoint.name} has no {which} token to use as a prefix", hint)
    return None if token is None else check_row(checkpoint, token, hint)


def check_row(checkpoint: Checkpoint, token: int, hint: str) -> int:
    """Return the id of a prefix token. Raises ModelError, with ``hint``, where the model has no row for it."""
    rows = checkpoint.vocab_size
    if token >= rows:
        raise ModelError(f"the prefix token has id {token}, but the model has only {rows:,} rows", hint)
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
    return hash_weights_in_memory(model)


def hash_weights_in_memory(model: Any) -> str:
    """Return a hash of the weights of a model: of up to 65,536 numbers of each, evenly spread, as float32."""
    digest = xxhash.xxh3_128()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        sample = tensor.flatten()[:: max(1, tensor.numel() // 65536)].float().cpu().contiguous()
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()


def hash_weights_in_full(folder: Path) -> str | None:
    """Return a hash of all bytes of the weight files of a folder; None where ``Checkpoint.weights`` has them all.

    Loading has just read the files, so that they are in memory: it takes a second for ten gigabytes.
    """
    paths = sorted(path for kind in ("*.safetensors", "*.bin") for path in folder.glob(kind))
    if sum(path.stat().st_size for path in paths) <= FULL_HASH_BYTES:
        return None
    digest = xxhash.xxh3_128()
    for each in threads.map_in_order(_hash_file, paths, min(8, threads.count_cores())):
        digest.update(each)
    return digest.hexdigest()


def _hash_file(path: Path) -> bytes:
    digest = xxhash.xxh3_128(path.name.encode())
    for block in _blocks(path, in_full=True):
        digest.update(block)
    return digest.digest()


def hash_code(checkpoint: Checkpoint) -> str | None:
    """Return a hash of the Python files of a repository that model and tokenizer run; None where they run none."""
    named = {type(one).__module__.rpartition(".")[0] for one in (checkpoint.model, checkpoint.tokenizer)}
    packages = tuple(f"{name}." for name in named if name.partition(".")[0] == REMOTE_CODE)
    modules = {name: module for name, module in sys.modules.items() if packages and name.startswith(packages)}
    files = {str(module.__file__) for module in modules.values() if getattr(module, "__file__", None)}
    if not files:
        return None
    contents = sorted((Path(path).name, Path(path).read_bytes()) for path in files)
    return xxhash.xxh3_128_hexdigest(b"".join(name.encode() + b"\0" + content for name, content in contents))


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
