"""The surprisal of each token of a few texts, to show to a user.

The numbers are those of ``score``: the nats of a text's tokens add up to the nats of its row. Tokens of a byte-level
tokenizer may split a character; their spans are counted in complete characters, so that neighbours overlap.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.errors import ModelError
from curate.reference.causal import CausalReference
from curate.reference.checks.self_check import run_rows
from curate.reference.conventions.framing import TextFrame
from curate.reference.forward_pass import batches
from curate.reference.likelihood import Likelihoods, Passage
from curate.reference.loading import load_causal
from curate.reference.packing import WindowPolicy
from curate.reference.protocol import ScoringConfig
from curate.reference.served.model import NAME as SERVED
from curate.runtime.arrays import Float64Array, Int64Array
from curate.runtime.choices import TokenMeasure

SAME = ("weights", "files", "tokenizer")  # the keys of an identity that make it the same model


@dataclass(frozen=True, slots=True)
class TokenSurprisal:
    """The scored tokens of a text, in order. N tokens."""

    spans: Int64Array
    """N×2 in characters: begin, end (excluded)."""
    nats: Float64Array
    """N."""


def reload_reference(identity: Mapping[str, Any]) -> CausalReference:
    """Load the reference model of an identity in ``run.json`` and return it, set to score as it did then.

    Raises ModelError where the model of that name has changed since, or cannot be loaded.
    """
    if identity["model"] == SERVED:
        message = "these numbers were served: which model gave them is not known, so that it cannot read a text again"
        raise ModelError(message, "curate score CORPUS --model NAME --run OTHER scores the same texts with a model")
    config = ScoringConfig(
        dtype=identity["dtype"],
        exact=identity["exact"],
        revision=identity["revision"],
        window=identity["window"],
        pack_tokens=identity["pack_tokens"],
    )
    reference = load_causal(identity["model"], config)
    for name in SAME:
        if name in identity and reference.identity[name] != identity[name]:  # earlier versions wrote fewer
            message = f"{identity['model']} is not the model that scored this run: its {name} differ"
            raise ModelError(message, "restore the model that scored it, or score again with --restart")
    reference.prefix = identity["prefix"]
    reference.policy = WindowPolicy.from_identity(identity)
    reference.frame = TextFrame.from_identity(identity)
    if reference.frame.control_tokens:
        reference.encoder = reference.encoder.obeying_control_tokens()
    if reference.frame.padded_to is not None:
        run_rows(reference.runner)
    return reference


def measure_surprisal(reference: CausalReference, texts: Sequence[str]) -> list[TokenSurprisal | None]:
    """Return the nats of each scored token of each text; None for a text without one, or that cannot be scored.

    The first token is scored where the model reads a prefix. Raises ModelError where the tokenizer cannot map tokens
    to characters.
    """
    return _measure(reference, texts)[1]


def measure_passages(
    reference: CausalReference, texts: Sequence[str], measures: Collection[TokenMeasure] = ()
) -> tuple[Likelihoods, list[list["TokenSpan"]]]:
    """Return the likelihoods of some texts, as ``score`` gives them, and the spans of each with their nats.

    A first token that was not scored is in no span. A text that cannot be scored has no span, nor has one whose
    tokenizer cannot map tokens to characters.
    """
    likelihoods, surprisals = _measure(reference, texts, True, measures)
    return likelihoods, [
        []
        if found is None or likelihoods.status[row] != "ok"
        else cut_spans(texts[row], found, 0 if reference.prefix is not None else int(found.spans[0, 0]))
        for row, found in enumerate(surprisals)
    ]


def _measure(
    reference: CausalReference, texts: Sequence[str], lenient: bool = False, measures: Collection[TokenMeasure] = ()
) -> tuple[Likelihoods, list[TokenSurprisal | None]]:
    prepared = reference.prepare([Passage(text) for text in texts], measures)
    nats, known = np.zeros(len(prepared.ids)), np.zeros(len(prepared.ids), np.bool_)
    for pack, nats_N in reference.read(prepared):
        nats[pack.at_N], known[pack.at_N] = nats_N, True
    likelihoods = batches.finish_batch(prepared)
    surprisals: list[TokenSurprisal | None] = []
    assert prepared.texts is not None
    for text, (begin, end) in zip(texts, prepared.texts.tolist(), strict=True):
        locates = end > begin and (reference.encoder.locates_tokens or not lenient)
        is_scored = known[begin:end]
        spans = reference.encoder.spans(text)[: end - begin][is_scored] if locates else None
        surprisals.append(None if spans is None else TokenSurprisal(spans, nats[begin:end][is_scored]))
    return likelihoods, surprisals


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """Characters of a text that one token spells, or several that share a character."""

    text: str
    nats: float
    """The sum of its tokens."""
    tokens: int
    """How many tokens it has."""
    start: int = 0
    """Characters of the text before it."""

    @property
    def end(self) -> int:
        """Characters of the text up to its last."""
        return self.start + len(self.text)


def cut_spans(text: str, surprisal: TokenSurprisal, start: int = 0) -> list[TokenSpan]:
    """Return the text up to its last scored token, cut into spans that join to the text; their nats add up to its nats.

    A span begins where the one before it ended, so that white space which a tokenizer does not count to a token goes
    with the token after it. Tokens that overlap, or are empty, share a span. A beginning of the text that was not
    scored belongs to the first span, unless ``start`` is where that span begins. No scored token, no span.
    """
    spans: list[TokenSpan] = []
    begin, end, nats, tokens = start, start, 0.0, 0
    for (first, last), token_nats in zip(surprisal.spans.tolist(), surprisal.nats.tolist(), strict=True):
        if end > begin and first >= end:
            spans.append(TokenSpan(text[begin:end], nats, tokens, begin))
            begin, nats, tokens = end, 0.0, 0
        end, nats, tokens = max(end, last), nats + token_nats, tokens + 1
    return [*spans, TokenSpan(text[begin:end], nats, tokens, begin)] if tokens else spans


def rank_spans(spans: Sequence[TokenSpan], most: int) -> list[TokenSpan]:
    """Return the most surprising spans, at most ``most``, the most surprising first; ties stay in order."""
    return sorted(spans, key=lambda span: -span.nats)[:most]
