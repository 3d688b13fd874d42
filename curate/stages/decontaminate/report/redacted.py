"""Hits as they may be shown to others: personal data and secrets are replaced, in the document and in the item.

A hit keeps the passage with some characters around it. They are redacted as one text, so that what lies across an edge
of the passage is found, and cut where the passage begins and ends. Marks are found before and moved.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from curate.runtime.redaction import Redactor
from curate.stages.decontaminate.hits_table import CONTEXT
from curate.stages.decontaminate.report.highlights import Span, find_marks
from curate.stages.decontaminate.report.wording import Hit
from curate.stages.decontaminate.summary import DecontaminationSummary

ELLIPSIS = "…"


class RedactedHit(dict[str, Any]):
    """A row of the hits whose texts are redacted; ``start`` and ``end`` are those of the original text."""

    marks: tuple[list[Span], list[Span]] = ([], [])
    """As ``highlights.find_marks`` gives them, in the redacted texts."""
    cut_before: bool = False
    """Whether the document has more text before what the hit keeps."""
    cut_after: bool = False
    """Whether it may have more text after it."""


def redact_hit(hit: Hit, redactor: Redactor) -> Hit:
    """Return a hit with its texts and the id of its document redacted; the hit itself where nothing is to be."""
    if not redactor:
        return hit
    before, passage, after = hit["before"] or "", hit["matched_text"], hit["after"] or ""
    first, last = len(before), len(before) + len(passage)
    in_document, in_item = find_marks(passage, hit["eval_text"], hit["part"])
    cut_before, cut_after = is_cut_before(hit), is_cut_after(hit)
    document = redactor.redact_excerpt(before + passage + after, cut_before, cut_after)
    item = redactor.redact(hit["eval_text"])
    shown = RedactedHit(hit)
    shown["before"] = document.cut(0, first).removeprefix(ELLIPSIS)
    shown["matched_text"] = document.cut(first, last)
    shown["after"] = document.cut(last, len(document.original)).removesuffix(ELLIPSIS)
    shown["eval_text"] = item.text
    if isinstance(hit.get("id"), str):
        shown["id"] = redactor(hit["id"])
    shown.marks = (
        [document.move_span((begin + first, end + first), first) for begin, end in in_document],
        [item.move_span(span) for span in in_item],
    )
    shown.cut_before, shown.cut_after = cut_before, cut_after
    return shown


def redact_hits(hits: Iterable[Hit], redactor: Redactor) -> list[Hit]:
    """Return hits as ``redact_hit`` does."""
    return [redact_hit(hit, redactor) for hit in hits]


def redact_summary(summary: DecontaminationSummary, redactor: Redactor) -> DecontaminationSummary:
    """Return a summary with its hits redacted, which names what is; the summary itself where nothing is to be."""
    if not redactor:
        return summary
    strongest, weakest = (tuple(redact_hits(hits, redactor)) for hits in (summary.strongest, summary.weakest))
    return replace(summary, strongest=strongest, weakest=weakest, redaction=redactor.choice.spell())


def list_marks(hit: Hit, most: int | None = None) -> tuple[list[Span], list[Span]]:
    """Return the spans that document and item share (``find_marks``), in the first ``most`` characters of the passage.

    Of a redacted hit those that the original texts share, all of them.
    """
    if isinstance(hit, RedactedHit):
        return hit.marks
    return find_marks(hit["matched_text"][:most], hit["eval_text"], hit["part"])


def is_cut_before(hit: Hit) -> bool:
    """Return whether the document has more text before what the hit keeps."""
    return hit.cut_before if isinstance(hit, RedactedHit) else hit["start"] > len(hit["before"] or "")


def is_cut_after(hit: Hit) -> bool:
    """Return whether the document may have more text after what the hit keeps."""
    return hit.cut_after if isinstance(hit, RedactedHit) else len(hit["after"] or "") >= CONTEXT
