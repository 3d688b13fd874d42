"""What every reference model offers to its callers, and how it is told to read."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from curate.reference.likelihood import Likelihoods, Passage

CONVENTIONS = ("curate", "lm-eval", "evaluate", "hf-guide")
HF_GUIDE_STRIDE = 512  # https://huggingface.co/docs/transformers/perplexity


class ReferenceModel(Protocol):
    """What reads text: an identity that goes into every table's provenance, and one method.

    ``score`` takes batches of passages and gives a batch of likelihoods for each, in order, independent of how they
    were batched. ``parameters`` sizes the work; ``tokens`` and ``places`` say how much was scored and computed.
    """

    identity: dict[str, Any]
    parameters: int
    tokens: int
    places: int

    def score(
        self, passages: Iterable[Sequence[Passage]], advance: Callable[[int, float], None] | None = None
    ) -> Iterator[Likelihoods]: ...


@dataclass(frozen=True, slots=True)
class ScoringConfig:
    """How a model is to read: everything that changes what the numbers mean, or their last digits."""

    dtype: str = "auto"  # auto | fp32 | bf16 | fp16
    exact: bool = False
    device: str = "auto"
    prefix: str = "auto"  # auto | bos | eos | none
    window: int | None = None  # None: what the model can read
    overlap: int = 0
    window_prefix: bool = False
    max_tokens: int | None = None
    convention: str = "curate"
    pack_tokens: int | None = None
    revision: str | None = None
    trust_remote_code: bool = False
    compiled: str = "off"  # auto | on | off; auto: where the text is enough to be worth the wait
    text_bytes: int = 0  # how much text there is to read, as far as it is known; only ``auto`` asks
