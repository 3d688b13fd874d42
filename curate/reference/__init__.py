"""Reference models: the models that read a corpus and say how surprised they were.

One seam: ``ReferenceModel``. ``load`` gives one for a name: ``builtin``, a local folder, or a Hub id; for ``none`` one
that measures nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from curate.likelihood import Likelihoods, Passage

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
class Reading:
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


def load(model: str, reading: Reading | None = None, devices: str | None = None) -> ReferenceModel:
    """Load a reference model, check it against itself, and settle how it is run.

    ``devices``, such as ``0,1`` or ``all``, reads on several at once, each in a process of its own; such a reference
    has a ``close`` that ends them. Raises ModelError where the model cannot be loaded or trusted, UsageError for a
    reading that means nothing.
    """
    from curate.reference.census import NAME, Census

    if model == NAME:
        return Census()
    if devices is not None:
        from curate.reference.fleet import load_fleet, name_devices

        return load_fleet(model, reading or Reading(), name_devices(devices))
    from curate.reference.loading import load_causal

    return load_causal(model, reading or Reading())
