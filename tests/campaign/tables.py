"""The table of a campaign, on a terminal and in README.md."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from campaign.listing import NAME_TO_KIND, Trial
from campaign.oracle import FAILED, REFUSED, SKIPPED, SURVIVED, Verdict

MARKS = ("<!-- campaign -->", "<!-- /campaign -->")
COLUMNS = (SURVIVED, REFUSED, FAILED, SKIPPED)


def render_table(results: Sequence[tuple[Trial, Verdict]]) -> str:
    """Return the counts of each kind as a table in Markdown, with their sums; what was skipped was not tried."""
    counts: dict[str, Counter[str]] = {}
    for trial, verdict in results:
        counts.setdefault(trial.kind, Counter())[verdict.status] += 1
    rows = [(NAME_TO_KIND[kind].title, counts[kind]) for kind in NAME_TO_KIND if kind in counts]
    rows.append(("**all**", sum((count for _, count in rows), Counter())))
    lines = ["| fault | tried | survived | refused cleanly, then done | failed |", "|---|--:|--:|--:|--:|"]
    for title, count in rows:
        tried = sum(count.values()) - count[SKIPPED]
        lines.append(f"| {title} | {tried:,} | {count[SURVIVED]:,} | {count[REFUSED]:,} | {count[FAILED]:,} |")
    return "\n".join(lines) + "\n"


def write_into(page: Path, text: str) -> None:
    """Replace what stands between the marks of a page. Raises ValueError where it does not have them."""
    before, found, rest = page.read_text().partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not found or not end:
        raise ValueError(f"{page} has no marks {' … '.join(MARKS)}")
    page.write_text(f"{before}{MARKS[0]}\n\n{text}\n{MARKS[1]}{after}")
