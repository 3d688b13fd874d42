"""What ``decontaminate`` found, as one page in which a person can judge the hits; it needs nothing but a browser."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.runtime.console import size
from curate.runtime.html import digest, open_templates
from curate.runtime.numbers import format_whole_percent, percent
from curate.stages.decontaminate.report.highlights import Span, TextPiece, find_marks, split_marked
from curate.stages.decontaminate.report.wording import (
    AROUND,
    RULES,
    Hit,
    describe_action,
    describe_excess,
    describe_method,
    list_funnel,
    name_item,
    name_place,
)

if TYPE_CHECKING:
    from curate.stages.decontaminate.summary import DecontaminationSummary


MOST = 1000  # hits on the page
PAGE_CHARS = 2_000_000  # of texts on the page, about
LEAST_CHARS = 1_000  # of either text of a hit, however many hits there are
LISTED = 30  # unmatchable items of a set

PARTS = {
    "question": "the question",
    "answered": "the question with its answer",
    "choices": "the question with its choices",
    "in_context": "the question with its context",
    "context": "the context alone",
    "answer": "the answer alone",
}
KINDS = {
    "verbatim": "as they are",
    "case": "in capitals, small letters or title case",
    "spacing": "with other white space and sentence marks",
    "words": "with one word in ten replaced",
    "truncated": "without their last two fifths",
}


@dataclass(frozen=True, slots=True)
class HitCard:
    """One hit on the page."""

    hit: Hit
    document: Sequence[TextPiece]
    item: Sequence[TextPiece]
    best: bool
    """Of the hits of its document, the one that decides: a leak before one for review, then the most bits."""
    place: int
    """Among the hits in the order of the corpus."""


def write_page(path: Path, found: "DecontaminationSummary", hits: Sequence[Hit]) -> None:
    """Write one HTML page that needs nothing else: the summary, then the hits, leaks first, the weakest first.

    The strongest hits are added where ``hits`` lacks them. The same findings give the same bytes. StorageError where
    the disk refuses.
    """
    from curate.runtime import files

    page = make_page(found, hits)
    with files.replacing(path) as beside:
        beside.write_text(page, encoding="utf-8")


def make_page(found: "DecontaminationSummary", hits: Sequence[Hit]) -> str:
    """The page as text; every value is escaped, and spelled out where a browser would hide or obey it."""
    from curate.stages.decontaminate import thresholds
    from curate.stages.decontaminate.summary import BLIND

    space = open_templates(Path(__file__).parent)
    space.filters |= {
        "share": percent,
        "percent": format_whole_percent,
        "size": size,
        "item": name_item,
        "place": name_place,
    }
    space.filters["digest"] = digest
    known = {key(hit) for hit in hits}
    every = [*hits, *(hit for hit in found.strongest if key(hit) not in known)]
    cards = make_cards(sorted(every, key=lambda hit: (hit["verdict"], hit["bits"], key(hit))))
    values = {"found": found, "cards": cards, "funnel": list_funnel(found), "shown": describe_shown(found, cards)}
    values |= {"method": describe_method(found), "action": describe_action(found), "excess": describe_excess(found)}
    values |= {"choices": count_choices(cards), "bound": thresholds, "blind": BLIND, "listed": LISTED}
    values |= {"rules": RULES, "parts": PARTS, "kinds": KINDS}
    return space.get_template("contamination.html.j2").render(values)


def count_choices(cards: Sequence[HitCard]) -> dict[str, list[tuple[str, int]]]:
    """What can be chosen among, and how many hits each choice has."""
    columns = {"set": "eval_set", "verdict": "verdict", "rule": "rule"}
    return {name: sorted(Counter(card.hit[column] for card in cards).items()) for name, column in columns.items()}


def key(hit: Hit) -> tuple[Any, ...]:
    """What no two hits of a run have in common."""
    turn = -1 if hit["turn"] is None else hit["turn"]
    return hit["file"], hit["row"], turn, hit["eval_set"], hit["eval_id"], hit["part"], hit["start"]


def make_cards(hits: Sequence[Hit]) -> list[HitCard]:
    most = max(LEAST_CHARS, PAGE_CHARS // (2 * max(1, len(hits))))
    best: dict[tuple[str, int], Hit] = {}
    for hit in sorted(hits, key=lambda hit: (hit["verdict"], -hit["bits"])):
        best.setdefault((hit["file"], hit["row"]), hit)
    places = {key(hit): place for place, hit in enumerate(sorted(hits, key=key))}
    cards = []
    for hit in hits:
        here, there = find_marks(hit["matched_text"][:most], hit["eval_text"])
        texts = show_document(hit, here, most), show_item(hit["eval_text"], there, most)
        cards.append(HitCard(hit, *texts, best[hit["file"], hit["row"]] is hit, places[key(hit)]))
    return cards


def show_document(hit: Hit, spans: Sequence[Span], most: int) -> list[TextPiece]:
    """The matched passage with what stands around it; of a long one its beginning."""
    text, (before, after) = hit["matched_text"], show_around(hit)
    pieces = [TextPiece("aside", before), *split_marked(text, spans, 0, min(most, len(text)))]
    pieces += [TextPiece("cut", f" {len(text) - most:,} more characters ")] if len(text) > most else []
    return [piece for piece in [*pieces, TextPiece("aside", after)] if piece.text]


def show_around(hit: Hit) -> tuple[str, str]:
    """What stands before and after a match: without empty lines, and without a cut word where the document goes on."""
    before, after = (re.sub(r"\n(?:[^\S\n]*\n)+", "\n", hit[name]) for name in ("before", "after"))
    if hit["start"] > len(hit["before"]):
        before = "… " + re.sub(r"^\S{0,20}\s+(?=\S)", "", before)
    if len(hit["after"]) >= AROUND:
        after = re.sub(r"(?<=\S)\s+\S{0,20}$", "", after) + " …"
    return before, after


def show_item(text: str, spans: Sequence[Span], most: int) -> list[TextPiece]:
    """An eval item; of a long one the part that begins somewhat before the first marked word."""
    begin = min(max(0, (spans[0][0] if spans else 0) - most // 5), max(0, len(text) - most))
    left = len(text) - begin - most
    pieces = [TextPiece("cut", f"{begin:,} characters before ")] if begin else []
    pieces += split_marked(text, spans, begin, min(begin + most, len(text)))
    return [*pieces, TextPiece("cut", f" {left:,} more characters")] if left > 0 else pieces


def describe_shown(found: "DecontaminationSummary", cards: Sequence[HitCard]) -> str:
    """How many of the hits are on the page, and where the others are."""
    leaks, review = sum(sum(one.rules.values()) for one in found.sets), found.counts["review"]
    shown = sum(card.hit["verdict"] == "contaminated" for card in cards)
    others = f"{len(cards) - shown:,} hits for review are shown"
    if len(cards) == shown and review:
        others = f"none of the {review:,} documents for review are shown"
    if shown >= leaks:
        return f"All {leaks:,} leaks and {others}."
    text = f"{shown:,} of {leaks:,} leaks, the weakest and the strongest, and {others};"
    return f"{text} all hits are in the table {found.run}/hits."
