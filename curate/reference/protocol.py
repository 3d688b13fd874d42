"""The interface of every reference model, and the options that change what it measures.

reference = load("builtin", ScoringConfig(max_tokens=512))
for likelihoods in reference.score([[Passage("To be, or not to be")]]):
    print(likelihoods.nats, likelihoods.tokens)
reference.close()
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from curate.errors import UsageError
from curate.reference.conventions.arguments import parse_arguments
from curate.reference.likelihood import Likelihoods, Passage
from curate.reference.packing import WindowPolicy
from curate.runtime.choices import Compile, Convention, Dtype, Prefix, TokenMeasure, check_choice, choices_of


class ReferenceModel(Protocol):
    """A model that scores text, as its callers see it: everything that they use is listed here.

    ``load`` returns one. ``CausalReference`` runs on one device, ``MultiDeviceReference`` on several, ``NoModel``
    measures nothing, and ``ServedModel`` sums what a serving stack returned.
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
        self,
        passages: Iterable[Sequence[Passage]],
        advance: Callable[[int, float], None] | None = None,
        measures: Collection[TokenMeasure] = (),
    ) -> Iterator[Likelihoods]:
        """Yield the likelihoods of each batch of passages, in order; they do not depend on how texts are batched.

        ``advance(tokens, share)`` is called as the work goes on, with the tokens scored since the last call and their
        share of the batch, in (0, 1]. ``measures`` are measured of the tokens as well (``Likelihoods.sums``).
        """

    def close(self) -> None:
        """Release what the model holds, such as processes. Scoring afterwards is not allowed; closing twice is."""


@dataclass(frozen=True, slots=True)
class ScoringConfig:
    """How a model scores: everything that changes what the numbers mean, or their last digits.

    Raises UsageError for a choice that is unknown, a number out of range, and options that do not go together.
    """

    dtype: Dtype = "auto"
    """The dtype of weights and activations; ``auto``: bf16 where the device multiplies it fast."""
    exact: bool = False
    """Run in fp32 and never compile."""
    device: str = "auto"
    """``auto`` or a torch device, such as ``cpu`` or ``cuda:1``."""
    prefix: Prefix = "auto"
    """The token in front of every text; ``auto``: BOS where the tokenizer has one, else EOS."""
    window: int | None = None
    """Input tokens of a forward pass over a text, at least 1; None: as many as the model can read."""
    overlap: int = 0
    """Tokens that a later window re-reads without scoring them; fewer than ``window``."""
    window_prefix: bool = False
    """Put the prefix token in front of every window, not only of the first."""
    max_tokens: int | None = None
    """Score only so many tokens of a text, from its beginning, at least 1; None: all of them."""
    convention: Convention = "curate"
    """The tool whose numbers to reproduce; any but ``curate`` sets prefix and overlap."""
    convention_args: str = ""
    """Settings of that tool, ``name=value`` with commas (``conventions.arguments``)."""
    padded_to: int | None = None
    """Tokens of the longest text, as far as the model reads it; ``evaluate`` pads to it where a tokenizer pads on the
    left. None: texts are not padded."""
    pack_tokens: int | None = None
    """Tokens of a pack, which is one forward pass, at least 1; None: chosen for the model and the device."""
    revision: str | None = None
    """The revision of a Hub model."""
    trust_remote_code: bool = False
    """Allow a Hub model to run its code."""
    compiled: Compile = "off"
    """Whether to compile the model; ``auto``: on CUDA where there is enough text to repay the wait."""
    logprobs_field: str | None = None
    """The column with the log probabilities that a serving stack returned, taken instead of a model's; None: a model
    runs."""
    logprobs_tokenizer: str | None = None
    """The tokenizer of those: a folder, a Hub id, or ``name:`` and a name; None where it is not known."""
    text_bytes: int = 0
    """How much text there is to score, as far as it is known. Only ``compiled="auto"`` uses it."""

    def __post_init__(self) -> None:
        check_choice("--dtype", self.dtype, choices_of(Dtype))
        check_choice("--prefix", self.prefix, choices_of(Prefix))
        check_choice("--convention", self.convention, choices_of(Convention))
        check_choice("--compile", self.compiled, choices_of(Compile))
        parse_arguments(self.convention, self.convention_args)
        _check_numbers(self)
        _check_combinations(self)


def _check_numbers(config: ScoringConfig) -> None:
    """Raise UsageError for a number that no model could take; ``choose_policy`` checks those that a model limits."""
    numbers = {"window": config.window, "truncate": config.max_tokens, "pack-tokens": config.pack_tokens}
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise UsageError(f"--{name} must be at least 1, not {value}", f"leave --{name} out for the default")
    if config.overlap < 0:
        raise UsageError(f"--overlap must be at least 0, not {config.overlap}", "--overlap 0")
    if config.window is not None:
        check_overlap(config.overlap, config.window)


def check_overlap(overlap: int, window: int) -> None:
    """Raise UsageError where a window does not read more tokens than it shares with the one before it."""
    if overlap >= window:
        message = f"--overlap must be from 0 to {window - 1} (--window less one), not {overlap}"
        raise UsageError(message, "--overlap 0")


def _check_combinations(config: ScoringConfig) -> None:
    """Raise UsageError for options that do not go together."""
    if config.exact and config.compiled == "on":
        raise UsageError("--exact never compiles the model; it cannot go with --compile on", "leave one of them out")
    if config.exact and config.dtype not in ("auto", "fp32"):
        raise UsageError(f"--exact means fp32; it cannot go with --dtype {config.dtype}", "leave one of them out")
    set_by_convention = config.overlap or config.window_prefix or config.prefix != "auto"
    if config.convention != "curate" and set_by_convention:
        message = f"--convention {config.convention} sets the prefix and the overlap"
        raise UsageError(message, "leave out --prefix, --overlap and --window-prefix, or the convention")
    if config.convention == "evaluate" and config.max_tokens is not None:
        raise UsageError("--convention evaluate truncates to the window", "set --window instead of --truncate")
    if config.window_prefix and config.prefix == "none":
        raise UsageError("--window-prefix needs a prefix token, and --prefix none forbids it", "leave one of them out")
