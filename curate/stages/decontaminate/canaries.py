"""Canaries: eval items planted in copies of the user's documents, so that every run measures what it would find.

A clean result alone proves little: a wrong column, a broken index or an unusual corpus gives one too. Each run plants
items in copies of documents, as they are and edited in four ways, searches for them with the same detector, and reports
the share that it found. The corpus is not changed.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from curate.stages.decontaminate.matches import CONTAMINATED, Match
from curate.stages.decontaminate.queries import LEAKS, EvalQueries

KINDS = ("verbatim", "case", "spacing", "words", "truncated")
"""How an item is edited before it is planted."""
EACH = 100
"""Items of each kind."""
HOST_CHARS = 20_000
"""Characters of a document that an item is planted in; the rest is left out."""
REPLACED = 0.1
"""Share of the words that ``words`` replaces."""
KEPT = 0.6
"""Share of the words that ``truncated`` keeps."""


@dataclass(frozen=True, slots=True)
class Canary:
    """One item planted in a copy of one document."""

    kind: str
    """One of KINDS."""
    item: int
    """Index of the eval item."""
    host: int
    """Index of the document in which it was planted."""
    text: str
    """The document with the item in it."""
    start: int
    """Characters of ``text`` that are the item, the end excluded."""
    end: int


def choose_queries(queries: EvalQueries, each: int, seed: int) -> list[int]:
    """Return the indices of at most ``each`` queries to plant, one of every eval set in turn.

    Only queries that can prove a leak are chosen, of an item the first.
    """
    by_set: dict[str, list[int]] = {}
    seen: set[int] = set()
    for number, query in enumerate(queries.queries):
        if query.part in LEAKS and query.item not in seen:
            seen.add(query.item)
            by_set.setdefault(queries.items[query.item].set, []).append(number)
    generator = random.Random(seed)
    for numbers in by_set.values():
        generator.shuffle(numbers)
    chosen: list[int] = []
    while by_set and len(chosen) < each:
        for name in list(by_set):
            chosen.append(by_set[name].pop())
            if not by_set[name]:
                del by_set[name]
    return chosen[:each]


def plant_canaries(queries: EvalQueries, hosts: Sequence[str], each: int = EACH, seed: int = 0) -> list[Canary]:
    """Return ``each`` canaries of every kind (fewer where there are fewer items), planted in random hosts.

    ``hosts`` are the texts of documents. Raises ValueError where there are none.
    """
    if not hosts:
        raise ValueError("canaries need documents to be planted in")
    generator = random.Random(seed)
    planted = []
    for kind in KINDS:
        for number in choose_queries(queries, each, seed):
            host = generator.randrange(len(hosts))
            query = queries.queries[number]
            text = edit_text(query.text, kind, hosts[host], generator)
            planted.append(insert_text(kind, query.item, host, hosts[host][:HOST_CHARS], text, generator))
    return planted


def insert_text(kind: str, item: int, host: int, document: str, text: str, generator: random.Random) -> Canary:
    """Return a canary whose text stands as a paragraph at a random end of a line or sentence of a document."""
    ends = [match.end() for match in re.finditer(r"[.!?]\s|\n", document)]
    at = generator.choice([0, len(document), *ends])
    before = document[:at].rstrip() + "\n\n" if document[:at].strip() else ""
    return Canary(kind, item, host, f"{before}{text}\n\n{document[at:].lstrip()}", len(before), len(before) + len(text))


def edit_text(text: str, kind: str, host: str, generator: random.Random) -> str:
    """Return an eval item edited in one of KINDS, as it may have been on its way into a corpus.

    Raises ValueError for another kind.
    """
    if kind == "verbatim":
        return text
    if kind == "case":
        return generator.choice((str.upper, str.lower, str.title))(text)
    if kind == "spacing":
        return change_spacing(text, generator)
    if kind == "words":
        return replace_words(text, host, generator)
    if kind == "truncated":
        spans = list(re.finditer(r"\S+", text))
        return text[: spans[max(0, round(KEPT * len(spans)) - 1)].end()] if spans else text
    raise ValueError(f"no kind of canary is called {kind}")


def change_spacing(text: str, generator: random.Random) -> str:
    """Return a text with white space made wider or broken over lines, and some punctuation exchanged."""
    marks = {".": "!", ",": ";", "?": " ?", ";": ","}
    swapped = "".join(marks.get(char, char) if generator.random() < 0.5 else char for char in text)
    return re.sub(r"(?<=\w)\s+(?=\w)", lambda match: generator.choice((match[0], "  ", "\n", "\t")), swapped)


def replace_words(text: str, host: str, generator: random.Random) -> str:
    """Return a text with one in ten words of letters, at least one, replaced by a word of the host document."""
    spans = list(re.finditer(r"[^\W\d_]+", text))
    pool = re.findall(r"[^\W\d_]{3,}", host[:HOST_CHARS]) or ["something"]
    replaced = generator.sample(spans, min(len(spans), max(1, round(REPLACED * len(spans)))))
    for span in sorted(replaced, key=lambda span: -span.start()):
        text = text[: span.start()] + generator.choice(pool) + text[span.end() :]
    return text


def is_canary_found(canary: Canary, matches: Sequence[Match]) -> bool:
    """Return whether one of the matches is a leak and lies, by half at least, where the item was planted.

    It need not be the same item, since items of one task share their templates.
    """
    for match in matches:
        common = min(match.end, canary.end) - max(match.start, canary.start)
        if match.verdict == CONTAMINATED and common >= 0.5 * (match.end - match.start):
            return True
    return False
