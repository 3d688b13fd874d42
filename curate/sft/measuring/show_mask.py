"""``--show-mask``: examples as the model reads them, with the scored part marked, before anything is measured."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from curate.errors import ModelError

if TYPE_CHECKING:
    from curate.reference.protocol import ScoringConfig
    from curate.runtime.redaction import Redactor
    from curate.sft.chat_template.loss_mask import ChatEncoder
    from curate.sft.chat_template.render import ChatTemplate
    from curate.sft.datasets import DrawnExample, InstructionSet
    from curate.sft.examples import Which
    from curate.sft.measuring.reader import ModelVariant, RankingOptions


@dataclass(frozen=True, slots=True)
class Masked:
    """One example with ⟦…⟧ around the scored part."""

    name: str
    """The name of the dataset."""
    place: str
    """``FILE, row N``."""
    text: str
    """Empty where the example cannot be rendered."""
    scored: int
    """Tokens that are scored."""
    read: int
    """Tokens of the rendering."""
    notes: tuple[str, ...]
    """Changes that the template made to the conversation."""
    reason: str | None
    """Why the example cannot be scored."""
    audit: str | None
    """How far the template's ``{% generation %}`` mask agrees; None where it has none."""


@dataclass(frozen=True, slots=True)
class Masks:
    """The output of ``curate rank-sft --show-mask``."""

    template: str
    """The name of the template."""
    source: str
    """The Jinja of the template."""
    examples: tuple[Masked, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON."""
        return asdict(self)

    def render(self) -> str:
        """Return the text for a terminal."""
        from curate.runtime.text import fold_whitespace

        lines = [f"template   {fold_whitespace(self.template)}"]
        for masked in self.examples:
            where = f"{fold_whitespace(masked.name)}   {fold_whitespace(masked.place)}"
            lines += ["", f"{where}   {masked.scored:,} of {masked.read:,} tokens are scored"]
            if masked.reason:
                lines.append(f"  not scored: {fold_whitespace(masked.reason)}")
            lines += [f"  {line}" for line in masked.text.split("\n")] if masked.text else []
            lines += [f"  note: {fold_whitespace(note)}" for note in masked.notes]
            if masked.audit:
                lines.append(f"  {fold_whitespace(masked.audit)}")
        return "\n".join(lines)


def show_masks(
    datasets: "Sequence[InstructionSet]",
    variant: "ModelVariant",
    reading: "ScoringConfig",
    options: "RankingOptions",
    count: int,
    redactor: "Redactor",
) -> Masks:
    """Return the first ``count`` drawn examples of each dataset with their masks; texts are redacted.

    Only the tokenizer of the model is loaded. Raises ModelError where none of the examples has a scored token.
    """
    from curate.reference.checkpoints.checkpoint import open_tokenizer
    from curate.sft.chat_template.choose import choose_template, repeat_with_other
    from curate.sft.chat_template.loss_mask import ChatEncoder
    from curate.sft.datasets import draw_sample

    tokenizer = open_tokenizer(variant.model, reading.revision, reading.trust_remote_code)
    template = choose_template(tokenizer, variant.template, options.end_of_turn, variant.model)
    encoder = ChatEncoder(tokenizer)
    examples = [
        _mask_example(dataset.name, drawn, template, encoder, options.turns, redactor)
        for dataset in datasets
        for drawn in draw_sample(dataset, count, options.seed, options.turns).examples
    ]
    if examples and not any(masked.scored for masked in examples):
        hint = repeat_with_other(tokenizer, variant.template, options.end_of_turn)
        raise ModelError(f"{template.name} leaves nothing to score: {examples[0].reason}", hint)
    return Masks(template.name, template.source, tuple(examples))


def _mask_example(
    name: str,
    drawn: "DrawnExample",
    template: "ChatTemplate",
    encoder: "ChatEncoder",
    turns: "Which",
    redactor: "Redactor",
) -> Masked:
    from curate.sft.chat_template.loss_mask import audit_mask, mark_scored, require_scored
    from curate.sft.chat_template.render import RenderError
    from curate.sft.examples import scored_turns
    from curate.sft.measuring.mask_audit import describe_audit

    example, location = drawn.example, f"{drawn.file}, row {drawn.row}"
    try:
        rendered = template.render(example.conversation, scored_turns(example, turns), example.tools)
        (tokens,) = encoder.encode([rendered])
        require_scored(template, tokens)
    except RenderError as error:
        return Masked(name, location, "", 0, 0, (), str(error), None)
    audit = audit_mask(template, example.conversation, rendered, tokens, example.tools)
    scored = int((tokens.owner >= 0).sum())
    described = None if audit is None else describe_audit(audit, redactor)
    text = mark_scored(rendered, tokens, redactor)
    return Masked(name, location, text, scored, len(tokens.ids), (*example.notes, *rendered.notes), None, described)
