"""Canaries: eval items planted in a sample of the user's own documents, so that every run measures what it would find.

A clean result means little by itself: a wrong field, a broken index or an unusual corpus gives one too. Each run plants
items in copies of documents, as they are and edited in four ways, looks for them with the same detector, and tells the
share that it found. Nothing of it touches the corpus.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from curate.stages.decontaminate.matches import CONTAMINATED, Match
from curate.stages.decontaminate.queries import LEAKS, EvalQueries

KINDS = ("verbatim", "case", "spacing", "words", "truncated")
EACH = 100  # items of each kind
HOST_CHARS = 20_000  # of a document that an item is planted in
REPLACED = 0.1  # share of the words that ``words`` replaces
KEPT = 0.6  # share of the words that ``truncated`` keeps


@dataclass(frozen=True, slots=True)
class Canary:
    """One item planted in a copy of one document."""

    kind: str
    item: int
    host: int
    text: str
    """The document with the item in it."""
    start: int
    end: int


def choose(probes: EvalQueries, each: int, seed: int) -> list[int]:
    """Probes to plant: at most ``each``, the eval sets in turn, of those that can prove a leak; items once."""
    by_set: dict[str, list[int]] = {}
    seen: set[int] = set()
    for number, probe in enumerate(probes.probes):
        if probe.part in LEAKS and probe.item not in seen:
            seen.add(probe.item)
            by_set.setdefault(probes.items[probe.item].set, []).append(number)
    draw = random.Random(seed)
    for numbers in by_set.values():
        draw.shuffle(numbers)
    chosen: list[int] = []
    while by_set and len(chosen) < each:
        for name in list(by_set):
            chosen.append(by_set[name].pop())
            if not by_set[name]:
                del by_set[name]
    return chosen[:each]


def plant(probes: EvalQueries, hosts: Sequence[str], each: int = EACH, seed: int = 0) -> list[Canary]:
    """Canaries of every kind, each item in another of the hosts. ValueError without hosts."""
    if not hosts:
        raise ValueError("canaries need documents to be planted in")
    draw = random.Random(seed)
    planted = []
    for kind in KINDS:
        for number in choose(probes, each, seed):
            host = draw.randrange(len(hosts))
            text = edit(probes.probes[number].text, kind, hosts[host], draw)
            planted.append(put(kind, probes.probes[number].item, host, hosts[host][:HOST_CHARS], text, draw))
    return planted


def put(kind: str, item: int, host: int, document: str, text: str, draw: random.Random) -> Canary:
    """A text as a paragraph of its own, at a random end of a line or sentence of a document."""
    ends = [found.end() for found in re.finditer(r"[.!?]\s|\n", document)]
    at = draw.choice([0, len(document), *ends])
    before = document[:at].rstrip() + "\n\n" if document[:at].strip() else ""
    return Canary(kind, item, host, f"{before}{text}\n\n{document[at:].lstrip()}", len(before), len(before) + len(text))


def edit(text: str, kind: str, host: str, draw: random.Random) -> str:
    """An eval item as it may have been changed on its way into a corpus."""
    if kind == "verbatim":
        return text
    if kind == "case":
        return draw.choice((str.upper, str.lower, str.title))(text)
    if kind == "spacing":
        return respace(text, draw)
    if kind == "words":
        return replace_words(text, host, draw)
    if kind == "truncated":
        spans = list(re.finditer(r"\S+", text))
        return text[: spans[max(0, round(KEPT * len(spans)) - 1)].end()] if spans else text
    raise ValueError(f"no kind of canary is called {kind}")


def respace(text: str, draw: random.Random) -> str:
    """White space made wider or broken over lines; sentence marks exchanged."""
    marks = {".": "!", ",": ";", "?": " ?", ";": ","}
    swapped = "".join(marks.get(char, char) if draw.random() < 0.5 else char for char in text)
    return re.sub(r"(?<=\w)\s+(?=\w)", lambda found: draw.choice((found[0], "  ", "\n", "\t")), swapped)


def replace_words(text: str, host: str, draw: random.Random) -> str:
    """One in ten words, of letters alone, replaced by a word of the document; at least one."""
    spans = list(re.finditer(r"[^\W\d_]+", text))
    pool = re.findall(r"[^\W\d_]{3,}", host[:HOST_CHARS]) or ["something"]
    for found in sorted(
        draw.sample(spans, min(len(spans), max(1, round(REPLACED * len(spans))))), key=lambda one: -one.start()
    ):
        text = text[: found.start()] + draw.choice(pool) + text[found.end() :]
    return text


def found_in(canary: Canary, matches: Sequence[Match]) -> bool:
    """Whether one of a canary's matches is a leak and lies, by half at least, where the item was planted.

    It need not be the same item: items of one task share their templates.
    """
    for match in matches:
        common = min(match.end, canary.end) - max(match.start, canary.start)
        if match.verdict == CONTAMINATED and common >= 0.5 * (match.end - match.start):
            return True
    return False
