"""``--show-mask``: examples as the model reads them, with the scored part marked, before anything is measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curate.errors import ModelError

if TYPE_CHECKING:
    from curate.reference.protocol import ScoringConfig
    from curate.sft.chat_template.loss_mask import ChatEncoder, MaskAudit
    from curate.sft.chat_template.render import ChatTemplate
    from curate.sft.datasets import DrawnExample, InstructionSet
    from curate.sft.examples import Which
    from curate.sft.measuring.reader import ModelVariant, RankingOptions
    from curate.sft.measuring.responses import ResponseReader


@dataclass(frozen=True, slots=True)
class Masked:
    """One example with ⟦…⟧ around what is scored."""

    name: str
    place: str
    text: str
    """Empty where it cannot be rendered."""
    scored: int
    """Tokens."""
    read: int
    notes: tuple[str, ...]
    reason: str | None
    audit: str | None
    """What the template's own ``{% generation %}`` says of the mask; None where it has none."""


@dataclass(frozen=True, slots=True)
class Masks:
    """What ``--show-mask`` prints."""

    template: str
    source: str
    examples: tuple[Masked, ...]

    def as_dict(self) -> dict[str, Any]:
        from dataclasses import asdict

        return asdict(self)

    def render(self) -> str:
        lines = [f"template   {self.template}"]
        for one in self.examples:
            lines += ["", f"{one.name}   {one.place}   {one.scored:,} of {one.read:,} tokens are scored"]
            if one.reason:
                lines.append(f"  not scored: {one.reason}")
            lines += [f"  {line}" for line in one.text.splitlines()]
            lines += [f"  note: {note}" for note in one.notes]
            if one.audit:
                lines.append(f"  {one.audit}")
        return "\n".join(lines)


def show(
    sets: "Sequence[InstructionSet]",
    variant: "ModelVariant",
    reading: "ScoringConfig",
    wanted: "RankingOptions",
    count: int,
) -> Masks:
    """The first drawn examples of each dataset. ModelError where not one of them has anything that is scored."""
    from curate.reference.checkpoint import open_tokenizer
    from curate.sft.chat_template.choose import choose_template
    from curate.sft.chat_template.loss_mask import ChatEncoder
    from curate.sft.datasets import draw

    tokenizer = open_tokenizer(variant.model, reading.revision, reading.trust_remote_code)
    template = choose_template(tokenizer, variant.template, wanted.end_of_turn, variant.model)
    encoder = ChatEncoder(tokenizer)
    found = [
        _mask(one.name, each, template, encoder, wanted.turns)
        for one in sets
        for each in draw(one, count, wanted.seed, wanted.turns).examples
    ]
    if found and not any(one.scored for one in found):
        hint = "try another --template: plain, chatml, or a Jinja file"
        raise ModelError(f"{template.name} leaves nothing to score: {found[0].reason}", hint)
    return Masks(template.name, template.source, tuple(found))


def _mask(name: str, one: "DrawnExample", template: "ChatTemplate", encoder: "ChatEncoder", turns: "Which") -> Masked:
    from curate.sft.chat_template import loss_mask
    from curate.sft.chat_template.render import RenderError
    from curate.sft.examples import scored_turns

    place = f"{one.file}, row {one.row}"
    try:
        rendered = template.render(one.example.turns, scored_turns(one.example, turns), one.example.tools)
        (tokens,) = encoder.encode([rendered])
        loss_mask.require_scored(template, tokens)
    except RenderError as error:
        return Masked(name, place, "", 0, 0, (), str(error), None)
    found = loss_mask.audit(template, one.example.turns, rendered, tokens, one.example.tools)
    scored = int((tokens.owner >= 0).sum())
    said = None if found is None else describe_audit(found)
    return Masked(name, place, loss_mask.mark(rendered, tokens), scored, len(tokens.ids), rendered.notes, None, said)


def audit_drawn(reader: "ResponseReader", drawn: "Sequence[DrawnExample]") -> "MaskAudit | None":
    """The template's own mask against ours over some examples, summed; None where there is none to compare with."""
    from curate.sft.chat_template import loss_mask
    from curate.sft.measuring.responses import prompt

    found = [
        loss_mask.audit(reader.template, one.example.turns, prompted.rendered, prompted.tokens, one.example.tools)
        for one, prompted in zip(drawn, prompt(reader, drawn), strict=True)
        if prompted.rendered is not None and prompted.tokens is not None
    ]
    known = [one for one in found if one is not None]
    if not known:
        return None
    both, ours, theirs = (sum(getattr(one, name) for one in known) for name in ("both", "ours", "theirs"))
    ours_texts, theirs_texts = (
        tuple(text for one in known for text in getattr(one, name)) for name in ("ours_texts", "theirs_texts")
    )
    return loss_mask.MaskAudit(both, ours, theirs, ours_texts, theirs_texts)


def describe_audit(found: "MaskAudit") -> str:
    """What a template's own mask says of ours, in a line."""
    said = f"the template's own {{% generation %}} mask agrees on {found.both:,} tokens"
    for number, texts, whose in ((found.ours, found.ours_texts, "ours"), (found.theirs, found.theirs_texts, "its")):
        if number:
            shown = ", ".join(repr(text[:20]) for text in dict.fromkeys(texts))
            said += f"; {number:,} are only {whose} ({shown[:60]})"
    return said
