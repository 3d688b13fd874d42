"""Findings of ``decontaminate``, made up: hits, eval sets, canaries, and a hostile text."""

from dataclasses import replace

from curate.rundir import schemas
from curate.stages.decontaminate.summary import CanaryRecall, DecontaminationSummary, EvalSetReport

PENS = "Mia bought 5 boxes of pens at $2 each and gave the cashier a twenty. How much change did she get?"
HOSTILE = "</script><b>\"'&quot;<!--\x00\x1b[31m\u202e\u2028\r\n\ud800{{ 7*7 }}<img src=x onerror=alert(1)>"
COUNTS = {"read": 110, "scanned": 100, "clean": 90, "review": 4, "contaminated": 6, "dropped": 6}
COUNTS |= {"empty": 7, "unreadable": 3, "bytes": 12_300_000}


def make_hit(number=0, **changes):
    """One hit, as a row of the table."""
    hit = dict.fromkeys(schemas.HITS.names) | {
        "file": "web.jsonl.zst", "row": number, "id": f"web-{number}", "eval_set": "gsm8k",
        "eval_id": f"gsm8k/{number}", "part": "question", "verdict": "contaminated", "action": "drop",
        "rule": "exact", "containment": 1.0, "coverage": 1.0, "bits": 100.0 + number, "longest_match": 20,
        "start": 12, "end": 12 + len(PENS), "before": "As they say ", "matched_text": PENS, "after": " The end.",
        "eval_text": PENS,
    }  # fmt: skip
    return hit | changes


def make_found(**changes):
    sets = (
        EvalSetReport("gsm8k", 1319, (), 6, 6, 0, {"exact": 4, "aligned": 1, "partial": 1}),
        EvalSetReport(
            "mmlu/high_school_european_history", 14_042, tuple(f"mmlu/{n}" for n in range(1204)), 0, 0, 4, {}
        ),
    )
    shares = {"verbatim": 100, "case": 100, "spacing": 100, "words": 94, "truncated": 97}
    recall = tuple(CanaryRecall(kind, 100, number) for kind, number in shares.items())
    found = DecontaminationSummary(
        "curated", "corpus/", "ngram", "drop", None, COUNTS, sets, recall, (), (), "curated/page.html"
    )
    return replace(found, **changes)
