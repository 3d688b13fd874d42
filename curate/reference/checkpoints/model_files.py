"""What a model is before it is loaded: its name, and a cheap fingerprint of each file that its numbers depend on.

Scores are recorded with it, so that another model, or one whose files have changed, is refused by the name of the file
and before anything is loaded. Nothing here imports torch.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xxhash

from curate.runtime import files

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
NO_MATTER = ("transformers_version", "_name_or_path", "chat_template", "torch_dtype", "dtype")
"""Keys of JSON files on which no number depends: what saving a model again writes, and what only chats use."""


def describe_model(name: str, revision: str | None = None) -> dict[str, Any]:
    """Return the identity of a model as far as it can be known without loading it, JSON-able.

    ``name`` is the name as given, a folder's as an absolute path. Of a local folder and of ``builtin``, ``files`` has a
    fingerprint of each file by its name; of a model on the Hub there is the ``revision`` that was asked for.
    """
    folder = Path(__file__).parent.parent / name if name == "builtin" else Path(name)
    if name == "none" or not folder.is_dir():
        return {"name": name, **({"revision": revision} if revision is not None else {})}
    weights = sorted(path for pattern in WEIGHT_PATTERNS for path in folder.glob(pattern))
    texts = [folder / file for file in ("config.json", *TOKENIZER_FILES) if (folder / file).is_file()]
    files = {path.name: _hash_edges(path) for path in weights} | {path.name: _hash_text(path) for path in texts}
    return {"name": name if name == "builtin" else str(folder.resolve()), "files": files}


def list_differing_files(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str] | None:
    """Return the names of the files in which two models differ; none for one model, None where files cannot tell.

    ``before`` and ``now`` are what ``describe_model`` returned. Where only one of them has files, they are two models.
    """
    if "files" not in before or "files" not in now:
        return [] if dict(before) == dict(now) else None
    old, new = before["files"], now["files"]
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


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
