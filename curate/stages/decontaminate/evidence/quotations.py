"""What an item only quotes: a proverb, a verse, a law. Who quotes it too need not know the item."""

import re
from collections.abc import Sequence

import numpy as np

from curate.runtime.arrays import BoolArray

QUOTED = re.compile(
    "\u201c[^\u201c\u201d]+\u201d|\u201e[^\u201e\u201c\u201d]+[\u201c\u201d]|\u00ab[^\u00ab\u00bb]+\u00bb|\u300c[^\u300c\u300d]+\u300d|"
    "\u300e[^\u300e\u300f]+\u300f|\u300a[^\u300a\u300b]+\u300b|\"[^\"]+\"|(?<!\\w)['\u2018][^'\u2018\u2019\n]+['\u2019](?!\\w)"
)
"""A stretch between quotation marks, those included."""
LEAST_WORDS = 4
"""Words of a quotation; fewer are a name or a title."""
MOST_WORDS = 40
"""Words of a quotation; more are a text that the item brings along."""
ASKED_SHARE = 0.25
"""Share of the words outside quotations that a match must have."""


def mark_quoted(text: str, spans: Sequence[tuple[int, int]]) -> BoolArray:
    """Return for each word of a text, whose characters are ``spans``, whether it stands within a quotation."""
    marked = np.zeros(len(spans), bool)
    begins = np.array([begin for begin, _ in spans], np.int64)
    for match in QUOTED.finditer(text):
        first, last = np.searchsorted(begins, match.span())
        if LEAST_WORDS <= last - first <= MOST_WORDS:
            marked[first:last] = True
    return marked


def asks_more_than_it_quotes(matched: BoolArray, quoted: BoolArray) -> bool:
    """Return whether enough of the words outside the quotations were matched, True where there are none of either.

    Both arrays have an entry for each word of the item.
    """
    if not quoted.any() or quoted.all():
        return True
    return float(matched[~quoted].mean()) >= ASKED_SHARE
