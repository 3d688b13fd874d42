"""What libraries say of a server that does not answer, in a few words."""

import re

from curate.runtime.published import hide_in_text
from curate.runtime.text import fold_whitespace, shorten

ERRNO = re.compile(r"\[Errno -?\d+\] ([^\"')]+)")
TIMED_OUT = re.compile(r"(?i)timed out|timeout")
MOST_CHARS = 200


def shorten_reason(text: str) -> str:
    """Return the cause in what a library says of a request that failed: connection refused, no answer in time."""
    if (match := ERRNO.search(text)) is not None:
        return match[1].strip().lower()
    if TIMED_OUT.search(text):
        return "no answer in time"
    return shorten(hide_in_text(fold_whitespace(text)), MOST_CHARS)
