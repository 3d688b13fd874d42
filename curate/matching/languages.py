"""The language of a text, by its character n-grams (py3langid, after Lui and Baldwin 2012, P12-3005).

Only languages of many speakers or of many texts are told apart; of two that are close, such as Danish and Norwegian,
short texts may be taken for the other. Code and text of no language are given to some language all the same, mostly
with a low confidence.
"""

import io
import math
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock, Thread
from types import SimpleNamespace
from typing import Any

KNOWN = (
    "af ar az be bg bn bs ca cs cy da de el en eo es et eu fa fi fr ga gl gu he hi hr hu hy id is it ja ka kk km kn ko "
    "la lt lv mk ml mn mr ms mt my nb ne nl nn no pa pl pt ro ru si sk sl sq sr sv sw ta te th tl tr uk ur vi zh"
)
"""Codes of ISO 639-1; those that the model knows are told apart."""
CHARACTERS = 2_000
"""Characters from the beginning that are looked at: more change nothing."""
ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class Language:
    """What a text is written in."""

    code: str
    """Of ISO 639-1; empty for a text without letters."""
    confidence: float
    """Between 0 and 1."""


NONE = Language("", 0.0)


def identify_language(text: str) -> Language:
    """Return the language of a text, by its first ``CHARACTERS`` characters."""
    text = text[:CHARACTERS]
    if not any(map(str.isalpha, text)):
        return NONE
    with _loading:
        identifier = _load_identifier()
    code, confidence = identifier.classify(text)
    return Language(code, confidence if math.isfinite(confidence) else 0.0)


_loading = Lock()


def begin_loading() -> None:
    """Begin to load the identifier in a thread: half a second for which the first text need not wait."""

    def load() -> None:
        with suppress(Exception), _loading:  # ``identify_language`` raises it again
            _load_identifier()

    Thread(target=load, name="curate-languages", daemon=True).start()


@lru_cache(maxsize=1)
def _load_identifier() -> Any:
    """Return the identifier, loaded without the temporary file of py3langid: the temporary folder may be full."""
    from py3langid import modelio
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    before = modelio.tempfile
    modelio.tempfile = SimpleNamespace(TemporaryFile=lambda **_: io.BytesIO())
    try:
        identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    finally:
        modelio.tempfile = before
    identifier.set_languages([code for code in KNOWN.split() if code in identifier.labels])
    return identifier
