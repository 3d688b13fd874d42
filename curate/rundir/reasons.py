"""The reasons for which documents are rejected, and the law that none of them is lost."""

from collections.abc import Mapping
from dataclasses import dataclass

from curate.errors import TableError

REFUSED = (
    "CASE WHEN status = 'unreadable' THEN 'unreadable' "
    "WHEN status IS DISTINCT FROM 'ok' THEN 'unscored: ' || coalesce(status, 'no status') "
    "WHEN rejection IS NOT NULL THEN rejection END"
)
"""The SQL over ``documents`` of why a row is rejected before any criterion is asked; null for none."""

UNREADABLE = "unreadable"


def conserve(stage: str, read: int, kept: int, rejected: int, unreadable: int) -> None:
    """The conservation law: documents read = kept + rejected + unreadable. TableError where a stage breaks it."""
    if read != kept + rejected + unreadable:
        message = (
            f"{stage}: {read:,} documents read, but {kept:,} kept + {rejected:,} rejected + {unreadable:,} unreadable"
        )
        raise TableError(message, "a part of the scores is missing or foreign; score again with --restart")


# For people: one line for all contaminated documents, whatever their eval sets.


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """Documents that were rejected for one reason, or for one kind of reason."""

    label: str
    documents: int
    sets: Mapping[str, int]
    """Of the contaminated ones: how many for which eval set, the most frequent first."""


def group(rejected: Mapping[str, int]) -> list[ReasonCount]:
    """Reasons as lines: contaminated, exact duplicates, near duplicates, then the others as they come."""
    from curate.rundir.reasons import CONTAMINATED, COPIES

    sets = {why.removeprefix(CONTAMINATED): many for why, many in rejected.items() if why.startswith(CONTAMINATED)}
    ranked = dict(sorted(sets.items(), key=lambda pair: (-pair[1], pair[0])))
    lines = [ReasonCount("contaminated", sum(sets.values()), ranked)] if sets else []
    lines += [ReasonCount(f"{why}s", rejected[why], {}) for why in COPIES if why in rejected]
    others = (why for why in rejected if not why.startswith(CONTAMINATED) and why not in COPIES)
    return [*lines, *(ReasonCount(why, rejected[why], {}) for why in others)]


UNSCORED = "unscored: "

CONTAMINATED = "contaminated: "
COPIES = ("exact duplicate", "near duplicate")
