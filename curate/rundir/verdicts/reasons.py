"""The reasons for which documents are rejected: how each is spelled, in which order they apply, how they are grouped.

    reason              when                                                    as a group
    unreadable          the row could not be read; it is counted apart          unreadable
    unscored: STATUS    the row has no score: empty, too_long, unscorable …     unscored: STATUS
    contaminated: SET   ``curate decontaminate`` found an item of SET in it     contaminated, with its sets
    variant: SET        it has an item of SET with other numbers, if dropped    variant: SET
    exact duplicate     ``curate dedup`` keeps another with the same words      exact duplicates
    near duplicate      ``curate dedup`` keeps another one of its cluster       near duplicates
    anything else       the criteria of ``curate filter``                       the reason

The first that applies is the reason of a document. ``curate.stages.filter.criteria`` builds the reasons of criteria
(``perplexity > 60``), which come last. Every other reason is built here, in Python or in SQL, and no other file spells
one (``tests/rundir/test_reasons.py``). Statuses of the scores table, verdicts of the hits table and names of counts in
``run.json`` are data, even where they are the same word: they keep their spelling when that of a reason changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from curate.errors import TableError

UNREADABLE = "unreadable"
"""The reason of a row that holds no document, and the name under which those rows are counted."""
CONTAMINATED = "contaminated"
"""The label of all documents that contain eval items, whatever their eval sets."""
_UNSCORED_PREFIX = "unscored: "
_CONTAMINATED_PREFIX = f"{CONTAMINATED}: "
_VARIANT_PREFIX = "variant: "
_DUPLICATE, DUPLICATES = "duplicate", "duplicates"
"""The label of all copies that are not kept."""
_NO_STATUS = "no status"


def unscored_reason(status: str | None) -> str:
    """Return the reason of a row without a score; ``status`` is that of the scores table, None for null."""
    return f"{_UNSCORED_PREFIX}{_NO_STATUS if status is None else status}"


def contaminated_reason(eval_set: str) -> str:
    """Return the reason of a document that contains an item of ``eval_set``."""
    return f"{_CONTAMINATED_PREFIX}{eval_set}"


def variant_reason(eval_set: str) -> str:
    """Return the reason of a document that has an item of ``eval_set`` with other numbers, where those are dropped."""
    return f"{_VARIANT_PREFIX}{eval_set}"


def duplicate_reason(kind: str) -> str:
    """Return the reason of a copy that is not kept; ``kind`` is that of the duplicates table, exact or near."""
    return f"{kind} {_DUPLICATE}"


EXACT_DUPLICATE = duplicate_reason("exact")
NEAR_DUPLICATE = duplicate_reason("near")
_PLURALS = {EXACT_DUPLICATE: f"exact {DUPLICATES}", NEAR_DUPLICATE: f"near {DUPLICATES}"}


def status_reason(status: str | None) -> str | None:
    """Return the reason that a status of the scores table gives; None for the status of a row with a score."""
    from curate.corpus import types

    if status == types.OK:
        return None
    return UNREADABLE if status == types.UNREADABLE else unscored_reason(status)


def status_reason_sql() -> str:
    """Return SQL over ``documents``: the reason for which a row is rejected before any criterion, null for none."""
    from curate.corpus import types

    return (
        f"CASE WHEN status = '{types.UNREADABLE}' THEN '{UNREADABLE}' "
        f"WHEN status IS DISTINCT FROM '{types.OK}' THEN '{_UNSCORED_PREFIX}' || coalesce(status, '{_NO_STATUS}') "
        "WHEN rejection IS NOT NULL THEN rejection END"
    )


def rejection_sql(eval_set: str, variant: str, kind: str) -> str:
    """Return SQL of the reason for which the hits, else the duplicates reject a document, null where neither does.

    The three are SQL expressions: the eval set of a leak, that of a variant, and the kind of copy; null where nothing
    of that kind rejects.
    """
    return (
        f"coalesce('{_CONTAMINATED_PREFIX}' || {eval_set}, '{_VARIANT_PREFIX}' || {variant}, {kind} || ' {_DUPLICATE}')"
    )


def is_unscored(reason: str) -> bool:
    """Return whether a reason is that of a row without a score; that of an unreadable row is not."""
    return reason.startswith(_UNSCORED_PREFIX)


def precedes_criteria(reason: str) -> bool:
    """Return whether a reason applies before any criterion does."""
    known = (UNREADABLE, EXACT_DUPLICATE, NEAR_DUPLICATE)
    return reason in known or reason.startswith((_UNSCORED_PREFIX, _CONTAMINATED_PREFIX, _VARIANT_PREFIX))


def label_reason(reason: str) -> str:
    """Return what a line that counts the documents of a reason is called: ``near duplicates``, ``contaminated``."""
    if reason.startswith(_CONTAMINATED_PREFIX):
        return CONTAMINATED
    return _PLURALS.get(reason, reason)


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """Documents that were rejected for one reason, or for one kind of reason."""

    label: str
    """What the line is called (``label_reason``)."""
    documents: int
    reasons: tuple[str, ...]
    """The reasons that are counted here: one, or every ``contaminated: SET``."""
    sets: Mapping[str, int]
    """Number of contaminated documents by eval set, the largest first, those of one size by name; else empty."""

    @property
    def is_of_duplicates(self) -> bool:
        """Whether the line counts copies that are not kept."""
        return self.reasons[0] in (EXACT_DUPLICATE, NEAR_DUPLICATE)


def group_reasons(rejected: Mapping[str, int]) -> list[ReasonCount]:
    """Return the lines of a funnel: contaminated, variants, exact and near duplicates, then the others as they come.

    ``rejected`` is the number of documents by reason. A reason without documents there has no line.
    """
    sets = {
        reason.removeprefix(_CONTAMINATED_PREFIX): documents
        for reason, documents in rejected.items()
        if reason.startswith(_CONTAMINATED_PREFIX)
    }
    ranked = dict(sorted(sets.items(), key=lambda pair: (-pair[1], pair[0])))
    leaks = tuple(map(contaminated_reason, ranked))
    variants = sorted(reason for reason in rejected if reason.startswith(_VARIANT_PREFIX))
    duplicates = [reason for reason in (EXACT_DUPLICATE, NEAR_DUPLICATE) if reason in rejected]
    others = [reason for reason in rejected if reason not in (*leaks, *variants, *duplicates)]
    lines = [ReasonCount(CONTAMINATED, sum(ranked.values()), leaks, ranked)] if leaks else []
    return lines + [
        ReasonCount(label_reason(reason), rejected[reason], (reason,), {})
        for reason in (*variants, *duplicates, *others)
    ]


def check_documents_add_up(stage: str, read: int, kept: int, rejected: int, unreadable: int) -> None:
    """Check the conservation law: documents read = kept + rejected + unreadable.

    Raises TableError, naming the stage and all four counts, where it does not hold.
    """
    if read != kept + rejected + unreadable:
        message = (
            f"{stage}: {read:,} documents read, but {kept:,} kept + {rejected:,} rejected + {unreadable:,} {UNREADABLE}"
        )
        raise TableError(message, "a part of the scores is missing or foreign; score again with --restart")
