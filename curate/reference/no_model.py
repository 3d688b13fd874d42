"""No model at all: documents are counted and hashed, and no number of theirs is measured.

For a corpus that is to be decontaminated, deduplicated and exported without a perplexity, on a machine of any kind.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from curate.reference.likelihood import Likelihoods, Passage

NAME = "none"


@dataclass(slots=True)
class NoModel:
    """A reference that reads nothing: every text is ``ok``, every number is null."""

    identity: dict[str, Any] = field(
        default_factory=lambda: {"model": NAME, "tokenizer": None, "device": "cpu", "dtype": None}
    )
    parameters: int = 0
    tokens: int = 0
    places: int = 0

    def score(
        self, passages: Iterable[Sequence[Passage]], advance: Callable[[int, float], None] | None = None
    ) -> Iterator[Likelihoods]:
        for batch in passages:
            yield Likelihoods.blank(len(batch))
            if advance is not None:
                advance(0, 0.0)
