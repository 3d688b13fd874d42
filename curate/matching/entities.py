"""Characters that HTML spells as entities (``gr&auml;bt``), laid open without moving any other character.

An entity becomes its character and invisible ones behind it, which words lose, so that the text keeps its length and a
position in it is one in the text as it was.
"""

import html
import re

ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
FILLING = "\xad"
"""The soft hyphen, which is no part of a word and separates none."""


def open_entities(text: str) -> str:
    """Return a text of the same length in which each entity that HTML knows is its character, filled up."""
    if "&" not in text or ";" not in text:
        return text
    return ENTITY.sub(_open, text)


def _open(match: re.Match[str]) -> str:
    opened = html.unescape(match[0])
    return match[0] if opened == match[0] else opened.ljust(len(match[0]), FILLING)[: len(match[0])]


def end_entity(text: str, opened: str, end: int) -> int:
    """Return ``end``, or the end of the entity of ``text`` within which it lies; ``opened`` is the opened text."""
    while end < len(opened) and opened[end] == FILLING != text[end]:
        end += 1
    return end
