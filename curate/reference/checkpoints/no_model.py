"""A reference without a model: documents are counted and hashed, and nothing is measured.

For a corpus that is decontaminated, deduplicated and exported without a perplexity, on a machine of any kind.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from curate.reference.likelihood import Likelihoods, Passage
from curate.reference.packing import WindowPolicy
from curate.runtime.choices import TokenMeasure

NAME = "none"


@dataclass(slots=True)
class NoModel:
    """A ``ReferenceModel`` that reads nothing: the status of every text is ``ok``, every number is null."""

    identity: dict[str, Any] = field(
        default_factory=lambda: {"model": NAME, "tokenizer": None, "device": "cpu", "dtype": None}
    )
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
        """Yield a blank row for each passage, batch by batch; ``advance(0, 0.0)`` is called after each batch."""
        for batch in passages:
            yield Likelihoods.blank(len(batch))
            if advance is not None:
                advance(0, 0.0)

    def close(self) -> None:
        """Do nothing: there is nothing to release."""
