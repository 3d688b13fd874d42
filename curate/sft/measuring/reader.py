"""The reader of a model variant: a reference model with the chat template that examples are rendered by."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from curate.errors import UsageError
from curate.reference.protocol import ScoringConfig
from curate.runtime.calls import repeat_command
from curate.sft.chat_template.choose import choose_template
from curate.sft.chat_template.loss_mask import ChatEncoder
from curate.sft.examples import Which
from curate.sft.measuring.responses import ResponseReader


@dataclass(frozen=True, slots=True)
class ModelVariant:
    """A base model and the choice of a template to render examples with."""

    model: str
    """A local folder, a Hub id, or ``builtin``."""
    template: str
    """auto, trl, plain, chatml, or the path of a Jinja file."""


@dataclass(frozen=True, slots=True)
class RankingOptions:
    """Options of a ranking that hold for all its datasets."""

    turns: Which = "all"
    """Which assistant turns are scored."""
    end_of_turn: bool = True
    """Whether the control token that ends an answer is scored too."""
    sample: int | None = 1000
    """Examples drawn of each dataset; None: all."""
    seed: int = 0
    """The seed of the samples and of the bootstrap."""
    draws: int = 1000
    """Bootstrap draws."""
    by: str = "perplexity"
    """The name of the measure that ranks."""
    overlap: int | None = None
    """Tokens that a later window re-reads; None: half the window."""
    apart: bool = True
    """Whether datasets in a language that the base does not read are ranked apart."""
    set_aside: bool = True
    """Whether datasets that repeat their answers are left without a rank."""


def list_variants(model: str, models: str | None, template: str) -> list[ModelVariant]:
    """Return every base model with every template, each pair once, those of the first model first.

    ``models`` and ``template`` are names with commas. ``model`` is left out where it is the default and ``models``
    names others. Raises UsageError for the model ``none``, which measures nothing.
    """
    named = [name.strip() for name in (models or "").split(",") if name.strip()]
    if model != "builtin" or not named:
        named = [model, *named]
    if "none" in named:
        raise UsageError("--model none measures nothing, and a ranking needs a base model", _without_none(named))
    templates = [name.strip() for name in template.split(",") if name.strip()] or ["auto"]
    return [ModelVariant(name, kind) for name in dict.fromkeys(named) for kind in dict.fromkeys(templates)]


def _without_none(named: Sequence[str]) -> str:
    """Return the command under way with the models that are named, but for ``none``."""
    kept = [name for name in named if name != "none"]
    return repeat_command("rank_sft", model=kept[0] if kept else None, models=",".join(kept[1:]) or None)


def open_reader(variant: ModelVariant, reading: ScoringConfig, options: RankingOptions) -> ResponseReader:
    """Load a base model with its self-check, choose its template, and set the windows that answers are read in.

    A window re-reads half of the previous one unless ``options.overlap`` says otherwise: an answer that is cut from its
    question would be measured as if it had none. Raises UsageError for an overlap outside 0 … window − 1, and what
    ``choose_template`` and ``ChatEncoder`` raise.
    """
    from curate.reference.checkpoints.checkpoint import open_tokenizer
    from curate.reference.loading import load_causal

    reference = load_causal(variant.model, reading)
    tokenizer = open_tokenizer(variant.model, reading.revision, reading.trust_remote_code)
    template = choose_template(tokenizer, variant.template, options.end_of_turn, variant.model)
    window = reference.policy.window
    overlap = window // 2 if options.overlap is None else options.overlap
    if not 0 <= overlap < window:
        message = f"--overlap must be from 0 to {window - 1} (the window less one), not {overlap}"
        raise UsageError(message, repeat_command("rank_sft", overlap=None))
    reference.policy = replace(reference.policy, overlap=overlap)
    reference.identity |= {"overlap": reference.policy.overlap}
    return ResponseReader(reference, template, ChatEncoder(tokenizer), options.turns)
