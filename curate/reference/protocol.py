"""The interface of every reference model, and the options that change what it measures.

reference = load("builtin", ScoringConfig(max_tokens=512))
for likelihoods in reference.score([[Passage("To be, or not to be")]]):
    print(likelihoods.nats, likelihoods.tokens)
reference.close()
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from curate.reference.likelihood import Likelihoods, Passage
from curate.reference.packing import WindowPolicy

CONVENTIONS = ("curate", "lm-eval", "evaluate", "hf-guide")
HF_GUIDE_STRIDE = 512  # https://huggingface.co/docs/transformers/perplexity


class ReferenceModel(Protocol):
    """A model that scores text, as its callers see it: everything that they use is listed here.

    ``load`` returns one. ``CausalReference`` runs on one device, ``MultiDeviceReference`` on several, and ``NoModel``
    measures nothing.
    """

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that the numbers depend on, JSON-able: it goes into the provenance of every table.

        It has at least ``model``, ``tokenizer``, ``device`` (``cpu``, ``cuda`` or ``mps``) and ``dtype``.
        """

    @property
    def parameters(self) -> int:
        """The number of weights; 0 where nothing is measured. It sizes the slices of a corpus."""

    @property
    def vocab_size(self) -> int:
        """The number of token ids that the model can read: ids are below it. 0 where nothing is measured."""

    @property
    def policy(self) -> WindowPolicy | None:
        """How a text that is longer than the model reads is cut; None where nothing is measured."""

    @property
    def devices(self) -> tuple[str, ...]:
        """The names of the devices that score, such as ``("cuda:0", "cuda:1")``."""

    @property
    def check_line(self) -> str:
        """What the self-check at load measured, in one line; empty where nothing was checked."""

    @property
    def notes(self) -> Sequence[str]:
        """What a user should know about how the model runs, a line each; such as why it was not compiled."""

    @property
    def num_scored_tokens(self) -> int:
        """Tokens scored since the model was loaded."""

    @property
    def num_computed_tokens(self) -> int:
        """Positions that the forward passes since then computed, padding and unscored tokens included."""

    def score(
        self, passages: Iterable[Sequence[Passage]], advance: Callable[[int, float], None] | None = None
    ) -> Iterator[Likelihoods]:
        """Yield the likelihoods of each batch of passages, in order; they do not depend on how texts are batched.

        ``advance(tokens, share)`` is called as the work goes on, with the tokens scored since the last call and their
        share of the batch, in (0, 1].
        """

    def close(self) -> None:
        """Release what the model holds, such as processes. Scoring afterwards is not allowed; closing twice is."""


@dataclass(frozen=True, slots=True)
class ScoringConfig:
    """How a model scores: everything that changes what the numbers mean, or their last digits."""

    dtype: str = "auto"
    """``auto``, ``fp32``, ``bf16`` or ``fp16``."""
    exact: bool = False
    """Run in fp32 and never compile."""
    device: str = "auto"
    """``auto`` or a torch device, such as ``cpu`` or ``cuda:1``."""
    prefix: str = "auto"
    """The token in front of every text: ``auto``, ``bos``, ``eos`` or ``none``."""
    window: int | None = None
    """Input tokens of a forward pass over a text; None: as many as the model can read."""
    overlap: int = 0
    """Tokens that a later window re-reads without scoring them."""
    window_prefix: bool = False
    """Put the prefix token in front of every window, not only of the first."""
    max_tokens: int | None = None
    """Score only so many tokens of a text, from its beginning; None: all of them."""
    convention: str = "curate"
    """Whose numbers to reproduce, one of ``CONVENTIONS``."""
    pack_tokens: int | None = None
    """Tokens of a pack, which is one forward pass; None: chosen for the model and the device."""
    revision: str | None = None
    """The revision of a Hub model."""
    trust_remote_code: bool = False
    """Allow a Hub model to run its code."""
    compiled: str = "off"
    """``on``, ``off`` or ``auto``: compile on CUDA where there is enough text to repay the wait."""
    text_bytes: int = 0
    """How much text there is to score, as far as it is known. Only ``compiled="auto"`` uses it."""
