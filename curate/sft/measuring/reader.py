"""The reader of a variant: a reference model with the chat template it reads under."""

from dataclasses import dataclass, replace

from curate.errors import UsageError
from curate.reference.protocol import ScoringConfig
from curate.sft.examples import Which
from curate.sft.measuring.responses import ResponseReader


@dataclass(frozen=True, slots=True)
class ModelVariant:
    """A base model, and the template that conversations are put before it in."""

    model: str
    template: str


@dataclass(frozen=True, slots=True)
class RankingOptions:
    """What is asked of every dataset."""

    turns: Which = "all"
    end_of_turn: bool = True
    sample: int | None = 1000
    """Examples of a dataset; None: all."""
    seed: int = 0
    draws: int = 1000
    by: str = "perplexity"
    overlap: int | None = None
    """Tokens that a later window re-reads; None: half the window."""


def open_reader(variant: ModelVariant, reading: ScoringConfig, wanted: RankingOptions) -> ResponseReader:
    """The base model, checked against itself, with its template and the windows that answers are read in.

    A window re-reads half of the one before it unless the user says otherwise: an answer that is cut from its question
    would be measured as if it had none.
    """
    from curate.reference.checkpoint import open_tokenizer
    from curate.reference.loading import load_causal
    from curate.sft.chat_template.choose import choose_template
    from curate.sft.chat_template.loss_mask import ChatEncoder

    reference = load_causal(variant.model, reading)
    tokenizer = open_tokenizer(variant.model, reading.revision, reading.trust_remote_code)
    template = choose_template(tokenizer, variant.template, wanted.end_of_turn, variant.model)
    window = reference.policy.window
    overlap = window // 2 if wanted.overlap is None else wanted.overlap
    if not 0 <= overlap < window:
        raise UsageError(f"--overlap {overlap} must be from 0 to the window less one, {window - 1}")
    reference.policy = replace(reference.policy, overlap=overlap)
    reference.identity |= {"overlap": reference.policy.overlap}
    return ResponseReader(reference, template, ChatEncoder(tokenizer), wanted.turns)
