"""What a model is before it is loaded: its name, and a cheap fingerprint of each file that its numbers depend on.

Scores are recorded with it, so that another model, or one whose files have changed, is refused by the name of the file
and before anything is loaded. Nothing here imports torch.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import xxhash

from curate.runtime.disk import files
from curate.runtime.disk.filenames import expand_home

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "spiece.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)
WEIGHT_PATTERNS = ("*.safetensors", "*.bin")
FURTHER_PATTERNS = (
    "*.index.json",
    "*.model",
    "*.tiktoken",
    "*.bpe",
    "*.spm",
    "*vocab*",
    "*merges*",
    "*added_tokens*",
    "*special_tokens*",
    "tekken.json",
    "encoder.json",
    "bpe.codes",
    "quantize_config.json",
    "quant_config.json",
)
"""Files that give other numbers when they change, beside those above: tokenizers of other kinds, which shard has which
weight, quantisation."""
NO_MATTER = ("transformers_version", "_name_or_path", "chat_template", "torch_dtype", "dtype")
"""Keys of JSON files on which no number depends: what saving a model again writes, and what only chats use. The dtype
of the weights is the one they are loaded in, which an identity has."""
NO_SETTING = {*NO_MATTER, "name_or_path", "use_cache", "output_attentions", "output_hidden_states"}
"""Keys of settings on which no number depends. ``architectures`` is not one: it decides what a model is taken for."""
SETTINGS = ("config.json", "tokenizer_config.json")
"""JSON files of which the values are known, so that the key that differs can be named."""
LONGEST = 200
"""Characters of a value that is kept; of a longer one a hash is."""
CODE = "*.py"
WITHOUT_FILES = ("none", "served")
"""Names of models that have no files: nothing is measured, or a serving stack has measured."""
NONE: Any = object()
"""Stands for a setting that is not there; null is a value."""


def describe_model(name: str, revision: str | None = None) -> dict[str, Any]:
    """Return the identity of a model as far as it can be known without loading it, JSON-able.

    ``name`` is the name as given, a folder's as an absolute path. Of a local folder, of ``builtin``, and of a model of
    the Hub that was downloaded, ``files`` and ``further`` have a fingerprint of each file by its name, and ``settings``
    the values of JSON files by their keys; of a model on the Hub there is the ``revision`` that was asked for.
    """
    folder = find_model_folder(name, revision)
    is_local = name == "builtin" or is_local_model(name)
    shown = {"name": str(folder.resolve()) if is_local and name != "builtin" and folder is not None else name}
    shown |= {"revision": revision} if revision is not None and not is_local else {}
    return shown if folder is None else {**shown, **describe_folder(folder)}


def is_local_model(name: str) -> bool:
    """Return whether the name of a model is that of a folder; ``~`` at its beginning is the home folder."""
    return name not in WITHOUT_FILES and expand_home(name).is_dir()


def find_model_folder(name: str, revision: str | None = None) -> Path | None:
    """Return the folder that has the files of a model; None for those without, and for what was never downloaded."""
    if name == "builtin":
        return Path(__file__).parent.parent / name
    if name in WITHOUT_FILES:
        return None
    return expand_home(name) if is_local_model(name) else _find_snapshot(name, revision)


def _find_snapshot(name: str, revision: str | None) -> Path | None:
    """Return the folder of the cache of the Hub that has a revision of a model, None where it has none."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, "config.json", revision=revision)
    except (HFValidationError, OSError, ValueError):
        return None
    return Path(found).parent if isinstance(found, str) else None


def describe_folder(folder: Path) -> dict[str, Any]:
    """Return the fingerprints of the files of a model, and the values of its settings, JSON-able.

    ``files`` has what every version of curate looked at, so that scores of earlier ones are known again.
    """
    weights = sorted(path for pattern in WEIGHT_PATTERNS for path in folder.glob(pattern))
    texts = [folder / file for file in ("config.json", *TOKENIZER_FILES) if (folder / file).is_file()]
    known = {path.name: _hash_edges(path) for path in weights} | {path.name: _hash_text(path) for path in texts}
    settings = {name: _read_settings(folder / name) for name in SETTINGS}
    patterns = (*FURTHER_PATTERNS, CODE) if _runs_code(settings) else FURTHER_PATTERNS
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    further = {path.name: _hash_text(path) for path in sorted(found) if path.name not in known}
    return {"files": known, "further": further, "settings": settings}


def fingerprint_folder(folder: Path) -> str:
    """Return one hash, as hex digits, of what ``describe_folder`` tells apart; weights count by their ends."""
    described = describe_folder(folder)
    known = {name: value for name, value in described["files"].items() if name not in SETTINGS}
    value = json.dumps([known, described["further"], described["settings"]], sort_keys=True)
    return xxhash.xxh3_128_hexdigest(value.encode("utf-8", "surrogatepass"))


def _runs_code(settings: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether a model names Python code of its own."""
    return any(key.partition(".")[0] == "auto_map" for values in settings.values() for key in values)


def _read_settings(path: Path) -> dict[str, Any]:
    """Return the values of a JSON file by their keys, with dots between those of nested objects; of another a hash."""
    if not path.is_file():
        return {}
    content = path.read_bytes()
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return {"content": xxhash.xxh3_64_hexdigest(content)}
    return dict(_list_settings(value, ""))


def _list_settings(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield key and value of each setting, those of the parts of a model (``text_config``) with its name in front."""
    for key, value in values.items():
        if key in NO_SETTING and "quantization" not in prefix:
            continue
        name, text = f"{prefix}{key}", json.dumps(value, sort_keys=True)
        if isinstance(value, dict) and value and (key.endswith("_config") or len(text) <= 10 * LONGEST):
            yield from _list_settings(value, f"{name}.")
        else:
            yield name, value if len(text) <= LONGEST else f"xxh3:{xxhash.xxh3_64_hexdigest(text.encode())}"


def list_differing_files(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str] | None:
    """Return the names of the files in which two models differ; none for one model, None where files cannot tell.

    ``before`` and ``now`` are what ``describe_model`` returned, now or in an earlier version. A model of the Hub that
    only one of them could look at is told by its name; otherwise, where only one has files, they are two models.
    """
    if "files" not in before or "files" not in now:
        return [] if all(before.get(key) == now.get(key) for key in ("name", "revision")) else None
    old, new = (dict(each["files"]) for each in (before, now))
    if "settings" in before and "settings" in now:
        old, new = ({**each["files"], **each["further"], **each["settings"]} for each in (before, now))
    return sorted(name for name in {*old, *new} if (old.get(name) or None) != (new.get(name) or None))


def list_differing_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return, by file, the settings in which two models differ, in words: ``rope_theta is 500.0, was 10000.0``."""
    differing: dict[str, list[str]] = {}
    if "settings" not in before or "settings" not in now:
        return differing
    for name in SETTINGS:
        old, new = (each["settings"].get(name) or {} for each in (before, now))
        keys = [key for key in sorted({*old, *new}) if old.get(key, NONE) != new.get(key, NONE)]
        words = [f"{key} is {_spell_setting(new, key)}, was {_spell_setting(old, key)}" for key in keys]
        if words:
            differing[name] = words
    return differing


def _spell_setting(settings: Mapping[str, Any], key: str) -> str:
    if key not in settings:
        return "not there"
    value = settings[key]
    return "another" if isinstance(value, str) and value.startswith("xxh3:") else json.dumps(value, ensure_ascii=False)


def _hash_text(path: Path) -> str:
    """Return a hash of a file; of a JSON object that of its values, but for those on which no number depends."""
    content = path.read_bytes()
    try:
        value = json.loads(content) if path.suffix == ".json" and path.name != "tokenizer.json" else None
    except ValueError:
        value = None
    if isinstance(value, dict):
        kept = {key: each for key, each in value.items() if key not in NO_MATTER}
        content = json.dumps(kept, sort_keys=True).encode()
    return xxhash.xxh3_64_hexdigest(content)


def _hash_edges(path: Path) -> str:
    """Return the size of a file and a hash of both its ends."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        edges = files.read_edges(file, size)
    return f"{size}-{xxhash.xxh3_64_hexdigest(b''.join(edges))}"
