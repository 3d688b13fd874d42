"""The words for hits and counts, the same on the terminal and on the page."""

from collections.abc import Mapping
from typing import Any

from curate.stages.decontaminate.summary import DecontaminationSummary

BY_LENGTH = "length"
"""What ``DecontaminationSummary.languages`` calls items whose language has no word table."""

Hit = Mapping[str, Any]

RULES = ("exact", "aligned", "partial", "renamed")
RARE_RULES = ("renamed",)
"""Rules that tables show only where something was found by them."""
METHODS = {
    "ngram": "by word n-grams, exactly",
    "minhash": "by MinHash windows, an estimate",
}


def list_rules(summary: DecontaminationSummary) -> tuple[str, ...]:
    """Return the rules that tables show."""
    used = {rule for one in summary.sets for rule in one.rules}
    return tuple(rule for rule in RULES if rule in used or rule not in RARE_RULES)


def name_item(hit: Hit) -> str:
    """Return the set and the id of the item, the id alone where it begins with the set."""
    return hit["eval_id"] if hit["eval_id"].startswith(f"{hit['eval_set']}/") else f"{hit['eval_set']} {hit['eval_id']}"


def rank_verdict(hit: Hit) -> tuple[bool, str]:
    """Return the key by which leaks come first, then variants, then hits for review."""
    return hit["verdict"] == "review", hit["verdict"]


def name_place(hit: Hit) -> str:
    """Return the position in the corpus: file, row, and of a conversation the turn; both are counted from 0."""
    role = f" ({hit['role']})" if hit["role"] else ""
    return f"{hit['file']}, row {hit['row']}" + ("" if hit["turn"] is None else f", turn {hit['turn']}{role}")


def describe_method(summary: DecontaminationSummary) -> str:
    """Return how documents were searched."""
    turns = "" if summary.turns in (None, "all") else f", {summary.turns} turns alone"
    code = f", and {summary.solutions:,} solutions by their code" if summary.solutions else ""
    return METHODS.get(summary.method, summary.method) + code + turns


def describe_action(summary: DecontaminationSummary) -> str:
    """Return what becomes of the contaminated documents."""
    if summary.verified:
        return "found; nothing was written"
    drops_variants = summary.variants == "drop"
    dropped = summary.counts["dropped"] - (summary.counts["variant"] if drops_variants else 0)
    left = summary.counts["contaminated"] - dropped
    if summary.action == "cut-span":
        why = "too little left, or variants" if drops_variants else "too little left"
        return f"export cuts the passage out of {left:,}; {dropped:,} dropped: {why}"
    if summary.action == "mark" and drops_variants and dropped:
        return f"marked; {left:,} stay, {dropped:,} dropped: they have variants"
    return {"drop": "dropped by filter and export", "mark": "marked; they stay"}.get(summary.action, summary.action)


def describe_variants(summary: DecontaminationSummary) -> str:
    """Return what becomes of the documents that have an item with other numbers."""
    return f"items with other numbers; {'dropped' if summary.variants == 'drop' else 'they stay'}"


def describe_languages(summary: DecontaminationSummary) -> str:
    """Return by which word tables the items were judged: ``en 40, de 12, by word length 3``."""
    ranked = sorted(summary.languages.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{'by word length' if code == BY_LENGTH else code} {number:,}" for code, number in ranked)


def list_funnel(summary: DecontaminationSummary) -> list[tuple[str, int, str]]:
    """Return what became of the documents that were read: a name, a number, and a note where there are some."""
    counts = summary.counts
    lines = [
        ("unreadable", counts["unreadable"], "not looked through"),
        ("empty", counts["empty"], ""),
        ("contaminated", counts["contaminated"], describe_action(summary)),
        ("variants", counts.get("variant", 0), describe_variants(summary)),
        ("for review", counts["review"], "they stay; judge for yourself"),
        ("clean", counts["clean"], ""),
    ]
    shown = [line for line in lines if line[1] or line[0] not in ("unreadable", "empty", "variants")]
    return [(name, number, note if number else "") for name, number, note in shown]


def describe_excess(summary: DecontaminationSummary) -> str:
    """Return a question where more than a third of the documents are contaminated, else ""."""
    many, total = summary.counts["contaminated"], summary.counts["scanned"]
    if 3 * many <= total:
        return ""
    what = f"{many:,} of {total:,} documents, more than a third, contain eval items"
    return f"{what}: is this corpus the eval set itself, or made from it?"
