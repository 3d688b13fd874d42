"""The result of ``decontaminate`` as one page in which a person can judge the hits; it needs only a browser."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from curate.runtime.console import format_size
from curate.runtime.disk import files
from curate.runtime.html import hash_script, open_templates
from curate.runtime.numbers import format_share, format_whole_percent
from curate.runtime.published import hide_folder, hide_in_text
from curate.stages.decontaminate import thresholds
from curate.stages.decontaminate.report.highlights import Span, TextPiece, split_marked
from curate.stages.decontaminate.report.redacted import is_cut_after, is_cut_before, list_marks
from curate.stages.decontaminate.report.wording import (
    Hit,
    describe_action,
    describe_excess,
    describe_languages,
    describe_method,
    list_funnel,
    list_rules,
    name_item,
    name_place,
    rank_verdict,
)
from curate.stages.decontaminate.summary import BLIND, DecontaminationSummary

PAGE_HITS = 1000
"""Hits on the page."""
PAGE_CHARS = 2_000_000
"""Characters of all texts on the page, about."""
LEAST_CHARS = 1_000
"""Characters of either text of a hit, however many hits there are."""
LISTED = 30
"""Unmatchable items of a set that are named."""

PARTS = {
    "question": "the question",
    "answered": "the question with its answer",
    "choices": "the question with its choices",
    "in_context": "the question with its context",
    "context": "the context alone",
    "answer": "the answer alone",
    "solution": "the solution, by its code",
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
    """Whether it is the strongest hit of its document: a leak before one for review, then the most bits."""
    place: int
    """Its position among the hits in the order of the corpus."""


def write_page(path: Path, summary: DecontaminationSummary, hits: Sequence[Hit]) -> None:
    """Write one self-contained HTML page: the summary, then the hits, leaks first, the weakest first.

    The strongest hits are added where ``hits`` lacks them. The same result gives the same bytes. Raises StorageError
    where the disk refuses.
    """
    page = make_page(summary, hits)
    with files.replace_atomically(path) as beside:
        beside.write_text(page, encoding="utf-8")


def make_page(summary: DecontaminationSummary, hits: Sequence[Hit]) -> str:
    """Return the page; every value is escaped, and spelled out where a browser would hide or obey it."""
    hidden = tuple(map(hide_in_text, summary.notes))
    summary = replace(summary, corpus=hide_in_text(summary.corpus), run=hide_folder(summary.run), notes=hidden)
    templates = open_templates(Path(__file__).parent)
    templates.filters |= {
        "share": format_share,
        "percent": format_whole_percent,
        "size": format_size,
        "item": name_item,
        "place": name_place,
    }
    templates.filters["digest"] = hash_script
    known = {make_key(hit) for hit in hits}
    every = [*hits, *(hit for hit in summary.strongest if make_key(hit) not in known)]
    cards = make_cards(sorted(every, key=lambda hit: (*rank_verdict(hit), hit["bits"], make_key(hit))))
    values: dict[str, Any] = {"summary": summary, "cards": cards, "funnel": list_funnel(summary)}
    values |= {"shown": describe_shown(summary, cards)}
    values |= {
        "method": describe_method(summary),
        "action": describe_action(summary),
        "excess": describe_excess(summary),
    }
    values |= {"judged": describe_languages(summary) if {*summary.languages} - {"en"} else ""}
    values |= {"choices": count_choices(cards), "bound": thresholds, "blind": BLIND, "listed": LISTED}
    values |= {"rules": list_rules(summary), "parts": PARTS, "kinds": KINDS}
    return templates.get_template("contamination.html.j2").render(values)


def count_choices(cards: Sequence[HitCard]) -> dict[str, list[tuple[str, int]]]:
    """Return the values to filter hits by, with the number of hits of each."""
    columns = {"set": "eval_set", "verdict": "verdict", "rule": "rule"}
    return {name: sorted(Counter(card.hit[column] for card in cards).items()) for name, column in columns.items()}


def make_key(hit: Hit) -> tuple[Any, ...]:
    """Return a key that no two hits of a run share, which sorts them in the order of the corpus."""
    turn = -1 if hit["turn"] is None else hit["turn"]
    return hit["file"], hit["row"], turn, hit["eval_set"], hit["eval_id"], hit["part"], hit["start"]


def make_cards(hits: Sequence[Hit]) -> list[HitCard]:
    """Return the hits as cards, in the same order; of long texts only a part is shown."""
    most = max(LEAST_CHARS, PAGE_CHARS // (2 * max(1, len(hits))))
    best: dict[tuple[str, int], Hit] = {}
    for hit in sorted(hits, key=lambda hit: (*rank_verdict(hit), -hit["bits"])):
        best.setdefault((hit["file"], hit["row"]), hit)
    positions = {make_key(hit): index for index, hit in enumerate(sorted(hits, key=make_key))}
    cards = []
    for hit in hits:
        in_document, in_item = list_marks(hit, most)
        texts = show_document(hit, in_document, most), show_item(hit["eval_text"], in_item, most)
        cards.append(HitCard(hit, *texts, best[hit["file"], hit["row"]] is hit, positions[make_key(hit)]))
    return cards


def show_document(hit: Hit, spans: Sequence[Span], most: int) -> list[TextPiece]:
    """Return the matched passage with the text around it; of more than ``most`` characters the beginning."""
    text, (before, after) = hit["matched_text"], show_around(hit)
    pieces = [TextPiece("aside", before), *split_marked(text, spans, 0, min(most, len(text)))]
    pieces += [TextPiece("cut", f" {len(text) - most:,} more characters ")] if len(text) > most else []
    return [piece for piece in [*pieces, TextPiece("aside", after)] if piece.text]


def show_around(hit: Hit) -> tuple[str, str]:
    """Return the text before and after a match, without empty lines and words that were cut in two."""
    before, after = (re.sub(r"\n(?:[^\S\n]*\n)+", "\n", hit[name]) for name in ("before", "after"))
    if is_cut_before(hit):
        before = "… " + re.sub(r"^\S{0,20}\s+(?=\S)", "", before)
    if is_cut_after(hit):
        after = re.sub(r"(?<=\S)\s+\S{0,20}$", "", after) + " …"
    return before, after


def show_item(text: str, spans: Sequence[Span], most: int) -> list[TextPiece]:
    """Return an eval item; of more than ``most`` characters a part that begins shortly before the first mark."""
    begin = min(max(0, (spans[0][0] if spans else 0) - most // 5), max(0, len(text) - most))
    left = len(text) - begin - most
    pieces = [TextPiece("cut", f"{begin:,} characters before ")] if begin else []
    pieces += split_marked(text, spans, begin, min(begin + most, len(text)))
    return [*pieces, TextPiece("cut", f" {left:,} more characters")] if left > 0 else pieces


def describe_shown(summary: DecontaminationSummary, cards: Sequence[HitCard]) -> str:
    """Return a sentence on how many of the hits are on the page, and where the others are."""
    leaks, review = sum(sum(eval_set.rules.values()) for eval_set in summary.sets), summary.counts["review"]
    shown = sum(card.hit["verdict"] == "contaminated" for card in cards)
    varied = sum(card.hit["verdict"] == "variant" for card in cards)
    others = f"{len(cards) - shown - varied:,} hits for review are shown"
    if len(cards) == shown + varied and review:
        others = f"none of the {review:,} documents for review are shown"
    others = f"{varied:,} variants and {others}" if varied else others
    if shown >= leaks:
        return f"All {leaks:,} leaks and {others}."
    text = f"{shown:,} of {leaks:,} leaks, the weakest and the strongest, and {others};"
    return f"{text} all hits are in the table {summary.run}/hits."
