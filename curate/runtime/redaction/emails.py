"""E-mail addresses: RFC 5321's local part and domain, in letters of the alphabets that put spaces between words."""

import re
from collections.abc import Iterator

ALPHABETS = "A-Za-z\u00c0-\u024f\u0300-\u036f\u0370-\u03ff\u0400-\u04ff"
"""Latin, Greek and Cyrillic with their accents. A Chinese sentence around an address is no part of it."""
AT = re.compile("@|%40|\uff20")
"""The sign between the parts, also as URLs and East Asian keyboards spell it."""
MOST_LOCAL = 128
"""Characters of the part before the sign; RFC 5321 allows 64."""
LOCAL_REVERSED = re.compile(rf"[{ALPHABETS}0-9_.+'\-]{{1,{MOST_LOCAL}}}")
DOMAIN = re.compile(
    rf"(?:[{ALPHABETS}0-9](?:[{ALPHABETS}0-9\-]{{0,61}}[{ALPHABETS}0-9])?\.){{1,8}}"
    rf"(?:xn--[A-Za-z0-9\-]{{2,59}}|[{ALPHABETS}]{{2,24}})(?![A-Za-z0-9_])"
)
PICTURE = re.compile(r"[1-9]x\.(?:png|jpe?g|gif|svg|webp|pdf)", re.IGNORECASE)
"""``icon@2x.png`` is a file for a dense screen."""
PROGRAMS = frozenset({"git"})
"""Users that are no people: ``git@github.com:owner/name.git`` is where a repository is cloned from."""


def find_emails(text: str) -> Iterator[tuple[int, int]]:
    """Yield the characters [start, end) of e-mail addresses."""
    for sign in AT.finditer(text):
        domain = DOMAIN.match(text, sign.end())
        if domain is None or PICTURE.fullmatch(domain[0]):
            continue
        before = text[max(0, sign.start() - MOST_LOCAL) : sign.start()]
        reversed_local = LOCAL_REVERSED.match(before[::-1])
        local = reversed_local[0][::-1].lstrip(".+'-") if reversed_local is not None else ""
        if local and local not in PROGRAMS:
            yield sign.start() - len(local), domain.end()
