"""Names of people, found by a model for named entities: Presidio with spaCy, from the extra ``pii``.

A model finds most names and not all, takes some other words for names, and finds more in its own language. Nothing is
downloaded: where no spaCy model is installed the error names the command that installs one.
"""

from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any, Protocol

from curate.errors import UsageError

MODELS = ("en_core_web_lg", "en_core_web_md", "en_core_web_sm", "xx_ent_wiki_sm")
"""spaCy models of which the first that is installed is taken where none is named."""
INSTALL = "pip install 'curate[pii]'"
DOWNLOAD = "python -m spacy download"
ENTITY = "PERSON"
"""Presidio's name for names of people."""
CHUNK = 100_000
"""Characters that a model reads at once, up to a space; spaCy refuses a million."""


class NameEngine(Protocol):
    """What finds names in a text."""

    def find(self, text: str) -> list[tuple[int, int]]:
        """Return the characters [start, end) of names of people in a text of at most ``CHUNK`` characters."""


class PresidioEngine:
    """Presidio's analyzer with one spaCy model, asked for names alone."""

    def __init__(self, model: str):
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import NlpEngineProvider
        from presidio_analyzer.predefined_recognizers import SpacyRecognizer

        language = model.split("_")[0]
        models = [{"lang_code": language, "model_name": model}]
        engine = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models}).create_engine()
        registry = RecognizerRegistry(supported_languages=[language])
        registry.add_recognizer(SpacyRecognizer(supported_language=language, supported_entities=[ENTITY]))
        self._analyzer: Any = AnalyzerEngine(nlp_engine=engine, registry=registry, supported_languages=[language])
        self._language = language

    def find(self, text: str) -> list[tuple[int, int]]:
        """Return the characters [start, end) of names."""
        found = self._analyzer.analyze(text, language=self._language, entities=[ENTITY])
        return sorted((one.start, one.end) for one in found)


def find_names(text: str, model: str | None) -> Iterator[tuple[int, int]]:
    """Yield the characters [start, end) of names of people. Raises UsageError as ``open_engine`` does."""
    engine, begin = open_engine(model), 0
    while begin < len(text):
        end = _find_chunk_end(text, begin)
        for first, last in engine.find(text[begin:end]):
            yield begin + first, begin + last
        begin = end


def _find_chunk_end(text: str, begin: int) -> int:
    """Return where the chunk that begins at ``begin`` ends: behind its last line, else behind its last word."""
    if len(text) - begin <= CHUNK:
        return len(text)
    cut = max(text.rfind("\n", begin + CHUNK // 2, begin + CHUNK), -1)
    cut = cut if cut >= 0 else text.rfind(" ", begin + CHUNK // 2, begin + CHUNK)
    return cut + 1 if cut >= 0 else begin + CHUNK


@cache
def open_engine(model: str | None) -> NameEngine:
    """Return what finds names with a spaCy model, None for the first of ``MODELS`` that is installed.

    Raises UsageError where Presidio or the model is not installed.
    """
    return PresidioEngine(choose_model(model))


def choose_model(model: str | None) -> str:
    """Return the spaCy model to find names with. Raises UsageError where Presidio or the model is not installed."""
    if find_spec("presidio_analyzer") is None or find_spec("spacy") is None:
        raise UsageError("--redact presidio: presidio-analyzer is not installed", INSTALL)
    if model is not None:
        if find_spec(model) is None:
            raise UsageError(f"--redact presidio:{model}: this spaCy model is not installed", f"{DOWNLOAD} {model}")
        return model
    found = next((name for name in MODELS if find_spec(name) is not None), None)
    if found is None:
        message = f"--redact presidio: no spaCy model is installed ({', '.join(MODELS)}, or presidio:MODEL)"
        raise UsageError(message, f"{DOWNLOAD} {MODELS[2]}")
    return found
