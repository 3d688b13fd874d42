"""What the card of a model says, the README.md in its folder: the languages that it was trained on."""

import re
from pathlib import Path
from typing import Any

from curate.reference.checkpoints.model_files import find_model_folder

CARD = "README.md"
FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
CODE = re.compile(r"[a-z]{2}(?:[-_][A-Za-z]+)?")
"""A code of ISO 639-1, perhaps with a region: ``en``, ``pt-BR``. ``multilingual`` and ``code`` are none."""


def read_languages(model: str, revision: str | None = None) -> tuple[str, ...]:
    """Return the languages that the card of a model names, as codes of ISO 639-1, in its order.

    Empty where the model has no folder on this machine, its folder no card, or the card does not say, or says more than
    codes, such as ``multilingual``: what a model reads is then not known.
    """
    folder = find_model_folder(model, revision)
    values = None if folder is None else _read_front_matter(folder / CARD).get("language")
    codes = [value for value in (values if isinstance(values, list) else [values]) if value is not None]
    if not all(isinstance(code, str) and CODE.fullmatch(code) for code in codes):
        return ()
    return tuple(dict.fromkeys(code[:2] for code in codes))


def _read_front_matter(path: Path) -> dict[str, Any]:
    """Return the YAML at the beginning of a card; empty where there is none, or none that can be read."""
    import yaml

    try:
        found = FRONT_MATTER.match(path.read_text(encoding="utf-8", errors="replace"))
        values = yaml.safe_load(found[1]) if found else None
    except (OSError, yaml.YAMLError):
        return {}
    return values if isinstance(values, dict) else {}
