"""A tokenizer alone, without its model: for writing token ids."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.errors import ModelError
from curate.reference.checkpoint import BUILTIN, builtin_folder, quiet
from curate.reference.tokenizer import TextEncoder

HINT = "--tokenizer takes a folder with tokenizer.json, a Hub id, or builtin"


@dataclass(frozen=True, slots=True)
class TokenizerOnly:
    """A tokenizer with what a reader of its ids must know."""

    encoder: TextEncoder
    name: str
    """What the user called it; of a local folder its last part, for a manifest may be published."""
    size: int
    """One more than the largest id."""
    eos: int | None
    eos_text: str | None


def open_vocabulary(name: str) -> TokenizerOnly:
    """The tokenizer of a local folder, a Hub id, or ``builtin``. ModelError where it cannot be loaded."""
    place = str(builtin_folder()) if name == BUILTIN else name
    meant = name[:1] in ("/", ".", "~") or (os.sep in name and Path(name).parent.is_dir())
    if meant and not Path(place).exists():
        raise ModelError(f"there is no folder {name}", HINT)
    tokenizer = _load(place)
    known = [int(at) for at in tokenizer.get_vocab().values()]
    size = max([*known, len(tokenizer) - 1]) + 1
    shown = name if not Path(place).is_dir() or name == BUILTIN else Path(place).resolve().name
    eos = tokenizer.eos_token_id
    return TokenizerOnly(TextEncoder(tokenizer), shown, size, None if eos is None else int(eos), tokenizer.eos_token)


def _load(place: str) -> Any:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    alone = Path(place) / "tokenizer.json"
    with quiet():
        try:
            if alone.exists() and not (Path(place) / "tokenizer_config.json").exists():
                return PreTrainedTokenizerFast(tokenizer_file=str(alone))
            return AutoTokenizer.from_pretrained(place)
        except (OSError, ValueError, KeyError, ImportError, TypeError, json.JSONDecodeError) as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ModelError(f"tokenizer {place}: it cannot be loaded: {first}", HINT) from error
