"""How surprised a reference model was by each token of a few texts, for a person to look at.

The numbers are those of ``score``: the nats of a text's tokens add up to the nats of its row. Tokens of a byte-level
tokenizer may split a character; where such tokens lie in a text is said in whole characters, so that
neighbours overlap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.errors import ModelError
from curate.reference.causal import CausalReference
from curate.reference.likelihood import Passage
from curate.reference.packing import WindowPolicy
from curate.reference.protocol import ScoringConfig

SAME = ("weights", "tokenizer")  # of an identity: what makes it the same model


@dataclass(frozen=True, slots=True)
class TokenSurprisal:
    """The scored tokens of a text, in order."""

    spans: NDArray[np.int64]  # N×2, characters: begin, end (excluded)
    nats: NDArray[np.float64]  # N


def load_again(identity: Mapping[str, Any]) -> CausalReference:
    """The reference model that an identity in ``run.json`` speaks of, set to read as it did then.

    ModelError where the model under that name is another one by now, or cannot be loaded.
    """
    from curate.reference.loading import load_causal

    reading = ScoringConfig(
        dtype=identity["dtype"],
        exact=identity["exact"],
        revision=identity["revision"],
        window=identity["window"],
        pack_tokens=identity["pack_tokens"],
    )
    reference = load_causal(identity["model"], reading)
    for name in SAME:
        if reference.identity[name] != identity[name]:
            message = f"{identity['model']} is not the model that scored this run: its {name} differ"
            raise ModelError(message, "bring the old one back, or score again with --restart")
    reference.prefix = identity["prefix"]
    named = ("window", "overlap", "fill_last", "max_tokens")
    policy: dict[str, Any] = {name: identity[name] for name in named}
    reference.policy = WindowPolicy(prefix_each=identity["window_prefix"], **policy)
    return reference


def measure(reference: CausalReference, texts: Sequence[str]) -> list[TokenSurprisal | None]:
    """The nats of each scored token of each text; None for a text without one, or that cannot be scored.

    The first token is scored where the model reads a prefix. ModelError where the tokenizer does not say which
    characters a token stands for.
    """
    prepared = reference.prepare([Passage(text) for text in texts])
    held, known = np.zeros(len(prepared.ids)), np.zeros(len(prepared.ids), np.bool_)
    for pack, nats in reference.read(prepared):
        held[pack.at_N], known[pack.at_N] = nats, True
    scored = held[known]
    ends = np.cumsum(prepared.found.tokens)
    unscored = 0 if reference.prefix is not None else 1
    found: list[TokenSurprisal | None] = []
    for text, many, end in zip(texts, prepared.found.tokens.tolist(), ends.tolist(), strict=True):
        spans = reference.encoder.spans(text) if many else None
        found.append(None if spans is None else TokenSurprisal(spans[unscored:][:many], scored[end - many : end]))
    return found


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """Characters of a text that one token spells, or several that share a character."""

    text: str
    nats: float
    tokens: int


def stretch(text: str, surprise: TokenSurprisal) -> list[TokenSpan]:
    """The text up to its last scored token, in pieces: they join to the text, and their nats to its nats.

    A token's piece begins where the piece before it ended, so that white space which a tokenizer does not count to a
    token goes with the token after it; tokens that overlap, or are empty, are one piece. A beginning of the text that
    was not scored belongs to the first piece.
    """
    found: list[TokenSpan] = []
    begin, end, nats, tokens = 0, 0, 0.0, 0
    for (first, last), own in zip(surprise.spans.tolist(), surprise.nats.tolist(), strict=True):
        if end > begin and first >= end:
            found.append(TokenSpan(text[begin:end], nats, tokens))
            begin, nats, tokens = end, 0.0, 0
        end, nats, tokens = max(end, last), nats + own, tokens + 1
    return [*found, TokenSpan(text[begin:end], nats, tokens)] if tokens else found
