"""Our loss mask compared with the one that a template marks by ``{% generation %}``, over the examples of a reader."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from curate.runtime.redaction import NO_REDACTION, Redactor
from curate.sft.chat_template.loss_mask import MaskAudit, audit_mask
from curate.sft.measuring.responses import ResponseReader, render_examples

if TYPE_CHECKING:
    from curate.sft.datasets import DrawnExample


def audit_examples(reader: ResponseReader, examples: "Sequence[DrawnExample]") -> MaskAudit | None:
    """Return the comparison summed over some examples; None where the template marks nothing, or none was rendered.

    Raises ModelError where transformers gives other token ids than ours.
    """
    audits = [
        audit_mask(reader.template, drawn.example.conversation, rendered.rendered, rendered.tokens, drawn.example.tools)
        for drawn, rendered in zip(examples, render_examples(reader, examples), strict=True)
        if rendered.rendered is not None and rendered.tokens is not None
    ]
    known = [audit for audit in audits if audit is not None]
    if not known:
        return None
    both, ours, theirs = (sum(getattr(audit, name) for audit in known) for name in ("both", "ours", "theirs"))
    ours_texts, theirs_texts = (
        tuple(text for audit in known for text in getattr(audit, name)) for name in ("ours_texts", "theirs_texts")
    )
    return MaskAudit(both, ours, theirs, ours_texts, theirs_texts)


def describe_audit(audit: MaskAudit, redactor: Redactor = NO_REDACTION) -> str:
    """Return one line about how far the template's mask agrees with ours; texts of examples in it are redacted."""
    line = f"the template's own {{% generation %}} mask agrees on {audit.both:,} tokens"
    for count, texts, whose in ((audit.ours, audit.ours_texts, "ours"), (audit.theirs, audit.theirs_texts, "its")):
        if count:
            shown = ", ".join(repr(redactor.redact(text).cut(0, 20)) for text in dict.fromkeys(texts))
            line += f"; {count:,} are only {whose} ({shown[:60]})"
    return line
