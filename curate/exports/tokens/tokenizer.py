"""A tokenizer without its model, for writing token ids."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.errors import ModelError
from curate.reference.checkpoints.checkpoint import BUILTIN, builtin_folder, silence_transformers
from curate.reference.checkpoints.tokenizer import TextEncoder

HINT = "--tokenizer takes a folder with tokenizer.json, a Hub id, or builtin"


@dataclass(frozen=True, slots=True)
class TokenizerOnly:
    """A tokenizer, and what a reader of its ids must know."""

    encoder: TextEncoder
    name: str
    """The name that the user gave; of a local folder only its last part, since a manifest may be published."""
    size: int
    """One more than the largest id."""
    eos: int | None
    """The id of the end-of-text token, if it has one."""
    eos_text: str | None


def load_tokenizer(name: str) -> TokenizerOnly:
    """Return the tokenizer of a local folder, a Hub id, or ``builtin``. Raises ModelError where it cannot be loaded."""
    source = str(builtin_folder()) if name == BUILTIN else name
    is_path = name[:1] in ("/", ".", "~") or (os.sep in name and Path(name).parent.is_dir())
    if is_path and not Path(source).exists():
        raise ModelError(f"there is no folder {name}", HINT)
    tokenizer = _load(source)
    ids = [int(index) for index in tokenizer.get_vocab().values()]
    size = max([*ids, len(tokenizer) - 1]) + 1
    shown = name if not Path(source).is_dir() or name == BUILTIN else Path(source).resolve().name
    eos = tokenizer.eos_token_id
    return TokenizerOnly(TextEncoder(tokenizer), shown, size, None if eos is None else int(eos), tokenizer.eos_token)


def _load(source: str) -> Any:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    file = Path(source) / "tokenizer.json"
    with silence_transformers():
        try:
            if file.exists() and not (Path(source) / "tokenizer_config.json").exists():
                return PreTrainedTokenizerFast(tokenizer_file=str(file))
            return AutoTokenizer.from_pretrained(source)
        except (OSError, ValueError, KeyError, ImportError, TypeError, json.JSONDecodeError) as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ModelError(f"tokenizer {source}: it cannot be loaded: {first}", HINT) from error
