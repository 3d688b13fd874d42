"""A reference whose numbers a serving stack returned: it runs no model, and sums up what stands beside each text."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from curate.errors import UsageError
from curate.reference.likelihood import Likelihoods, Passage
from curate.reference.packing import WindowPolicy
from curate.reference.protocol import ScoringConfig
from curate.reference.served.formats import LogprobsError, parse_logprobs
from curate.reference.served.spelling import SpelledTokens, match_tokens
from curate.runtime.choices import TokenMeasure

NAME = "served"
NAMED = "name:"
"""What a tokenizer begins with that is known by its name alone."""


@dataclass(frozen=True, slots=True)
class ServedPassage(Passage):
    """A text with what a serving stack returned about its tokens."""

    value: Any = None
    """The value of the column, in any of the formats (``formats.py``)."""
    last_turn: str | None = None
    """Of a conversation, the text of its last turn; None of a plain text."""


@dataclass(slots=True)
class ServedModel:
    """A ``ReferenceModel`` that reads ``ServedPassage``; a document that its tokens do not fit is ``unscorable``."""

    identity: dict[str, Any]
    column: str
    parameters: int = 0
    vocab_size: int = 0
    policy: WindowPolicy | None = None
    devices: tuple[str, ...] = ("cpu",)
    check_line: str = ""
    notes: tuple[str, ...] = ()
    num_scored_tokens: int = 0
    num_computed_tokens: int = 0

    def score(
        self,
        passages: Iterable[Sequence[Passage]],
        advance: Callable[[int, float], None] | None = None,
        measures: Collection[TokenMeasure] = (),
    ) -> Iterator[Likelihoods]:
        """Yield the sums of each batch; nothing is measured that needs a model (``measures``)."""
        for batch in passages:
            likelihoods = Likelihoods.blank(len(batch))
            for row, passage in enumerate(batch):
                try:
                    _write_row(likelihoods, row, _match_passage(passage))
                except LogprobsError as error:
                    likelihoods.refuse(row, "unscorable", f"{self.column}: {error}")
            tokens = int(likelihoods.tokens.sum())
            self.num_scored_tokens += tokens
            yield likelihoods
            if advance is not None:
                advance(tokens, 1.0)

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


def _match_passage(passage: Passage) -> SpelledTokens:
    if not isinstance(passage, ServedPassage):
        raise LogprobsError("no value")
    return match_tokens(parse_logprobs(passage.value), passage.target, passage.last_turn)


def _write_row(likelihoods: Likelihoods, row: int, tokens: SpelledTokens) -> None:
    nats = [-logprob + 0.0 for logprob in tokens.logprobs]
    likelihoods.nats[row] = math.fsum(nats)
    likelihoods.tokens[row] = len(nats)
    likelihoods.text_tokens[row] = len(nats) + tokens.skips_first
    likelihoods.scored_bytes[row] = tokens.num_bytes
    likelihoods.windows[row] = 1
    likelihoods.max_nats[row] = max(nats)
    if not tokens.skips_first:
        likelihoods.first_nats[row] = nats[0]


def open_served(config: ScoringConfig) -> ServedModel:
    """Return the reference of the column that a config names.

    Its tokenizer is the one that the config names: the fingerprint of a folder's or of the Hub's, or ``name:`` and a
    name. Raises ModelError where that cannot be loaded.
    """
    column = config.logprobs_field
    assert column is not None
    identity = {
        "model": NAME,
        "logprobs_field": column,
        "tokenizer": identify_tokenizer(config.logprobs_tokenizer),
        "convention": NAME,
        "convention_args": "",
        "device": "cpu",
        "dtype": None,
    }
    return ServedModel(identity, column)


def identify_tokenizer(name: str | None) -> str | None:
    """Return what identifies the tokenizer of served tokens, as identities of models have it; None where it is unknown.

    Raises UsageError for ``name:`` without a name, ModelError where a tokenizer cannot be loaded.
    """
    if name is None:
        return None
    if name.startswith(NAMED):
        if not name.removeprefix(NAMED).strip():
            raise UsageError("--logprobs-tokenizer name: needs a name behind the colon", f"{NAMED}o200k_base")
        return name
    from curate.reference.checkpoints.checkpoint import open_tokenizer
    from curate.reference.checkpoints.tokenizer import TextEncoder

    return TextEncoder(open_tokenizer(name, None, False)).name
