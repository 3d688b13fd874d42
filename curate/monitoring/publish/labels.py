"""Values of labels: texts of other people, made short and printable, so that two that differ stay two."""

import xxhash

from curate.runtime.text import escape_unprintable, fold_whitespace

MOST_CHARS = 120
"""Characters of a value at most. Prometheus and OpenTelemetry keep every value in memory."""
OTHER = "other"
"""The value for the groups beyond ``--max-labels``."""


EMPTY = "(empty)"
"""The value for the group of empty texts: a label without a value is one that is not there."""


def name_group(name: str) -> str:
    """Return the name of a group, never empty: ``(empty)`` for the empty text, in quotes where a text reads so."""
    if not name:
        return EMPTY
    return f'"{name}"' if name.strip('"') == EMPTY else name


def clean_label(text: str) -> str:
    """Return a text as the value of a label: one printable line of at most ``MOST_CHARS`` characters.

    White space and invisible characters are folded as they are on the screen. A text that this changes ends with a
    hash of what it was, so that different texts have different values, the same ones in every run.
    """
    folded = fold_whitespace(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")).strip()
    if not text or (folded == text and len(text) <= MOST_CHARS):
        return text
    mark = f" #{xxhash.xxh3_64_hexdigest(text.encode('utf-8', 'surrogatepass'))[:8]}"
    folded = folded or EMPTY
    return escape_unprintable(folded[: MOST_CHARS - len(mark)].rstrip()) + mark
