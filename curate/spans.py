"""Spans of a text: merged, and cut out of it. A span is (start, end) in characters, ``end`` not included."""

from collections.abc import Iterable, Sequence

Span = tuple[int, int]


def merge_spans(spans: Iterable[Span]) -> list[Span]:
    """The same characters as spans in order that neither overlap nor touch; empty spans vanish.

    ValueError for a span that begins before the text, or ends before it begins.
    """
    merged: list[Span] = []
    for start, end in sorted(spans):
        if not 0 <= start <= end:
            raise ValueError(f"no span: {start} to {end}")
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif start < end:
            merged.append((start, end))
    return merged


def count_characters(merged: Sequence[Span]) -> int:
    """Characters of merged spans."""
    return sum(end - start for start, end in merged)


def cut_spans(text: str, merged: Sequence[Span]) -> str:
    """The text without some merged spans, a space in the place of each; everything else stays as it is.

    Where nothing is left of the lines that a span stood in, no letter and no digit, a line end takes its place, so that
    the lines around it stay apart. ValueError for a span that the text is too short for.
    """
    if merged and merged[-1][1] > len(text):
        raise ValueError(f"a span ends at {merged[-1][1]}, the text at {len(text)}")
    left = _blank(text, merged)
    pieces, behind = [], 0
    for start, end in merged:
        pieces += [text[behind:start], " " if _line_has_words(left, start, end) else "\n"]
        behind = end
    return "".join([*pieces, text[behind:]])


def _blank(text: str, merged: Sequence[Span]) -> str:
    """The text with spaces for the characters of the spans."""
    pieces, behind = [], 0
    for start, end in merged:
        pieces += [text[behind:start], " " * (end - start)]
        behind = end
    return "".join([*pieces, text[behind:]])


def _line_has_words(text: str, start: int, end: int) -> bool:
    """Whether the line around a place has a letter or a digit."""
    first, last = text.rfind("\n", 0, start) + 1, text.find("\n", end)
    return any(map(str.isalnum, text[first : last if last >= 0 else len(text)]))
