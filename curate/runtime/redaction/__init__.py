"""Personal data and secrets in a text, found by patterns and replaced by labels.

    redact = make_redactor("default")                  None: a redactor that changes nothing
    redact("mail jane@corp.com, key AKIA…")            "mail [EMAIL], key [SECRET]"
    found = redact.redact(text)                        found.text, found.spans, found.counts()
    found.cut(0, 200)                                  the first 200 characters of the original, redacted

``kinds`` has the kinds and what ``--redact`` takes, ``redaction`` the spans and how text is cut beside them,
``redactor`` puts the detectors together: ``emails``, ``addresses``, ``accounts``, ``phones``, ``secret_formats``,
``names``.
"""

from curate.runtime.redaction.kinds import LABELS, RedactionChoice, parse_choice
from curate.runtime.redaction.redaction import FoundSpan, Redaction
from curate.runtime.redaction.redactor import NO_REDACTION, Redactor, count_kinds, make_redactor

__all__ = [
    "LABELS",
    "NO_REDACTION",
    "FoundSpan",
    "Redaction",
    "RedactionChoice",
    "Redactor",
    "count_kinds",
    "make_redactor",
    "parse_choice",
]
