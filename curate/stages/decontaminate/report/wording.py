"""How hits, numbers and foreign text are put in words, on the screen as on the page."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curate.stages.decontaminate.summary import DecontaminationSummary


Hit = Mapping[str, Any]

AROUND = 160  # characters that a hit keeps of its document before and after; fewer where the document begins or ends
RULES = ("exact", "aligned", "partial")
METHODS = {
    "ngram": "by word n-grams, exactly",
    "minhash": "by MinHash windows, an estimate",
}


def name_item(hit: Hit) -> str:
    """The set and the item, without repeating a set that the item's id begins with."""
    return hit["eval_id"] if hit["eval_id"].startswith(f"{hit['eval_set']}/") else f"{hit['eval_set']} {hit['eval_id']}"


def name_place(hit: Hit) -> str:
    """Where in the corpus: file, row, and of a conversation the turn; both are counted from 0."""
    role = f" ({hit['role']})" if hit["role"] else ""
    return f"{hit['file']}, row {hit['row']}" + ("" if hit["turn"] is None else f", turn {hit['turn']}{role}")


def describe_method(found: "DecontaminationSummary") -> str:
    turns = "" if found.turns in (None, "all") else f", {found.turns} turns alone"
    return METHODS.get(found.method, found.method) + turns


def describe_action(found: "DecontaminationSummary") -> str:
    """What becomes of the contaminated documents."""
    cut = found.counts["contaminated"] - found.counts["dropped"]
    if found.verified:
        return "found; nothing was written"
    if found.action == "cut-span":
        return f"export cuts the passage out of {cut:,}; of {found.counts['dropped']:,} too little is left: dropped"
    return {"drop": "dropped by filter and export", "mark": "marked; they stay"}.get(found.action, found.action)


def list_funnel(found: "DecontaminationSummary") -> list[tuple[str, int, str]]:
    """What became of the documents that were read: a name, a number, and a note where there are some."""
    counts = found.counts
    lines = [
        ("unreadable", counts["unreadable"], "not looked through"),
        ("empty", counts["empty"], ""),
        ("contaminated", counts["contaminated"], describe_action(found)),
        ("for review", counts["review"], "they stay; judge for yourself"),
        ("clean", counts["clean"], ""),
    ]
    shown = [line for line in lines if line[1] or line[0] not in ("unreadable", "empty")]
    return [(name, number, note if number else "") for name, number, note in shown]


def describe_excess(found: "DecontaminationSummary") -> str:
    """A question where more than a third of the documents are contaminated, else nothing."""
    many, whole = found.counts["contaminated"], found.counts["scanned"]
    if 3 * many <= whole:
        return ""
    what = f"{many:,} of {whole:,} documents, more than a third, contain eval items"
    return f"{what}: is this corpus the eval set itself, or made from it?"
